"""How wide columns want to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fmstudio.ui.widgets.table.values import cell_text

if TYPE_CHECKING:
    from fmstudio.ui.widgets.paged_table import PagedTable

NARROWEST, WIDEST = 64, 480
HEAD_WIDTH = 112
"""Least width of a column whose header shows more than a name."""
SAMPLE = 30
MEASURED = 4
"""Of a column's texts the longest are measured: of a table with 400 columns all of them took a third of a second."""
NARROW_LETTER = 5
"""Pixels of a narrow letter: so little text fills a column that more need not be measured."""
CHIPS = {"messages": 40, "tags": 24}
PICTURE = 96
CROWDED = {"messages": 380}
"""How wide a column is at most when there is no room for all; 240 for other kinds."""
LEAST = {"messages": 300}
"""How narrow the widest column may become for the others to be in sight, too; 140 for other kinds."""


def wanted_width(table: PagedTable, section: int, widest: int = WIDEST) -> int:
    """Width for the header and for the rows in sight, in pixels."""
    rows = table.rows
    kind, name = rows.kind(section), rows.shown_column(section)
    if kind == "image":
        return PICTURE
    first = max(0, table.rowAt(0))
    values = [rows.value(row, section) for row in range(first, min(first + SAMPLE, rows.total))]
    metrics = table.fontMetrics()
    texts = sorted({_measured(value, widest // NARROW_LETTER) for value in values if value is not None}, key=len)
    needs = [metrics.horizontalAdvance(text) + 26 + CHIPS.get(kind, 0) for text in texts[-MEASURED:]]
    least = HEAD_WIDTH if table.header.head(section).type_word else NARROWEST
    return min(max([least, metrics.horizontalAdvance(name) + 40, *needs]), widest)


def _measured(value: object, most: int) -> str:
    return cell_text(value[:most] if isinstance(value, str) else value)[:most]


def shared_widths(table: PagedTable, room: int) -> Mapping[int, int]:
    """Widths by section: what each wants; the widest takes what is left of the room, or gives what is missing.

    Where there is no room for all, wide columns are cut to `CROWDED`, so that more of them are in sight.
    """
    shown = [section for section in range(table.rows.columnCount()) if not table.isColumnHidden(section)]
    wishes = {section: wanted_width(table, section) for section in shown}
    if sum(wishes.values()) > room:
        most = {section: CROWDED.get(table.rows.kind(section), 240) for section in shown}
        wishes = {section: min(wish, most[section]) for section, wish in wishes.items()}
    if wishes:
        widest = max(wishes, key=lambda section: wishes[section])
        fitted = wishes[widest] + room - sum(wishes.values())
        if fitted >= LEAST.get(table.rows.kind(widest), 140):  # else it scrolls sideways
            wishes[widest] = fitted
    return wishes
