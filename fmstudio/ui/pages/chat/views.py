"""`Views`: what takes the conversation's place for a moment: versions side by side, tokens; and *reproduce*."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from fmstudio.jobs.outcome import Problem
from fmstudio.ui.pages.chat.compare import MOST, Answer, CompareView
from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.judging import Judging
from fmstudio.ui.pages.chat.planning import Reproduction, settings_of
from fmstudio.ui.pages.chat.thread import prompt_messages
from fmstudio.ui.pages.chat.token_view import TokenView
from fmstudio.ui.pages.chat.words import numbers_of, speaker_name, speaker_of
from fmstudio.ui.widgets.words import number

if TYPE_CHECKING:
    from fmstudio.project.chats import ChatMessage
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.pages.chat.turn import Turn

ALTERNATIVES = 10


class Views(QObject):
    """Fills the compare and the token view and does what they ask.

    Signals:
        wanted(QWidget | None): Show this in the conversation's place; None shows the conversation.
    """

    wanted = Signal(object)

    def __init__(self, context: AppContext, controller: ConversationController, judging: Judging) -> None:
        super().__init__(controller)
        self._context, self._controller, self._judging = context, controller, judging
        self.compare, self.tokens = CompareView(), TokenView()
        self._pending: Callable[[], None] | None = None
        self.compare.preferred.connect(self._on_preferred)
        self.compare.branch_wanted.connect(self._go_to)
        self.compare.closed.connect(self._close)
        self.tokens.branch_wanted.connect(self._branch)
        self.tokens.closed.connect(self._close)
        controller.turn_progressed.connect(self._grow)
        controller.thread_changed.connect(self._finish)
        controller.reproduced.connect(self._tell)
        controller.link.changed.connect(self._on_link)

    # ---- side by side ----------------------------------------------------------------------------------------------

    def begin_batch(self, question: str, turns: Sequence[Turn], *, is_blind: bool) -> None:
        """Show the answers that are about to be made."""
        answers = [Answer(turn.id, _named(turn)) for turn in turns]
        self.compare.show_answers(question, answers, kind=turns[0].kind, is_blind=is_blind)
        self.wanted.emit(self.compare)

    def compare_versions(self, message_id: str) -> None:
        """Show the versions of a turn side by side: the newest four, that one among them."""
        thread = self._controller.turns
        versions = thread.siblings(message_id)
        shown = versions[-MOST:]
        if message_id not in shown:
            shown = [message_id, *shown[1:]]
        parent = thread.messages[message_id].parent_id
        question = thread.messages[parent].content if parent in thread.messages else ""
        answers = [self._answer(thread.messages[one]) for one in shown]
        self.compare.show_answers(question, answers, kind="branches")
        self.wanted.emit(self.compare)

    def _answer(self, message: ChatMessage) -> Answer:
        is_preferred = message.id in self._judging.preferred
        said = message.correction or message.content
        return Answer(message.id, speaker_name(message), said, numbers_of(message.facts), is_preferred)

    @Slot()
    def _grow(self) -> None:
        turn = self._controller.turn
        if turn is not None and not self.compare.isHidden():
            self.compare.update_answer(Answer(turn.id, _named(turn), turn.text), is_final=False)

    @Slot()
    def _finish(self) -> None:
        thread = self._controller.turns
        for shown in self.compare.columns if not self.compare.isHidden() else ():
            message = thread.messages.get(shown.answer.id)
            if message is not None:
                self.compare.update_answer(self._answer(message), is_final=True)

    @Slot(str, object)
    def _on_preferred(self, chosen: str, shown: list[str]) -> None:
        messages = self._controller.turns.messages
        there = [message_id for message_id in shown if message_id in messages]
        if chosen in messages:
            self._judging.prefer(chosen, there, self.compare.kind)
            self._controller.show_branch(chosen)
        elif there:
            self._judging.withdraw(there)

    @Slot(str)
    def _go_to(self, message_id: str) -> None:
        if message_id in self._controller.turns.messages:
            self._controller.show_branch(message_id)
        self._close()

    @Slot()
    def _close(self) -> None:
        self.wanted.emit(None)

    # ---- tokens ----------------------------------------------------------------------------------------------------

    def show_tokens(self, message_id: str) -> None:
        """Show an answer token by token: from what was kept, else from the model, which is loaded for it."""
        project = self._context.project
        if project is None:
            return

        def known(content: list[dict[str, Any]]) -> None:
            if content:
                self._open_tokens(message_id, content)
            else:
                self._when_ready(message_id, lambda: self._ask_tokens(message_id))

        self._context.run_query(lambda: project.chats.tokens(message_id), known, key="chat-tokens", owner=self)

    def _when_ready(self, message_id: str, then: Callable[[], None]) -> None:
        controller = self._controller
        facts = controller.turns.messages[message_id].facts
        model = controller.library.get(str((facts.get("model") or {}).get("id") or controller.model_id))
        if model is None or controller.is_busy:
            text = self.tr("The model of this answer is busy, or not in the library any more.")
            controller.problem_raised.emit(Problem(text, self.tr("Wait for the answer, or add the model's file.")), {})
            return
        self._pending = then
        settings = replace(controller.settings, n_ctx=int(facts.get("n_ctx") or 0))  # who guesses ahead is no matter
        controller.link.load(model, controller.library.engine_params(model, settings))
        self._on_link()

    @Slot()
    def _on_link(self) -> None:
        link = self._controller.link
        if self._pending is not None and link.state in ("ready", "failed"):
            then, self._pending = self._pending, None
            if link.state == "ready" and link.client is not None:
                then()
            else:
                self._controller.problem_raised.emit(link.problem, link.remedy_action)

    def _ask_tokens(self, message_id: str) -> None:
        controller, client = self._controller, self._controller.link.client
        thread, project = controller.turns, self._context.project
        if client is None or project is None or message_id not in thread.messages:
            return
        message = thread.messages[message_id]
        settings = settings_of(message.facts)
        path = [*thread.path_to(message.parent_id), message]
        entries = [(a, controller.library.get(a.model_id)) for a in settings.active_adapters()]
        body: dict[str, Any] = {
            "messages": prompt_messages(settings.system_prompt, path),
            "top_logprobs": ALTERNATIVES,
            "lora": [{"path": str(entry.path), "scale": a.scale} for a, entry in entries if entry is not None],
        }
        if message.facts.get("tokens"):
            body["tokens"] = message.facts["tokens"]

        def done(value: Any) -> None:
            content = value.get("content") if isinstance(value, dict) else None
            if content:
                self._open_tokens(message_id, content)
                self._context.run_op(self, lambda: project.chats.keep_tokens(message_id, content))

        client.post("/token-view", body, done, lambda problem: controller.problem_raised.emit(problem, {}))

    def _open_tokens(self, message_id: str, content: list[dict[str, Any]]) -> None:
        if message_id in self._controller.turns.messages:
            self.tokens.show_tokens(message_id, content)
            self.wanted.emit(self.tokens)

    @Slot(str, str, object)
    def _branch(self, message_id: str, text: str, tokens: list[int]) -> None:
        self._close()
        self._controller.branch_at(message_id, text, tokens if all(token >= 0 for token in tokens) else [])

    # ---- reproduce -------------------------------------------------------------------------------------------------

    @Slot(str, object)
    def _tell(self, _message_id: str, came: Reproduction) -> None:
        unit = self.tr("tokens") if came.by_tokens else self.tr("characters")
        if came.is_same:
            words = self.tr("Reproduced: the same {count} {unit} came again.")
            self._context.notify("positive", words.format(count=number(came.total), unit=unit))
            return
        words = self.tr("Not the same: the first {same} of {total} {unit} agree, then it goes another way: “{text}”")
        tail = came.text if not came.by_tokens else came.text[-160:]
        start = max(0, came.same - 20) if not came.by_tokens else 0
        said = words.format(same=number(came.same), total=number(came.total), unit=unit, text=tail[start : start + 160])
        self._context.notify("warning", said)


def _named(turn: Turn) -> str:
    preset = f" · {turn.settings.preset}" if turn.settings.preset and turn.kind == "models" else ""
    seed = f" · seed {turn.seed}" if turn.kind == "drafts" else ""
    return f"{speaker_of(turn)}{preset}{seed}"
