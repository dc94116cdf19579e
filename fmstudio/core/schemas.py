"""Schema of raw rows: which columns are the conversation, the prompt and completion, or the text.

Looks at column names and a sample of rows as plain Python values; `fmstudio.core.canonical` does the converting.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from fmstudio.api import SchemaKind, UserError

ROLE_KEYS = ("role", "from", "speaker", "author", "sender")
"""Names of a message's role field, in order of preference; `CONTENT_KEYS` of its text."""
CONTENT_KEYS = ("content", "value", "text", "message", "utterance")

ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user", "customer": "user", "client": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "model": "assistant", "ai": "assistant",
    "chatgpt": "assistant", "chatbot": "assistant", "agent": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "function_response": "tool", "tool_response": "tool",
}  # fmt: skip
"""Role names met in public datasets (lower case) → the four canonical roles."""

_CHAT_NAMES = ("messages", "conversations", "conversation", "dialog", "dialogue", "turns", "utterances", "chat")
_PAIRS = (
    ("prompt", "completion"), ("prompt", "response"), ("prompt", "answer"), ("prompt", "output"),
    ("instruction", "output"), ("instruction", "response"), ("instruction", "completion"),
    ("question", "answer"), ("question", "response"), ("query", "response"), ("query", "answer"),
    ("user", "assistant"), ("human", "assistant"), ("human", "gpt"), ("input", "output"), ("source", "target"),
)  # fmt: skip
_TEXTS = ("text", "content", "body", "document", "passage", "article", "paragraph", "sentence", "message")
_TARGETS: dict[str, SchemaKind] = {
    "messages": "conversation", "system": "conversation",
    "prompt": "prompt_completion", "input": "prompt_completion", "completion": "prompt_completion",
    "text": "text",
}  # fmt: skip
_NEEDED: dict[str, tuple[str, ...]] = {
    "conversation": ("messages",), "prompt_completion": ("prompt", "completion"), "text": ("text",), "table": (),
}  # fmt: skip


@dataclass(frozen=True)
class Mapping:
    """How raw columns become canonical ones.

    Attributes:
        kind: What the rows are.
        columns: Target → source column. Targets: ``messages`` and ``system`` (put first as a system message);
            ``prompt``, ``input`` (joined to the prompt after an empty line) and ``completion``; ``text``.
        roles: Role name in the file → canonical role, for names beyond the canonical four.
        notes: What was noticed, in words for the user.
    """

    kind: SchemaKind
    columns: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, pairs: Sequence[str]) -> Mapping:
        """Read ``["prompt=question", "completion=answer", "kind=prompt_completion", "role.bot=assistant"]``.

        Raises:
            UserError: A part is not ``target=source``, a target, kind or role is unknown, or one is missing.
        """
        columns: dict[str, str] = {}
        roles: dict[str, str] = {}
        kind = ""
        for pair in pairs:
            target, sign, source = pair.partition("=")
            if not sign or not source:
                raise UserError(f"“{pair}” is not a mapping.", remedy="Write target=column, e.g. prompt=question.")
            if target == "kind":
                kind = _known(source, get_args(SchemaKind), "kind of data")
            elif target.startswith("role."):
                roles[target[5:].lower()] = _known(source, sorted(set(ROLES.values())), "role")
            else:
                columns[_known(target, list(_TARGETS), "mapping target")] = source
        return cls.of({"kind": kind, "columns": columns, "roles": roles})

    @classmethod
    def of(cls, data: Dict[str, Any]) -> Mapping:
        """Read what `to_dict` gave; the kind follows from the targets when it is empty.

        Raises:
            UserError: Targets of two kinds are mixed, or one is missing.
        """
        columns = dict(data.get("columns") or {})
        kinds = {_TARGETS[_known(target, list(_TARGETS), "mapping target")] for target in columns}
        kind: str = data.get("kind") or (kinds.pop() if len(kinds) == 1 else "" if kinds else "table")
        if not kind or any(_TARGETS[target] != kind for target in columns):
            raise UserError(f"The mapping mixes targets of different kinds: {', '.join(sorted(columns))}.")
        missing = [target for target in _NEEDED[kind] if target not in columns]
        if missing:
            raise UserError(f"The mapping lacks {' and '.join(missing)}.", remedy=f"Add {missing[0]}=COLUMN.")
        return cls(kind, columns, dict(data.get("roles") or {}), tuple(data.get("notes") or ()))  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Give the mapping as plain JSON data."""
        return {"kind": self.kind, "columns": self.columns, "roles": self.roles, "notes": list(self.notes)}

    def check(self, columns: Sequence[str]) -> None:
        """Make sure that every source column exists.

        Raises:
            UserError: One does not; the message lists what is there and the nearest name.
        """
        for source in self.columns.values():
            _known(source, list(columns), "column")


def detect(columns: Sequence[str], sample_rows: Sequence[Dict[str, Any]]) -> Mapping:
    """Guess the mapping from column names and a few rows; a table when nothing else fits."""
    by_name = {name.lower().strip(): name for name in columns}
    return (
        _conversation(by_name, sample_rows)
        or _preference(by_name)
        or _pair(by_name, sample_rows)
        or _text(by_name, sample_rows)
        or Mapping("table")
    )


def shape_of(value: Any) -> str:
    """Say what a cell looks like: ``"messages"`` (role and content each), ``"turns"`` (strings) or ``""``."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return ""
    if not isinstance(value, (list, tuple)) or not value:
        return ""
    if all(isinstance(turn, str) for turn in value):
        return "turns"
    return "messages" if all(isinstance(turn, dict) and all(message_keys(turn)) for turn in value) else ""


def message_keys(message: Dict[str, Any]) -> tuple[str, str]:
    """Give the names of a message's role and content fields, empty where there is none."""
    role = next((key for key in ROLE_KEYS if key in message), "")
    return role, next((key for key in CONTENT_KEYS if key in message), "")


def _conversation(by_name: dict[str, str], rows: Sequence[Dict[str, Any]]) -> Mapping | None:
    found: dict[str, str] = {}
    for name in by_name.values():
        shapes = [shape_of(row.get(name)) for row in rows if row.get(name) is not None]
        best = max(("messages", "turns"), key=shapes.count)
        if (len(shapes) - shapes.count("")) * 2 > len(shapes):
            found[name] = best
    chats = [n for n, shape in found.items() if shape == "messages" or n.lower() in _CHAT_NAMES]
    chats.sort(key=lambda n: _CHAT_NAMES.index(n.lower()) if n.lower() in _CHAT_NAMES else len(_CHAT_NAMES))
    if not chats or {"chosen", "rejected"} <= by_name.keys():
        return None
    columns = {"messages": chats[0]}
    if "system" in by_name and all(isinstance(row.get(by_name["system"]), str | None) for row in rows):
        columns["system"] = by_name["system"]
    roles, notes = _roles(chats[0], rows)
    if found[chats[0]] == "turns":
        notes.append("Turns have no roles: the first is taken for the user's, the next for the assistant's, and so on.")
    if len(chats) > 1:
        notes.append(f"Other columns hold messages, too, and stay as they are: {', '.join(chats[1:])}.")
    return Mapping("conversation", columns, roles, tuple(notes))


def _roles(name: str, rows: Sequence[Dict[str, Any]]) -> tuple[dict[str, str], list[str]]:
    roles: dict[str, str] = {}
    unknown: set[str] = set()
    for row in rows:
        value = row.get(name)
        if shape_of(value) != "messages":
            continue
        for message in json.loads(value) if isinstance(value, str) else value or ():
            role = str(message[message_keys(message)[0]])
            if role.lower() not in ROLES:
                unknown.add(role)
            elif ROLES[role.lower()] != role:
                roles[role.lower()] = ROLES[role.lower()]
    notes = [f"Role “{r}” is not known; map it, e.g. role.{r}=assistant." for r in sorted(unknown)]
    return roles, notes


def _preference(by_name: dict[str, str]) -> Mapping | None:
    if not {"chosen", "rejected"} <= by_name.keys():
        return None
    return Mapping("table", notes=("Preference pairs (chosen, rejected): the columns stay as they are.",))


def _pair(by_name: dict[str, str], rows: Sequence[Dict[str, Any]]) -> Mapping | None:
    for prompt, completion in _PAIRS:
        if prompt not in by_name or completion not in by_name:
            continue
        columns = {"prompt": by_name[prompt], "completion": by_name[completion]}
        if not all(isinstance(row.get(name), str | None) for row in rows for name in columns.values()):
            continue
        notes = []
        if prompt == "instruction" and "input" in by_name:
            columns["input"] = by_name["input"]
            notes.append("The input is joined to the instruction, after an empty line.")
        return Mapping("prompt_completion", columns, notes=tuple(notes))
    return None


def _text(by_name: dict[str, str], rows: Sequence[Dict[str, Any]]) -> Mapping | None:
    strings = [n for n in by_name.values() if any(isinstance(row.get(n), str) for row in rows)]
    for name in _TEXTS:
        if by_name.get(name) in strings:
            return Mapping("text", {"text": by_name[name]})
    long = [n for n in strings if _mean_length(n, rows) >= 40]
    return Mapping("text", {"text": long[0]}) if len(long) == 1 and len(strings) == 1 else None


def _mean_length(name: str, rows: Sequence[Dict[str, Any]]) -> float:
    lengths = [len(row[name]) for row in rows if isinstance(row.get(name), str)]
    return sum(lengths) / max(1, len(lengths))


def _known(name: str, names: Sequence[str], what: str) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean “{near[0]}”?" if near else f"There are: {', '.join(names)}."
    raise UserError(f"There is no {what} “{name}”.", remedy=hint)
