"""The command palette (Ctrl+K): every action by name, from the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Slot
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QFrame, QLineEdit, QListWidget, QListWidgetItem, QWidget
from shiboken6 import isValid

from fmstudio.ui import icons
from fmstudio.ui.widgets.parts import column

WIDTH, MOST_ROWS = 560, 10
_LEAVING = (Qt.FocusReason.MouseFocusReason, Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)


@dataclass(frozen=True, slots=True)
class Command:
    """An action as data: its words, what it does, its shortcut and an icon."""

    title: str
    run: Callable[[], object]
    shortcut: str = ""
    icon: str = "arrow-right"


def matches(query: str, title: str) -> bool:
    """Whether every word of the query begins somewhere in the title, in any order."""
    words = title.lower()
    return all(part in words for part in query.lower().split())


class CommandPalette(QFrame):
    """A search field over a list; Enter runs, Esc closes. Lies over the window like a sheet of paper."""

    def __init__(self, parent: QWidget, commands: Callable[[], Sequence[Command]]) -> None:
        super().__init__(parent)
        self.setObjectName("palette")
        self.setAccessibleName(self.tr("Command palette"))
        self._commands = commands
        self._back: QWidget | None = None
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("Type what you want to do…"))
        self.field.setAccessibleName(self.tr("Command"))
        self.list = QListWidget()
        self.list.setProperty("flat", "true")
        self.list.setAccessibleName(self.tr("Commands"))
        self.list.setIconSize(QSize(icons.SIZE, icons.SIZE))
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setLayout(column(self.field, self.list, gap=4, margins=(12, 8, 12, 8)))
        self.field.textChanged.connect(self._filter)
        self.field.installEventFilter(self)
        self.list.itemClicked.connect(self._run)
        self.hide()

    def toggle(self) -> None:
        """Show it with an empty field, or close it."""
        if self.isVisible():
            self._leave()
            return
        self._back = self.window().focusWidget()
        self.field.clear()
        self._filter("")
        room = self.window().width()
        width = min(WIDTH, room - 48)
        self.setGeometry((room - width) // 2, 72, width, 60 + 32 * MOST_ROWS)
        self.show()
        self.raise_()
        self.field.setFocus()

    @Slot(str)
    def _filter(self, query: str) -> None:
        self.list.clear()
        for command in self._commands():
            if matches(query, command.title):
                text = f"{command.title}   ·   {command.shortcut}" if command.shortcut else command.title
                item = QListWidgetItem(icons.icon(command.icon), text)
                item.setData(Qt.ItemDataRole.UserRole, command)
                self.list.addItem(item)
        self.list.setCurrentRow(0)

    @Slot(QListWidgetItem)
    def _run(self, item: QListWidgetItem) -> None:
        command: Command = item.data(Qt.ItemDataRole.UserRole)
        self._leave()
        command.run()

    def _leave(self) -> None:
        """Close it; the keyboard goes back to where it was, not to whatever comes next in the window."""
        if self._back is not None and isValid(self._back) and self._back.isVisible():
            self._back.setFocus()
        self.hide()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: arrow keys move in the list while the field keeps the focus; leaving the field closes."""
        if isinstance(event, QFocusEvent) and event.lostFocus() and event.reason() in _LEAVING:
            self.hide()
        if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
            return False
        row = self.list.currentRow()
        if event.key() == Qt.Key.Key_Escape:
            self._leave()
        elif event.key() == Qt.Key.Key_Down:
            self.list.setCurrentRow(min(row + 1, self.list.count() - 1))
        elif event.key() == Qt.Key.Key_Up:
            self.list.setCurrentRow(max(row - 1, 0))
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            item = self.list.currentItem()
            if item is not None:
                self._run(item)
        else:
            return False
        return True
