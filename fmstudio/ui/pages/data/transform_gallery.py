"""The list of all transforms with what each does; Enter or a click chooses one, typing narrows it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QFont, QKeyEvent, QPainter, QPalette
from PySide6.QtWidgets import (
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from fmstudio.ui.pages.data.transform_forms import TransformInfo
from fmstudio.ui.palette import matches
from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.parts import column

ID, ABOUT = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
LINE, HEAD = 46, 30
PAD = 10

_Index = QModelIndex | QPersistentModelIndex


class _TwoLines(QStyledItemDelegate):
    """Draws a title over a fainter description; a heading is one line."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return QSize(200, LINE if index.data(ID) else HEAD)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        theme = Theme.current()
        painter.save()
        rect: QRect = option.rect
        state, is_head = option.state, not index.data(ID)
        font = QFont(option.font)
        if state & QStyle.StateFlag.State_Selected and not is_head:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("selected"))
            painter.drawRoundedRect(rect.adjusted(0, 1, 0, -1), 6, 6)
        inner = rect.adjusted(PAD, 5, -PAD, -5)
        painter.setPen(theme.color("faint" if is_head else "text"))
        font.setWeight(QFont.Weight.DemiBold)
        font.setPixelSize(12 if is_head else 13)
        painter.setFont(font)
        flags = Qt.AlignmentFlag.AlignLeft | (Qt.AlignmentFlag.AlignBottom if is_head else Qt.AlignmentFlag.AlignTop)
        painter.drawText(inner, int(flags), str(index.data(Qt.ItemDataRole.DisplayRole)))
        if not is_head:
            font.setWeight(QFont.Weight.Normal)
            font.setPixelSize(12)
            painter.setFont(font)
            painter.setPen(theme.color("muted"))
            about = painter.fontMetrics().elidedText(str(index.data(ABOUT)), Qt.TextElideMode.ElideRight, inner.width())
            painter.drawText(inner, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom), about)
        painter.restore()


class TransformGallery(QWidget):
    """A field over a list in groups.

    Signals:
        chosen: (transform id).
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._groups: Sequence[tuple[str, Sequence[TransformInfo]]] = ()
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("What do you want to change?"))
        self.field.setAccessibleName(self.tr("Find a change"))
        self.field.setClearButtonEnabled(True)
        self.field.textChanged.connect(lambda _: self._fill())
        self.field.installEventFilter(self)
        self.list = QListWidget()
        self.list.setProperty("flat", "true")
        self.list.setItemDelegate(_TwoLines(self.list))
        self.list.setAccessibleName(self.tr("Changes"))
        self.list.setMouseTracking(True)
        self.list.itemClicked.connect(self._choose)
        self.list.itemActivated.connect(self._choose)
        self.list.setPalette(QPalette(self.palette()))
        Theme.current().changed.connect(self.list.viewport().update)
        layout = column(self.field, self.list, gap=6)
        layout.setStretch(1, 1)
        self.setLayout(layout)
        self.setMaximumWidth(760)

    def show_transforms(self, groups: Sequence[tuple[str, Sequence[TransformInfo]]]) -> None:
        """Offer these."""
        self._groups = groups
        self._fill()

    def focus_list(self) -> None:
        """Give the field the keyboard, with everything in sight."""
        self.field.clear()
        self.field.setFocus()

    def _fill(self) -> None:
        query = self.field.text()
        self.list.clear()
        for group, transforms in self._groups:
            found = [one for one in transforms if matches(query, f"{one.title} {one.description} {group}")]
            if found:
                head = QListWidgetItem(group)
                head.setFlags(Qt.ItemFlag.NoItemFlags)
                self.list.addItem(head)
            for one in found:
                item = QListWidgetItem(one.title)
                item.setData(ID, one.id)
                item.setData(ABOUT, one.description)
                item.setToolTip(one.description)
                item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{one.title}: {one.description}")
                self.list.addItem(item)
        self.list.setCurrentRow(1 if self.list.count() else -1)

    def _choose(self, item: QListWidgetItem | None) -> None:
        if item is not None and item.data(ID):
            self.chosen.emit(item.data(ID))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: arrows move in the list and Enter chooses while the field has the keyboard."""
        if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
            return super().eventFilter(watched, event)
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            self._choose(self.list.currentItem())
            return True
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._step(1 if event.key() == Qt.Key.Key_Down else -1)
            return True
        return super().eventFilter(watched, event)

    def _step(self, by: int) -> None:
        place = self.list.currentRow() + by
        while 0 <= place < self.list.count():
            if self.list.item(place).data(ID):
                self.list.setCurrentRow(place)
                return
            place += by
