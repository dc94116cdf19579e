"""Turns as a file had them: what ``messages`` cannot say (tool calls, pictures, names, weights) is kept beside them.

An import keeps it as JSON text in a column that ends in ``_original``. A turn takes it from there; its text is always that of
``messages``, where it may have been edited.
"""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from fmstudio.api import message_keys

if TYPE_CHECKING:
    import pyarrow as pa

Turn = dict[str, Any]


def originals_column(schema: pa.Schema) -> str:
    """Name the column that holds the turns as the file had them; empty when there is none."""
    import pyarrow as pa

    texts = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    return next((name for name in texts if name.endswith("_original")), "") if "messages" in schema.names else ""


def rebuilt(messages: list[Turn], original: Any) -> list[Turn]:
    """Give messages the further fields and parts that their turns had.

    Args:
        messages: As they are stored: role and text, perhaps edited since the import.
        original: JSON text of the turns as the file had them, or None.
    """
    turns = _turns(original)
    if not turns:
        return messages
    texts = [_text(turn) for turn in turns]
    found: list[Turn] = []
    for tag, i, j, k, m in SequenceMatcher(None, texts, [m["content"] for m in messages], autojunk=False).get_opcodes():
        # Turns that were put in or taken out shift the others; as many with other texts are the same turns, edited.
        if tag == "equal" or (tag == "replace" and j - i == m - k):
            found += [_whole(message, turn) for message, turn in zip(messages[k:m], turns[i:j], strict=True)]
        else:
            found += messages[k:m]
    return found


def says_more_than_text(message: Turn) -> bool:
    """Whether a turn calls tools or shows something, so that its text alone would not be what was said."""
    parts = message["content"] if isinstance(message["content"], list) else ()
    return bool(message.get("tool_calls") or message.get("function_call") or any(map(_is_shown, parts)))


def _turns(original: Any) -> list[Turn]:
    try:
        turns = json.loads(original) if isinstance(original, str) else None
        if turns and "\\ud" in original.lower():  # JSON can write half a character, which no file can hold
            turns = json.loads(json.dumps(turns, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return []
    if not isinstance(turns, list) or not all(isinstance(turn, dict) and message_keys(turn)[0] for turn in turns):
        return []
    return [{key: value for key, value in turn.items() if value is not None} for turn in turns]


def _text(turn: Turn) -> str:
    """The text of a turn as the import read it."""
    content = turn.get(message_keys(turn)[1])
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "\n".join(str(part["text"]) for part in content if isinstance(part.get("text"), str))
    return json.dumps(content, ensure_ascii=False, default=str)


def _whole(message: Turn, turn: Turn) -> Turn:
    role, content = message_keys(turn)
    more = {key: value for key, value in turn.items() if key not in (role, content)}
    said, parts = message["content"], turn.get(content)
    if not said and parts is None and more:
        said = None
    elif isinstance(parts, list) and all(isinstance(part, dict) for part in parts):
        if _text(turn) == said:
            said = parts
        elif shown := [part for part in parts if _is_shown(part)]:
            said = [{"type": "text", "text": said}, *shown]
    return {**message, "content": said, **more}


def _is_shown(part: dict[str, Any]) -> bool:
    return not isinstance(part.get("text"), str)
