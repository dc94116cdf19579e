"""Nothing fails silently: exceptions that nobody caught become a problem card and a line in the log file."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext

log = logging.getLogger("fmstudio")


def log_to_file() -> None:
    """Write warnings and errors to ``logs/window.log`` in the user's folder; one older file is kept."""
    from logging.handlers import RotatingFileHandler

    from fmstudio.core.paths import home

    folder = home() / "logs"
    folder.mkdir(exist_ok=True)
    handler = RotatingFileHandler(folder / "window.log", maxBytes=1_000_000, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def install_excepthooks(context: AppContext) -> None:
    """Show what nobody caught, on any thread."""
    from fmstudio.ui.context import problem_of

    def report(error: BaseException) -> None:
        log.error("not caught", exc_info=error)
        context.background.on_main(lambda: context.show_problem(problem_of(error)))

    def on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            report(error)

    def on_thread_exception(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            report(args.exc_value)

    sys.excepthook = on_exception
    threading.excepthook = on_thread_exception
