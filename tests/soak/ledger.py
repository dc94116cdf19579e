"""What was asked and what was seen of each answer, to be compared with the chat store when all is over."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fmstudio.project import Project
from fmstudio.project.chat_journal import AnswerJournal
from fmstudio.project.chat_records import new_message_id
from fmstudio.project.chats import INTERRUPTED

T = TypeVar("T")


@dataclass(slots=True)
class Turn:
    """One answer in the making, and what was seen of it.

    Attributes:
        end: ``stop`` or ``length`` (whole), ``cancelled``, ``broken`` (the engine died), ``refused``, or ``left`` (the
            app ended in the middle: nothing was saved but the journal).
    """

    conversation: str
    question_id: str
    question: str
    answer_id: str
    journal: AnswerJournal
    text: str = ""
    end: str = ""

    def keep(self, text: str) -> None:
        """New text arrived: on disk before it counts as seen."""
        self.journal.keep(self.text + text)
        self.text += text


@dataclass(slots=True)
class Ledger:
    """Saves turns as the chat page does, and remembers them independently of the store."""

    project: Project
    turns: list[Turn] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def new_conversation(self, model: str) -> str:
        """Begin a conversation."""
        return self._locked(lambda: self.project.chats.new_conversation(model).id)

    def messages(self, conversation: str) -> list[dict[str, str]]:
        """The turns of a conversation, as they are sent to a model."""
        found = self._locked(lambda: self.project.chats.messages(conversation))
        return [{"role": m.role, "content": m.content} for m in found]

    def ask(self, conversation: str, question: str, facts: dict[str, Any]) -> Turn:
        """Save a question and open the journal of its answer."""
        chats, answer = self.project.chats, new_message_id()

        def save() -> Turn:
            asked = chats.add_message(conversation, "user", question)
            journal = chats.begin_answer(conversation, answer, asked.id, facts)
            return Turn(conversation, asked.id, question, answer, journal)

        turn = self._locked(save)
        self.turns.append(turn)
        return turn

    def go_on(self, turn: Turn) -> Turn:
        """A second answer to the same question, which goes on where the first broke off."""
        answer = new_message_id()
        facts = {"kind": "continue", "about": turn.answer_id}
        begin = self.project.chats.begin_answer
        journal = self._locked(lambda: begin(turn.conversation, answer, turn.question_id, facts))
        again = Turn(turn.conversation, turn.question_id, turn.question, answer, journal)
        again.keep(turn.text)
        self.turns.append(again)
        return again

    def finish(self, turn: Turn, end: str) -> None:
        """Save what came, as the page does; of an app that died (``left``) nothing but the journal stays."""
        turn.end = end
        turn.journal.close()
        if end == "left":
            return
        if turn.text or end in ("stop", "length"):
            self._locked(
                lambda: self.project.chats.add_message(
                    turn.conversation,
                    "assistant",
                    turn.text,
                    parent_id=turn.question_id,
                    facts={"finish_reason": end},
                    message_id=turn.answer_id,
                )
            )
        turn.journal.remove()

    def lost(self, folder: Path) -> list[str]:
        """Open the project anew and name every turn that is not there as it was seen."""
        self.project.close()
        with_again = Project.open(folder)
        try:
            return list(_differences(with_again, self.turns))
        finally:
            with_again.close()

    def ends(self) -> dict[str, int]:
        """How many answers ended in which way."""
        return dict(Counter(turn.end for turn in self.turns))

    def _locked(self, work: Callable[[], T]) -> T:
        with self._lock:
            return work()


def _differences(project: Project, turns: list[Turn]) -> list[str]:
    saved = {
        message.id: message
        for conversation in {turn.conversation for turn in turns}
        for message in project.chats.messages(conversation)
    }
    found = []
    for turn in turns:
        asked, answer = saved.get(turn.question_id), saved.get(turn.answer_id)
        if asked is None or asked.content != turn.question:
            found.append(f"question {turn.question_id} of {turn.conversation}")
        if not turn.text and turn.end not in ("stop", "length"):
            continue
        if answer is None or answer.content != turn.text:
            found.append(
                f"answer {turn.answer_id} ({turn.end}): {turn.text[:60]!r}, saved {answer and answer.content[:60]!r}"
            )
        elif answer.facts.get("finish_reason") != (INTERRUPTED if turn.end == "left" else turn.end):
            found.append(f"answer {turn.answer_id} is marked {answer.facts.get('finish_reason')!r}, it was {turn.end}")
    return found
