"""The native library's log, kept in a ring: it is the only place that says why loading failed.

The callback replaces the library's printing to stderr for the whole process.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

_LINES_KEPT = 400
# ggml_log_level of ggml.h: none, debug, info, warning, error, continued
_WARNING, _ERROR, _CONTINUES = 3, 4, 5

_lines: deque[tuple[int, str]] = deque(maxlen=_LINES_KEPT)
_callback: Any = None  # the library keeps only a pointer to it: it must live as long as the process


def install() -> None:
    """Catch the library's log from now on; calling it again does nothing."""
    global _callback
    if _callback is not None:
        return
    from llama_cpp import llama_cpp as lib

    _callback = lib.llama_log_callback(_keep)
    lib.llama_log_set(_callback, None)


def _keep(level: int, text: bytes | None, _user_data: Any) -> None:
    part = (text or b"").decode("utf-8", "replace")
    if level == _CONTINUES and _lines:
        last_level, last = _lines[-1]
        _lines[-1] = (last_level, last + part)
    else:
        _lines.append((level, part))
        if level == _ERROR and sys.stderr is not None:
            sys.stderr.write(part)  # into the worker's log: a native abort follows some errors at once
            sys.stderr.flush()


def callback() -> Any:
    """What `install` gave the library, for others that log the same way."""
    install()
    return _callback


def clear() -> None:
    """Forget everything, before an operation whose own log is wanted."""
    _lines.clear()


def tail(count: int = 60) -> str:
    """Give the last lines, as text."""
    return "".join(text for _, text in list(_lines)[-count:]).strip()


def cause() -> str:
    """Give the first error since `clear`, which is the root of those after it; else the last warning; or nothing."""
    errors = [text for level, text in _lines if level == _ERROR and text.strip()]
    warnings = [text for level, text in _lines if level == _WARNING and text.strip()]
    line = (errors[:1] or warnings[-1:] or [""])[0].strip()
    where, _, what = line.partition(": ")
    # Lines begin with the name of the native function, which tells a user nothing.
    return (what if what and " " not in where else line).rstrip(".")
