"""A conversation as a tree: regenerating or editing makes a sibling, and one path through it is shown.

Pure data; the store and the widgets are elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmstudio.project.chats import ChatMessage


@dataclass(slots=True)
class Thread:
    """The turns of a conversation and which branch is shown.

    Attributes:
        messages: By id.
        chosen: Parent id (empty for the root) → id of the child shown.
    """

    messages: dict[str, ChatMessage] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    _children: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, messages: Sequence[ChatMessage], shown: str = "") -> Thread:
        """Build from stored turns in order of making; the branch through `shown` is shown, else the newest."""
        thread = cls()
        for message in messages:
            thread.add(message)
        for message in thread.path_to(shown if shown in thread.messages else None):
            thread.choose(message.id)
        return thread

    def add(self, message: ChatMessage) -> None:
        """Add a turn and show it."""
        parent = message.parent_id or ""
        if message.id not in self.messages:
            self._children[parent].append(message.id)
        self.messages[message.id] = message
        self.chosen[parent] = message.id

    def update(self, message: ChatMessage) -> None:
        """Replace a turn's facts (a rating), leaving the branch shown as it is."""
        if message.id in self.messages:
            self.messages[message.id] = message

    def path(self) -> list[ChatMessage]:
        """The turns shown, from the first to the last."""
        shown: list[ChatMessage] = []
        at = self.chosen.get("")
        while at is not None:
            shown.append(self.messages[at])
            at = self.chosen.get(at)
        return shown

    @property
    def leaf(self) -> str:
        """Id of the last turn shown; empty when there is none."""
        path = self.path()
        return path[-1].id if path else ""

    def path_to(self, message_id: str | None) -> list[ChatMessage]:
        """The turns from the first up to and including that one."""
        found: list[ChatMessage] = []
        while message_id is not None:
            found.append(self.messages[message_id])
            message_id = self.messages[message_id].parent_id
        return found[::-1]

    def without(self, message_id: str) -> Thread:
        """The same without that turn and what follows it; the version beside it is shown."""
        gone, at = {message_id}, [message_id]
        while at:
            children = self._children[at.pop()]
            gone.update(children)
            at.extend(children)
        thread = Thread.of([m for m in self.messages.values() if m.id not in gone])
        for parent, child in self.chosen.items():
            if child not in gone and parent not in gone:
                thread.chosen[parent] = child
        return thread

    def siblings(self, message_id: str) -> list[str]:
        """All versions of that turn, itself included, in order of making."""
        return list(self._children[self.messages[message_id].parent_id or ""])

    def choose(self, message_id: str) -> None:
        """Show that version of a turn."""
        self.chosen[self.messages[message_id].parent_id or ""] = message_id

    def step(self, message_id: str, by: int) -> None:
        """Show the next or previous version of a turn."""
        versions = self.siblings(message_id)
        self.choose(versions[max(0, min(versions.index(message_id) + by, len(versions) - 1))])


def prompt_messages(
    system_prompt: str, path: Sequence[ChatMessage], *, with_images: bool = False
) -> list[dict[str, Any]]:
    """What is sent to the engine; see `fmstudio.project.chat_records.prompt_messages`."""
    from fmstudio.project import chat_records  # opens the way to the catalogue: not while the window starts

    return chat_records.prompt_messages(system_prompt, path, with_images=with_images)


def context_hash(messages: Sequence[dict[str, Any]]) -> str:
    """SHA-256 over the canonical JSON of the messages sent: tells whether two answers had the same context."""
    canonical = json.dumps(list(messages), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def title_from(text: str, limit: int = 48) -> str:
    """A title for a conversation: the beginning of its first question, cut at a word."""
    words = " ".join(text.split())
    if len(words) <= limit:
        return words
    return words[:limit].rsplit(" ", 1)[0].rstrip(",.;:") + "…"
