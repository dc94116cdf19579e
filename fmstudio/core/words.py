"""How counts, sizes and times are said, in the window and on the command line."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

_SHAPING = frozenset("\u200c\u200d\u200e\u200f\u061c")
"""Marks without a look of their own that words are written with: joiners of Persian and of emoji, directions."""


def plural(count: int, one: str, many: str = "") -> str:
    """``1 row``, ``1,050 rows``; `many` when adding an s is wrong."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size(count: float) -> str:
    """``98.1 MB``, decimal units as file managers show them."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}" if count < 100 else f"{count:.0f} {unit}"
    return f"{count / 1000:.1f} TB"


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def time_left(seconds: float) -> str:
    """An estimate: ``about 7 s left``, ``about 3 min 05 s left``."""
    return f"about {max(1, round(seconds))} s left" if seconds < 60 else f"about {duration(seconds)} left"


def amount(done: float, total: float | None, what: str) -> str:
    """How far something has come: ``412 of 1,050 rows``, ``2.6 GB of 10.2 GB read``; without a total ``412 rows``.

    Where nothing is counted, only what is being done.
    """
    if not done and not total:
        return what
    said: Callable[[float], str] = _number
    if what.startswith("bytes"):
        said, what = size, what.removeprefix("bytes").strip()
    parts = [said(done), *(["of", said(total)] if total else []), what]
    return " ".join(filter(None, parts))


def _number(value: float) -> str:
    return f"{value:,.0f}"


def visible(text: str) -> str:
    """A text as it can be written on a terminal: what would steer it or turn the rest of the line around is shown as ␣.

    Line breaks and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or c in _SHAPING or not _steers(c) else "\u2423" for c in text)


def _steers(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs")
