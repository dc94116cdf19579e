"""`Sample`: questions that detection asks of column names and a few rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Dict
from typing import Any

from fmstudio.api import message_keys
from fmstudio.core.canonical_tree import tree_of, turns_of
from fmstudio.core.schemas import ROLES

CHAT_NAMES = (
    "messages",
    "conversations",
    "conversation",
    "dialog",
    "dialogue",
    "turns",
    "utterances",
    "chat",
    "contents",
)
"""Names of columns that hold conversations, in public datasets."""
_MOST_FIELDS = 64
"""Objects with more fields are not looked into."""


class Sample:
    """The first rows of a file as plain Python values.

    Attributes:
        columns: Names as the file has them.
        rows: The rows.
        roles: Role name (lower case) → canonical role, where the user has said who speaks.
        trees: Columns that hold ChatGPT's trees; their rows hold the turns instead.
    """

    def __init__(
        self, columns: Sequence[str], rows: Sequence[Dict[str, Any]], roles: Dict[str, str] | None = None
    ) -> None:
        self.columns = list(columns)
        self.trees = {name for row in rows for name, value in row.items() if tree_of(value)}
        # Opened once: a conversation may be long, and much is asked of it.
        self.rows = [{**row, **{n: opened(row[n]) for n in self.trees if n in row}} for row in rows]
        self.roles = dict(roles or {})
        self._by_name = {name.lower().strip(): name for name in columns}

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def named(self, *names: str) -> str:
        """The first column of one of these names, whatever its case; empty when there is none."""
        return next((self._by_name[name] for name in names if name in self._by_name), "")

    def values(self, name: str) -> list[Any]:
        """The values of a column that are not null."""
        return [row[name] for row in self.rows if row.get(name) is not None]

    def share(self, name: str, test: Callable[[Any], bool]) -> float:
        """How many of a column's values pass, 0 to 1; 0 when it has none."""
        values = self.values(name)
        return sum(map(test, values)) / len(values) if values else 0.0

    def count(self, *names: str) -> int:
        """How many rows have all these columns."""
        return sum(all(row.get(name) is not None for name in names) for row in self.rows)

    def is_text(self, name: str) -> bool:
        """Whether a column holds text or nothing in every row."""
        return all(isinstance(value, str) for value in self.values(name))

    def objects(self, deepest: int = 3) -> Iterator[tuple[str, Sample]]:
        """Give the objects that columns hold, down to some depth, each with its path (``response.body``) and its fields."""
        for name in self.columns:
            values = self.values(name)
            if not values or not all(isinstance(value, dict) for value in values):
                continue
            fields = list(dict.fromkeys(field for value in values for field in value))
            if len(fields) > _MOST_FIELDS:  # keys that are values, e.g. the ids of messages
                continue
            inside = Sample(fields, values, self.roles)
            yield name, inside
            if deepest > 1:
                yield from ((f"{name}.{place}", found) for place, found in inside.objects(deepest - 1))

    def mean_length(self, name: str) -> float:
        """Mean length of a column's texts in characters."""
        lengths = [len(value) for value in self.values(name) if isinstance(value, str)]
        return sum(lengths) / max(1, len(lengths))


def shape_of(value: Any) -> str:
    """Say what a cell looks like: ``"messages"`` (role and content each, or ChatGPT's tree), ``"turns"`` (strings) or ``""``."""
    value = opened(value)
    if not isinstance(value, (list, tuple)) or not value:
        return ""
    if all(isinstance(turn, str) for turn in value):
        return "turns"
    return "messages" if all(map(is_message, value)) else ""


def opened(value: Any) -> Any:
    """Parse a list that is written as JSON text, and take the turns out of ChatGPT's tree; anything else as it is."""
    if tree := tree_of(value):
        return turns_of(tree)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def is_message(value: Any) -> bool:
    """Whether a cell is one message: an object with who speaks and what, be it parts (Gemini) or calls of tools."""
    if not isinstance(value, dict):
        return False
    role, content = message_keys(value)
    return bool(role) and bool(content or any(key in value for key in ("parts", "tool_calls", "function_call")))


def ends_with_question(value: Any) -> bool:
    """Whether a cell holds messages of which the last is not the assistant's: what was asked, or a tool's result."""
    if shape_of(value) != "messages":
        return False
    last = opened(value)[-1]
    return ROLES.get(str(last[message_keys(last)[0]]).strip().lower()) in ("user", "tool")
