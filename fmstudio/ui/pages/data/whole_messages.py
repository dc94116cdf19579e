"""Messages of a row with what their importer kept beside them: calls of tools, names, whatever a text cannot say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fmstudio.ui.widgets.table.values import is_messages, plain_content

KEPT = "_original"
"""End of the name of the column that holds messages as they came, as JSON."""
SAID = frozenset({"role", "from", "speaker", "content", "value", "text", "message"})
"""Keys that messages of all formats have for who says what; these are in the messages themselves."""

Message = Mapping[str, Any]


def whole_messages(name: str, record: Mapping[str, Any]) -> Any:
    """The value of a column; where it is messages, each with what it had more when it came, if it still says the same."""
    value = record[name]
    if not is_messages(value):
        return value
    beside = [f"{name}{KEPT}", *(other for other in record if other.endswith(KEPT))]
    return next((found for other in beside if (found := _joined(value, record.get(other)))), value)


def _joined(messages: Sequence[Message], kept: Any) -> list[dict[str, Any]]:
    """Empty where what was kept belongs to other messages, or says nothing more."""
    try:
        before = json.loads(kept) if isinstance(kept, str) else kept
    except (ValueError, RecursionError):
        return []
    if not isinstance(before, list) or len(before) != len(messages):
        return []
    pairs = list(zip(messages, before, strict=True))
    if not all(isinstance(one, dict) and _says_the_same(message, one) for message, one in pairs):
        return []
    joined = [{**{key: one[key] for key in one if key not in SAID}, **message} for message, one in pairs]
    return joined if any(len(one) > len(message) for one, message in zip(joined, messages, strict=True)) else []


def _says_the_same(message: Message, before: Message) -> bool:
    said = next((before[key] for key in ("content", "value", "text", "message") if before.get(key)), "")
    return not isinstance(said, str) or said.strip() == plain_content(message.get("content")).strip()
