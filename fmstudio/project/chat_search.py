"""Searching all messages of a project, without regard to case and accents.

Each message keeps its text folded (lower case, no accents) in a column of its own, and a search reads that column
through. Measured (tests/benchmarks/chat_search.py; 100 000 messages, 54 to 65 MB of text, 2 cores): 37 to 58 ms on a
quiet machine, 30 to 51 ms of processor time; ILIKE on the text itself took 72 to 95 ms beside it. An inverted index
(SQLite's FTS5: 1 ms, built in 0.8 s) would find beginnings of words only, nothing inside them and little in languages
without spaces, and be a second copy to keep true.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmstudio.project.chat_records import CONVERSATION_FIELDS, Conversation, conversation_of

if TYPE_CHECKING:
    from fmstudio.project.catalog import Catalog

MOST_FOUND = 200
AROUND = 48
_TERM = re.compile(r'"([^"]+)"|(\S+)')


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation that a search found.

    Attributes:
        hits: Messages that hold all words; 0 when only the title does.
        message_id, snippet: The newest of them, and its text around the first word.
    """

    conversation: Conversation
    hits: int
    message_id: str
    snippet: str


def terms_of(search: str) -> list[str]:
    """The words of a search; words in quotation marks stay together."""
    return [(match[1] or match[2]).strip() for match in _TERM.finditer(search) if (match[1] or match[2]).strip()]


def fold(text: str) -> str:
    """Lower case without accents, as the catalogue folds."""
    plain = unicodedata.normalize("NFD", text)
    return "".join(ch for ch in plain if not unicodedata.combining(ch)).lower()


def search_conversations(catalog: Catalog, search: str) -> list[Found]:
    """Conversations with a message or a title that holds all words of `search`, newest first, at most `MOST_FOUND`."""
    terms = terms_of(search)
    if not terms:
        return []
    in_text = " AND ".join("contains(folded, lower(strip_accents(?)))" for _ in terms)
    in_title = " AND ".join("contains(lower(strip_accents(title)), lower(strip_accents(?)))" for _ in terms)
    rows = catalog.records(
        f"WITH hits AS (SELECT conversation_id, count(*) AS hits, arg_max(id, created) AS message_id FROM messages"
        f" WHERE {in_text} AND deleted_by = '' GROUP BY conversation_id)"
        f" SELECT {CONVERSATION_FIELDS}, coalesce(h.hits, 0)::BIGINT AS hits,"
        " coalesce(h.message_id, '') AS message_id FROM conversations c"
        f" LEFT JOIN hits h ON h.conversation_id = c.id WHERE NOT is_deleted AND (h.hits > 0 OR ({in_title}))"
        f" ORDER BY is_pinned DESC, updated DESC LIMIT {MOST_FOUND}",
        terms * 2,
    )
    texts = _texts(catalog, [row["message_id"] for row in rows if row["message_id"]])
    return [_found(row, texts, terms[0]) for row in rows]


def _texts(catalog: Catalog, ids: list[str]) -> dict[str, str]:
    if not ids:
        return {}
    rows = catalog.query("SELECT id, content FROM messages WHERE id IN (SELECT unnest(?))", [ids])
    return {row[0]: row[1] for row in rows}


def _found(row: dict[str, Any], texts: dict[str, str], term: str) -> Found:
    hits, message_id = row.pop("hits"), row.pop("message_id")
    return Found(conversation_of(row), hits, message_id, snippet(texts.get(message_id, ""), term))


def snippet(text: str, term: str) -> str:
    """One line of text around the first place where the term stands."""
    line = " ".join(text.split())
    at = max(fold(line).find(fold(term)), 0)
    start = max(0, at - AROUND // 2)
    cut = line[start : start + 2 * AROUND]
    return ("…" if start else "") + cut + ("…" if start + 2 * AROUND < len(line) else "")
