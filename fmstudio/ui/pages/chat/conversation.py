"""`ConversationController`: the conversation shown and what is done with it; no widgets.

Each turn is saved the moment it ends, also when it was stopped or the engine died. A question is never lost: it is
saved before the engine is asked. What an answer has said so far is on disk before it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from fmstudio.jobs.outcome import Problem
from fmstudio.ui.pages.chat.answering import Answering
from fmstudio.ui.pages.chat.client import StreamEnd
from fmstudio.ui.pages.chat.dialect import DIALECTS, OWN
from fmstudio.ui.pages.chat.engine_link import EngineLink
from fmstudio.ui.pages.chat.planning import Planner, Way, compare_with
from fmstudio.ui.pages.chat.settings import ChatSettings, filled
from fmstudio.ui.pages.chat.thread import Thread, title_from
from fmstudio.ui.pages.chat.turn import Library, Turn

if TYPE_CHECKING:
    from fmstudio.project.chats import ChatMessage, Chats, Conversation
    from fmstudio.ui.context import AppContext

SETTINGS_DELAY_MS = 400


class ConversationController(QObject):
    """Asks, answers, branches and saves.

    Signals:
        opened(): Another conversation is shown, or none.
        thread_changed(): Turns were added or another branch is shown.
        message_changed(str): A turn's rating or correction changed (its id).
        question_kept(): The question sent is saved.
        turn_started(), turn_ended(): An answer begins or ends; see `turn`.
        turn_progressed(): Text or prompt progress arrived; at most about 30 times a second.
        batch_started(str, list): Several answers to one question are about to be made: its text and their turns.
        reproduced(str, Reproduction): A turn was made again.
        problem_raised(Problem, dict): A turn could not be made, and engine parameters that mend it; the question is kept.
        settings_changed(): Settings or model of the conversation changed.
        first_answered(Conversation): The first answer of a conversation is saved.
    """

    opened = Signal()
    thread_changed = Signal()
    message_changed = Signal(str)
    question_kept = Signal()
    turn_started = Signal()
    turn_progressed = Signal()
    turn_ended = Signal()
    batch_started = Signal(str, object)
    reproduced = Signal(str, object)
    problem_raised = Signal(object, object)
    settings_changed = Signal()
    first_answered = Signal(object)

    def __init__(self, context: AppContext, link: EngineLink, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self.link = link
        self.library = Library()
        self.conversation: Conversation | None = None
        self.turns = Thread()
        self.settings = ChatSettings()
        self.model_id = ""
        self._is_saving = False
        self.answering = Answering(link, self)
        self.answering.started.connect(self.turn_started)
        self.answering.progressed.connect(self.turn_progressed)
        self.answering.made.connect(self._on_made)
        self.answering.dropped.connect(self._on_dropped)
        self.answering.failed.connect(self.problem_raised)
        self._settings_saver = QTimer(self, interval=SETTINGS_DELAY_MS, singleShot=True)
        self._settings_saver.timeout.connect(self.save_settings)

    # ---- which conversation ----------------------------------------------------------------------------------------

    def open(self, conversation: Conversation | None) -> None:
        """Show a conversation; an answer being made for another one goes on."""
        self.save_settings()
        self.conversation = conversation
        self.turns = Thread()
        if conversation is not None:
            self.settings = ChatSettings.from_json(conversation.settings)
            self.model_id = conversation.model_id
            self.reload()
        self.opened.emit()

    def reload(self) -> None:
        """Read the turns of the conversation shown."""
        if self.conversation is None:
            return
        chats, shown = self.chats, self.conversation
        self._context.run_query(
            lambda: (chats.messages(shown.id), chats.get(shown.id).shown),
            lambda found: self._show_messages(shown.id, *found),
            key="chat-messages",
            owner=self,
        )

    def _show_messages(self, conversation_id: str, messages: list[ChatMessage], shown: str) -> None:
        if self.conversation is not None and self.conversation.id == conversation_id:
            self.turns = Thread.of(messages, shown)
            self.thread_changed.emit()

    @property
    def chats(self) -> Chats:
        """The project's conversations; a project is open wherever this is used."""
        assert self._context.project is not None
        return self._context.project.chats

    @property
    def turn(self) -> Turn | None:
        """The answer being made, for this conversation or another."""
        return self.answering.turn

    @property
    def is_busy(self) -> bool:
        """Whether an answer is being made, for this conversation or another."""
        return self.turn is not None or self._is_saving or bool(self.answering.waiting)

    @property
    def shown_turn(self) -> Turn | None:
        """The answer being made, when it belongs to the conversation shown."""
        turn, shown = self.turn, self.conversation
        return turn if turn is not None and shown is not None and turn.conversation_id == shown.id else None

    # ---- settings --------------------------------------------------------------------------------------------------

    def set_settings(self, settings: ChatSettings) -> None:
        """Use these settings from the next answer on; saved with the conversation after a moment."""
        if settings != self.settings:
            self.settings = settings
            self._settings_saver.start()
            self.settings_changed.emit()

    def set_model(self, model_id: str) -> None:
        """Use that model from the next answer on."""
        if model_id != self.model_id:
            self.model_id = model_id
            self._settings_saver.start()
            self.settings_changed.emit()

    @Slot()
    def save_settings(self) -> None:
        """Write settings and model of the conversation shown, if they were changed."""
        if not self._settings_saver.isActive() and self.sender() is not self._settings_saver:
            return
        self._settings_saver.stop()
        shown = self.conversation
        if shown is None or self._context.project is None:
            return
        model_id, stored, chats = self.model_id, self.settings.to_json(), self.chats
        self.conversation = replace(shown, model_id=model_id, settings=stored)
        self._context.run_op(self, lambda: chats.update_conversation(shown.id, model_id=model_id, settings=stored))

    def lacks_of(self, message: ChatMessage) -> dict[str, str]:
        """What cannot be done with an answer, and why: a server that made it, or shall go on with it, is not the engine."""
        chosen, server = self.library.get(self.model_id), self.link.server
        found: dict[str, str] = {}
        if server is not None and server.entry == chosen and server.state == "ready":
            found |= {key: why for key, why in server.dialect.lacks.items() if key == "continue"}
        maker = DIALECTS.get(str((message.facts.get("engine") or {}).get("server") or ""), OWN)
        return found | {key: why for key, why in maker.lacks.items() if key == "tokens"}

    # ---- asking ----------------------------------------------------------------------------------------------------

    def send(
        self, text: str, attachments: Sequence[dict[str, Any]] = (), ways: Sequence[Way] = (), drafts: int = 1
    ) -> None:
        """Save a question at the end of the branch shown and answer it; without a conversation, one is begun.

        Args:
            attachments: Each with name, kind and text.
            ways: Answer it once with each of these, side by side; none = with the conversation's own settings.
            drafts: Answers of one model, each with a seed of its own.
        """
        if self.is_busy or not text.strip():
            return
        if self.conversation is None:
            self._begin(text, lambda: self.send(text, attachments, ways, drafts))
            return
        path = self.turns.path()
        if not path and self.conversation.title == "New chat":
            self._name(self.conversation, title_from(text))
        facts = {"attachments": list(attachments)} if attachments else {}
        self._ask(text, path[-1].id if path else None, facts, ways, drafts)

    def _ask(
        self, text: str, parent_id: str | None, facts: dict[str, Any], ways: Sequence[Way] = (), drafts: int = 1
    ) -> None:
        self._is_saving = True
        said = filled(text, self.settings.variables)

        def saved(message: ChatMessage) -> None:
            self._is_saving = False
            self.question_kept.emit()
            if self.conversation is not None and message.conversation_id == self.conversation.id:
                self.answer(message.id, ways, drafts)

        self._add("user", said, parent_id, facts, saved, failed=self._on_question_lost)

    def _name(self, shown: Conversation, title: str) -> None:
        chats = self.chats
        self.conversation = replace(shown, title=title)
        self._context.run_op(self, lambda: chats.update_conversation(shown.id, title=title))

    def _on_question_lost(self, problem: Problem) -> None:
        self._is_saving = False
        self.problem_raised.emit(problem, {})

    def _begin(self, text: str, then: Callable[[], None]) -> None:
        chats, model_id, settings = self.chats, self.model_id, self.settings.to_json()

        def work() -> Any:
            made = chats.new_conversation(model_id, title_from(text), settings)
            return changed(made.id), made

        def done(made: Conversation) -> None:
            self._is_saving = False
            self.conversation = made
            self.opened.emit()
            then()

        self._is_saving = True
        self._context.run_op(self, work, done, self._on_question_lost)

    def edit_question(self, message_id: str, text: str) -> None:
        """Ask differently: a sibling of that question, answered anew; the old branch stays."""
        old = self.turns.messages[message_id]
        if not self.is_busy and text.strip():
            kept = {"attachments": old.facts["attachments"]} if old.facts.get("attachments") else {}
            self._ask(text, old.parent_id, kept)

    def edit_answer(self, message_id: str, text: str) -> None:
        """Go on from an answer as if the model had said this: a version beside it, written by the person."""
        old = self.turns.messages[message_id]
        if not self.is_busy and text.strip() and text != old.content:
            facts = {"kind": "edited", "about": old.id, "system_prompt": old.facts.get("system_prompt", "")}
            self._add("assistant", text, old.parent_id, facts, lambda _: None)

    def regenerate(self, answer_id: str) -> None:
        """Answer the same question again, beside the old answer."""
        parent = self.turns.messages[answer_id].parent_id
        if parent is not None:
            self.answer(parent)

    def retry(self) -> None:
        """Answer the last question of the branch shown again; an answer that broke off is gone on with."""
        path = self.turns.path()
        questions = [m for m in path if m.role == "user"]
        if path and path[-1].role == "assistant" and path[-1].facts.get("finish_reason") in ("error", "interrupted"):
            self.go_on(path[-1].id)
        elif questions:
            self.answer(questions[-1].id)

    @property
    def way(self) -> Way:
        """The conversation's own model and settings."""
        return Way(self.model_id, self.settings)

    def answer(self, question_id: str, ways: Sequence[Way] = (), drafts: int = 1) -> None:
        """Make one answer to that question, or several: load the model if it is not, then stream."""
        planner = self._planner
        if planner is None:
            return
        if ways:
            self._start(planner.side_by_side(question_id, ways))
        elif drafts > 1:
            self._start(planner.drafts(question_id, self.way, drafts))
        else:
            self._start([planner.answer(question_id, self.way)])

    def go_on(self, answer_id: str) -> None:
        """Make an answer longer: a version beside it that begins with its text."""
        if (planner := self._planner) is not None:
            self._start([planner.going_on(self.turns.messages[answer_id], self.way)])

    def branch_at(self, answer_id: str, prefix: str, tokens: Sequence[int]) -> None:
        """Answer again with this beginning, which replaces a token of that answer by another."""
        if (planner := self._planner) is not None:
            self._start([planner.from_token(self.turns.messages[answer_id], self.way, prefix, tokens)])

    def reproduce(self, answer_id: str) -> None:
        """Make a turn again with all that made it, and say whether the same tokens came; nothing is added."""
        if (planner := self._planner) is None:
            return
        turn = planner.again(self.turns.messages[answer_id])
        if turn is not None:
            self._start([turn])
            return
        text = self.tr("The model or an adapter of this answer is not in the library any more.")
        self.problem_raised.emit(Problem(text, self.tr("Add its file on the Models page, then try again.")), {})

    @property
    def _planner(self) -> Planner | None:
        if self.is_busy or self.conversation is None:
            return None
        return Planner(self.conversation.id, self.library, self.turns)

    def _start(self, turns: Sequence[Turn | None]) -> None:
        found = [turn for turn in turns if turn is not None]
        if found:
            if len(found) > 1:
                self.batch_started.emit(self.turns.messages[found[0].parent_id].content, found)
            self.answering.begin(self.chats, found)
            return
        text = self.tr("No model is chosen.")
        self.problem_raised.emit(Problem(text, self.tr("Choose one above the conversation.")), {})

    def stop(self) -> None:
        """Stop the answer being made; what came so far is kept."""
        self.answering.stop()

    # ---- the end of an answer --------------------------------------------------------------------------------------

    @Slot(object)
    def _on_dropped(self, _: Turn) -> None:
        self.turn_ended.emit()

    @Slot(object, object, object)
    def _on_made(self, turn: Turn, end: StreamEnd, journal: Any) -> None:
        if turn.kind == "reproduce":
            self.turn_ended.emit()
            self.answering.tell()
            if end.problem is None and turn.about in self.turns.messages:
                self.reproduced.emit(turn.about, compare_with(self.turns.messages[turn.about], turn))
            return
        facts = turn.facts(end, self.link.info)
        self._is_saving = True

        def failed(problem: Problem) -> None:
            self._is_saving = False
            self.turn_ended.emit()
            remedy = self.tr("The answer is in the details: copy them. {remedy}").format(remedy=problem.remedy)
            self.problem_raised.emit(Problem(problem.message, remedy.strip(), turn.text), {})

        def saved(_: ChatMessage) -> None:
            self._is_saving = False
            if journal is not None:
                journal.remove()
            self._after_answer(turn)

        self._add("assistant", turn.text, turn.parent_id, facts, saved, turn.conversation_id, failed, turn.id)

    def _after_answer(self, turn: Turn) -> None:
        self.turn_ended.emit()
        self.answering.tell()
        if self.answering.next():
            return
        shown = self.conversation
        if shown is None or shown.id != turn.conversation_id:
            return
        if sum(m.role == "assistant" for m in self.turns.messages.values()) == 1:
            self.first_answered.emit(shown)

    def _add(
        self,
        role: str,
        text: str,
        parent_id: str | None,
        facts: dict[str, Any],
        then: Callable[[ChatMessage], None],
        conversation_id: str = "",
        failed: Callable[[Problem], None] | None = None,
        message_id: str = "",
    ) -> None:
        chats = self.chats
        place = conversation_id or self.conversation.id  # type: ignore[union-attr]

        def work() -> Any:
            made = chats.add_message(place, role, text, parent_id=parent_id, facts=facts, message_id=message_id)
            return changed(place), made

        def done(message: ChatMessage) -> None:
            if self.conversation is not None and self.conversation.id == place:
                self.turns.add(message)
                self.thread_changed.emit()
            then(message)

        self._context.run_op(self, work, done, failed)

    # ---- branches --------------------------------------------------------------------------------------------------

    def show_version(self, message_id: str, by: int) -> None:
        """Show the next or previous version of a turn."""
        self.turns.step(message_id, by)
        self._show_branch()

    def show_branch(self, message_id: str) -> None:
        """Show the branch that goes through a turn."""
        for message in self.turns.path_to(message_id):
            self.turns.choose(message.id)
        self._show_branch()

    def _show_branch(self) -> None:
        self.thread_changed.emit()
        shown, leaf, chats = self.conversation, self.turns.leaf, self._context.project
        if shown is not None and chats is not None:
            self._context.run_op(self, lambda: chats.chats.update_conversation(shown.id, shown=leaf) and None)


def changed(conversation_id: str) -> Any:
    """The `Changes` of a conversation."""
    from fmstudio.project.changes import Changes

    return Changes(chats=frozenset({conversation_id}))
