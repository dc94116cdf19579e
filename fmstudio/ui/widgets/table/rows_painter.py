"""`RowsPainter`: draws the rows of a table view that are in sight; used by the table and by its frozen columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QObject, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QTableView

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.table.model import PagedRows
from fmstudio.ui.widgets.table.painter import CellPainter, Look
from fmstudio.ui.widgets.table.thumbnails import Thumbnails

CORNER = 7
"""Side of the triangle that marks an edited cell."""


class RowsPainter(QObject):
    """Draws background, selection, marks and cells.

    Signals:
        ready: Something can be drawn better now; repaint.
    """

    ready = Signal()

    def __init__(self, rows: PagedRows, parent: QObject) -> None:
        super().__init__(parent)
        self.rows = rows
        self.hovered = -1
        self._needles: Mapping[str, tuple[str, ...]] = {}
        self._everywhere: tuple[str, ...] = ()
        thumbnails = Thumbnails(self)
        thumbnails.ready.connect(self.ready)
        self._cells = CellPainter(thumbnails)
        Theme.current().changed.connect(self._on_theme)

    def mark(self, everywhere: Sequence[str], by_column: Mapping[str, Sequence[str]]) -> None:
        """Mark these texts where they stand: in all texts, and in single columns."""
        self._everywhere = tuple(text.lower() for text in everywhere if text)
        self._needles = {name: tuple(text.lower() for text in texts if text) for name, texts in by_column.items()}
        self._cells.forget()
        self.ready.emit()

    def _on_theme(self) -> None:
        self._cells.use_theme()
        self.ready.emit()

    def paint(self, view: QTableView, event: QPaintEvent) -> None:
        """Draw what the event asks for."""
        painter = QPainter(view.viewport())
        try:
            self._paint(painter, view, event.rect())
        finally:
            painter.end()  # whoever still holds this frame (a report of an error) must not hold the surface

    def _paint(self, painter: QPainter, view: QTableView, clip: QRect) -> None:
        painter.fillRect(clip, self._cells.color("surface"))
        total = self.rows.rowCount()
        if not total or not self.rows.columnCount():
            return
        first = view.rowAt(clip.top())
        if first < 0:
            return
        height = view.rowHeight(first)
        y = view.rowViewportPosition(first)
        sections = self._sections(view, clip)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        row = first
        while y <= clip.bottom() and row < total:
            self._row(painter, view, row, y, height, sections)
            y += height
            row += 1

    def _sections(self, view: QTableView, clip: QRect) -> list[tuple[int, int, int, Look]]:
        header = view.horizontalHeader()
        first = max(0, header.visualIndexAt(clip.left()))
        last = header.visualIndexAt(clip.right())
        last = header.count() - 1 if last < 0 else last
        found = []
        for visual in range(first, last + 1):
            section = header.logicalIndex(visual)
            if not header.isSectionHidden(section):
                name, kind = self.rows.shown_column(section), self.rows.kind(section)
                marks = () if kind in ("number", "boolean", "image") else self._everywhere
                look = Look(kind, (*marks, *self._needles.get(name, ())))
                found.append((section, header.sectionViewportPosition(section), header.sectionSize(section), look))
        return found

    def _row(
        self,
        painter: QPainter,
        view: QTableView,
        row: int,
        y: int,
        height: int,
        sections: list[tuple[int, int, int, Look]],
    ) -> None:
        cells = self._cells
        selection = view.selectionModel()
        is_selected = (
            bool(sections) and selection.hasSelection() and selection.isSelected(self.rows.index(row, sections[0][0]))
        )
        back = "selected" if is_selected else "hover" if row == self.hovered else ""
        width = view.viewport().width()
        if back:
            painter.fillRect(QRect(0, y, width, height), cells.color(back))
        painter.fillRect(QRect(0, y + height - 1, width, 1), cells.color("border"))
        version, marked = self.rows.version, self.rows.marked
        row_id = self.rows.row_id(row) if marked else None
        values = self.rows.cells(row)
        for section, x, wide, look in sections:
            rect = QRectF(x, y, wide, height - 1)
            painter.setClipRect(rect)
            if values is None:
                cells.draw_placeholder(painter, rect, row * 31 + section)
            else:
                cells.draw(painter, rect, (row, section, version), values[self.rows.place(section)], look)
            if row_id is not None and (row_id, self.rows.shown_column(section)) in marked:
                self._corner(painter, rect)
        painter.setClipping(False)
        current = selection.currentIndex()
        if current.isValid() and current.row() == row and view.hasFocus():
            self._focus(painter, current.column(), sections, y, height)

    def _corner(self, painter: QPainter, rect: QRectF) -> None:
        right, top = rect.right(), rect.top()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._cells.color("accent"))
        corner = [QPointF(right - CORNER, top), QPointF(right, top), QPointF(right, top + CORNER)]
        painter.drawPolygon(QPolygonF(corner))

    def _focus(
        self, painter: QPainter, column: int, sections: list[tuple[int, int, int, Look]], y: int, height: int
    ) -> None:
        for section, x, wide, _ in sections:
            if section == column:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(self._cells.color("focus"))
                painter.drawRoundedRect(QRectF(x + 1.5, y + 1.5, wide - 3, height - 4), 3, 3)
