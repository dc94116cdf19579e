"""`Acting`: what a turn's menu and keys ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.judging import Judging
from fmstudio.ui.pages.chat.views import Views
from fmstudio.ui.widgets.chat_composer import Composer
from fmstudio.ui.widgets.chat_transcript import Transcript

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext


class Acting(QObject):
    """Passes each wish of a turn on to the one who can do it."""

    def __init__(
        self,
        context: AppContext,
        controller: ConversationController,
        judging: Judging,
        views: Views,
        transcript: Transcript,
        composer: Composer,
    ) -> None:
        super().__init__(controller)
        self._context, self._controller, self._judging, self._views = context, controller, judging, views
        self._transcript, self._composer = transcript, composer
        transcript.acted.connect(self.act)
        transcript.rated.connect(judging.rate)
        transcript.corrected.connect(judging.correct)
        transcript.branched.connect(controller.edit_answer)
        transcript.edited.connect(controller.edit_question)
        transcript.regenerate_wanted.connect(controller.regenerate)
        transcript.version_wanted.connect(controller.show_version)

    @Slot(str, str)
    def act(self, message_id: str, what: str) -> None:
        """Do it, or say why it cannot be done."""
        c = self._controller
        message = c.turns.messages[message_id]
        if why := c.lacks_of(message).get(what):
            self._context.notify("warning", why)
            return
        if what == "quote":
            self._composer.insert("".join(f"> {line}\n" for line in message.content.splitlines()) + "\n")
            return
        acts: dict[str, Callable[[str], None]] = {
            "continue": c.go_on, "reproduce": c.reproduce, "prefer": self._judging.prefer,
            "delete": self._judging.delete, "tokens": self._views.show_tokens, "compare": self._views.compare_versions,
        }  # fmt: skip
        acts[what](message_id)

    def do_on_last(self, what: str) -> None:
        """Do to the last answer what a key stands for."""
        cards = [card for card in self._transcript.cards if card.data.who == "assistant"]
        if cards:
            cards[-1].do(what)
