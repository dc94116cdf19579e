"""Searching all messages of a project, without regard to case and accents.

Each message keeps its text folded (lower case, no accents), and an index says which words stand in which messages. A
word is what stands between white space, and a search looks inside words, so that an index of words finds the same as
reading all texts does, in languages without spaces too. What stands in few messages is looked up; what stands in many
is read, newest conversations first, until enough are found. Measured by tests/benchmarks/chat_search.py.
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
FEW = 2_000
"""Messages at most that are looked up one by one; what stands in more of them is soon met by reading."""
_WORDS = "string_split(translate(folded, chr(9) || chr(10) || chr(13), '   '), ' ')"
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
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFD", text)
    return "".join(ch for ch in plain if not unicodedata.combining(ch)).lower()


def next_number(connection: Any) -> int:
    """The number of the next message to be saved; numbers grow by one."""
    return int(connection.execute("SELECT coalesce(max(number), 0) + 1 FROM messages").fetchall()[0][0])


def enter_texts(connection: Any, first: int) -> None:
    """Make the messages from that number on ready to be found; inside the transaction that saves them."""
    connection.execute("UPDATE messages SET folded = lower(strip_accents(content)) WHERE number >= ?", [first])
    connection.execute(
        f"INSERT INTO chat_words SELECT nextval('word_numbers'), word FROM (SELECT DISTINCT unnest({_WORDS}) AS word"
        " FROM messages WHERE number >= ?) WHERE word <> '' AND word NOT IN (SELECT word FROM chat_words)",
        [first],
    )
    connection.execute(
        f"INSERT INTO chat_places SELECT w.id, m.number FROM (SELECT number, unnest(list_distinct({_WORDS})) AS word"
        " FROM messages WHERE number >= ?) m JOIN chat_words w ON w.word = m.word ORDER BY w.id, m.number",
        [first],
    )


def search_conversations(catalog: Catalog, search: str) -> list[Found]:
    """Conversations with a message or a title that holds all words of `search`, newest first, at most `MOST_FOUND`."""
    terms = [str(row[0]) for row in catalog.query("SELECT lower(strip_accents(unnest(?)))", [terms_of(search)])]
    if not terms:
        return []
    numbers = _rare_places(catalog, terms)
    hits = _read_newest(catalog, terms) if numbers is None else _read_places(catalog, terms, numbers)
    in_title = " AND ".join("contains(lower(strip_accents(title)), ?)" for _ in terms)
    rows = catalog.records(
        f"SELECT {CONVERSATION_FIELDS} FROM conversations WHERE NOT is_deleted AND (id IN (SELECT unnest(?)) OR"
        f" ({in_title})) ORDER BY is_pinned DESC, updated DESC LIMIT {MOST_FOUND}",
        [list(hits), *terms],
    )
    texts = _texts(catalog, [hits[row["id"]][1] for row in rows if row["id"] in hits])
    found = []
    for row in rows:
        count, number = hits.get(row["id"], (0, 0))
        message_id, text = texts.get(number, ("", ""))
        found.append(Found(conversation_of(row), count, message_id, snippet(text, terms[0])))
    return found


Hits = dict[str, tuple[int, int]]
"""Of each conversation: how many messages hold all words, and the number of the newest of them."""


def _rare_places(catalog: Catalog, terms: list[str]) -> list[int] | None:
    """Numbers of the messages with the rarest part of a search; None when every part stands in many."""
    for part in sorted({part for term in terms for part in term.split()}, key=len, reverse=True):
        rows = catalog.query(
            "SELECT DISTINCT message FROM chat_places WHERE word IN"
            f" (SELECT id FROM chat_words WHERE contains(word, ?)) LIMIT {FEW + 1}",
            [part],
        )
        if len(rows) <= FEW:
            return [row[0] for row in rows]
    return None


def _read_places(catalog: Catalog, terms: list[str], numbers: list[int]) -> Hits:
    """Read these messages."""
    hits: Hits = {}
    rows = catalog.query(
        "SELECT conversation_id, number, folded FROM messages WHERE number IN (SELECT unnest(?)) AND deleted_by = ''"
        " ORDER BY created",
        [numbers],
    )
    for conversation_id, number, folded in rows:
        if all(term in folded for term in terms):
            hits[conversation_id] = (hits.get(conversation_id, (0, 0))[0] + 1, number)
    return hits


def _read_newest(catalog: Catalog, terms: list[str]) -> Hits:
    """Read conversations from the newest back, until enough hold the words."""
    order = catalog.query("SELECT id FROM conversations WHERE NOT is_deleted ORDER BY is_pinned DESC, updated DESC")
    hits: Hits = {}
    start, count = 0, 2 * MOST_FOUND
    while start < len(order) and len(hits) < MOST_FOUND:
        rows = catalog.query(
            "SELECT conversation_id, count(*), arg_max(number, created) FROM messages"
            " WHERE conversation_id IN (SELECT unnest(?)) AND deleted_by = '' AND"
            f" {' AND '.join('contains(folded, ?)' for _ in terms)} GROUP BY conversation_id",
            [[row[0] for row in order[start : start + count]], *terms],
        )
        hits.update({row[0]: (row[1], row[2]) for row in rows})
        start, count = start + count, 4 * count
    return hits


def _texts(catalog: Catalog, numbers: list[int]) -> dict[int, tuple[str, str]]:
    """Id and text of each of these messages."""
    if not numbers:
        return {}
    rows = catalog.query("SELECT number, id, content FROM messages WHERE number IN (SELECT unnest(?))", [numbers])
    return {row[0]: (row[1], row[2]) for row in rows}


def snippet(text: str, term: str) -> str:
    """One line of text around the first place where the term stands."""
    line = " ".join(text.split())
    at = max(fold(line).find(fold(term)), 0)
    start = max(0, at - AROUND // 2)
    cut = line[start : start + 2 * AROUND]
    return ("…" if start else "") + cut + ("…" if start + 2 * AROUND < len(line) else "")
