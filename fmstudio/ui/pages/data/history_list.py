"""`HistoryList`: what happened to a dataset, newest first; hundreds of lines cost no more than those in sight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFont, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from fmstudio.ui import icons
from fmstudio.ui.pages.data.history_items import HistoryItem
from fmstudio.ui.theme import Theme

HEIGHT = 48
_Index = QModelIndex | QPersistentModelIndex


class HistoryModel(QAbstractListModel):
    """Lines of a history, newest first."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[HistoryItem] = []

    def show_items(self, items: Sequence[HistoryItem]) -> None:
        """Show other lines, newest first."""
        self.beginResetModel()
        self.items = list(items)
        self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Qt: number of lines."""
        return 0 if parent.isValid() else len(self.items)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: words of a line."""
        item = self.items[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return item.text
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return item.spoken
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{item.text}\n{item.detail}"
        return item if role == Qt.ItemDataRole.UserRole else None


class HistoryList(QListView):
    """The lines.

    Signals:
        chosen: (HistoryItem) another line is the current one.
        go_wanted: (HistoryItem) Enter or a double click: make that state the present one.
    """

    chosen = Signal(object)
    go_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.lines = HistoryModel()
        self.setModel(self.lines)
        self.setItemDelegate(_Painter(self))
        self.setUniformItemSizes(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setMouseTracking(True)
        self.setAccessibleName(self.tr("History, newest first"))
        self.selectionModel().currentChanged.connect(self._on_current)
        self.doubleClicked.connect(self._on_double_click)

    def current_item(self) -> HistoryItem | None:
        """The line chosen; None when there is none."""
        place = self.currentIndex().row()
        return self.lines.items[place] if 0 <= place < len(self.lines.items) else None

    def choose(self, operation_id: int) -> None:
        """Make the line of an operation the current one."""
        for place, item in enumerate(self.lines.items):
            if item.operation_id == operation_id:
                self.setCurrentIndex(self.lines.index(place))
                self.scrollTo(self.lines.index(place))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter goes to the chosen state."""
        item = self.current_item()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and item is not None:
            self.go_wanted.emit(item)
        else:
            super().keyPressEvent(event)

    @Slot(QModelIndex, QModelIndex)
    def _on_current(self, current: QModelIndex, previous: QModelIndex) -> None:
        item = self.current_item()
        if item is not None:
            self.chosen.emit(item)

    @Slot(QModelIndex)
    def _on_double_click(self, index: QModelIndex) -> None:
        self.go_wanted.emit(self.lines.items[index.row()])


class _Painter(QStyledItemDelegate):
    """Draws a line: a thread with the icon on it, what was done, when and by whom, rows more or fewer."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return QSize(200, HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        theme, item = Theme.current(), index.data(Qt.ItemDataRole.UserRole)
        if not isinstance(item, HistoryItem):
            return
        rect: QRect = option.rect
        state: QStyle.StateFlag = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if state & QStyle.StateFlag.State_Selected:
            self._fill(painter, rect, "selected")
        elif state & QStyle.StateFlag.State_MouseOver:
            self._fill(painter, rect, "hover")
        is_off = item.stand in ("undone", "superseded")
        token = "accent" if item.stand == "now" else "faint" if is_off else "muted"
        icons.icon(item.icon, token).paint(painter, QRect(rect.left() + 12, rect.center().y() - 9, 18, 18))
        right = self._tags(painter, item, rect)
        room = QRect(rect.left() + 40, rect.top() + 6, max(10, right - rect.left() - 48), 18)
        font = QFont(option.font)
        font.setStrikeOut(item.stand == "superseded")
        font.setWeight(QFont.Weight.DemiBold if item.stand == "now" else QFont.Weight.Normal)
        _write(painter, font, "faint" if is_off else "text", room, item.text)
        font = QFont(option.font)
        font.setPixelSize(12)
        room = QRect(rect.left() + 40, rect.top() + 25, rect.width() - 52, 17)
        _write(painter, font, "faint", room, item.detail)
        painter.setPen(theme.color("border"))
        painter.drawLine(rect.left() + 40, rect.bottom(), rect.right() - 8, rect.bottom())
        painter.restore()

    def _fill(self, painter: QPainter, rect: QRect, token: str) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(Theme.current().color(token))
        painter.drawRoundedRect(rect.adjusted(3, 1, -3, -2), 6, 6)

    def _tags(self, painter: QPainter, item: HistoryItem, rect: QRect) -> int:
        """What stands at the right of the first line; gives where it begins."""
        right = rect.right() - 10
        font = QFont(painter.font())
        font.setPixelSize(12)
        tags = [(item.change_text, "positive" if item.change > 0 else "danger")]
        tags += [("now", "accent")] if item.stand == "now" else []
        tags += [("undone", "faint")] if item.stand in ("undone", "superseded") else []
        for text, token in reversed([tag for tag in tags if tag[0]]):
            width = QFontMetrics(font).horizontalAdvance(text) + 4
            room = QRect(right - width, rect.top() + 6, width, 18)
            _write(painter, font, "faint" if item.stand in ("undone", "superseded") else token, room, text)
            right -= width + 10
        return right


def _write(painter: QPainter, font: QFont, token: str, room: QRect, text: str) -> None:
    painter.setFont(font)
    painter.setPen(Theme.current().color(token))
    line = QFontMetrics(font).elidedText(text.replace("\n", " "), Qt.TextElideMode.ElideRight, room.width())
    painter.drawText(room, int(Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextSingleLine), line)
