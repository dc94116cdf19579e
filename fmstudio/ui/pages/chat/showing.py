"""`Showing`: the conversation's turns on the page, the answer that grows, and the card of one that could not be made."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.judging import Judging
from fmstudio.ui.pages.chat.words import card_data, remedy_words, speaker_of, turn_note
from fmstudio.ui.widgets.chat_composer import Composer
from fmstudio.ui.widgets.chat_transcript import Transcript
from fmstudio.ui.widgets.message_bar import Action, ProblemCard

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project.chats import ChatMessage
    from fmstudio.ui.widgets.chat_card_data import CardData


class Showing(QObject):
    """Keeps the transcript and the composer in step with the conversation.

    Signals:
        changed(): There are turns to show, or none any more.
        problem_shown(): A card with a problem stands below the turns: they must be seen.
    """

    changed = Signal()
    problem_shown = Signal()

    def __init__(
        self, controller: ConversationController, judging: Judging, transcript: Transcript, composer: Composer
    ) -> None:
        super().__init__(controller)
        self._controller, self._judging = controller, judging
        self._transcript, self._composer = transcript, composer
        controller.thread_changed.connect(self.show_thread)
        controller.message_changed.connect(self._on_message)
        controller.turn_started.connect(self._on_turn_started)
        controller.turn_progressed.connect(self.show_tail)
        controller.turn_ended.connect(self._on_turn_ended)
        controller.problem_raised.connect(self._show_problem)

    @Slot()
    def show_opened(self) -> None:
        """Show another conversation."""
        self._transcript.drop_tail()
        self._transcript.show_extra(None)
        self.show_thread()
        self._show_busy()

    @Slot()
    def show_thread(self) -> None:
        """Show the branch that is chosen."""
        self._transcript.show_turns([self._card(message) for message in self._controller.turns.path()])
        self.changed.emit()
        self.show_tail()

    @Slot(str)
    def _on_message(self, message_id: str) -> None:
        self._transcript.update_turn(self._card(self._controller.turns.messages[message_id]))

    def _card(self, message: ChatMessage) -> CardData:
        c = self._controller
        return card_data(c.turns, message, self._judging.preferred, c.lacks_of(message))

    @Slot()
    def _on_turn_started(self) -> None:
        self._transcript.show_extra(None)
        turn = self._controller.shown_turn
        if turn is not None:
            # While an answer is made again, the branch up to its question is shown only.
            path = self._controller.turns.path_to(turn.parent_id)
            self._transcript.show_turns([self._card(message) for message in path])
        self._show_busy()
        self.changed.emit()
        self.show_tail()
        self._transcript.scroll_to_end()

    @Slot()
    def show_tail(self) -> None:
        """Show what has come of the answer being made."""
        turn = self._controller.shown_turn
        if turn is not None:
            self._transcript.show_tail(speaker_of(turn), turn.text, turn_note(turn, self._controller.link))

    @Slot()
    def _on_turn_ended(self) -> None:
        self._transcript.drop_tail()
        self._show_busy()
        self.show_thread()

    def _show_busy(self) -> None:
        c = self._controller
        self._composer.set_busy(c.is_busy)
        elsewhere = c.turn is not None and c.shown_turn is None
        self._composer.hint.setText(self.tr("An answer is being made in another conversation.") if elsewhere else "")

    @Slot(object, object)
    def _show_problem(self, problem: Problem, action: dict[str, Any]) -> None:
        c = self._controller
        retry: Action = (self.tr("Try again"), c.retry)
        if c.link.server is None and c.link.state in ("failed", "off"):
            retry = (self.tr("Restart engine and retry"), c.retry)
        mend = ((remedy_words(action), partial(self._mend, action)),) if action else ()
        self._transcript.show_extra(ProblemCard(problem, (*mend, retry), self._dismiss, stacked=True))
        self.problem_shown.emit()

    def _mend(self, action: dict[str, Any]) -> None:
        """Change what the engine proposes, then make the turn again."""
        settings, others = self._controller.settings.mended(action)
        self._controller.set_settings(settings)
        self._controller.link.mend(others)
        self._controller.retry()

    def _dismiss(self) -> None:
        self._transcript.show_extra(None)
