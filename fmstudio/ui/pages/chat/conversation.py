"""`ConversationController`: the one answer in the making and the conversation shown; no widgets.

Each turn is saved the moment it ends, also when it was stopped or the engine died. A question is never lost: it is
saved before the engine is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from fmstudio.jobs.outcome import Problem
from fmstudio.ui.pages.chat.client import GONE, ChatStream, StreamEnd
from fmstudio.ui.pages.chat.engine_link import EngineLink
from fmstudio.ui.pages.chat.settings import ChatSettings
from fmstudio.ui.pages.chat.thread import Thread, prompt_messages, title_from
from fmstudio.ui.pages.chat.turn import Library, Turn

if TYPE_CHECKING:
    from fmstudio.project.chats import ChatMessage, Conversation
    from fmstudio.ui.context import AppContext

FRAME_MS = 33
SETTINGS_DELAY_MS = 400
CAUSE_WAIT_MS = 1500


class ConversationController(QObject):
    """Sends, streams, stops, saves and rates.

    Signals:
        opened(): Another conversation is shown, or none.
        thread_changed(): Turns were added or another branch is shown.
        message_changed(str): A turn's rating or correction changed (its id).
        question_kept(): The question sent is saved.
        turn_started(), turn_ended(): An answer begins or ends; see `turn`.
        turn_progressed(): Text or prompt progress arrived; at most about 30 times a second.
        problem_raised(Problem): A turn could not be made; the question is kept.
        settings_changed(): Settings or model of the conversation changed.
    """

    opened = Signal()
    thread_changed = Signal()
    message_changed = Signal(str)
    question_kept = Signal()
    turn_started = Signal()
    turn_progressed = Signal()
    turn_ended = Signal()
    problem_raised = Signal(object)
    settings_changed = Signal()

    def __init__(self, context: AppContext, link: EngineLink, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self.link = link
        self.library = Library()
        self.conversation: Conversation | None = None
        self.turns = Thread()
        self.settings = ChatSettings()
        self.model_id = ""
        self.turn: Turn | None = None
        self._stream: ChatStream | None = None
        self._is_saving = False
        self._frame = QTimer(self, interval=FRAME_MS, singleShot=True)
        self._frame.timeout.connect(self.turn_progressed)
        self._settings_saver = QTimer(self, interval=SETTINGS_DELAY_MS, singleShot=True)
        self._settings_saver.timeout.connect(self.save_settings)
        self._ended_with: Problem | None = None
        self._lost: Problem | None = None
        self._cause_timer = QTimer(self, interval=CAUSE_WAIT_MS, singleShot=True)
        self._cause_timer.timeout.connect(self._explain_loss)
        link.changed.connect(self._on_link)

    # ---- which conversation ----------------------------------------------------------------------------------------

    def open(self, conversation: Conversation | None) -> None:
        """Show a conversation; an answer being made for another one goes on."""
        self.save_settings()
        self.conversation = conversation
        self.turns = Thread()
        if conversation is not None:
            self.settings = ChatSettings.from_json(conversation.settings)
            self.model_id = conversation.model_id
            chats, conversation_id = self._context.project.chats, conversation.id  # type: ignore[union-attr]
            self._context.run_query(
                lambda: chats.messages(conversation_id), self._show_messages, key="chat-messages", owner=self
            )
        self.opened.emit()

    def _show_messages(self, messages: list[ChatMessage]) -> None:
        self.turns = Thread.of(messages)
        self.thread_changed.emit()

    @property
    def is_busy(self) -> bool:
        """Whether an answer is being made, for this conversation or another."""
        return self.turn is not None or self._is_saving

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
        shown, project = self.conversation, self._context.project
        if shown is None or project is None:
            return
        model_id, stored = self.model_id, self.settings.to_json()
        self.conversation = replace(shown, model_id=model_id, settings=stored)
        chats = project.chats
        self._context.run_op(self, lambda: chats.update_conversation(shown.id, model_id=model_id, settings=stored))

    # ---- asking ----------------------------------------------------------------------------------------------------

    def send(self, text: str, after: str | None = None) -> None:
        """Save a question at the end of the branch shown (or after that turn) and answer it.

        Without a conversation, one is begun.
        """
        if self.is_busy or not text.strip():
            return
        if self.conversation is None:
            self._begin(text)
            return
        path = self.turns.path()
        parent = after if after is not None else (path[-1].id if path else None)
        if not path and self.conversation.title == "New chat":
            self.rename(self.conversation.id, title_from(text))
        self._ask(text, parent or None)

    def _ask(self, text: str, parent_id: str | None) -> None:
        self._is_saving = True
        self._add("user", text, parent_id, {}, self._answer_saved_question, failed=self._on_question_lost)

    def _on_question_lost(self, problem: Problem) -> None:
        self._is_saving = False
        self.problem_raised.emit(problem)

    def _begin(self, text: str) -> None:
        chats = self._context.project.chats  # type: ignore[union-attr]
        model_id, settings = self.model_id, self.settings.to_json()

        def work() -> Any:
            made = chats.new_conversation(model_id, title_from(text), settings)
            return _changed(made.id), made

        def done(made: Conversation) -> None:
            self._is_saving = False
            self.conversation = made
            self.opened.emit()
            self.send(text)

        self._is_saving = True
        self._context.run_op(self, work, done, self._on_question_lost)

    def edit_question(self, message_id: str, text: str) -> None:
        """Ask differently: a sibling of that question, answered anew; the old branch stays."""
        parent = self.turns.messages[message_id].parent_id
        if not self.is_busy and text.strip():
            self._ask(text, parent)

    def regenerate(self, answer_id: str) -> None:
        """Answer the same question again, beside the old answer."""
        parent = self.turns.messages[answer_id].parent_id
        if parent is not None:
            self.answer(parent)

    def retry(self) -> None:
        """Answer the last question of the branch shown again, whatever became of it."""
        questions = [m for m in self.turns.path() if m.role == "user"]
        if questions:
            self.answer(questions[-1].id)

    def _answer_saved_question(self, message: ChatMessage) -> None:
        self._is_saving = False
        self.question_kept.emit()
        if self.conversation is not None and message.conversation_id == self.conversation.id:
            self.answer(message.id)

    def answer(self, question_id: str) -> None:
        """Make an answer to that question: load the model if it is not, then stream."""
        if self.is_busy or self.conversation is None:
            return
        model = self.library.get(self.model_id)
        if model is None:
            self.problem_raised.emit(
                Problem(self.tr("No model is chosen."), self.tr("Choose one above the conversation."))
            )
            return
        active = [(a, entry) for a in self.settings.active_adapters() if (entry := self.library.get(a.model_id))]
        path = self.turns.path_to(question_id)
        self.turn = Turn(
            self.conversation.id,
            question_id,
            model,
            active,
            self.settings,
            self.settings.draw_seed(),
            prompt_messages(self.settings.system_prompt, path),
        )
        self.turn_started.emit()
        self.link.load(model, self.settings.n_ctx)
        self._on_link()

    @Slot()
    def _on_link(self) -> None:
        """Go on when the engine is ready, or give the turn up when it could not be started."""
        if self._lost is not None and self.link.state == "failed":
            self._explain_loss()
        turn = self.turn
        if turn is None or self._stream is not None:
            return
        if self.link.is_ready_for(turn.model, turn.settings.n_ctx):
            self._start_stream(turn)
        elif self.link.state == "failed":
            self.turn = None
            self.turn_ended.emit()
            self.problem_raised.emit(self.link.problem or Problem(self.tr("The engine could not be started.")))

    def _start_stream(self, turn: Turn) -> None:
        assert self.link.client is not None
        body = {
            "model": turn.model.id,
            "messages": turn.messages,
            **turn.settings.sampler(),
            "seed": turn.seed,
            "lora": [{"path": str(entry.path), "scale": choice.scale} for choice, entry in turn.adapters],
        }
        turn.asked = time.perf_counter()
        self._stream = self.link.client.stream_chat(body)
        self._stream.text_received.connect(self._on_text)
        self._stream.prompt_progressed.connect(self._on_prompt_progress)
        self._stream.timed.connect(self._on_timings)
        self._stream.ended.connect(self._on_end)
        self.turn_progressed.emit()

    @Slot(str)
    def _on_text(self, text: str) -> None:
        if self.turn is not None:
            self.turn.add_text(text)
            self._schedule_frame()

    @Slot(int, int)
    def _on_prompt_progress(self, done: int, total: int) -> None:
        if self.turn is not None:
            self.turn.prompt_done, self.turn.prompt_total = done, total
            self._schedule_frame()

    @Slot(object)
    def _on_timings(self, timings: dict[str, Any]) -> None:
        if self.turn is not None:
            self.turn.timings = timings

    def _schedule_frame(self) -> None:
        if not self._frame.isActive():
            self._frame.start()

    def stop(self) -> None:
        """Stop the answer being made; what came so far is kept."""
        if self._stream is not None:
            self._stream.stop()
        elif self.turn is not None:
            self.turn = None
            self.turn_ended.emit()

    @Slot(object)
    def _on_end(self, end: StreamEnd) -> None:
        turn, self.turn, self._stream = self.turn, None, None
        self._frame.stop()
        if turn is None:
            return
        self._ended_with = end.problem
        if turn.text or end.reason in ("stop", "length"):
            self._save_answer(turn, end)
        else:
            self._close_turn()

    def _close_turn(self) -> None:
        """The turn is over and saved: say so, and then what went wrong, if anything did."""
        self._is_saving = False
        self.turn_ended.emit()
        problem, self._ended_with = self._ended_with, None
        if problem is not None and problem.message == GONE:
            # The connection breaks a moment before the process is known to have ended, and why.
            self._lost = problem
            self._cause_timer.start()
            self.link.look()
            self._on_link()
        elif problem is not None:
            self.problem_raised.emit(problem)

    @Slot()
    def _explain_loss(self) -> None:
        lost, self._lost = self._lost, None
        self._cause_timer.stop()
        if lost is not None:
            self.problem_raised.emit(self.link.problem or lost)

    def _save_answer(self, turn: Turn, end: StreamEnd) -> None:
        facts = turn.facts(end, self.link.info)
        self._is_saving = True

        def failed(problem: Problem) -> None:
            self._is_saving = False
            self.turn_ended.emit()
            remedy = self.tr("The answer is in the details: copy them. {remedy}").format(remedy=problem.remedy)
            self.problem_raised.emit(Problem(problem.message, remedy.strip(), turn.text))

        self._add("assistant", turn.text, turn.parent_id, facts, self._on_answer_saved, turn.conversation_id, failed)

    def _on_answer_saved(self, _: ChatMessage) -> None:
        self._close_turn()

    def _add(
        self,
        role: str,
        text: str,
        parent_id: str | None,
        facts: dict[str, Any],
        then: Callable[[ChatMessage], None],
        conversation_id: str = "",
        failed: Callable[[Problem], None] | None = None,
    ) -> None:
        chats = self._context.project.chats  # type: ignore[union-attr]
        place = conversation_id or self.conversation.id  # type: ignore[union-attr]

        def work() -> Any:
            return _changed(place), chats.add_message(place, role, text, parent_id=parent_id, facts=facts)

        def done(message: ChatMessage) -> None:
            if self.conversation is not None and self.conversation.id == place:
                self.turns.add(message)
                self.thread_changed.emit()
            then(message)

        self._context.run_op(self, work, done, failed)

    # ---- rating and branches ---------------------------------------------------------------------------------------

    def rate(self, message_id: str, rating: int) -> None:
        """Rate an answer 1 or -1; the same again takes it back."""
        message = self.turns.messages[message_id]
        value = 0 if message.rating == rating else rating
        self._store_rating(replace(message, rating=value))

    def correct(self, message_id: str, correction: str) -> None:
        """Store how the answer should have been; its own text takes the correction back."""
        message = self.turns.messages[message_id]
        text = "" if correction.strip() == message.content.strip() else correction
        self._store_rating(replace(message, correction=text))

    def _store_rating(self, message: ChatMessage) -> None:
        chats = self._context.project.chats  # type: ignore[union-attr]
        self.turns.update(message)
        self.message_changed.emit(message.id)
        self._context.run_op(self, lambda: chats.rate(message.id, message.rating, message.correction))

    def show_version(self, message_id: str, by: int) -> None:
        """Show the next or previous version of a turn."""
        self.turns.step(message_id, by)
        self.thread_changed.emit()

    # ---- the list of conversations ---------------------------------------------------------------------------------

    def rename(self, conversation_id: str, title: str) -> None:
        """Give a conversation a title."""
        chats = self._context.project.chats  # type: ignore[union-attr]
        if self.conversation is not None and self.conversation.id == conversation_id:
            self.conversation = replace(self.conversation, title=title)
        self._context.run_op(self, lambda: chats.update_conversation(conversation_id, title=title))

    def delete(self, conversation_id: str) -> None:
        """Hide a conversation, with an undo."""
        chats = self._context.project.chats  # type: ignore[union-attr]
        if self.turn is not None and self.turn.conversation_id == conversation_id:
            self.stop()

        def undo() -> None:
            self._context.run_op(self, lambda: chats.set_deleted(conversation_id, False))

        def done(_: Any) -> None:
            self._context.notify("info", self.tr("The conversation was deleted."), (self.tr("Undo"), undo))

        self._context.run_op(self, lambda: chats.set_deleted(conversation_id, True), done)
        if self.conversation is not None and self.conversation.id == conversation_id:
            self.open(None)


def _changed(conversation_id: str) -> Any:
    from fmstudio.project.changes import Changes

    return Changes(chats=frozenset({conversation_id}))
