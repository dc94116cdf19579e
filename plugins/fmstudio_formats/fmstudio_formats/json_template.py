"""JSON Lines that are all written alike: the text between the values is compared, the values are cut out, whole blocks at a time.

Programs write the rows of a table with the same keys in the same order, so between two values stand the same bytes in
every line. Where that holds, nothing needs to be parsed: the places of the quotes give those of all values. Every byte is
checked: those between values against the template, texts for control characters and escapes, numbers by their grammar.
Anything else (a missing key, a null where texts are, a nested value) and the block is left to Arrow's parser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmstudio_formats.encoding import is_utf8
from fmstudio_formats.json_scalars import numbers, unescaped, yes_no
from fmstudio_formats.short_numbers import short_numbers

if TYPE_CHECKING:
    import pyarrow as pa

_HEAD, _LOOKED_AT = 64 << 10, 20
"""Bytes and lines among which a template is looked for."""

_SPACE = re.compile(r"[ \t]*")
_QUOTE = ord('"')
_WIDTH, _LINES = 16, 2_048
"""Bytes that are compared at once, and lines: what is fetched of them stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Template:
    """How each line of a file is written.

    Attributes:
        names: The keys, in order.
        kinds: For each, the Arrow type of its values.
        between: The bytes before each value and after the last one, quotes of texts and the line end included.
    """

    names: tuple[str, ...]
    kinds: tuple[pa.DataType, ...]
    between: tuple[bytes, ...]

    @classmethod
    def of(cls, data: bytes, schema: pa.Schema) -> Template | None:
        """Take one of the first lines of a block as the template; None when its rows are not flat.

        Args:
            data: Whole lines.
            schema: The types that a full parse of the block gave.
        """
        if not all(map(_is_plain, schema.types)):
            return None
        for line in data[:_HEAD].splitlines(keepends=True)[:_LOOKED_AT]:
            try:
                names, between = _scanned(line.decode("latin-1"))
            except (ValueError, IndexError):
                continue
            # One without a value that others have is no template, nor one that has a name twice.
            if sorted(names) == sorted(schema.names):
                kinds = tuple(schema.field(name).type for name in names)
                if [part.endswith(b'"') for part in between[:-1]] == [_is_text(kind) for kind in kinds]:
                    return cls(tuple(names), kinds, tuple(between))
        return None

    def gives(self, schema: pa.Schema) -> bool:
        """Whether this is how rows of a schema are read."""
        return bool(list(self.names) == schema.names and list(self.kinds) == schema.types)

    def read(self, data: bytes) -> pa.RecordBatch | None:
        """Read whole lines; None when one of them is not written like the template, or not in UTF-8."""
        import pyarrow as pa

        whole, has_escapes = data if data.endswith(b"\n") else data + b"\n", b"\\" in data
        words = _Words(whole)
        places = self._places(whole, words, has_escapes)
        if places is None:
            return None
        texts = _Cutter(whole)
        columns = []
        for kind, (starts, ends) in zip(self.kinds, places, strict=True):
            column = short_numbers(words.eight, starts, ends, kind) if kind in (pa.int64(), pa.float64()) else None
            if column is None:
                column = _column(texts.cut(starts, ends), kind, has_escapes)
            if column is None:
                return None
            columns.append(column)
        return pa.RecordBatch.from_arrays(columns, names=list(self.names))

    def _places(self, data: bytes, words: _Words, has_escapes: bool) -> list[tuple[Any, Any]] | None:
        """Find where each value starts and ends in each line; None when the bytes between them are not the template's."""
        import numpy as np

        content = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(content == _QUOTE)
        quotes = structural(quotes, content) if has_escapes else quotes
        width = sum(part.count(_QUOTE) for part in self.between)
        rows, odd = divmod(len(quotes), width)
        controls = sum(byte < 32 for part in self.between for byte in part)
        if odd or not rows or len(data) < 8 or not _has_controls(data, content, rows * controls):
            return None
        quotes = np.ascontiguousarray(quotes.reshape(rows, width).T)
        parts = self._parts(quotes, len(data))
        if parts[0][0] or not self._ends_in_its_quote(parts[-1], quotes):
            return None
        if not words.hold(self.between, parts):
            return None
        places = [
            (start + len(part), end) for start, part, end in zip(parts[:-1], self.between[:-1], parts[1:], strict=True)
        ]
        return places if all((start <= end).all() for start, end in places) else None

    def _parts(self, quotes: Any, size: int) -> list[Any]:
        """Give the place of each part of the template in each line, by the first quote in it; the last ends the line."""
        import numpy as np

        starts, before = [], 0
        for part in self.between[:-1]:
            starts.append(quotes[before] - part.index(_QUOTE))
            before += part.count(_QUOTE)
        return [*starts, np.append(starts[0][1:], size) - len(self.between[-1])]

    def _ends_in_its_quote(self, start: Any, quotes: Any) -> bool:
        """Whether the quote after the last value, if it is a text, is one that ends it."""
        last = self.between[-1]
        return last[0] != _QUOTE or bool((start == quotes[-1]).all())


class _Cutter:
    """Cuts values out of a block without looking at the bytes one by one."""

    def __init__(self, data: bytes) -> None:
        import pyarrow as pa

        self._data = pa.py_buffer(data)
        self._every_other: pa.Array | None = None

    def cut(self, starts: Any, ends: Any) -> pa.Array:
        """Give the texts between places in the block.

        What lies between one value and the next counts as a text, too: so offsets are all that Arrow needs.
        """
        import numpy as np
        import pyarrow as pa

        count = len(starts)
        offsets = np.empty(2 * count, np.int32)
        offsets[0::2], offsets[1::2] = starts, ends
        whole = pa.Array.from_buffers(pa.string(), 2 * count - 1, [None, pa.py_buffer(offsets), self._data])
        if self._every_other is None:
            numbers = np.arange(0, 2 * count, 2, dtype=np.int32)
            self._every_other = pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(numbers)])
        return whole.take(self._every_other)


def _column(texts: pa.Array, kind: pa.DataType, has_escapes: bool) -> pa.Array | None:
    import pyarrow as pa

    if pa.types.is_string(kind):
        return unescaped(texts) if has_escapes else texts
    return yes_no(texts) if pa.types.is_boolean(kind) else numbers(texts, kind)


def _has_controls(data: bytes, content: Any, wanted: int) -> bool:
    """Whether text in UTF-8 holds so many control characters."""
    import numpy as np

    # With a sign, bytes beyond ASCII are below zero: where there are none, one look tells both.
    if int(np.count_nonzero(content.view(np.int8) < 32)) == wanted:
        return True
    return int(np.count_nonzero(content < 32)) == wanted and is_utf8(data)


def structural(quotes: Any, content: Any) -> Any:
    """Of the places of quotes those that begin or end a text: with an even number of backslashes before them."""
    import numpy as np

    escaped = np.zeros(len(quotes), np.bool_)
    rows, before = np.arange(len(quotes)), quotes - 1
    while True:
        is_backslash = content[before] == ord("\\")  # a line starts with a brace, which ends every run
        rows, before = rows[is_backslash], before[is_backslash] - 1
        if not len(rows):
            return quotes[~escaped]
        escaped[rows] ^= True


class _Words:
    """The bytes of a block, eight or sixteen at a time from any place; fetching sixteen takes hardly longer than eight."""

    def __init__(self, data: bytes) -> None:
        import numpy as np

        self._data = data
        self.eight = np.ndarray((max(len(data) - 7, 0),), "<u8", data, strides=(1,))
        self._sixteen = np.ndarray((max(len(data) - 15, 0),), "<c16", data, strides=(1,))

    def hold(self, parts: Sequence[bytes], starts: Sequence[Any]) -> bool:
        """Whether the parts of the template stand at their places in all lines.

        Line after line, so that the block goes through the processor's cache once: part after part an import took 5 % more
        processor time. Of a piece shorter than sixteen bytes those before it are fetched along and left out; the first
        lines, before which there may be none, are compared one by one.

        Args:
            starts: For each part its place in each line, in ascending order.
        """
        import numpy as np

        rows = len(starts[0])
        alone = min(rows, int(np.searchsorted(starts[0], _WIDTH)))
        if any(
            int(start[0]) < 0 or int(start[-1]) + len(part) > len(self._data)
            for start, part in zip(starts, parts, strict=True)
        ):
            return False
        for part, start in zip(parts, starts, strict=True):
            if any(not self._data.startswith(part, at) for at in start[:alone].tolist()):
                return False
        pieces = [(number, part, end) for number, part in enumerate(parts) for end in range(len(part), 0, -_WIDTH)]
        wanted, kept = _masks([part[max(0, end - _WIDTH) : end] for _, part, end in pieces])
        for first in range(alone, rows, _LINES):
            places = np.empty((min(_LINES, rows - first), len(pieces)), np.intp)
            for column, (number, _, end) in enumerate(pieces):
                np.add(starts[number][first : first + _LINES], end - _WIDTH, out=places[:, column])
            found = self._sixteen[places].view("<u8")
            if not ((found & kept) == wanted).all():
                return False
        return True


def _masks(pieces: Sequence[bytes]) -> tuple[Any, Any]:
    """Give for each piece, at the end of sixteen bytes, two words: its own bytes, and which bytes are its own."""
    import numpy as np

    wanted = b"".join(bytes(_WIDTH - len(piece)) + piece for piece in pieces)
    kept = b"".join(bytes(_WIDTH - len(piece)) + b"\xff" * len(piece) for piece in pieces)
    return np.frombuffer(wanted, "<u8"), np.frombuffer(kept, "<u8")


def _scanned(line: str) -> tuple[list[str], list[bytes]]:
    """Give the keys of an object of plain values, and the bytes between its values.

    Raises:
        ValueError: It is something else.
        IndexError: It ends too soon.
    """
    names: list[str] = []
    between: list[str] = []
    done, at = 0, _after(line, 0, "{")
    decode = json.JSONDecoder().raw_decode
    while True:
        key, at = decode(line, _after(line, at, '"') - 1)
        names.append(key.encode("latin-1").decode("utf-8"))
        at = _space(line, _after(line, at, ":"))
        start = at
        value, at = decode(line, start)
        if isinstance(value, (dict, list)) or not key or "\\" in line[done:start]:
            raise ValueError("This is no flat object with plain keys.")
        is_text = int(isinstance(value, str))
        between.append(line[done : start + is_text])
        done = at - is_text
        at = _space(line, at)
        if line[at] == "}":
            break
        at = _after(line, at, ",")
    end = _space(line, at + 1)
    if line[end:] not in ("\n", "\r\n"):
        raise ValueError("Something comes after the object.")
    return names, [part.encode("latin-1") for part in (*between, line[done:])]


def _after(line: str, at: int, sign: str) -> int:
    at = _space(line, at)
    if line[at] != sign:
        raise ValueError(f"There is no {sign}.")
    return at + 1


def _space(line: str, at: int) -> int:
    match = _SPACE.match(line, at)
    return match.end() if match else at


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind))


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(kind in (pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.null()))
