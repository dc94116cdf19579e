"""Offers what may follow while a filter is typed: Down or Ctrl+Space opens the list, Tab or Enter takes one."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QListWidget, QListWidgetItem

from fmstudio.project.filter_completion import Completion

MOST_SEEN = 9
ROW = 26

Offer = Callable[[str], list[Completion]]


class FilterCompleter(QObject):
    """A list below the field; the field keeps the keyboard.

    Args:
        offer: Gives the offers for the text before the cursor.
    """

    def __init__(self, field: QLineEdit, offer: Offer) -> None:
        super().__init__(field)
        self._field, self._offer = field, offer
        self._offers: list[Completion] = []
        self.popup = QListWidget()
        self.popup.setParent(field)
        self.popup.setProperty("floating", "true")
        self.popup.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.popup.setAccessibleName(self.tr("Suggestions"))
        self.popup.itemClicked.connect(lambda item: self._take(self.popup.row(item)))
        self.popup.hide()
        field.textEdited.connect(self._on_edited)
        field.installEventFilter(self)

    @Slot(str)
    def _on_edited(self, text: str) -> None:
        self._show(self._offer(self._field.text()[: self._field.cursorPosition()]))

    def _show(self, offers: list[Completion]) -> None:
        self._offers = offers
        self.popup.clear()
        if not offers:
            self.popup.hide()
            return
        for offer in offers:
            item = QListWidgetItem(f"{offer.text}    {offer.detail}" if offer.detail else offer.text)
            item.setToolTip(offer.detail)
            self.popup.addItem(item)
        self.popup.setCurrentRow(-1)
        width = min(520, max(240, self.popup.sizeHintForColumn(0) + 40))
        self.popup.resize(width, min(len(offers), MOST_SEEN) * self.popup.sizeHintForRow(0) + 8)
        before = self._field.text()[: offers[0].start]
        x = min(self._field.fontMetrics().horizontalAdvance(before), max(0, self._field.width() - width))
        window = self._field.window()
        if self.popup.parentWidget() is not window:
            self.popup.setParent(window)
            self._field.destroyed.connect(self.popup.deleteLater)
        self.popup.move(self._field.mapTo(window, QPoint(x, self._field.height() + 2)))
        self.popup.show()
        self.popup.raise_()

    def _take(self, place: int) -> None:
        offer = self._offers[place]
        cursor = self._field.cursorPosition()
        rest = self._field.text()[cursor:]
        self._field.setText(self._field.text()[: offer.start] + offer.text + rest)
        self._field.setCursorPosition(offer.start + len(offer.text))
        self.popup.hide()
        self._field.textEdited.emit(self._field.text())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: keys of the list while it is open."""
        if event.type() == QEvent.Type.FocusOut:
            self.popup.hide()
        if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
            is_esc = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape
            if event.type() == QEvent.Type.ShortcutOverride and is_esc and self.popup.isVisible():
                event.accept()
                return True
            return super().eventFilter(watched, event)
        return self._key(event) or super().eventFilter(watched, event)

    def _key(self, event: QKeyEvent) -> bool:
        key, is_open, place = event.key(), self.popup.isVisible(), self.popup.currentRow()
        wants = key == Qt.Key.Key_Space and event.modifiers() == Qt.KeyboardModifier.ControlModifier
        if not is_open:
            if wants or (key == Qt.Key.Key_Down and self._field.text()):
                self._on_edited(self._field.text())
                return True
            return False
        if key in (Qt.Key.Key_Down, Qt.Key.Key_Up):
            step = 1 if key == Qt.Key.Key_Down else -1
            self.popup.setCurrentRow(
                (place + step) % len(self._offers) if place >= 0 else 0 if step > 0 else len(self._offers) - 1
            )
            return True
        if key == Qt.Key.Key_Tab or (key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and place >= 0):
            self._take(max(place, 0))
            return True
        if key == Qt.Key.Key_Escape:
            self.popup.hide()
            return True
        self.popup.hide()
        return False
