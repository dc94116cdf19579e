"""A look ahead into a large CSV file, so that a column's kind is right from its first row on.

Some pieces spread over the file are classified. It can only make kinds wider: what it misses is widened later, with a
note; what it takes for text stays text, which loses nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fmstudio_formats.csv_columns import merged
from fmstudio_formats.csv_head import Dialect
from fmstudio_formats.csv_split import split
from fmstudio_formats.numbers import Kind, classify

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE = 128 << 10
_PIECES = 12


def survey(path: Path, dialect: Dialect, names: list[str], size: int, head: bytes) -> list[Kind]:
    """Classify pieces of a file in UTF-8; `empty` for a column about which nothing was found.

    Args:
        path: The file.
        dialect: How it is written.
        names: Its columns.
        size: Its size in bytes.
        head: Its first bytes: where cells span lines there, a piece from the middle cannot be told from a part of one.
    """
    kinds: list[Kind] = ["empty"] * len(names)
    if size <= 2 * _PIECE or _may_be_inside(head[: head.rfind(b"\n") + 1] or head, dialect.quote.encode()):
        return kinds
    with path.open("rb") as file:
        for number in range(1, _PIECES + 1):
            file.seek((size - _PIECE) * number // _PIECES)
            data = file.read(_PIECE)
            columns = _columns(data, names, dialect)
            for index, column in enumerate(columns):
                kinds[index] = merged(kinds[index], classify(column).kind)
    return kinds


def _columns(data: bytes, names: list[str], dialect: Dialect) -> list[pa.Array]:
    """Split the whole lines of a piece; nothing when they may lie within quotes, or are damaged."""
    start, end = data.find(b"\n") + 1, data.rfind(b"\n") + 1
    whole = data[start:end]
    if not start or end <= start or _may_be_inside(whole, dialect.quote.encode()):
        return []
    return split(whole, names, dialect) or []


def _may_be_inside(data: bytes, quote: bytes) -> bool:
    """Whether some line holds an odd number of quotes, as it does where cells span lines."""
    return quote in data and any(line.count(quote) % 2 for line in data.split(b"\n"))
