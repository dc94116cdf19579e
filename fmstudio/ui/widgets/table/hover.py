"""`RowHover`: marks the row under the mouse in every view that shows the same rows."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QTableView

from fmstudio.ui.widgets.table.rows_painter import RowsPainter


class RowHover(QObject):
    """Watches the viewports of some views of the same rows, and redraws the two rows that change."""

    def __init__(self, painter: RowsPainter, *views: QTableView) -> None:
        super().__init__(views[0])
        self._painter, self._views = painter, views
        for view in views:
            view.viewport().setMouseTracking(True)
            view.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: the mouse moved over a view, or left it."""
        if event.type() == QEvent.Type.MouseMove and isinstance(event, QMouseEvent):
            self._mark(self._views[0].rowAt(event.position().toPoint().y()))
        elif event.type() == QEvent.Type.Leave:
            self._mark(-1)
        return False

    def _mark(self, row: int) -> None:
        before, self._painter.hovered = self._painter.hovered, row
        if before == row:
            return
        for one in (before, row):
            if one >= 0:
                y, height = self._views[0].rowViewportPosition(one), self._views[0].rowHeight(one)
                for view in self._views:
                    view.viewport().update(0, y, view.viewport().width(), height)
