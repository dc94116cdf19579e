"""`Answering`: makes one answer after the other on the one engine: load, stream, stop, keep what came. No widgets.

What is shown of an answer is on disk before it is shown (see `fmstudio.project.chat_journal`).
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from fmstudio.jobs.outcome import Problem
from fmstudio.ui.pages.chat.client import GONE, ChatStream, StreamEnd
from fmstudio.ui.pages.chat.engine_link import EngineLink

if TYPE_CHECKING:
    from fmstudio.project.chat_journal import AnswerJournal
    from fmstudio.project.chats import Chats
    from fmstudio.ui.pages.chat.turn import Turn

FRAME_MS = 33
CAUSE_WAIT_MS = 1500


class Answering(QObject):
    """The answer in the making, and those that wait for it.

    Signals:
        started(): An answer begins; see `turn`.
        progressed(): Text or prompt progress arrived; at most about 30 times a second.
        made(Turn, StreamEnd, AnswerJournal | None): An answer ended with something to save; then remove the journal and
            call `tell`.
        dropped(Turn): An answer ended without a word: stopped, or it could not begin.
        failed(Problem, dict): Why it could not be made, and the engine parameters that would mend it.
    """

    started = Signal()
    progressed = Signal()
    made = Signal(object, object, object)
    dropped = Signal(object)
    failed = Signal(object, object)

    def __init__(self, link: EngineLink, parent: QObject) -> None:
        super().__init__(parent)
        self.link = link
        self.turn: Turn | None = None
        self.waiting: deque[Turn] = deque()
        self._chats: Chats | None = None
        self._journal: AnswerJournal | None = None
        self._stream: ChatStream | None = None
        self._frame = QTimer(self, interval=FRAME_MS, singleShot=True)
        self._frame.timeout.connect(self._on_frame)
        self._untold: StreamEnd | None = None
        self._lost: Problem | None = None
        self._cause_timer = QTimer(self, interval=CAUSE_WAIT_MS, singleShot=True)
        self._cause_timer.timeout.connect(self._explain_loss)
        link.changed.connect(self._on_link)

    # ---- beginning -------------------------------------------------------------------------------------------------

    def begin(self, chats: Chats, turns: list[Turn]) -> None:
        """Make these answers, one after the other; nothing else may be under way."""
        self._chats = chats
        self.waiting.extend(turns)
        self.next()

    def next(self) -> bool:
        """Begin the next answer that waits; False when there is none."""
        if self.turn is not None or not self.waiting:
            return False
        turn = self.turn = self.waiting.popleft()
        turn.text = turn.prefix
        self.started.emit()
        self.link.load(turn.model, turn.engine_params)
        self._on_link()
        return True

    @Slot()
    def _on_link(self) -> None:
        """Go on when the engine is ready, or give the turn up when it could not be started."""
        if self._lost is not None and self.link.state == "failed":
            self._explain_loss()
        turn = self.turn
        if turn is None or self._stream is not None:
            return
        if self.link.is_ready_for(turn.model, turn.engine_params):
            self._start_stream(turn)
        elif self.link.state == "failed":
            problem = self.link.problem or Problem(self.tr("The engine could not be started."))
            self._drop(turn)
            self.failed.emit(problem, self.link.remedy_action)

    def _start_stream(self, turn: Turn) -> None:
        assert self.link.client is not None
        if turn.prefix and not self.link.dialect.goes_on:
            problem = Problem(
                self.link.dialect.lacks["continue"], self.tr("Answer again instead, or choose another model.")
            )
            self._drop(turn)
            self.failed.emit(problem, {})
            return
        try:
            self._stream = self.link.client.stream_chat(turn.body())
        except OSError as error:  # the ledger of connections cannot be written, so none is opened
            self._drop(turn)
            text = self.tr("The connection could not be noted: {error}").format(error=error)
            self.failed.emit(Problem(text, self.tr("Free some disk space.")), {})
            return
        if self._chats is not None and turn.kind != "reproduce":
            self._journal = self._chats.begin_answer(
                turn.conversation_id, turn.id, turn.parent_id, turn.planned_facts()
            )
        turn.asked = time.perf_counter()
        self._stream.text_received.connect(self._on_text)
        self._stream.reasoned.connect(self._on_reasoning)
        self._stream.tokens_received.connect(self._on_tokens)
        self._stream.prompt_progressed.connect(self._on_prompt_progress)
        self._stream.timed.connect(self._on_timings)
        self._stream.ended.connect(self._on_end)
        self.progressed.emit()

    # ---- on the way ------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_text(self, text: str) -> None:
        if self.turn is not None:
            self.turn.add_text(text)
            self._schedule_frame()

    @Slot(str)
    def _on_reasoning(self, text: str) -> None:
        if self.turn is not None:
            self.turn.reasoning += text
            self._schedule_frame()

    @Slot(object)
    def _on_tokens(self, tokens: list[int]) -> None:
        if self.turn is not None:
            self.turn.tokens.extend(tokens)

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

    @Slot()
    def _on_frame(self) -> None:
        self._keep()
        self.progressed.emit()

    def _keep(self) -> None:
        if self.turn is not None and self._journal is not None:
            try:
                self._journal.keep(self.turn.text)
            except OSError as error:
                self._journal.close()
                self._journal = None
                text = self.tr("The answer is not kept on disk while it is made: {error}").format(error=error)
                self.failed.emit(Problem(text, self.tr("Free some disk space.")), {})

    # ---- the end ---------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop the answer being made and forget those that wait; what came so far is kept."""
        self.waiting.clear()
        if self._stream is not None:
            self._stream.stop()
        elif self.turn is not None:
            self._drop(self.turn)

    @Slot(object)
    def _on_end(self, end: StreamEnd) -> None:
        turn, self._stream = self.turn, None
        self._frame.stop()
        if turn is None:
            return
        self._keep()
        if end.problem is not None:
            self.waiting.clear()
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()
        if turn.text != turn.prefix or turn.reasoning or end.reason in ("stop", "length"):
            self.turn, self._untold = None, end
            self.made.emit(turn, end, journal)
        else:
            if journal is not None:
                journal.remove()
            self._drop(turn)
            self._untold = end
            self.tell()

    def _drop(self, turn: Turn) -> None:
        self.turn = None
        self.waiting.clear()
        self.dropped.emit(turn)

    def tell(self) -> None:
        """Say what went wrong with the last answer, if anything did; called once it is saved."""
        end, self._untold = self._untold, None
        problem = end.problem if end is not None else None
        if end is None or problem is None:
            return
        if problem.message == GONE:
            # The connection breaks a moment before the process is known to have ended, and why.
            self._lost = problem
            self._cause_timer.start()
            self.link.look()
            self._on_link()
        else:
            self.failed.emit(problem, end.remedy_action)

    @Slot()
    def _explain_loss(self) -> None:
        lost, self._lost = self._lost, None
        self._cause_timer.stop()
        if lost is not None:
            self.failed.emit(self.link.problem or lost, self.link.remedy_action)
