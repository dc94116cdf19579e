"""What a conversation teaches, as rows: answers to learn (SFT) and pairs of a better and a worse one (preference).

Pure: reads turns and choices, gives rows with a key each. The same conversation gives the same rows.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmstudio.project.chat_records import ChatMessage, path_to, prompt_messages

SFT, PREFERENCE = "sft", "preference"
MOST_PAIRS = 16
"""Pairs at most of good and poor answers to one question: 4 good and 5 poor ones would else make 20 much alike."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One row of a lessons dataset.

    Attributes:
        key: Names the lesson for good: the same turn gives the same key, whatever its rating becomes.
        view: `SFT` or `PREFERENCE`.
    """

    key: str
    view: str
    record: dict[str, Any]

    @property
    def hash(self) -> str:
        """Changes when the row's content does."""
        text = json.dumps(self.record, ensure_ascii=False, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def lessons_of(messages: Sequence[ChatMessage], choices: Sequence[Mapping[str, Any]]) -> list[Lesson]:
    """All lessons of a conversation.

    Args:
        messages: Its turns with ratings and corrections.
        choices: Its choices: ``kind``, ``chosen``, ``rejected``.
    """
    by_id = {message.id: message for message in messages}
    pairs = _Pairs(by_id)
    found = [_answer(by_id, *item) for item in _worth_learning(by_id, choices)]
    for message in messages:
        if message.correction:
            pairs.add(message, message, "correction", message.correction)
    for choice in choices:
        for rejected in choice["rejected"]:
            if choice["chosen"] in by_id and rejected in by_id:
                pairs.add(by_id[choice["chosen"]], by_id[rejected], str(choice["kind"]))
    for good, poor in _thumbs(messages):
        pairs.add(good, poor, "thumbs")
    return [*found, *pairs.found.values()]


def _worth_learning(
    by_id: Mapping[str, ChatMessage], choices: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[ChatMessage, str, str]]:
    """Answers to learn, each with its text and why."""
    chosen = {str(choice["chosen"]): str(choice["kind"]) for choice in choices}
    for message in by_id.values():
        if message.role != "assistant":
            continue
        if message.correction:
            yield message, message.correction, "correction"
        elif message.rating > 0:
            yield message, message.content, "thumbs"
        elif message.id in chosen and message.rating == 0:
            yield message, message.content, chosen[message.id]


def _thumbs(messages: Sequence[ChatMessage]) -> Iterator[tuple[ChatMessage, ChatMessage]]:
    """Pairs of an answer rated good and one rated poor to the same question."""
    families: dict[str, list[ChatMessage]] = defaultdict(list)
    for message in messages:
        if message.role == "assistant" and message.parent_id and message.rating:
            families[message.parent_id].append(message)
    for family in families.values():
        pairs = [(a, b) for a in family if a.rating > 0 for b in family if b.rating < 0]
        yield from pairs[:MOST_PAIRS]


def _prompt(by_id: Mapping[str, ChatMessage], message: ChatMessage) -> list[dict[str, Any]]:
    system = str(message.facts.get("system_prompt") or "")
    return prompt_messages(system, path_to(by_id, message.parent_id))


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _answer(by_id: Mapping[str, ChatMessage], message: ChatMessage, text: str, source: str) -> Lesson:
    record = {"messages": [*_prompt(by_id, message), _said(text)], "source": source, **_origin(message)}
    return _lesson(SFT, message.id, record)


def _origin(message: ChatMessage) -> dict[str, Any]:
    """Where a row comes from, and all that made the answer."""
    facts = message.facts
    model = facts.get("model") or {}
    adapters = [
        f"{a.get('name')} × {a.get('scale', 1):g} ({a.get('fingerprint', '')})" for a in facts.get("adapters") or ()
    ]
    return {
        "conversation_id": message.conversation_id,
        "message_id": message.id,
        "model": str(model.get("name") or ""),
        "model_fingerprint": str(model.get("fingerprint") or ""),
        "adapters": "; ".join(adapters),
        "template_hash": str(facts.get("template_hash") or ""),
        "sampler": json.dumps(facts.get("sampler") or {}, sort_keys=True),
        "seed": facts.get("seed"),
        "context_hash": str(facts.get("context_hash") or ""),
    }


def _lesson(view: str, name: str, record: dict[str, Any]) -> Lesson:
    key = f"{view}:{name}"
    return Lesson(key, view, {**record, "lesson": key})


class _Pairs:
    """Preference rows; the same two texts make one row, whatever says so first."""

    def __init__(self, by_id: Mapping[str, ChatMessage]) -> None:
        self._by_id = by_id
        self.found: dict[str, Lesson] = {}

    def add(self, good: ChatMessage, poor: ChatMessage, source: str, text: str = "") -> None:
        """Note that `good` (or the `text` it should have been) is better than `poor`."""
        if good.parent_id != poor.parent_id or (text or good.content) == poor.content:
            return  # answers to different questions, or the same words, teach no preference
        record = {
            "prompt": _prompt(self._by_id, good),
            "chosen": [_said(text or good.correction or good.content)],
            "rejected": [_said(poor.content)],
            "source": source,
            **_origin(good),
            "rejected_id": poor.id,
        }
        name = f"{good.id}>{poor.id}" if good.id != poor.id else good.id
        self.found.setdefault(name, _lesson(PREFERENCE, name, record))
