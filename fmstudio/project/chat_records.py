"""What a conversation and its turns are, and how they are read from the catalogue."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NEW_TITLE = "New chat"
IMAGE = "image"
"""Kind of an attachment that is a picture."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation.

    Attributes:
        settings: Model, adapters, system prompt and sampler chosen last.
        folder: Name of the folder it is in; empty = none.
        titled_by: Who gave the title: ``user``, ``model`` or empty (the beginning of the first question).
        shown: Id of the last turn of the branch that was shown last.
    """

    id: str
    title: str
    model_id: str
    settings: dict[str, Any]
    created: float
    updated: float
    folder: str = ""
    is_pinned: bool = False
    titled_by: str = ""
    shown: str = ""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A turn.

    Attributes:
        parent_id: The turn it answers or follows; None for the first.
        facts: For an answer: model and adapters with fingerprints, sampler, seed, context hash, finish reason, timings.
            For a question: ``attachments``, each with name, kind and text.
        rating: 1, -1 or 0 (none). correction: The answer as it should have been, or None.
    """

    id: str
    conversation_id: str
    parent_id: str | None
    role: str
    content: str
    facts: dict[str, Any] = field(default_factory=dict)
    created: float = 0.0
    rating: int = 0
    correction: str | None = None


@dataclass(frozen=True, slots=True)
class TokenCost:
    """What a token cost with some adapters: the median of `answers` answers. No adapters: the model alone."""

    adapters: frozenset[str]
    milliseconds: float
    answers: int


CONVERSATION_FIELDS = "id, title, model_id, settings, created, updated, folder, is_pinned, titled_by, shown"


def conversation_of(row: Mapping[str, Any]) -> Conversation:
    """Read a catalogue row of `CONVERSATION_FIELDS`."""
    return Conversation(**{**row, "settings": row["settings"] or {}})


def message_of(row: Mapping[str, Any]) -> ChatMessage:
    """Read a catalogue row that has the fields of `ChatMessage`."""
    return ChatMessage(**{**row, "facts": row["facts"] or {}})


def new_message_id() -> str:
    """An id for a turn; drawn before the turn is saved, so that what is written on the way belongs to it."""
    return f"t-{secrets.token_hex(6)}"


def sent_text(message: ChatMessage) -> str:
    """A turn as a model reads it: its text, with the attachments of a question before it."""
    files = [
        f'<file name="{item.get("name", "")}">\n{item.get("text", "")}\n</file>'
        for item in message.facts.get("attachments") or ()
        if item.get("kind") != IMAGE
    ]
    pictures = [f"[image: {item.get('name', '')}]" for item in images_of(message)]
    return "\n\n".join([*files, *pictures, message.content]) if files or pictures else message.content


def images_of(message: ChatMessage) -> list[dict[str, Any]]:
    """The images attached to a turn: each with ``name`` and ``data``, a data URI."""
    return [item for item in message.facts.get("attachments") or () if item.get("kind") == IMAGE]


def prompt_messages(
    system_prompt: str, path: Sequence[ChatMessage], *, with_images: bool = False
) -> list[dict[str, Any]]:
    """What is sent to a model: the system prompt, then the turns as they were said.

    Args:
        with_images: Send attached images as OpenAI's content parts; else their names stand for them.
    """
    head: list[dict[str, Any]] = [{"role": "system", "content": system_prompt}] if system_prompt.strip() else []
    said = [
        {"role": m.role, "content": _parts(m, text) if with_images and images_of(m) else text}
        for m in path
        if (text := sent_text(m))
    ]
    return [*head, *said]


def _parts(message: ChatMessage, text: str) -> list[dict[str, Any]]:
    shown = [{"type": "image_url", "image_url": {"url": item.get("data", "")}} for item in images_of(message)]
    return [{"type": "text", "text": text}, *shown]


def path_to(messages: Mapping[str, ChatMessage], message_id: str | None) -> list[ChatMessage]:
    """The turns from the first up to and including that one; a turn whose parent is gone begins the path."""
    found: list[ChatMessage] = []
    while message_id and message_id in messages:
        found.append(messages[message_id])
        message_id = messages[message_id].parent_id
    return found[::-1]
