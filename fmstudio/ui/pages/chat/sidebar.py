"""The list of conversations: new, open, rename, delete, search."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QListWidget, QListWidgetItem, QMenu, QPushButton, QVBoxLayout

from fmstudio.ui.icons import set_icon

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from fmstudio.project.chats import Conversation

SEARCH_DELAY_MS = 150
_ID = Qt.ItemDataRole.UserRole


class ConversationList(QFrame):
    """Conversations, newest first.

    Signals:
        new_wanted(): A new conversation.
        chosen(str): Show the conversation of that id.
        renamed(str, str): Id and new title.
        delete_wanted(str): Delete the conversation of that id.
        search_changed(str): Show only those with this text in title or turns.
    """

    new_wanted = Signal()
    chosen = Signal(str)
    renamed = Signal(str, str)
    delete_wanted = Signal(str)
    search_changed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("panel", "left")
        self._is_filling = False
        self.new = QPushButton(self.tr("New chat"))
        set_icon(self.new, "plus", side=14)
        self.new.setToolTip(self.tr("New chat (Ctrl+N)"))
        self.new.clicked.connect(self.new_wanted)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Search titles and texts"))
        self.search.setAccessibleName(self.tr("Search conversations"))
        self.search.setClearButtonEnabled(True)
        self._search_timer = QTimer(self, interval=SEARCH_DELAY_MS, singleShot=True)
        self._search_timer.timeout.connect(self._announce_search)
        self.search.textChanged.connect(self._search_timer.start)
        self.list = QListWidget()
        self.list.setProperty("flat", "true")
        self.list.setAccessibleName(self.tr("Conversations"))
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.customContextMenuRequested.connect(self._show_menu)
        self.list.currentItemChanged.connect(self._on_current)
        self.list.itemChanged.connect(self._on_edited)
        self.empty = QLabel(self.tr("Conversations appear here."))
        self.empty.setProperty("role", "muted")
        self.empty.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 16, 12, 12)
        layout.setSpacing(8)
        for widget in (self.new, self.search, self.empty):
            layout.addWidget(widget)
        layout.addWidget(self.list, 1)
        self._add_keys()

    def _add_keys(self) -> None:
        for keys, slot in (("F2", self.rename_current), ("Del", self._delete_current)):
            shortcut = QShortcut(QKeySequence(keys), self.list)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(slot)

    def show_conversations(self, conversations: Sequence[Conversation], current_id: str) -> None:
        """Fill the list and mark the one that is shown."""
        self._is_filling = True
        self.list.clear()
        for conversation in conversations:
            item = QListWidgetItem(conversation.title)
            item.setData(_ID, conversation.id)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            updated = datetime.fromtimestamp(conversation.updated)
            item.setToolTip(f"{conversation.title}\n{updated:%Y-%m-%d %H:%M}")
            self.list.addItem(item)
            if conversation.id == current_id:
                self.list.setCurrentItem(item)
        searching = bool(self.search.text().strip())
        self.empty.setText(self.tr("Nothing found.") if searching else self.tr("Conversations appear here."))
        self.empty.setVisible(not conversations)
        self._is_filling = False

    @property
    def current_id(self) -> str:
        """Id of the marked conversation, or empty."""
        item = self.list.currentItem()
        return str(item.data(_ID)) if item is not None else ""

    @Slot()
    def rename_current(self) -> None:
        """Edit the marked conversation's title in place."""
        if (item := self.list.currentItem()) is not None:
            self.list.editItem(item)

    @Slot()
    def _delete_current(self) -> None:
        if self.current_id:
            self.delete_wanted.emit(self.current_id)

    @Slot()
    def _announce_search(self) -> None:
        self.search_changed.emit(self.search.text().strip())

    @Slot()
    def _on_current(self) -> None:
        if not self._is_filling and self.current_id:
            self.chosen.emit(self.current_id)

    @Slot(QListWidgetItem)
    def _on_edited(self, item: QListWidgetItem) -> None:
        if not self._is_filling and item.text().strip():
            self.renamed.emit(str(item.data(_ID)), item.text().strip())

    @Slot(QPoint)
    def _show_menu(self, at: QPoint) -> None:
        if self.list.itemAt(at) is None:
            return
        menu = QMenu(self)
        menu.addAction(self.tr("Rename (F2)"), self.rename_current)
        menu.addAction(self.tr("Delete (Del)"), self._delete_current)
        menu.exec(self.list.viewport().mapToGlobal(at))
