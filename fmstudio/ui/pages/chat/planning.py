"""What is asked of which model with which settings: builds the `Turn`s of an answer, a continuation, drafts …

Pure: reads the thread and the library, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fmstudio.ui.pages.chat.settings import AdapterChoice, ChatSettings
from fmstudio.ui.pages.chat.thread import Thread, prompt_messages
from fmstudio.ui.pages.chat.turn import Library, Turn, reads_pictures

if TYPE_CHECKING:
    from fmstudio.project.chats import ChatMessage


@dataclass(frozen=True, slots=True)
class Way:
    """One way to answer: a model with settings, for answers side by side."""

    model_id: str
    settings: ChatSettings


@dataclass(frozen=True, slots=True)
class Planner:
    """Builds turns of one conversation.

    Args:
        library: The models there are.
        thread: The conversation's turns.
    """

    conversation_id: str
    library: Library
    thread: Thread

    def answer(self, question_id: str, way: Way, *, seed: int | None = None, kind: str = "answer") -> Turn | None:
        """An answer to a question; None when the model is not there."""
        from fmstudio.project.chat_records import new_message_id

        model = self.library.get(way.model_id)
        if model is None:
            return None
        settings = self.library.settings_for(model, way.settings)
        active = [(a, entry) for a in settings.active_adapters() if (entry := self.library.get(a.model_id))]
        return Turn(
            self.conversation_id,
            question_id,
            model,
            active,
            settings,
            settings.draw_seed() if seed is None else seed,
            prompt_messages(
                settings.filled_prompt, self.thread.path_to(question_id), with_images=reads_pictures(model)
            ),
            draft=self.library.draft_for(settings),
            id=new_message_id(),
            kind=kind,
        )

    def drafts(self, question_id: str, way: Way, count: int) -> list[Turn]:
        """Several answers of one model, each with a seed of its own; a fixed seed counts up."""
        first = way.settings.seed if way.settings.is_seed_fixed else None
        seeds = [None if first is None else first + i for i in range(count)]
        made = [self.answer(question_id, way, seed=seed, kind="drafts") for seed in seeds]
        return [turn for turn in made if turn is not None]

    def side_by_side(self, question_id: str, ways: Sequence[Way]) -> list[Turn]:
        """One answer of each way, all with the same seed."""
        seed = ways[0].settings.draw_seed() if ways else 0
        made = [self.answer(question_id, way, seed=seed, kind="models") for way in ways]
        return [turn for turn in made if turn is not None]

    def going_on(self, answer: ChatMessage, way: Way) -> Turn | None:
        """The same answer, made longer: a version beside it that begins with its text."""
        turn = self.answer(answer.parent_id or "", way, kind="continue") if answer.parent_id else None
        if turn is not None:
            turn.prefix, turn.about = answer.content, answer.id
            turn.prefix_tokens = list(answer.facts.get("tokens") or ())
        return turn

    def from_token(self, answer: ChatMessage, way: Way, prefix: str, tokens: Sequence[int]) -> Turn | None:
        """An answer beside this one that begins with a part of it and another token."""
        turn = self.going_on(answer, way)
        if turn is not None:
            turn.kind, turn.prefix, turn.prefix_tokens = "branch", prefix, list(tokens)
        return turn

    def again(self, answer: ChatMessage) -> Turn | None:
        """The same turn with the model, adapters, sampler, seed and prompt it was made with; None when they are gone."""
        facts = answer.facts
        way = Way(str((facts.get("model") or {}).get("id") or ""), settings_of(facts))
        turn = self.answer(answer.parent_id or "", way, seed=int(facts.get("seed") or 0), kind="reproduce")
        if turn is not None and len(turn.adapters) == len(facts.get("adapters") or ()):
            turn.about = answer.id
            return turn
        return None


def settings_of(facts: dict[str, Any]) -> ChatSettings:
    """The settings an answer was made with, from its stored facts."""
    known = {k: v for k, v in (facts.get("sampler") or {}).items() if k in ChatSettings.__slots__}
    adapters = tuple(
        AdapterChoice(str(a.get("id")), True, float(a.get("scale", 1))) for a in facts.get("adapters") or ()
    )
    guessing = facts.get("guess_ahead") or {}
    plain = ChatSettings()
    return replace(
        plain,
        **known,
        speculation=str(guessing.get("method") or "off"),
        draft_model_id=str((guessing.get("model") or {}).get("id") or ""),
        draft_tokens=int(guessing.get("draft_tokens") or plain.draft_tokens),
        draft_p_min=float(guessing.get("draft_p_min", plain.draft_p_min)),
        n_ctx=int(facts.get("n_ctx") or 0),
        system_prompt=str(facts.get("system_prompt") or ""),
        adapters=adapters,
    )


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of making a turn again.

    Attributes:
        is_same: The same tokens (or the same text, where the engine says no tokens).
        by_tokens: Whether tokens were compared, or text alone.
        same: Tokens (or characters) that agree from the start. total: Those of the first time.
    """

    is_same: bool
    by_tokens: bool
    same: int
    total: int
    text: str


def compare_with(answer: ChatMessage, turn: Turn) -> Reproduction:
    """Compare a turn that was made again with how it was the first time."""
    before, after = list(answer.facts.get("tokens") or ()), list(turn.tokens)
    by_tokens = bool(before and after)
    first: Sequence[Any] = before if by_tokens else answer.content
    second: Sequence[Any] = after if by_tokens else turn.text
    same = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    return Reproduction(first == second, by_tokens, same, len(first), turn.text)
