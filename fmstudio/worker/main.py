"""Entry of every worker process: ``worker run|session|serve|probe|check``."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import types
from typing import NoReturn

from fmstudio.api.errors import UserError
from fmstudio.jobs.protocol import Error

_COLLECT_EVERY = 50_000
"""Objects made before the garbage collector looks: at Python's 700 it takes a tenth of the time that modules load."""


def main(argv: list[str]) -> int:
    """Run one worker mode and return its exit code."""
    mode, rest = argv[0], argv[1:]
    if mode == "run":
        gc.set_threshold(_COLLECT_EVERY, 20, 20)
        _choose_allocator()
        _skip_docstrings()
        from fmstudio.worker.run import run_step

        return run_step(*rest)
    if mode == "session":
        from fmstudio.worker.session import run_session

        return run_session()
    if mode == "check":
        from fmstudio.worker.check import check_plugin

        return check_plugin(rest[0])
    if mode == "serve":
        from fmstudio.worker.serve.main import main as serve

        return serve(rest)
    if mode == "probe":
        from fmstudio.worker.serve.probe import main as probe

        return probe(rest)
    raise UserError(f"There is no worker mode “{mode}”.")


def _choose_allocator() -> None:
    """Have Arrow use jemalloc where all its builds bring it, unless the user has chosen.

    Its own choice, mimalloc, asks the system for pages of 2 MB and fills a part of each: an import of 1 M CSV rows takes
    0.95 s instead of 0.87 with it and a peak of 338 MB instead of 282, one of Parquet 284 MB instead of 200.
    """
    if sys.platform == "linux":
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")


def _skip_docstrings() -> None:
    """Spare `pyarrow.compute` the docstrings of its 286 functions: reading those of their options is half the time it loads.

    Nobody reads them in a worker. Its functions and their arguments are the same; where pyarrow no longer has this
    module, nothing changes.
    """
    docscrape = types.ModuleType("pyarrow.vendored.docscrape")
    docscrape.NumpyDocString = lambda doc: {"Parameters": ()}  # type: ignore[attr-defined]
    sys.modules.setdefault(docscrape.__name__, docscrape)


def leave(code: int) -> NoReturn:
    """End this process after what was registered for its end; taking apart all it has loaded would cost a tenth of a second."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def explain(error: BaseException) -> Error:
    """Turn an exception into the message the app shows; a full disk and missing memory have words of their own."""
    import errno
    import traceback

    details = "".join(traceback.format_exception(error))
    if isinstance(error, UserError):
        return Error(error.message, error.remedy, error.details or details, True, error.can_retry, error.remedy_action)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Error(
            "The disk is full, or a file would grow beyond what is allowed here.",
            "Free some space, then choose Retry. Earlier data is intact.",
            details,
            is_user_error=True,
            can_retry=True,
        )
    if isinstance(error, PermissionError):
        place = f" {error.filename}" if error.filename else ""
        remedy = "Check its permissions, then choose Retry."
        return Error(f"This may not be read or written:{place}.", remedy, details, is_user_error=True, can_retry=True)
    if isinstance(error, MemoryError):
        remedy = "Close other programs or choose smaller settings."
        return Error("There is not enough memory.", remedy, details, is_user_error=True, can_retry=True)
    kind = type(error).__name__
    return Error(f"Something went wrong that should not: {kind}: {error}.", "Copy the details for a report.", details)
