"""Conversations, messages and ratings: every turn kept with all that is needed to say it again."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation. `settings`: model, adapters, system prompt and sampler chosen last."""

    id: str
    title: str
    model_id: str
    settings: dict[str, Any]
    created: float
    updated: float


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A turn.

    Attributes:
        parent_id: The turn it answers or follows; None for the first.
        facts: For an answer: model and adapters with fingerprints, sampler, seed, context hash, finish reason, timings.
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


class Chats:
    """The conversations of a project. Every call is saved before it returns."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def conversations(self, search: str = "") -> list[Conversation]:
        """Conversations, newest first; `search` looks in titles and texts, ignoring case."""
        condition, parameters = "", []
        if search.strip():
            condition = "AND (title ILIKE ? OR id IN (SELECT conversation_id FROM messages WHERE content ILIKE ?))"
            parameters = [f"%{search.strip()}%"] * 2
        rows = self._catalog.records(
            "SELECT id, title, model_id, settings, created, updated FROM conversations "
            f"WHERE NOT is_deleted {condition} ORDER BY updated DESC",
            parameters,
        )
        return [Conversation(**{**row, "settings": row["settings"] or {}}) for row in rows]

    def new_conversation(
        self, model_id: str = "", title: str = "", settings: dict[str, Any] | None = None
    ) -> Conversation:
        """Begin a conversation."""
        now = time.time()
        made = Conversation(f"c-{secrets.token_hex(6)}", title or "New chat", model_id, settings or {}, now, now)
        values = {
            "id": made.id,
            "title": made.title,
            "model_id": made.model_id,
            "settings": made.settings,
            "is_deleted": False,
            "created": now,
            "updated": now,
        }
        with self._catalog.transaction() as connection:
            insert(connection, "conversations", values)
        return made

    def update_conversation(self, conversation_id: str, **fields: Any) -> Changes:
        """Set title, model_id or settings."""
        import json

        with self._catalog.transaction() as connection:
            for name in ("title", "model_id", "settings"):
                if name in fields:
                    value = json.dumps(fields[name]) if name == "settings" else fields[name]
                    connection.execute(f"UPDATE conversations SET {name} = ? WHERE id = ?", [value, conversation_id])
        return Changes(chats=frozenset({conversation_id}))

    def set_deleted(self, conversation_id: str, is_deleted: bool) -> Changes:
        """Hide a conversation or bring it back; nothing is erased."""
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE conversations SET is_deleted = ? WHERE id = ?", [is_deleted, conversation_id])
        return Changes(chats=frozenset({conversation_id}))

    def messages(self, conversation_id: str) -> list[ChatMessage]:
        """All turns of a conversation in order of making, with their ratings."""
        rows = self._catalog.records(
            "SELECT m.id, m.conversation_id, m.parent_id, m.role, m.content, m.facts, m.created,"
            " coalesce(r.rating, 0) AS rating, r.correction FROM messages m"
            " LEFT JOIN (SELECT message_id, arg_max(rating, created) AS rating,"
            " arg_max(correction, created) AS correction FROM ratings GROUP BY message_id) r ON r.message_id = m.id"
            " WHERE m.conversation_id = ? ORDER BY m.created",
            [conversation_id],
        )
        return [ChatMessage(**{**row, "facts": row["facts"] or {}}) for row in rows]

    def add_message(
        self,
        conversation_id: str,
        role: str,
        content: str,
        *,
        parent_id: str | None = None,
        facts: dict[str, Any] | None = None,
    ) -> ChatMessage:
        """Save a turn."""
        made = ChatMessage(
            f"t-{secrets.token_hex(6)}", conversation_id, parent_id, role, content, facts or {}, time.time()
        )
        values = {
            "id": made.id,
            "conversation_id": conversation_id,
            "parent_id": parent_id,
            "role": role,
            "content": content,
            "facts": made.facts,
            "created": made.created,
        }
        with self._catalog.transaction() as connection:
            insert(connection, "messages", values)
            connection.execute("UPDATE conversations SET updated = ? WHERE id = ?", [made.created, conversation_id])
        return made

    def rate(self, message_id: str, rating: int, correction: str | None = None) -> Changes:
        """Rate an answer 1 or -1 (0 takes it back) or correct it; stored with the whole context of the turn."""
        rows = self._catalog.records("SELECT * FROM messages WHERE id = ?", [message_id])
        message = rows[0]
        context = {**(message["facts"] or {}), "messages": self._path_to(message)}
        values = {
            "message_id": message_id,
            "conversation_id": message["conversation_id"],
            "rating": rating,
            "correction": correction,
            "context": context,
            "created": time.time(),
        }
        with self._catalog.transaction() as connection:
            insert(connection, "ratings", values)
        return Changes(chats=frozenset({message["conversation_id"]}))

    def ratings(self) -> list[dict[str, Any]]:
        """The newest rating of each rated answer, with the answer and its context."""
        return self._catalog.records(
            "SELECT r.message_id, r.conversation_id, r.rating, r.correction, r.context, r.created, m.content AS answer"
            " FROM ratings r JOIN messages m ON m.id = r.message_id"
            " QUALIFY row_number() OVER (PARTITION BY r.message_id ORDER BY r.created DESC) = 1 ORDER BY r.created"
        )

    def _path_to(self, message: dict[str, Any]) -> list[dict[str, str]]:
        by_id = {m.id: m for m in self.messages(message["conversation_id"])}
        path = []
        current = by_id.get(message["parent_id"] or "")
        while current is not None:
            path.append({"role": current.role, "content": current.content})
            current = by_id.get(current.parent_id or "")
        return path[::-1]
