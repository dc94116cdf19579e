"""`TableLayout`: order, widths, hidden and frozen columns of a table, as they are remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmstudio.ui.widgets.paged_table import PagedTable


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The shape of a table's columns.

    Attributes:
        order: Names from left to right; columns not named come after them.
        widths: Width in pixels by name; empty = fitted to the contents.
        hidden: Columns not shown.
        frozen: How many columns are held in place at the left.
    """

    order: tuple[str, ...] = ()
    widths: Mapping[str, int] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    frozen: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {
            "order": list(self.order), "widths": dict(self.widths), "hidden": sorted(self.hidden), "frozen": self.frozen,
        }  # fmt: skip

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> TableLayout:
        """Read what `to_dict` gave; what is missing or of a wrong kind is left out."""
        order, widths = data.get("order"), data.get("widths")
        hidden, frozen = data.get("hidden"), data.get("frozen")
        return cls(
            tuple(str(name) for name in order) if isinstance(order, list) else (),
            {str(n): int(w) for n, w in widths.items() if isinstance(w, int)} if isinstance(widths, dict) else {},
            frozenset(str(name) for name in hidden) if isinstance(hidden, list) else frozenset(),
            frozen if isinstance(frozen, int) and frozen >= 0 else 0,
        )


def shape_of(table: PagedTable, frozen: int, *, with_widths: bool) -> TableLayout:
    """The shape of a table's columns now."""
    names, header = table.rows.shown, table.header
    order = tuple(names[header.logicalIndex(v)] for v in range(header.count()) if v < len(names))
    widths = {n: table.columnWidth(i) for i, n in enumerate(names) if not table.isColumnHidden(i)}
    hidden = frozenset(n for i, n in enumerate(names) if table.isColumnHidden(i))
    return TableLayout(order, widths if with_widths else {}, hidden, frozen)


def arrange(table: PagedTable, layout: TableLayout) -> None:
    """Put a table's columns into that order, and hide what is hidden in it (never all of them)."""
    names, header = table.rows.shown, table.header
    known = [name for name in layout.order if name in names]
    for visual, name in enumerate([*known, *(name for name in names if name not in known)]):
        header.moveSection(header.visualIndex(names.index(name)), visual)
    can_hide = len(layout.hidden & set(names)) < len(names)
    for section, name in enumerate(names):
        table.setColumnHidden(section, can_hide and name in layout.hidden)
