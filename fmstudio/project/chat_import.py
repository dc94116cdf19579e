"""Chats of other programs into a project: each conversation once, its branches kept, what cannot be read said."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.project.changes import Changes
from fmstudio.project.chat_records import ChatMessage, Conversation
from fmstudio.project.chat_shapes import Talk, read_talks

if TYPE_CHECKING:
    from fmstudio.project.chats import Chats

MAX_BYTES = 2 << 30
MOST_IN_ZIP = 5_000
NAMES = (".json", ".jsonl")


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in.

    Attributes:
        known: Conversations that were here already and were left as they are.
        sources: Programs they came from.
        notes: What could not be read, in words.
    """

    conversations: int
    messages: int
    known: int
    sources: tuple[str, ...]
    notes: tuple[str, ...] = field(default_factory=tuple)


def import_chats(chats: Chats, paths: Sequence[Path], folder: str = "") -> tuple[Changes, Imported]:
    """Read exports of ChatGPT, Claude, LM Studio, Jan or Open WebUI (``.json``, ``.jsonl``, ``.zip``, or a folder).

    A conversation that was imported before (same program, same id or content) is left alone.

    Args:
        folder: Folder of the conversations; empty = one named after the program.

    Raises:
        UserError: No conversation was found in any of the files; the message says what each is.
    """
    notes: list[str] = []
    talks: list[Talk] = []
    for path in paths:
        before = len(talks)
        for name, data in _documents(path, notes):
            talks += _read(name, data, notes)
        if len(talks) == before:
            notes.append(f"“{path.name}” holds no conversation of a known program.")
    if not talks:
        raise UserError(
            "No conversation was found." if len(paths) != 1 else f"“{paths[0].name}” holds no conversation.",
            remedy="Choose an export of ChatGPT, Claude, LM Studio, Jan or Open WebUI.",
            details="\n".join(notes),
        )
    made = [_rows(talk, folder) for talk in talks]
    known = chats.known([conversation.id for conversation, _ in made])
    fresh = {c.id: (c, messages) for c, messages in made if c.id not in known}
    chats.add_whole(list(fresh.values()))
    count = sum(len(messages) for _, messages in fresh.values())
    sources = tuple(dict.fromkeys(talk.source for talk in talks))
    came = Imported(len(fresh), count, len(made) - len(fresh), sources, tuple(dict.fromkeys(notes)))
    return Changes(chats=frozenset(fresh)), came


def _documents(path: Path, notes: list[str]) -> Iterator[tuple[str, bytes]]:
    """The JSON documents of a file, an archive or a folder."""
    try:
        if path.is_dir():
            for inside in sorted(path.rglob("*.json*"))[:MOST_IN_ZIP]:
                if inside.suffix in NAMES and inside.stat().st_size <= MAX_BYTES:
                    yield f"{inside.parent.name}/{inside.name}", inside.read_bytes()
        elif zipfile.is_zipfile(path):
            yield from _unzipped(path, notes)
        elif path.stat().st_size <= MAX_BYTES:
            yield path.name, path.read_bytes()
        else:
            notes.append(f"“{path.name}” is larger than {MAX_BYTES >> 30} GB.")
    except (OSError, zipfile.BadZipFile) as error:
        notes.append(f"“{path.name}” cannot be read: {error}.")


def _unzipped(path: Path, notes: list[str]) -> Iterator[tuple[str, bytes]]:
    left = MAX_BYTES
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist()[:MOST_IN_ZIP]:
            if not entry.filename.lower().endswith(NAMES):
                continue
            with archive.open(entry) as file:
                data = file.read(left + 1)  # what the archive says of its sizes is not believed
            left -= len(data)
            if left < 0:
                notes.append(f"“{path.name}” unpacks to more than {MAX_BYTES >> 30} GB; the rest was left out.")
                return
            yield entry.filename, data


def _read(name: str, data: bytes, notes: list[str]) -> list[Talk]:
    try:
        text = data.decode("utf-8-sig")
        value = _lines(text) if name.lower().endswith(".jsonl") else json.loads(text)
    except (ValueError, RecursionError) as error:
        notes.append(f"“{name}” is no JSON: {str(error)[:80]}.")
        return []
    return read_talks(name, value, notes)


def _lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _rows(talk: Talk, folder: str) -> tuple[Conversation, list[ChatMessage]]:
    """The rows of a conversation, with ids that are the same at every import of it."""
    seed = talk.id or json.dumps([(m.role, m.content) for m in talk.messages], ensure_ascii=False)
    head = hashlib.sha256(f"{talk.source}:{seed}".encode()).hexdigest()[:12]
    conversation_id = f"c-i{head}"
    names = {m.id: f"t-i{hashlib.sha256(f'{head}:{m.id}'.encode()).hexdigest()[:12]}" for m in talk.messages}
    when: dict[str, float] = {}
    messages = []
    for m in talk.messages:  # parents come first: no turn is older than the one it follows
        when[m.id] = max(m.created, when.get(m.parent_id or "", talk.created))
        parent = names.get(m.parent_id or "")
        messages.append(
            replace(m, id=names[m.id], conversation_id=conversation_id, parent_id=parent, created=when[m.id])
        )
    title = talk.title.strip() or "Untitled"
    conversation = Conversation(
        conversation_id,
        title,
        "",
        {},
        talk.created,
        max([talk.created, *(m.created for m in messages)]),
        folder=folder or f"From {talk.source}",
        titled_by="user",
        shown=names.get(talk.shown, ""),
    )
    return conversation, messages
