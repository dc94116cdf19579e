"""The shapes in which ChatGPT, Claude, LM Studio, Jan and Open WebUI write conversations, read with patience.

None of these shapes is documented by a standard; each reader takes what it knows and passes over the rest. Seen in:
ChatGPT's ``conversations.json`` (``mapping`` of nodes with ``message.content.parts``), Claude's ``conversations.json``
(``chat_messages`` with ``sender``), LM Studio's ``*.conversation.json`` (``messages[].versions``), Jan's ``thread.json``
with ``messages.jsonl``, Open WebUI's export (``chat.history.messages`` by id), and this program's own JSON Lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fmstudio.project.chat_records import ChatMessage

ROLES = {
    "user": "user", "human": "user", "assistant": "assistant", "ai": "assistant", "bot": "assistant", "model": "assistant",
    "system": "system", "tool": "tool",
}  # fmt: skip
Json = Any


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation as another program wrote it; ids are that program's.

    Attributes:
        shown: Id of the last turn of the branch shown there.
    """

    source: str
    id: str
    title: str
    created: float
    messages: list[ChatMessage]
    shown: str = ""


def read_talks(name: str, value: Json, notes: list[str]) -> list[Talk]:
    """Conversations in a JSON document of any known shape; what cannot be read is said in `notes`."""
    found: list[Talk] = []
    for item in _items(name, value):
        reader = next((read for test, read in _SHAPES if test(item)), None)
        if reader is None:
            continue
        try:
            talk = reader(name, item)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            notes.append(f"A conversation of “{name}” cannot be read ({type(error).__name__}: {str(error)[:60]}).")
            continue
        if talk.messages:
            found.append(talk)
    return found


def _items(name: str, value: Json) -> list[Mapping[str, Any]]:
    """The conversations of a document: a list of them, one alone, or messages line by line."""
    if isinstance(value, Mapping):
        inner = next(
            (value[key] for key in ("conversations", "chats", "data") if isinstance(value.get(key), list)), None
        )
        value = inner if inner is not None else [value]
    if not isinstance(value, list):
        return []
    items = [item for item in value if isinstance(item, Mapping)]
    if items and all("role" in item and "content" in item for item in items):
        return [{"_messages": items, "_name": name}]
    return items


# ---- ChatGPT ---------------------------------------------------------------------------------------------------------


def _chatgpt(_: str, item: Mapping[str, Any]) -> Talk:
    nodes: Mapping[str, Any] = item["mapping"]
    kept: dict[str, ChatMessage] = {}
    for key, node in nodes.items():
        message = node.get("message") if isinstance(node, Mapping) else None
        text = _parts((message or {}).get("content"))
        role = ROLES.get(str(((message or {}).get("author") or {}).get("role")), "")
        is_hidden = ((message or {}).get("metadata") or {}).get("is_visually_hidden_from_conversation")
        if message and text.strip() and role in ("user", "assistant", "system") and not is_hidden:
            model = (message.get("metadata") or {}).get("model_slug")
            kept[key] = _message(key, _kept_parent(nodes, key), role, text, message.get("create_time"), model)
    # Nodes without text were left out: a child hangs on the nearest ancestor that was kept.
    messages = [_hang(message, nodes, kept) for message in kept.values()]
    shown = str(item.get("current_node") or "")
    shown = shown if shown in kept else _near(nodes, shown, kept)
    name = str(item.get("conversation_id") or item.get("id") or "")
    return Talk(
        "ChatGPT", name, str(item.get("title") or ""), _time(item.get("create_time")), _ordered(messages), shown
    )


def _kept_parent(nodes: Mapping[str, Any], key: str) -> str | None:
    parent = nodes[key].get("parent")
    return str(parent) if parent else None


def _near(nodes: Mapping[str, Any], key: str, kept: Mapping[str, ChatMessage]) -> str:
    seen: set[str] = set()
    while key and key not in kept and key not in seen:
        seen.add(key)
        node = nodes.get(key)
        key = str(node.get("parent") or "") if isinstance(node, Mapping) else ""
    return key if key in kept else ""


def _hang(message: ChatMessage, nodes: Mapping[str, Any], kept: Mapping[str, ChatMessage]) -> ChatMessage:
    parent = _near(nodes, message.parent_id or "", kept)
    return _again(message, parent or None)


def _parts(content: Json) -> str:
    """Text of a message's content: a text, a list of parts, or an object with parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        for key in ("parts", "content"):
            if isinstance(content.get(key), list):
                return _parts(content[key])
        for key in ("text", "value", "result"):
            inner = content.get(key)
            if isinstance(inner, str):
                return inner
            if isinstance(inner, Mapping):
                return _parts(inner)
        return ""
    if isinstance(content, list):
        return "\n".join(text for part in content if (text := _parts(part)))
    return ""


# ---- Claude ----------------------------------------------------------------------------------------------------------


def _claude(_: str, item: Mapping[str, Any]) -> Talk:
    messages: list[ChatMessage] = []
    last: str | None = None
    for place, said in enumerate(item["chat_messages"]):
        role = ROLES.get(str(said.get("sender") or said.get("role")), "")
        text = str(said.get("text") or "") or _parts(said.get("content"))
        files = [
            {"name": str(a.get("file_name") or "file"), "kind": "text", "text": str(a.get("extracted_content") or "")}
            for a in said.get("attachments") or ()
            if isinstance(a, Mapping) and a.get("extracted_content")
        ]
        if role and (text.strip() or files):
            key = str(said.get("uuid") or place)
            parent = str(said.get("parent_message_uuid") or "")
            known = {message.id for message in messages}
            made = _message(key, parent if parent in known else last, role, text, said.get("created_at"))
            messages.append(_again(made, made.parent_id, {"attachments": files} if files else {}))
            last = key
    title = str(item.get("name") or item.get("title") or "")
    return Talk("Claude", str(item.get("uuid") or ""), title, _time(item.get("created_at")), messages, last or "")


# ---- LM Studio -------------------------------------------------------------------------------------------------------


def _lmstudio(name: str, item: Mapping[str, Any]) -> Talk:
    messages: list[ChatMessage] = []
    last: str | None = None
    system = str(item.get("systemPrompt") or "")
    for place, said in enumerate(item["messages"]):
        versions = said.get("versions") or [said]
        chosen = int(said.get("currentlySelected") or 0)
        after = None
        for number, version in enumerate(versions):
            role, text = ROLES.get(str(version.get("role")), ""), _lmstudio_text(version)
            if not role or not text.strip():
                continue
            key = f"{place}.{number}"
            sender = (version.get("senderInfo") or {}).get("senderName")
            made = _message(key, last, role, text, item.get("createdAt"), sender)
            messages.append(_again(made, last, {"system_prompt": system} if system and role == "assistant" else {}))
            if number == chosen or after is None:
                after = key
        last = after or last
    title = str(item.get("name") or name.rsplit("/", 1)[-1].split(".")[0])
    key = str(item.get("identifier") or item.get("createdAt") or "")
    return Talk("LM Studio", key, title, _time(item.get("createdAt")), messages, last or "")


def _lmstudio_text(version: Mapping[str, Any]) -> str:
    steps = version.get("steps")
    if isinstance(steps, list):  # what the model thought is a step of its own style, and no answer
        kept = [s for s in steps if (s.get("style") or {}).get("type") != "thinking"]
        return "\n".join(text for step in kept if (text := _parts(step.get("content"))))
    return _parts(version.get("content"))


# ---- Jan -------------------------------------------------------------------------------------------------------------


def _jan(name: str, item: Mapping[str, Any]) -> Talk:
    messages: list[ChatMessage] = []
    for place, said in enumerate(item.get("_messages") or item.get("messages") or ()):
        role, text = ROLES.get(str(said.get("role")), ""), _parts(said.get("content"))
        if role and text.strip():
            parent = messages[-1].id if messages else None
            when = said.get("created_at") or said.get("created") or said.get("timestamp")
            messages.append(_message(str(said.get("id") or place), parent, role, text, when, said.get("model")))
    thread = str(next((s.get("thread_id") for s in item.get("_messages") or () if s.get("thread_id")), ""))
    first = next((m.content for m in messages if m.role == "user"), "")
    title = str(item.get("title") or "") or " ".join(first.split())[:48]
    created = messages[0].created if messages else 0.0
    shown = messages[-1].id if messages else ""
    source = "Jan" if thread or "assistants" in item or "thread" in str(item.get("object", "")) else "a file"
    key = str(item.get("id") or thread)
    return Talk(source, key, title, created, messages, shown)


# ---- Open WebUI ------------------------------------------------------------------------------------------------------


def _openwebui(_: str, item: Mapping[str, Any]) -> Talk:
    chat = item.get("chat") if isinstance(item.get("chat"), Mapping) else item
    assert isinstance(chat, Mapping)
    history = chat.get("history") or {}
    stored = history.get("messages")
    said: Sequence[Any] = list(stored.values()) if isinstance(stored, Mapping) else list(chat.get("messages") or ())
    messages, last = [], None
    for place, one in enumerate(said):
        role, text = ROLES.get(str(one.get("role")), ""), _parts(one.get("content"))
        if role and text.strip():
            key = str(one.get("id") or place)
            parent = one.get("parentId") if "parentId" in one else last
            made = _message(key, str(parent) if parent else None, role, text, one.get("timestamp"), one.get("model"))
            rating = (one.get("annotation") or {}).get("rating")
            messages.append(_rated(made, rating))
            last = key
    kept = {message.id for message in messages}
    messages = [m if m.parent_id in kept else _again(m, None) for m in messages]
    shown = str(history.get("currentId") or last or "")
    created = _time(item.get("created_at") or chat.get("timestamp"))
    title = str(item.get("title") or chat.get("title") or "")
    return Talk("Open WebUI", str(item.get("id") or chat.get("id") or ""), title, created, _ordered(messages), shown)


def _rated(message: ChatMessage, rating: Json) -> ChatMessage:
    value = int(rating) if isinstance(rating, int | float) and not isinstance(rating, bool) else 0
    return _replaced(message, rating=max(-1, min(1, value)))


# ---- this program ----------------------------------------------------------------------------------------------------


def _own(_: str, item: Mapping[str, Any]) -> Talk:
    messages = [
        ChatMessage(
            str(turn["id"]),
            "",
            turn.get("parent_id"),
            str(turn["role"]),
            str(turn["content"]),
            dict(turn.get("facts") or {}),
            float(turn.get("created") or 0),
            int(turn.get("rating") or 0),
            turn.get("correction"),
        )
        for turn in item["turns"]
    ]
    last = messages[-1].id if messages else ""
    return Talk(
        "FM Studio", str(item.get("id", "")), str(item.get("title", "")), _time(item.get("created")), messages, last
    )


# ---- parts -----------------------------------------------------------------------------------------------------------


def _message(key: str, parent: str | None, role: str, text: str, when: Json, model: Json = None) -> ChatMessage:
    facts = {"model": {"name": str(model)}} if model and role == "assistant" else {}
    return ChatMessage(key, "", parent, role, text, facts, _time(when) if when else 0.0)


def _again(message: ChatMessage, parent: str | None, more: Mapping[str, Any] | None = None) -> ChatMessage:
    return _replaced(message, parent_id=parent, facts={**message.facts, **(more or {})})


def _replaced(message: ChatMessage, **changes: Any) -> ChatMessage:
    from dataclasses import replace

    return replace(message, **changes)


def _ordered(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Parents before their children; a circle is cut where it is entered."""
    by_id = {message.id: message for message in messages}
    placed: dict[str, ChatMessage] = {}
    for message in messages:
        chain: list[ChatMessage] = []
        at: ChatMessage | None = message
        while at is not None and at.id not in placed and at not in chain:
            chain.append(at)
            at = by_id.get(at.parent_id or "")
        is_circle = at is not None and at in chain
        for one in reversed(chain):
            parent = None if is_circle and one is chain[-1] else one.parent_id
            placed[one.id] = _again(one, parent if parent in placed else None)
    return list(placed.values())


def _time(value: Json) -> float:
    """Seconds since 1970 from seconds, milliseconds, microseconds or an ISO date; now when there is none."""
    if isinstance(value, str) and value:
        try:
            return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
        except ValueError:
            return time.time()
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        seconds = float(value)
        while seconds > 1e11:
            seconds /= 1000
        return seconds
    return time.time()


_SHAPES: list[tuple[Callable[[Mapping[str, Any]], bool], Callable[[str, Mapping[str, Any]], Talk]]] = [
    (lambda item: isinstance(item.get("mapping"), Mapping), _chatgpt),
    (lambda item: isinstance(item.get("chat_messages"), list), _claude),
    (lambda item: isinstance(item.get("turns"), list), _own),
    (lambda item: isinstance(item.get("chat"), Mapping) or isinstance(item.get("history"), Mapping), _openwebui),
    (
        lambda item: (
            isinstance(item.get("messages"), list)
            and any(isinstance(m, Mapping) and "versions" in m for m in item["messages"])
        ),
        _lmstudio,
    ),
    (lambda item: isinstance(item.get("_messages") or item.get("messages"), list), _jan),
]
