"""Chats as files: Markdown and HTML to read, JSON Lines and Parquet to go on with. All branches travel with the last two."""

from __future__ import annotations

import html
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.project.chat_records import ChatMessage, Conversation, images_of, path_to

if TYPE_CHECKING:
    from fmstudio.project.chats import Chats

_CODE = re.compile(r"^ {0,3}```[^\n`]*\n(.*?)^ {0,3}```[ \t]*$", re.MULTILINE | re.DOTALL)
ROLES = {"user": "You", "assistant": "Assistant", "system": "System", "tool": "Tool"}
STYLE = (
    ":root{color-scheme:light dark}body{max-width:46rem;margin:2rem auto;padding:0 1rem;font:15px/1.5 system-ui,sans-serif}"
    "article{margin:3rem 0}section{margin:1rem 0;padding:.6rem 1rem;border-radius:10px;background:color-mix(in srgb,"
    "currentColor 5%,transparent)}section.user{background:color-mix(in srgb,Highlight 15%,transparent)}"
    "section div{white-space:pre-wrap;overflow-wrap:anywhere}pre{overflow:auto;padding:.6rem;border-radius:6px;"
    "background:color-mix(in srgb,currentColor 8%,transparent)}img{max-width:100%;display:block}h2{font-size:1.3rem}small{opacity:.7}"
)


def export_chats(chats: Chats, target: Path, ids: Sequence[str] = ()) -> int:
    """Write conversations (all when none are named) as the file's suffix says; give their number.

    ``.md`` and ``.html`` hold the branch shown last, ``.jsonl`` one conversation a line with every turn of every
    branch, ``.parquet`` one row a turn. The file appears whole or not at all.

    Raises:
        UserError: The suffix is none of these, there is nothing to write, or the place cannot be written.
    """
    write = _WRITERS.get(target.suffix.lower())
    if write is None:
        raise UserError(
            f"Chats cannot be written as “{target.suffix or target.name}”.", remedy=f"Choose {', '.join(_WRITERS)}."
        )
    wanted = [chats.get(one) for one in ids] if ids else chats.conversations()
    if not wanted:
        raise UserError("There is no conversation to export.", remedy="Talk to a model first.")
    beside = target.with_name(f".{target.name}.part")
    try:
        write(_read(chats, wanted), beside)
        os.replace(beside, target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(
            f"{target} cannot be written: {error.strerror or error}.", remedy="Choose another place."
        ) from error
    return len(wanted)


Talk = tuple[Conversation, list[ChatMessage]]


def _read(chats: Chats, wanted: Sequence[Conversation]) -> Iterator[Talk]:
    for conversation in wanted:
        yield conversation, chats.messages(conversation.id)


def shown_path(conversation: Conversation, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The branch shown last; where that is not known, the newest."""
    by_id = {message.id: message for message in messages}
    leaf = conversation.shown if conversation.shown in by_id else (messages[-1].id if messages else "")
    return path_to(by_id, leaf)


def _markdown(talks: Iterator[Talk], target: Path) -> None:
    with target.open("w", encoding="utf-8") as file:
        for conversation, messages in talks:
            file.write(f"# {conversation.title}\n\n*{_when(conversation.created)}*\n\n")
            for message in shown_path(conversation, messages):
                file.write(f"## {_speaker(message)}\n\n")
                for item in message.facts.get("attachments") or ():
                    file.write(f"> attached: {item.get('name', '')}\n\n")
                file.write(f"{message.correction or message.content}\n\n")


def _html(talks: Iterator[Talk], target: Path) -> None:
    """A page that stands alone: no scripts, nothing loaded, every text escaped."""
    with target.open("w", encoding="utf-8") as file:
        file.write(f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Chats</title><style>{STYLE}</style>\n')
        for conversation, messages in talks:
            title = html.escape(conversation.title)
            file.write(f"<article><h2>{title}</h2><small>{_when(conversation.created)}</small>\n")
            for message in shown_path(conversation, messages):
                who, role = html.escape(_speaker(message)), html.escape(message.role, quote=True)
                said = _html_pictures(message) + _html_text(message.correction or message.content)
                file.write(f'<section class="{role}"><strong>{who}</strong>{said}</section>\n')
            file.write("</article>\n")
        file.write("</html>\n")


def _html_text(text: str) -> str:
    """Prose as it was written, and fenced code as code."""
    prose_and_code = _CODE.split(text)
    return "".join(
        (f"<pre><code>{html.escape(part)}</code></pre>" if place % 2 else f"<div>{html.escape(part.strip())}</div>")
        for place, part in enumerate(prose_and_code)
        if part.strip()
    )


def _html_pictures(message: ChatMessage) -> str:
    shown = [str(item.get("data", "")) for item in images_of(message)]
    return "".join(
        f'<img alt="" src="{html.escape(uri, quote=True)}">' for uri in shown if uri.startswith("data:image/")
    )


def _jsonl(talks: Iterator[Talk], target: Path) -> None:
    with target.open("w", encoding="utf-8") as file:
        for conversation, messages in talks:
            path = shown_path(conversation, messages)
            value = {
                "id": conversation.id,
                "title": conversation.title,
                "folder": conversation.folder,
                "created": conversation.created,
                "messages": [{"role": m.role, "content": m.content} for m in path],
                "turns": [_turn(message) for message in messages],
            }
            file.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def _turn(message: ChatMessage) -> dict[str, Any]:
    return {
        "id": message.id,
        "parent_id": message.parent_id,
        "role": message.role,
        "content": message.content,
        "rating": message.rating,
        "correction": message.correction,
        "created": message.created,
        "facts": message.facts,
    }


def _parquet(talks: Iterator[Talk], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ("conversation_id", "title", "folder", "id", "parent_id", "role", "content", "correction", "facts")
    fields = [(name, pa.string()) for name in texts]
    schema = pa.schema([*fields, ("rating", pa.int8()), ("created", pa.float64())])
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for conversation, messages in talks:
            named = {"conversation_id": conversation.id, "title": conversation.title, "folder": conversation.folder}
            rows = [{**_turn(message), **named} for message in messages]
            for row in rows:
                row["facts"] = json.dumps(row["facts"], ensure_ascii=False, default=str)
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


_WRITERS: dict[str, Callable[[Iterator[Talk], Path], None]] = {
    ".md": _markdown, ".html": _html, ".jsonl": _jsonl, ".parquet": _parquet,
}  # fmt: skip


def _speaker(message: ChatMessage) -> str:
    model = (message.facts.get("model") or {}).get("name")
    return str(model) if message.role == "assistant" and model else ROLES.get(message.role, message.role)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
