"""The list of conversations: new, open, rename, delete, search, pin, folders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QInputDialog, QLineEdit, QListWidget, QListWidgetItem, QMenu, QVBoxLayout

from fmstudio.ui.icons import icon, set_icon
from fmstudio.ui.widgets.parts import button, label, row, tool_button

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from fmstudio.project.chat_search import Found
    from fmstudio.project.chats import Conversation

SEARCH_DELAY_MS = 120
_ID = Qt.ItemDataRole.UserRole
_FOLDER = Qt.ItemDataRole.UserRole + 1


class ConversationList(QFrame):
    """Conversations: pinned ones, folders, then the others, newest first.

    Signals:
        new_wanted(): A new conversation.
        chosen(str): Show the conversation of that id.
        renamed(str, str): Id and new title.
        delete_wanted(str): Delete the conversation of that id.
        search_changed(str): Show only those with this text in title or turns.
        pin_wanted(str, bool): Pin the conversation of that id, or no longer.
        moved(str, str): Id, and the folder to put it in (empty = none).
        folder_wanted(str, str): Name of a folder to make, and the conversation to put in it (or empty).
        folder_renamed(str, str), folder_removed(str): Names of folders.
        import_wanted(), export_wanted(str): Chats from elsewhere; the conversation of that id (empty = all) to a file.
    """

    new_wanted = Signal()
    chosen = Signal(str)
    renamed = Signal(str, str)
    delete_wanted = Signal(str)
    search_changed = Signal(str)
    pin_wanted = Signal(str, bool)
    moved = Signal(str, str)
    folder_wanted = Signal(str, str)
    folder_renamed = Signal(str, str)
    folder_removed = Signal(str)
    import_wanted = Signal()
    export_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("panel", "left")
        self._is_filling = False
        self._folded: set[str] = set()
        self._conversations: list[Conversation] = []
        self._folders: list[str] = []
        self._current = ""
        self.new = button(self.tr("New chat"), self.new_wanted.emit, tip=self.tr("New chat (Ctrl+N)"))
        set_icon(self.new, "plus", side=14)
        self.more = tool_button("more", self.tr("Folders, import and export"), self._show_more)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Search titles and texts"))
        self.search.setAccessibleName(self.tr("Search conversations"))
        self.search.setToolTip(self.tr("All words must be there (Ctrl+F). “In quotes” they stay together."))
        self.search.setClearButtonEnabled(True)
        self._search_timer = QTimer(self, interval=SEARCH_DELAY_MS, singleShot=True)
        self._search_timer.timeout.connect(self._announce_search)
        self.search.textChanged.connect(self._search_timer.start)
        self.list = QListWidget()
        self.list.setProperty("flat", "true")
        self.list.setIconSize(QSize(14, 14))
        self.list.setAccessibleName(self.tr("Conversations"))
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.customContextMenuRequested.connect(self._show_menu)
        self.list.currentItemChanged.connect(self._on_current)
        self.list.itemActivated.connect(self._on_activated)
        self.list.itemClicked.connect(self._on_activated)
        self.list.itemChanged.connect(self._on_edited)
        self.empty = label(self.tr("Conversations appear here."), "muted", wrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 16, 12, 12)
        layout.setSpacing(8)
        top = row(gap=4)
        top.addWidget(self.new, 1)
        top.addWidget(self.more)
        layout.addLayout(top)
        for widget in (self.search, self.empty):
            layout.addWidget(widget)
        layout.addWidget(self.list, 1)
        for keys, slot in (("F2", self.rename_current), ("Del", self._delete_current), ("P", self._pin_current)):
            shortcut = QShortcut(QKeySequence(keys), self.list)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(slot)

    # ---- showing ---------------------------------------------------------------------------------------------------

    def show_conversations(
        self, conversations: Sequence[Conversation], current_id: str, folders: Sequence[str] = ()
    ) -> None:
        """Fill the list and mark the one that is shown."""
        self._conversations, self._folders, self._current = list(conversations), list(folders), current_id
        self._begin()
        for conversation in conversations:
            if conversation.is_pinned:
                self._add(conversation)
        for folder in folders:
            inside = [c for c in conversations if c.folder == folder and not c.is_pinned]
            self._add_folder(folder, len(inside))
            for conversation in inside if folder not in self._folded else ():
                self._add(conversation, indent="    ")
        for conversation in conversations:
            if not conversation.folder and not conversation.is_pinned:
                self._add(conversation)
        self._end(self.tr("Conversations appear here."), not conversations and not folders)

    def show_found(self, found: Sequence[Found], current_id: str) -> None:
        """Fill the list with what a search found, each with the place."""
        self._conversations, self._current = [item.conversation for item in found], current_id
        self._begin()
        for item in found:
            more = self.tr("{count} places").format(count=item.hits) + "\n" if item.hits > 1 else ""
            self._add(item.conversation, tip=f"{more}{item.snippet}")
        self._end(self.tr("Nothing found."), not found)

    def _begin(self) -> None:
        self._is_filling = True
        self.list.clear()

    def _end(self, empty: str, is_empty: bool) -> None:
        self.empty.setText(empty)
        self.empty.setVisible(is_empty)
        self._is_filling = False

    def _add(self, conversation: Conversation, indent: str = "", tip: str = "") -> None:
        item = QListWidgetItem(conversation.title)
        item.setData(_ID, conversation.id)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
        if conversation.is_pinned:
            item.setIcon(icon("up", "accent"))
        elif indent:
            item.setIcon(icon("chat", "muted"))
        updated = datetime.fromtimestamp(conversation.updated)
        item.setToolTip("\n".join(part for part in (conversation.title, f"{updated:%Y-%m-%d %H:%M}", tip) if part))
        item.setData(Qt.ItemDataRole.AccessibleDescriptionRole, tip)
        self.list.addItem(item)
        if conversation.id == self._current:
            self.list.setCurrentItem(item)

    def _add_folder(self, folder: str, count: int) -> None:
        item = QListWidgetItem(f"{folder}  ({count})")
        item.setData(_FOLDER, folder)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
        item.setIcon(icon("chevron-right" if folder in self._folded else "chevron-down", "muted"))
        item.setToolTip(self.tr("Folder “{name}”: click to fold or unfold").format(name=folder))
        self.list.addItem(item)

    def mark(self, conversation_id: str) -> None:
        """Mark the conversation that is shown, without announcing it."""
        self._current = conversation_id
        self._is_filling = True
        places = (self.list.item(place) for place in range(self.list.count()))
        self.list.setCurrentItem(next((item for item in places if item.data(_ID) == conversation_id), None))  # type: ignore[arg-type]
        self._is_filling = False

    @property
    def current_id(self) -> str:
        """Id of the marked conversation, or empty."""
        item = self.list.currentItem()
        return str(item.data(_ID) or "") if item is not None else ""

    # ---- actions ---------------------------------------------------------------------------------------------------

    @Slot()
    def rename_current(self) -> None:
        """Edit the marked conversation's title in place, or a folder's name."""
        item = self.list.currentItem()
        if item is not None and item.data(_FOLDER):
            self._rename_folder(str(item.data(_FOLDER)))
        elif item is not None:
            self.list.editItem(item)

    @Slot()
    def _delete_current(self) -> None:
        item = self.list.currentItem()
        if item is not None and item.data(_FOLDER):
            self.folder_removed.emit(str(item.data(_FOLDER)))
        elif self.current_id:
            self.delete_wanted.emit(self.current_id)

    @Slot()
    def _pin_current(self) -> None:
        current = next((c for c in self._conversations if c.id == self.current_id), None)
        if current is not None:
            self.pin_wanted.emit(current.id, not current.is_pinned)

    @Slot()
    def _announce_search(self) -> None:
        self.search_changed.emit(self.search.text().strip())

    @Slot()
    def _on_current(self) -> None:
        if not self._is_filling and self.current_id:
            self.chosen.emit(self.current_id)

    @Slot(QListWidgetItem)
    def _on_activated(self, item: QListWidgetItem) -> None:
        folder = item.data(_FOLDER)
        if folder and not self._is_filling:
            self._folded ^= {folder}
            QTimer.singleShot(0, self, self._fill_again)

    def _fill_again(self) -> None:
        self.show_conversations(self._conversations, self._current, self._folders)

    @Slot(QListWidgetItem)
    def _on_edited(self, item: QListWidgetItem) -> None:
        if not self._is_filling and item.data(_ID) and item.text().strip():
            self.renamed.emit(str(item.data(_ID)), item.text().strip())

    # ---- menus -----------------------------------------------------------------------------------------------------

    @Slot(QPoint)
    def _show_menu(self, at: QPoint) -> None:
        item = self.list.itemAt(at)
        if item is not None:
            self.menu_of(item).exec(self.list.viewport().mapToGlobal(at))

    def menu_of(self, item: QListWidgetItem) -> QMenu:
        """What can be done with a conversation or a folder."""
        menu = QMenu(self)
        folder = str(item.data(_FOLDER) or "")
        if folder:
            menu.addAction(self.tr("Rename (F2)"), partial(self._rename_folder, folder))
            menu.addAction(
                self.tr("Remove the folder, keep its chats (Del)"), partial(self.folder_removed.emit, folder)
            )
            return menu
        conversation = next((c for c in self._conversations if c.id == item.data(_ID)), None)
        if conversation is None:
            return menu
        menu.addAction(self.tr("Rename (F2)"), self.rename_current)
        pin = self.tr("Unpin (P)") if conversation.is_pinned else self.tr("Pin (P)")
        menu.addAction(pin, partial(self.pin_wanted.emit, conversation.id, not conversation.is_pinned))
        into = menu.addMenu(self.tr("Move to folder"))
        for name in self._folders:
            into.addAction(name, partial(self.moved.emit, conversation.id, name)).setEnabled(
                name != conversation.folder
            )
        if conversation.folder:
            into.addAction(self.tr("No folder"), partial(self.moved.emit, conversation.id, ""))
        into.addSeparator()
        into.addAction(self.tr("New folder…"), partial(self._make_folder, conversation.id))
        menu.addAction(self.tr("Export…"), partial(self.export_wanted.emit, conversation.id))
        menu.addSeparator()
        menu.addAction(self.tr("Delete (Del)"), partial(self.delete_wanted.emit, conversation.id))
        return menu

    @Slot()
    def _show_more(self) -> None:
        menu = QMenu(self)
        menu.addAction(self.tr("New folder…"), partial(self._make_folder, ""))
        menu.addSeparator()
        menu.addAction(self.tr("Import chats…"), self.import_wanted.emit)
        menu.addAction(self.tr("Export all chats…"), partial(self.export_wanted.emit, ""))
        menu.exec(self.more.mapToGlobal(self.more.rect().bottomLeft()))

    def _make_folder(self, conversation_id: str) -> None:
        name, is_kept = QInputDialog.getText(self, self.tr("New folder"), self.tr("Name of the folder"))
        if is_kept and name.strip():
            self.folder_wanted.emit(name.strip(), conversation_id)

    def _rename_folder(self, folder: str) -> None:
        text = self.tr("Name of the folder")
        name, is_kept = QInputDialog.getText(self, self.tr("Rename folder"), text, QLineEdit.EchoMode.Normal, folder)
        if is_kept and name.strip():
            self.folder_renamed.emit(folder, name.strip())
