"""Conversations as ChatGPT exports them: a tree of nodes (``mapping``), for every answer that was asked for again has a branch.

The branch that was shown last is read: at each fork the newest answer.
"""

from __future__ import annotations

import json
from typing import Any

_LONGEST = 100_000
"""Most turns of a branch; a tree that leads back into itself ends there."""


def tree_of(value: Any) -> dict[str, Any] | None:
    """Give the nodes of a tree, also when it is written as JSON text; None when it is none."""
    if isinstance(value, str) and value.startswith("{") and '"children"' in value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, dict):
        return None
    nodes = {key: node for key, node in value.items() if node is not None}  # names of other rows are null in this one
    is_tree = nodes and all(isinstance(n, dict) and isinstance(n.get("children"), list) for n in nodes.values())
    return nodes if is_tree and any(isinstance(n.get("message"), dict) for n in nodes.values()) else None


def turns_of(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the turns of the branch that was shown last, as messages; those without any content are left out."""
    at = next((key for key, node in tree.items() if node.get("parent") not in tree), next(iter(tree)))
    turns: list[dict[str, Any]] = []
    for _ in range(min(len(tree), _LONGEST)):
        if turn := _turn(tree[at].get("message")):
            turns.append(turn)
        following = [child for child in tree[at]["children"] if child in tree]
        if not following:
            break
        at = following[-1]
    return turns


def _turn(message: Any) -> dict[str, Any] | None:
    if not isinstance(message, dict) or not isinstance(message.get("content"), dict):
        return None
    metadata = message.get("metadata") or {}
    if isinstance(metadata, dict) and metadata.get("is_visually_hidden_from_conversation"):
        return None
    author, content = message.get("author") or {}, message["content"]
    said = _said(content)
    role = str(author.get("role") or "")
    if not said or not role or content.get("content_type") in _ABOUT:
        return None
    asked = message.get("recipient")
    if role == "assistant" and asked not in (None, "", "all"):
        call = {
            "name": str(asked),
            "arguments": said if isinstance(said, str) else json.dumps(said, ensure_ascii=False),
        }
        return {"role": role, "content": "", "function_call": call}
    turn: dict[str, Any] = {"role": role, "content": said}
    return turn | ({"name": author["name"]} if author.get("name") else {})


_ABOUT = ("user_editable_context", "model_editable_context", "thoughts", "reasoning_recap")
"""Contents that nobody said: instructions beside the conversation, and what a model thought."""


def _said(content: dict[str, Any]) -> Any:
    """The text of a content; its parts where some of them are pictures or files."""
    parts = content.get("parts")
    if not isinstance(parts, list):
        return content.get("text") or content.get("result") or ""
    parts = [part for part in parts if part not in (None, "")]
    if all(isinstance(part, str) for part in parts):
        return "\n".join(parts)
    return [
        {"type": "text", "text": part} if isinstance(part, str) else part
        for part in parts
        if isinstance(part, (str, dict))
    ]
