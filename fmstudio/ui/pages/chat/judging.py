"""`Judging`: thumbs, corrections, preferred answers, deleted turns. Each is stored and becomes a lesson at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.undoing import Undoing

if TYPE_CHECKING:
    from fmstudio.project import Changes
    from fmstudio.project.chats import ChatMessage
    from fmstudio.ui.context import AppContext


class Judging(QObject):
    """What the person says of the answers of the conversation shown.

    Signals:
        taught(): Lessons may have changed.
    """

    taught = Signal()

    def __init__(self, context: AppContext, controller: ConversationController, undoing: Undoing) -> None:
        super().__init__(controller)
        self._context, self._undoing = context, undoing
        self._controller = controller
        self.preferred: dict[str, str] = {}
        """Answer preferred to others of its question, and the kind of choice."""
        controller.opened.connect(self._forget)
        controller.thread_changed.connect(self.look)

    # ---- judging ---------------------------------------------------------------------------------------------------

    def rate(self, message_id: str, rating: int) -> None:
        """Rate an answer 1 or -1; the same again takes it back."""
        message = self._message(message_id)
        self._store(replace(message, rating=0 if message.rating == rating else rating))

    def correct(self, message_id: str, correction: str) -> None:
        """Store how the answer should have been; its own text takes the correction back."""
        message = self._message(message_id)
        text = "" if correction.strip() == message.content.strip() else correction
        self._store(replace(message, correction=text))

    def _store(self, message: ChatMessage) -> None:
        chats = self._controller.chats
        self._controller.turns.update(message)
        self._controller.message_changed.emit(message.id)
        self._teach(message.conversation_id, lambda: chats.rate(message.id, message.rating, message.correction))

    def prefer(self, message_id: str, others: Sequence[str] = (), kind: str = "branches") -> None:
        """Prefer an answer to the others of its question; the same again takes it back."""
        message, chats = self._message(message_id), self._controller.chats
        rejected = [m for m in (others or self._controller.turns.siblings(message_id)) if m != message_id]
        if not rejected:
            return
        takes_back = self.preferred.get(message_id) is not None and not others
        chosen = "" if takes_back else message_id
        place = message.conversation_id
        among = [message_id, *rejected]
        self._teach(place, lambda: chats.choose(place, kind, chosen, among), self.look)

    def withdraw(self, among: Sequence[str]) -> None:
        """Take back the choice among these answers."""
        chats, place = self._controller.chats, self._message(among[0]).conversation_id
        self._teach(place, lambda: chats.choose(place, "", "", among), self.look)

    def _message(self, message_id: str) -> ChatMessage:
        return self._controller.turns.messages[message_id]

    def _teach(
        self, conversation_id: str, judge: Callable[[], Changes], then: Callable[[], None] | None = None
    ) -> None:
        project = self._context.project
        assert project is not None

        def work() -> Any:
            changes = judge()
            return changes | project.lessons.sync(conversation_id)

        def done(_: Any) -> None:
            if then is not None:
                then()
            self.taught.emit()

        self._context.run_op(self, work, done)

    # ---- which answers are preferred -------------------------------------------------------------------------------

    def _forget(self) -> None:
        self.preferred = {}

    def look(self) -> None:
        """Read the choices of the conversation shown."""
        shown, project = self._controller.conversation, self._context.project
        if shown is None or project is None:
            return
        self._context.run_query(
            lambda: project.chats.choices(shown.id), self._show_choices, key="chat-choices", owner=self
        )

    def _show_choices(self, choices: list[dict[str, Any]]) -> None:
        before, self.preferred = self.preferred, {c["chosen"]: c["kind"] for c in choices}
        for message_id in before.keys() ^ self.preferred.keys():
            if message_id in self._controller.turns.messages:
                self._controller.message_changed.emit(message_id)

    # ---- deleting --------------------------------------------------------------------------------------------------

    def delete(self, message_id: str) -> None:
        """Delete a turn and what follows it, with an undo."""
        controller, chats = self._controller, self._controller.chats
        if controller.shown_turn is not None or message_id not in controller.turns.messages:
            return
        place = self._message(message_id).conversation_id
        controller.turns = controller.turns.without(message_id)
        controller.thread_changed.emit()

        def undo() -> None:
            self._teach(place, lambda: chats.restore_message(message_id), controller.reload)

        def done() -> None:
            self._undoing.offer(self.tr("The turn was deleted."), undo)

        self._teach(place, lambda: chats.delete_message(message_id), done)
