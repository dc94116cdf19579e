"""Conversations, messages and ratings: every turn kept with all that is needed to say it again."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.core.conversation_states import forget_conversation
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes
from fmstudio.project.chat_journal import AnswerJournal, unfinished
from fmstudio.project.chat_records import (
    CONVERSATION_FIELDS,
    NEW_TITLE,
    ChatMessage,
    Conversation,
    TokenCost,
    conversation_of,
    message_of,
    new_message_id,
    path_to,
    prompt_messages,
)
from fmstudio.project.chat_rows import conversation_row, insert_turns, message_row, rating_row, token_costs_of
from fmstudio.project.chat_search import Found, enter_texts, next_number, search_conversations

__all__ = ["ChatMessage", "Chats", "Conversation", "TokenCost"]

_SETTABLE = ("title", "model_id", "settings", "folder", "is_pinned", "titled_by", "shown")
NEWEST = 1_000
"""Answers that are looked at for the cost of a token."""
INTERRUPTED = "interrupted"
"""Finish reason of an answer whose process ended while it was made."""


class Chats:
    """The conversations of a project. Every call is saved before it returns.

    Args:
        folder: Where answers in the making are kept (see `chat_journal`).

    Attributes:
        recovered: Ids of answers that were being made when the last process ended, and are saved now.
    """

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog = catalog
        self._journals = folder / "chats"
        self.recovered = self._recover()

    # ---- conversations ---------------------------------------------------------------------------------------------

    def conversations(self, search: str = "") -> list[Conversation]:
        """Conversations, pinned ones first, then newest first; `search` as in `found`."""
        if search.strip():
            return [found.conversation for found in self.found(search)]
        rows = self._catalog.records(
            f"SELECT {CONVERSATION_FIELDS} FROM conversations WHERE NOT is_deleted ORDER BY is_pinned DESC, updated DESC"
        )
        return [conversation_of(row) for row in rows]

    def found(self, search: str) -> list[Found]:
        """Conversations whose title or a message holds all words, whatever their case and accents."""
        return search_conversations(self._catalog, search)

    def get(self, conversation_id: str) -> Conversation:
        """A conversation by id.

        Raises:
            UserError: There is none.
        """
        rows = self._catalog.records(f"SELECT {CONVERSATION_FIELDS} FROM conversations WHERE id = ?", [conversation_id])
        if not rows:
            raise UserError("There is no such conversation.", remedy="List them with: fmstudio chats")
        return conversation_of(rows[0])

    def new_conversation(
        self, model_id: str = "", title: str = "", settings: dict[str, Any] | None = None, folder: str = ""
    ) -> Conversation:
        """Begin a conversation."""
        now = time.time()
        made = Conversation(
            f"c-{secrets.token_hex(6)}", title or NEW_TITLE, model_id, settings or {}, now, now, folder=folder
        )
        with self._catalog.transaction() as connection:
            insert(connection, "conversations", conversation_row(made))
        return made

    def update_conversation(self, conversation_id: str, **fields: Any) -> Changes:
        """Set title, titled_by, model_id, settings, folder, is_pinned or shown."""
        with self._catalog.transaction() as connection:
            for name in _SETTABLE:
                if name in fields:
                    value = json.dumps(fields[name]) if name == "settings" else fields[name]
                    connection.execute(f"UPDATE conversations SET {name} = ? WHERE id = ?", [value, conversation_id])
        return Changes(chats=frozenset({conversation_id}))

    def set_deleted(self, conversation_id: str, is_deleted: bool) -> Changes:
        """Hide a conversation or bring it back; nothing is erased but what the engine kept of it."""
        if is_deleted:
            forget_conversation(conversation_id)
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE conversations SET is_deleted = ? WHERE id = ?", [is_deleted, conversation_id])
        return Changes(chats=frozenset({conversation_id}))

    # ---- folders ---------------------------------------------------------------------------------------------------

    def folders(self) -> list[str]:
        """Names of the folders, by name; an empty one is listed too."""
        rows = self._catalog.query(
            "SELECT name FROM chat_folders UNION SELECT folder FROM conversations WHERE folder <> '' AND NOT is_deleted"
        )
        return sorted((row[0] for row in rows), key=str.casefold)

    def make_folder(self, name: str) -> Changes:
        """Make a folder.

        Raises:
            UserError: The name is empty or taken.
        """
        clean = self._free_folder(name)
        with self._catalog.transaction() as connection:
            insert(connection, "chat_folders", {"name": clean, "created": time.time()})
        return Changes(chats=frozenset({""}))

    def rename_folder(self, name: str, new_name: str) -> Changes:
        """Give a folder another name.

        Raises:
            UserError: The new name is empty or taken.
        """
        if name == new_name.strip():
            return Changes()
        clean = self._free_folder(new_name)
        with self._catalog.transaction() as connection:
            connection.execute("DELETE FROM chat_folders WHERE name = ?", [name])
            insert(connection, "chat_folders", {"name": clean, "created": time.time()})
            connection.execute("UPDATE conversations SET folder = ? WHERE folder = ?", [clean, name])
        return Changes(chats=frozenset({""}))

    def remove_folder(self, name: str) -> tuple[Changes, list[str]]:
        """Take a folder away; what was in it stays, without a folder. Gives the ids of those, to undo it."""
        with self._catalog.transaction() as connection:
            rows = connection.execute("SELECT id FROM conversations WHERE folder = ?", [name]).fetchall()
            connection.execute("DELETE FROM chat_folders WHERE name = ?", [name])
            connection.execute("UPDATE conversations SET folder = '' WHERE folder = ?", [name])
        return Changes(chats=frozenset({""})), [row[0] for row in rows]

    def _free_folder(self, name: str) -> str:
        clean = name.strip()
        if not clean or clean in self.folders():
            raise UserError(f"A folder named “{clean}” cannot be made: the name is empty or taken.")
        return clean

    # ---- turns -----------------------------------------------------------------------------------------------------

    def messages(self, conversation_id: str) -> list[ChatMessage]:
        """All turns of a conversation that are not deleted, in order of making, with their ratings."""
        rows = self._catalog.records(
            "SELECT m.id, m.conversation_id, m.parent_id, m.role, m.content, m.facts, m.created,"
            " coalesce(r.rating, 0) AS rating, r.correction FROM messages m"
            " LEFT JOIN (SELECT message_id, arg_max(rating, created) AS rating,"
            " arg_max(correction, created) AS correction FROM ratings WHERE conversation_id = ? GROUP BY message_id) r"
            " ON r.message_id = m.id WHERE m.conversation_id = ? AND m.deleted_by = '' ORDER BY m.created",
            [conversation_id, conversation_id],
        )
        return [message_of(row) for row in rows]

    def add_message(
        self,
        conversation_id: str,
        role: str,
        content: str,
        *,
        parent_id: str | None = None,
        facts: dict[str, Any] | None = None,
        message_id: str = "",
    ) -> ChatMessage:
        """Save a turn; with the id of one that is saved already, nothing is saved twice."""
        made = ChatMessage(
            message_id or new_message_id(), conversation_id, parent_id, role, content, facts or {}, time.time()
        )
        with self._catalog.transaction() as connection:
            if not connection.execute("SELECT 1 FROM messages WHERE id = ?", [made.id]).fetchone():
                number = next_number(connection)
                insert(connection, "messages", {**message_row(made), "number": number})
                enter_texts(connection, number)
                connection.execute(
                    "UPDATE conversations SET updated = ?, shown = ? WHERE id = ?",
                    [made.created, made.id, conversation_id],
                )
        return made

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of some conversation ids that are there, deleted ones too."""
        rows = self._catalog.query("SELECT id FROM conversations WHERE id IN (SELECT unnest(?))", [list(ids)])
        return {row[0] for row in rows}

    def add_whole(self, talks: Sequence[tuple[Conversation, Sequence[ChatMessage]]]) -> None:
        """Save whole conversations with their turns and ratings, all or none."""
        with self._catalog.transaction() as connection:
            for conversation, messages in talks:
                insert(connection, "conversations", conversation_row(conversation))
                for message in messages:
                    if message.rating or message.correction:
                        insert(connection, "ratings", rating_row(message))
            insert_turns(connection, talks)

    def delete_message(self, message_id: str) -> Changes:
        """Hide a turn and all that follows it, on every branch; `restore_message` brings them back."""
        conversation_id = self._conversation_of(message_id)
        with self._catalog.transaction() as connection:
            connection.execute(
                "WITH RECURSIVE after(id) AS (SELECT ? UNION SELECT m.id FROM messages m JOIN after a"
                " ON m.parent_id = a.id WHERE m.conversation_id = ?)"
                " UPDATE messages SET deleted_by = ? WHERE id IN (SELECT id FROM after) AND deleted_by = ''",
                [message_id, conversation_id, message_id],
            )
        return Changes(chats=frozenset({conversation_id}))

    def restore_message(self, message_id: str) -> Changes:
        """Undo `delete_message`."""
        conversation_id = self._conversation_of(message_id)
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE messages SET deleted_by = '' WHERE deleted_by = ?", [message_id])
        return Changes(chats=frozenset({conversation_id}))

    def _conversation_of(self, message_id: str) -> str:
        rows = self._catalog.query("SELECT conversation_id FROM messages WHERE id = ?", [message_id])
        if not rows:
            raise UserError("There is no such message.", remedy="It may have been deleted: look again.")
        return str(rows[0][0])

    def token_costs(self, model_id: str) -> list[TokenCost]:
        """How long a token took this model with each set of adapters, in its newest answers."""
        rows = self._catalog.records(
            "SELECT facts FROM (SELECT facts, number FROM messages WHERE role = 'assistant' ORDER BY number DESC"
            f" LIMIT {NEWEST}) WHERE json_extract_string(facts, '$.model.id') = ? ORDER BY number DESC LIMIT 200",
            [model_id],
        )
        return token_costs_of(rows)

    # ---- answers in the making -------------------------------------------------------------------------------------

    def begin_answer(
        self, conversation_id: str, message_id: str, parent_id: str | None, facts: dict[str, Any]
    ) -> AnswerJournal:
        """Keep an answer while it grows; save it with `add_message`, then remove the journal."""
        header = {"id": message_id, "conversation_id": conversation_id, "parent_id": parent_id, "facts": facts}
        return AnswerJournal(self._journals, header)

    def _recover(self) -> list[str]:
        """Save the answers that a process left unfinished."""
        saved = []
        for answer in unfinished(self._journals):
            header = answer.header
            known = self._catalog.query(
                "SELECT 1 FROM conversations WHERE id = ?", [str(header.get("conversation_id", ""))]
            )
            if known and answer.text and header.get("id"):
                facts = {**(header.get("facts") or {}), "finish_reason": INTERRUPTED}
                self.add_message(
                    header["conversation_id"],
                    "assistant",
                    answer.text,
                    parent_id=header.get("parent_id"),
                    facts=facts,
                    message_id=header["id"],
                )
                saved.append(str(header["id"]))
            answer.path.unlink(missing_ok=True)
        return saved

    # ---- judging ---------------------------------------------------------------------------------------------------

    def rate(self, message_id: str, rating: int, correction: str | None = None) -> Changes:
        """Rate an answer 1 or -1 (0 takes it back) or correct it; stored with the whole context of the turn."""
        conversation_id = self._conversation_of(message_id)
        by_id = {m.id: m for m in self.messages(conversation_id)}
        message = by_id[message_id]
        context = {**message.facts, "messages": prompt_messages("", path_to(by_id, message.parent_id))}
        values = {
            "message_id": message_id,
            "conversation_id": conversation_id,
            "rating": rating,
            "correction": correction,
            "context": context,
            "created": time.time(),
        }
        with self._catalog.transaction() as connection:
            insert(connection, "ratings", values)
        return Changes(chats=frozenset({conversation_id}))

    def ratings(self) -> list[dict[str, Any]]:
        """The newest rating of each rated answer, with the answer and its context."""
        return self._catalog.records(
            "SELECT r.message_id, r.conversation_id, r.rating, r.correction, r.context, r.created, m.content AS answer"
            " FROM ratings r JOIN messages m ON m.id = r.message_id WHERE m.deleted_by = ''"
            " QUALIFY row_number() OVER (PARTITION BY r.message_id ORDER BY r.created DESC) = 1 ORDER BY r.created"
        )

    def choose(self, conversation_id: str, kind: str, chosen: str, rejected: Sequence[str]) -> Changes:
        """Prefer one answer to others of the same question; an earlier choice among any of them is replaced.

        Args:
            kind: ``drafts``, ``models`` (side by side) or ``branches``.
            chosen: Id of the answer preferred; empty takes the choice back.
        """
        among = {chosen, *rejected} - {""}
        with self._catalog.transaction() as connection:
            for old in self.choices(conversation_id):
                if among & {old["chosen"], *old["rejected"]}:
                    connection.execute("UPDATE chat_choices SET is_withdrawn = true WHERE id = ?", [old["id"]])
            if chosen:
                values = {
                    "id": f"w-{secrets.token_hex(6)}",
                    "conversation_id": conversation_id,
                    "kind": kind,
                    "chosen": chosen,
                    "rejected": [answer for answer in rejected if answer != chosen],
                    "is_withdrawn": False,
                    "created": time.time(),
                }
                insert(connection, "chat_choices", values)
        return Changes(chats=frozenset({conversation_id}))

    def choices(self, conversation_id: str) -> list[dict[str, Any]]:
        """The choices that stand: id, kind, chosen, rejected, created."""
        return self._catalog.records(
            "SELECT id, kind, chosen, rejected, created FROM chat_choices WHERE conversation_id = ?"
            " AND NOT is_withdrawn ORDER BY created",
            [conversation_id],
        )

    # ---- tokens ----------------------------------------------------------------------------------------------------

    def keep_tokens(self, message_id: str, tokens: Sequence[dict[str, Any]]) -> None:
        """Keep the tokens of an answer: each with ``token``, ``logprob`` and ``top`` (pairs of text and logprob)."""
        with self._catalog.transaction() as connection:
            connection.execute("DELETE FROM chat_tokens WHERE message_id = ?", [message_id])
            insert(
                connection, "chat_tokens", {"message_id": message_id, "tokens": list(tokens), "created": time.time()}
            )

    def tokens(self, message_id: str) -> list[dict[str, Any]]:
        """The tokens kept of an answer; none when they were not asked for."""
        rows = self._catalog.records("SELECT tokens FROM chat_tokens WHERE message_id = ?", [message_id])
        return list(rows[0]["tokens"]) if rows else []
