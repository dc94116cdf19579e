"""`FrozenColumns`: the first columns of a table, held in place over it while the others scroll sideways."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, Qt, Slot
from PySide6.QtGui import QMouseEvent, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QTableView

from fmstudio.ui.widgets.table.header import ColumnHeader
from fmstudio.ui.widgets.table.rows_painter import RowsPainter


class FrozenColumns(QTableView):
    """Shares model, selection and painter with the table it lies over; takes its place at the left edge."""

    def __init__(self, table: QTableView, painter: RowsPainter) -> None:
        super().__init__(table)
        self._table, self._painter = table, painter
        self.header = ColumnHeader(self)
        self.setHorizontalHeader(self.header)
        self.setProperty("flat", "true")
        self.setObjectName("frozen")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setModel(table.model())
        self.setSelectionModel(table.selectionModel())
        self.setSelectionBehavior(table.selectionBehavior())
        self.setSelectionMode(table.selectionMode())
        self.setVerticalScrollMode(table.verticalScrollMode())
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setShowGrid(False)
        self.setAccessibleName(self.tr("Frozen columns"))
        vertical = self.verticalHeader()
        vertical.hide()
        vertical.setDefaultSectionSize(table.verticalHeader().defaultSectionSize())
        vertical.setMinimumSectionSize(table.verticalHeader().minimumSectionSize())
        vertical.setSectionResizeMode(
            table.verticalHeader().sectionResizeMode(0) if table.model().rowCount() else vertical.ResizeMode.Fixed
        )
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        table.verticalScrollBar().valueChanged.connect(self.verticalScrollBar().setValue)
        self.header.sectionResized.connect(self._on_resized)
        self.hide()

    def follow(self, count: int) -> None:
        """Show the first `count` visible columns of the table, in its order and widths; 0 = nothing is frozen."""
        source, mine = self._table.horizontalHeader(), self.header
        chosen: list[int] = []
        for visual in range(source.count()):
            section = source.logicalIndex(visual)
            if len(chosen) < count and not source.isSectionHidden(section):
                chosen.append(section)
        mine.blockSignals(True)
        for visual in range(source.count()):
            section = source.logicalIndex(visual)
            mine.moveSection(mine.visualIndex(section), visual)
            mine.setSectionHidden(section, section not in chosen)
            if section in chosen:
                mine.resizeSection(section, source.sectionSize(section))
        mine.blockSignals(False)
        self.setVisible(bool(chosen))
        if chosen:
            side = self._table.verticalHeader()
            left = self._table.frameWidth() + (0 if side.isHidden() else side.width())
            width = sum(source.sectionSize(section) for section in chosen) + 2
            room = self._table.viewport().width() - 80
            height = self._table.viewport().height() + source.height()
            self.setGeometry(left, self._table.frameWidth(), max(0, min(width, room)), height)
            self.header.setFixedHeight(source.height())
            self.verticalScrollBar().setValue(self._table.verticalScrollBar().value())
            self.raise_()
            self.viewport().update()

    def holds(self, section: int) -> bool:
        """Whether a column is held in place."""
        return self.isVisibleTo(self._table) and not self.header.isSectionHidden(section)

    @property
    def covered(self) -> int:
        """Pixels of the table's viewport that lie behind the columns held in place."""
        left = self._table.viewport().x()
        return self.x() + self.width() - left if self.isVisibleTo(self._table) else 0

    def scrollTo(
        self,
        index: QModelIndex | QPersistentModelIndex,
        hint: QAbstractItemView.ScrollHint = QAbstractItemView.ScrollHint.EnsureVisible,
    ) -> None:
        """Qt: the table scrolls; what is held in place stays."""

    @Slot(int, int, int)
    def _on_resized(self, section: int, old: int, new: int) -> None:
        self._table.horizontalHeader().resizeSection(section, new)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw as the table does."""
        self._painter.paint(self, event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Qt: the table scrolls."""
        self._table.wheelEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Qt: editing is the table's business."""
        index = self.indexAt(event.position().toPoint())
        if index.isValid():
            self._table.setCurrentIndex(index)
            self._table.activated.emit(index)

    def viewportEvent(self, event: QEvent) -> bool:
        """Qt: the table keeps the keyboard."""
        if event.type() == QEvent.Type.MouseButtonPress:
            self._table.setFocus(Qt.FocusReason.MouseFocusReason)
        return super().viewportEvent(event)
