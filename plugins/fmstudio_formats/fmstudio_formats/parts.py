"""Files with several tables: which one to read."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from fmstudio.api import ImportReport, UserError


def choose(names: Sequence[str], wanted: str, what: str, path: Path, report: ImportReport) -> str:
    """Give the table the user named, or the first, and say which are not read.

    Args:
        names: All there are, the first choice first.
        wanted: The user's; empty = the first.
        what: ``"table"`` or ``"sheet"``.
        path: The file.
        report: Takes the note.

    Raises:
        UserError: There is none, or not the one that was named.
    """
    if not names:
        raise UserError(f"{path.name} holds no {what}s.", remedy=f"Choose a file with a {what} in it.")
    if not wanted:
        others = ", ".join(f"“{name}”" for name in names[1:6]) + (" …" if len(names) > 6 else "")
        if others:
            report.note(f"Rows are read from the {what} “{names[0]}”; not from {others}.")
        return names[0]
    if wanted in names:
        return wanted
    near = difflib.get_close_matches(wanted, names, 1, 0.5)
    hint = f"Did you mean “{near[0]}”?" if near else f"It has: {', '.join(names[:20])}."
    raise UserError(f"{path.name} has no {what} “{wanted}”.", remedy=hint)


def column_count(count: int) -> str:
    """Give the number of a table's columns in words."""
    return f"{count:,} column" + ("s" if count != 1 else "")
