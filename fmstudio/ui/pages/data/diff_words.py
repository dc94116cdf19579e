"""Rows that differ, made ready to be shown: word differences, bubbles, texts. Pure; made on a background thread."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from fmstudio.ui.widgets.table.values import full_text, is_messages, plain_content

if TYPE_CHECKING:
    from fmstudio.project.diff import DiffRow

Piece = tuple[str, str]
SIGNS = {"added": "+", "removed": "−", "changed": "~", "same": "="}
SPOKEN = ("role", "content")
NOTHING = "(nothing)"
MOST_COPIED = 20_000
"""Characters of a value that are copied as text."""


@dataclass(frozen=True, slots=True)
class Bubble:
    """A message: whose it is, whether it came, went, changed or stayed, and its text."""

    role: str
    kind: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class CellDiff:
    """A cell: its text in pieces, or its messages."""

    column: str
    pieces: tuple[Piece, ...] = ()
    bubbles: tuple[Bubble, ...] = ()


@dataclass(frozen=True, slots=True)
class CardData:
    """A row that differs and its cells: the changed ones, or all of a row that came or went."""

    row: DiffRow
    cells: tuple[CellDiff, ...]

    @property
    def text(self) -> str:
        """The difference as text: ``-`` and ``+`` before each column."""
        row = self.row
        head = f"{SIGNS[row.kind]} row {row.row_id}" + (f" ({row.reason})" if row.reason else "")
        return "\n".join([head, *_lines(row)])


def card_of(row: DiffRow) -> CardData:
    """Work out what a card shows of a row."""
    if row.before is not None and row.after is not None:
        return CardData(row, tuple(_cell(name, row.before.get(name), row.after.get(name)) for name in row.columns))
    record = row.after if row.before is None else row.before
    return CardData(row, tuple(_whole(name, value) for name, value in (record or {}).items() if name != "row_id"))


def _whole(name: str, value: Any) -> CellDiff:
    if is_messages(value):
        return CellDiff(name, bubbles=tuple(Bubble(role, "same", _same(text)) for role, text in map(_message, value)))
    return CellDiff(name, pieces=_same(full_text(value)) if value is not None else (("gap", NOTHING),))


def _same(text: str) -> tuple[Piece, ...]:
    return (("same", text),) if text else (("gap", "(empty)"),)


def _cell(name: str, before: Any, after: Any) -> CellDiff:
    if is_messages(before) and is_messages(after):
        return CellDiff(name, bubbles=tuple(_bubbles(before, after)))
    if before is None or after is None:
        there = full_text(after if before is None else before)
        change: list[Piece] = [("gap", f"{NOTHING} → "), ("added", there or "(empty)")]
        if after is None:
            change = [("removed", there or "(empty)"), ("gap", f" → {NOTHING}")]
        return CellDiff(name, pieces=tuple(change))
    return CellDiff(name, pieces=_pieces(full_text(before), full_text(after)))


def _pieces(before: str, after: str) -> tuple[Piece, ...]:
    from fmstudio.project.diff_words import word_diff

    found: tuple[Piece, ...] = tuple(word_diff(before, after))
    if [kind for kind, _ in found] == ["removed", "added"]:
        return found[0], ("gap", " → "), found[1]
    return found or (("gap", "(the same text, stored in another way)"),)


def _bubbles(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[Bubble]:
    old, new = [_message(m) for m in before], [_message(m) for m in after]
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from (Bubble(role, "same", _same(text)) for role, text in old[a:b])
            continue
        shared = min(b - a, d - c)
        for (role, text), (new_role, new_text) in zip(old[a : a + shared], new[c : c + shared], strict=True):
            if role == new_role:
                yield Bubble(role, "changed", _pieces(text, new_text))
            else:
                yield Bubble(role, "removed", (("removed", text),))
                yield Bubble(new_role, "added", (("added", new_text),))
        yield from (Bubble(role, "removed", (("removed", text),)) for role, text in old[a + shared : b])
        yield from (Bubble(role, "added", (("added", text),)) for role, text in new[c + shared : d])


def _message(message: Mapping[str, Any]) -> tuple[str, str]:
    """Role and text of a message; what it has besides (calls of tools) is written below."""
    rest = {key: value for key, value in message.items() if key not in SPOKEN and value not in (None, [], {}, "")}
    more = json.dumps(rest, ensure_ascii=False, indent=2, default=str) if rest else ""
    return str(message.get("role", "")), "\n".join(
        part for part in (plain_content(message.get("content")), more) if part
    )


def _lines(row: DiffRow) -> Iterator[str]:
    both = row.before is not None and row.after is not None
    names = row.columns if both else tuple(n for n in (row.after or row.before or {}) if n != "row_id")
    for name in names:
        for sign, record in (("-", row.before), ("+", row.after)):
            if record is not None:
                value = record.get(name)
                text = NOTHING if value is None else full_text(value)[:MOST_COPIED]
                yield f"{sign} {name}: {text}"
