"""`Listing`: keeps the sidebar showing the conversations there are, or those a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.sidebar import ConversationList

if TYPE_CHECKING:
    from fmstudio.project.chat_search import Found
    from fmstudio.project.chats import Conversation
    from fmstudio.ui.context import AppContext


class Listing(QObject):
    """Fills the list and opens what is chosen in it.

    Attributes:
        conversations: Those in the list, by id.
    """

    def __init__(self, context: AppContext, controller: ConversationController, sidebar: ConversationList) -> None:
        super().__init__(controller)
        self._context, self._controller, self._sidebar = context, controller, sidebar
        self.conversations: dict[str, Conversation] = {}
        self._wanted = ""

    def refresh(self, wanted: str = "") -> None:
        """Read the list again; open the conversation of the id `wanted` when it is there."""
        project = self._context.project
        self._wanted = wanted or self._wanted
        if project is None:
            self._sidebar.show_conversations([], "")
            return
        search, chats = self._sidebar.search.text().strip(), project.chats
        if search and not self._wanted:
            self._context.run_query(lambda: chats.found(search), self._show_found, key="chat-list", owner=self)
        else:
            self._context.run_query(
                lambda: (chats.conversations(), chats.folders()),
                lambda found: self._show_all(*found),
                key="chat-list",
                owner=self,
            )

    def _show_found(self, found: list[Found]) -> None:
        self.conversations = {item.conversation.id: item.conversation for item in found}
        self._sidebar.show_found(found, self._shown_id)

    def _show_all(self, conversations: list[Conversation], folders: list[str]) -> None:
        self.conversations = {c.id: c for c in conversations}
        self._sidebar.show_conversations(conversations, self._shown_id, folders)
        wanted, self._wanted = self._wanted, ""
        self.open_id(wanted)

    @property
    def _shown_id(self) -> str:
        shown = self._controller.conversation
        return shown.id if shown is not None else ""

    @Slot(str)
    def open_id(self, conversation_id: str) -> None:
        """Show the conversation of that id, when it is in the list and not shown already."""
        if conversation_id != self._shown_id and conversation_id in self.conversations:
            self._controller.open(self.conversations[conversation_id])
            self._sidebar.mark(conversation_id)
