"""How a count is said, in the window and on the command line."""

from __future__ import annotations


def plural(count: int, one: str, many: str = "") -> str:
    """``1 row``, ``1,050 rows``; `many` when adding an s is wrong."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
