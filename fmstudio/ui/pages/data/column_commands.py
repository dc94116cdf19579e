"""`ColumnCommands`: what can be done with a column of the rows, as data: for its menu, for keys, and for the palette."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint

from fmstudio.project.filters import ColumnFilter, Sort, kind_of

if TYPE_CHECKING:
    from fmstudio.ui.pages.data.rows_view import RowsView

STEP = 24
"""Pixels by which a key makes a column wider or narrower."""


@dataclass(frozen=True, slots=True)
class ColumnCommand:
    """One thing to do: its words, its key in the table, and whether it holds now (None = it is no such thing).

    A `title` of nothing is a line between groups.
    """

    title: str = ""
    run: Callable[[], object] = lambda: None
    keys: str = ""
    is_on: bool | None = None
    can: bool = True


class ColumnCommands:
    """Acts on the columns of a `RowsView`; without a section named, on that of the current cell."""

    def __init__(self, view: RowsView) -> None:
        self._view = view
        keys: dict[str, Callable[[int], object]] = {
            "S": self.sort, "Shift+S": lambda section: self.sort(section, add=True), "F": self.ask_filter,
            "I": view.heads.open_statistics, "H": self.hide,
            "Ctrl+Shift+Left": lambda section: self.move(section, -1),
            "Ctrl+Shift+Right": lambda section: self.move(section, 1),
            "Alt+Shift+Left": lambda section: self.widen(section, -STEP),
            "Alt+Shift+Right": lambda section: self.widen(section, STEP),
        }  # fmt: skip
        view.table.commands.update({key: lambda act=act: self._on_current(act) for key, act in keys.items()})  # type: ignore[misc]

    def current(self) -> int:
        """Section of the current cell; that of the first column in sight when there is none, -1 without columns."""
        table = self._view.table
        index = table.currentIndex()
        if index.isValid() and not table.isColumnHidden(index.column()):
            return index.column()
        return table.columnAt(0)

    def _on_current(self, act: Callable[[int], object]) -> None:
        section = self.current()
        if section >= 0:
            act(section)

    def name(self, section: int) -> str:
        """Name of the column there."""
        return self._view.table.rows.shown_column(section)

    # ---- what can be done ------------------------------------------------------------------------------------------

    def sort(self, section: int, add: bool = False) -> None:
        """Sort by it; again turns the order round, a third time ends it. `add`: by this column after the others."""
        view, name = self._view, self.name(section)
        before = next((s for s in view.sorts if s.column == name), None)
        rest = [s for s in view.sorts if s.column != name] if add else []
        if before is None:
            view.sort_by([*rest, Sort(name)])
        elif not before.is_descending:
            place = view.sorts.index(before) if add else 0
            view.sort_by([*rest[:place], Sort(name, is_descending=True), *rest[place:]])
        else:
            view.sort_by(rest)

    def ask_filter(self, section: int, place: QPoint | None = None) -> None:
        """Ask for a condition on it, below its header."""
        if not self._can_filter(section):
            said = (
                "Pictures and other bytes can only be filtered by whether they are there: see the menu of the column."
            )
            self._view.ctx.notify("info", said)
            return
        self._view.column_menu.open_condition(self.name(section), place or self._view.table.header_position(section))

    def _can_filter(self, section: int) -> bool:
        rows = self._view.table.rows
        return kind_of(rows.types.get(rows.shown_column(section), "")) != "bytes"

    def hide(self, section: int) -> None:
        """Take it out of sight; the current cell goes to a neighbour."""
        table = self._view.table
        table.hide_column(self.name(section), True)
        current = table.currentIndex()
        if current.isValid() and table.isColumnHidden(current.column()):
            table.setCurrentIndex(table.rows.index(current.row(), max(0, table.columnAt(0))))

    def move(self, section: int, by: int) -> None:
        """Bring it one place to the left or to the right, past those that are hidden."""
        header = self._view.table.header
        place = header.visualIndex(section)
        to = place + by
        while 0 <= to < header.count() and header.isSectionHidden(header.logicalIndex(to)):
            to += by
        if 0 <= to < header.count():
            header.moveSection(place, to)
            self._view.table.scrollTo(self._view.table.currentIndex())

    def widen(self, section: int, by: int) -> None:
        """Make it wider, or narrower when `by` is negative."""
        table = self._view.table
        table.setColumnWidth(section, max(table.header.minimumSectionSize(), table.columnWidth(section) + by))

    # ---- as data ---------------------------------------------------------------------------------------------------

    def of(self, section: int, place: QPoint | None = None) -> list[ColumnCommand]:
        """Everything that can be done with a column."""
        view, table = self._view, self._view.table
        name = self.name(section)
        visual = table.header.visualIndex(section) + 1
        is_frozen = table.frozen_count == visual
        found = [*self._sorting(name), *self._filtering(section, name, place), ColumnCommand()]
        found.append(ColumnCommand("Statistics…", lambda: view.heads.open_statistics(section), "I"))
        found.append(ColumnCommand("Fit the width", lambda: table.fit_column(section)))
        found.append(ColumnCommand("Wider", lambda: self.widen(section, STEP), "Alt+Shift+Right"))
        found.append(ColumnCommand("Narrower", lambda: self.widen(section, -STEP), "Alt+Shift+Left"))
        found.append(ColumnCommand("Move left", lambda: self.move(section, -1), "Ctrl+Shift+Left", can=visual > 1))
        can_right = visual < table.header.count()
        found.append(ColumnCommand("Move right", lambda: self.move(section, 1), "Ctrl+Shift+Right", can=can_right))
        found.append(
            ColumnCommand("Let all columns scroll", lambda: table.freeze(0)) if is_frozen
            else ColumnCommand("Hold in place up to here", lambda: table.freeze(visual))
        )  # fmt: skip
        found.append(ColumnCommand("Hide", lambda: self.hide(section), "H"))
        found.append(ColumnCommand("Columns…", view.open_columns))
        return found

    def _sorting(self, name: str) -> list[ColumnCommand]:
        view, up, down = self._view, Sort(name), Sort(name, is_descending=True)
        found = [
            ColumnCommand("Sort, smallest first", lambda: view.sort_by([up]), "S", up in view.sorts),
            ColumnCommand("Sort, largest first", lambda: view.sort_by([down]), "", down in view.sorts),
        ]
        if any(s.column == name for s in view.sorts):
            rest = [s for s in view.sorts if s.column != name]
            found.append(ColumnCommand("Do not sort by it", lambda: view.sort_by(rest)))
        return [*found, ColumnCommand()]

    def _filtering(self, section: int, name: str, place: QPoint | None) -> list[ColumnCommand]:
        bar = self._view.bar
        empty, there = ColumnFilter(name, "empty"), ColumnFilter(name, "not_empty")
        found = [
            ColumnCommand("Filter…", lambda: self.ask_filter(section, place), "F", can=self._can_filter(section)),
            ColumnCommand("Only rows where it is empty", lambda: bar.add_condition(empty)),
            ColumnCommand("Only rows where it is not", lambda: bar.add_condition(there)),
        ]
        if any(c.column == name for c in bar.conditions):
            found.append(ColumnCommand("Remove its filters", lambda: bar.drop_conditions(name)))
        return found
