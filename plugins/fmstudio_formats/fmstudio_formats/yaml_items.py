"""A YAML document that is a list, item by item: some at a time while all is well, one by one where something is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.api import ImportReport, Reject, TaskContext, UserError
from fmstudio_formats.encoding import Source
from fmstudio_formats.lines import LONGEST_LINE
from fmstudio_formats.yaml_values import load_all, plain_loader

_READ = 1 << 20
_START = re.compile(rb"^(?:%[^\n]*\n|---[ \t]*\r?\n|[ \t]*(?:#[^\n]*)?\r?\n)*- ")
_REFERENCE = re.compile(rb"(?:^|[\s\[{,])[&*][A-Za-z0-9_-]")
_ITEM = re.compile(rb"^- |^-\r?\n|^---|^\.\.\.", re.MULTILINE)


def is_list(head: bytes) -> bool:
    """Whether a text, of which these are the first bytes, is a list without references from item to item."""
    return _START.match(head) is not None and _REFERENCE.search(head) is None


@dataclass(frozen=True, slots=True)
class _Piece:
    data: bytes
    line: int
    byte: int | None


class Items:
    """The items of the lists in one file."""

    def __init__(self, source: Source, path: Path, report: ImportReport, ctx: TaskContext) -> None:
        self._source, self._path, self._report, self._ctx = source, path, report, ctx
        self._loader = plain_loader()
        self._rejected: list[tuple[_Piece, UserError]] = []

    def values(self, head: bytes) -> Iterator[Any]:
        """Yield each item; `head` is what was already read of the source.

        Raises:
            UserError: Not one item could be read.
        """
        done = count = 0
        for piece in self._pieces(head):
            done += len(piece.data)
            self._ctx.check_cancelled()
            self._ctx.progress(self._source.consumed(done), self._source.size, "bytes read")
            for value in self._parsed(piece):
                count += 1
                yield value
            self._tell(count)
        if not count and self._rejected:
            raise self._rejected[0][1]

    def _tell(self, count: int) -> None:
        """Report broken items, once it is known that there are others."""
        if count:
            for piece, error in self._rejected:
                shown = piece.data[:8000].decode("utf-8", "replace").rstrip()[:2000]
                self._report.reject(Reject(error.message, piece.line, piece.byte, shown))
            self._rejected = []

    def _pieces(self, data: bytes) -> Iterator[_Piece]:
        """Cut the text before items, about a mebibyte at a time."""
        line, byte = 1, self._source.start
        pending = data
        while data:
            data = self._source.read(_READ)
            pending += data
            starts = [match.start() for match in _ITEM.finditer(pending)] if data else []
            cut = starts[-1] if starts else 0
            if data and not cut and len(pending) <= LONGEST_LINE:
                continue
            whole, pending = (pending[:cut], pending[cut:]) if cut else (pending, b"")
            yield _Piece(whole, line, byte)
            line += whole.count(b"\n")
            byte = self._source.after(byte, whole)

    def _parsed(self, piece: _Piece) -> Iterator[Any]:
        try:
            yield from self._load(piece)
            return
        except UserError as error:
            parts = list(self._split(piece))
            if len(parts) == 1:
                self._rejected.append((piece, error))
                return
        for part in parts:
            yield from self._parsed(part)

    def _load(self, piece: _Piece) -> list[Any]:
        try:
            text = piece.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"Not UTF-8: byte {piece.data[error.start]:#04x}.") from error
        documents = load_all(text, self._path, self._loader, piece.line)
        return [item for document in documents for item in (document if isinstance(document, list) else [document])
                if item is not None or isinstance(document, list)]  # fmt: skip

    def _split(self, piece: _Piece) -> Iterator[_Piece]:
        """Halve a piece between items; so one broken item among many is found in few steps."""
        starts = [match.start() for match in _ITEM.finditer(piece.data) if match.start()]
        if not starts:
            yield piece
            return
        cut = starts[len(starts) // 2]
        line = piece.line + piece.data.count(b"\n", 0, cut)
        yield _Piece(piece.data[:cut], piece.line, piece.byte)
        yield _Piece(piece.data[cut:], line, self._source.after(piece.byte, piece.data[:cut]))
