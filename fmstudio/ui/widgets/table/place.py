"""Where a table stands, to be brought back after its rows were shown anew."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QItemSelectionModel
from PySide6.QtWidgets import QTableView

from fmstudio.ui.widgets.table.copying import selected_rows

MOST_SELECTED = 1_000
Flag = QItemSelectionModel.SelectionFlag


@dataclass(frozen=True, slots=True)
class Place:
    """Scroll position, current row and column, and selected rows of a table."""

    scroll: int = 0
    current: int = -1
    column: int = 0
    selected: tuple[int, ...] = ()

    @classmethod
    def of(cls, table: QTableView) -> Place:
        """Where a table stands now."""
        rows = selected_rows(table.selectionModel())[:MOST_SELECTED]
        index = table.currentIndex()
        return cls(table.verticalScrollBar().value(), index.row(), max(0, index.column()), tuple(rows))

    def restore(self, table: QTableView) -> None:
        """Bring a table back to here, as far as the rows are still there."""
        model, selection = table.model(), table.selectionModel()
        for row in self.selected:
            selection.select(model.index(row, 0), Flag.Select | Flag.Rows)
        if 0 <= self.current < model.rowCount():
            selection.setCurrentIndex(model.index(self.current, self._column(table)), Flag.NoUpdate)
        table.verticalScrollBar().setValue(self.scroll)

    def begin(self, table: QTableView) -> None:
        """Other rows are there: where a row was chosen, the first one is now, in the same column."""
        if self.current >= 0 and table.model().rowCount():
            side = table.horizontalScrollBar().value()
            table.setCurrentIndex(table.model().index(0, self._column(table)))
            table.horizontalScrollBar().setValue(side)

    def _column(self, table: QTableView) -> int:
        return self.column if self.column < table.model().columnCount() else 0
