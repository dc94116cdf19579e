"""Where the column names of a sheet are, and what they are."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any


def find_header(rows: Sequence[Sequence[Any]]) -> int | None:
    """Find the row of column names below titles and empty rows; None when the sheet starts with data.

    A row of names fills at least half of the columns in use, with texts that differ, and has something below it.
    """
    filled = [[cell for cell in row if cell not in ("", None)] for row in rows]
    widest = max(map(len, filled), default=0)
    for index, cells in enumerate(filled):
        if len(cells) * 2 < widest or not cells or (len(cells) == 1 < widest):
            continue
        texts = [cell for cell in cells if isinstance(cell, str)]
        has_more = any(filled[index + 1 :]) or len(rows) == 1
        if len(texts) * 2 > len(cells) and len(set(texts)) == len(texts) and has_more:
            return index if len(texts) == len(cells) or _differs(rows[index], rows[index + 1 :]) else None
        return None
    return None


def header_names(row: Sequence[Any], width: int) -> list[str]:
    """Name columns after a row of cells; a number where a cell is empty, a suffix where a name is taken."""
    names: list[str] = []
    for number in range(max(width, len(row))):
        cell = row[number] if number < len(row) else ""
        name = _text(cell).strip() or f"column_{number + 1}"
        while name in names:
            name += "_2"
        names.append(name)
    return names


def _differs(names: Sequence[Any], below: Sequence[Sequence[Any]]) -> bool:
    """Whether some column has a text on top of values of another type."""
    return any(
        isinstance(name, str) and name and any(not isinstance(row[i], str) for row in below if i < len(row))
        for i, name in enumerate(names)
    )


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, (datetime.datetime, datetime.date)):
        return cell.isoformat()
    return str(cell)
