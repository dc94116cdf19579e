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
CHIPS = {"messages": 40, "tags": 24}
PICTURE = 96
LEAST_WIDEST = {"messages": 380}
"""How narrow the widest column may become when the others need the room; 240 for other kinds."""


def wanted_width(table: PagedTable, section: int, widest: int = WIDEST) -> int:
    """Width for the header and for the rows in sight, in pixels."""
    rows = table.rows
    kind, name = rows.kind(section), rows.shown_column(section)
    if kind == "image":
        return PICTURE
    first = max(0, table.rowAt(0))
    values = [rows.value(row, section) for row in range(first, min(first + SAMPLE, rows.total))]
    metrics = table.fontMetrics()
    texts = [cell_text(value)[:200] for value in values if value is not None]
    needs = [metrics.horizontalAdvance(text) + 26 + CHIPS.get(kind, 0) for text in texts]
    least = HEAD_WIDTH if table.header.head(section).type_word else NARROWEST
    return min(max([least, metrics.horizontalAdvance(name) + 40, *needs]), widest)


def shared_widths(table: PagedTable, room: int) -> Mapping[int, int]:
    """Widths by section: what each wants; the widest takes what is left of the room, or gives what is missing."""
    shown = [section for section in range(table.rows.columnCount()) if not table.isColumnHidden(section)]
    wishes = {section: wanted_width(table, section) for section in shown}
    if wishes:
        widest = max(wishes, key=lambda section: wishes[section])
        least = min(LEAST_WIDEST.get(table.rows.kind(widest), 240), wishes[widest])
        wishes[widest] = max(least, wishes[widest] + room - sum(wishes.values()))
    return wishes
