"""How conversations, turns and ratings are written into the catalogue, and what is read out of many answers."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from fmstudio.project.chat_records import ChatMessage, Conversation, TokenCost
from fmstudio.project.chat_search import enter_texts, next_number

ENOUGH_TOKENS = 8
"""Tokens an answer needs to count for the cost of one."""


def insert_turns(connection: Any, talks: Sequence[tuple[Conversation, Sequence[ChatMessage]]]) -> None:
    """Write the turns of whole conversations at once; inside a transaction."""
    import pyarrow as pa

    turns = [
        {**message_row(m), "facts": json.dumps(m.facts, ensure_ascii=False, default=str), "place": place}
        for _, messages in talks
        for place, m in enumerate(messages)
    ]
    if not turns:
        return
    # Turns of one moment keep their order: a microsecond apart.
    first = next_number(connection)
    connection.register("new_turns", pa.Table.from_pylist(turns))
    connection.execute(
        "INSERT INTO messages (id, conversation_id, parent_id, role, content, facts, created, deleted_by,"
        " folded, number) SELECT id, conversation_id, parent_id, role, content, facts::JSON,"
        " created + place * 1e-6, '', '', ? + row_number() OVER () - 1 FROM new_turns",
        [first],
    )
    connection.unregister("new_turns")
    enter_texts(connection, first)


def token_costs_of(rows: Sequence[dict[str, Any]]) -> list[TokenCost]:
    """The median time of a token with each set of adapters, from the ``facts`` of answers."""
    times: dict[frozenset[str], list[float]] = {}
    for row in rows:
        facts = row["facts"] or {}
        rate = float((facts.get("timings") or {}).get("predicted_per_second") or 0)
        if rate > 0 and int((facts.get("usage") or {}).get("completion_tokens") or 0) >= ENOUGH_TOKENS:
            on = frozenset(str(a.get("id")) for a in facts.get("adapters") or ())
            times.setdefault(on, []).append(1000 / rate)
    return [TokenCost(on, statistics.median(found), len(found)) for on, found in times.items()]


def conversation_row(made: Conversation) -> dict[str, Any]:
    """The catalogue's row of a new conversation."""
    return {
        "id": made.id,
        "title": made.title,
        "model_id": made.model_id,
        "settings": made.settings,
        "is_deleted": False,
        "created": made.created,
        "updated": made.updated,
        "folder": made.folder,
        "is_pinned": made.is_pinned,
        "titled_by": made.titled_by,
        "shown": made.shown,
    }


def rating_row(message: ChatMessage) -> dict[str, Any]:
    """The catalogue's row of a judgement that came with an imported turn."""
    return {
        "message_id": message.id,
        "conversation_id": message.conversation_id,
        "rating": message.rating,
        "correction": message.correction,
        "context": message.facts,
        "created": message.created,
    }


def message_row(made: ChatMessage) -> dict[str, Any]:
    """The catalogue's row of a new turn, without its folded text."""
    return {
        "id": made.id,
        "conversation_id": made.conversation_id,
        "parent_id": made.parent_id,
        "role": made.role,
        "content": made.content,
        "facts": made.facts,
        "created": made.created,
        "deleted_by": "",
    }
