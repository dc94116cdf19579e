"""Whole objects of a JSON list, found by their brackets and made into JSON Lines, so that blocks of them are parsed at once.

A value at a time takes three times as long. Nothing is judged here but where objects begin and end: what stands in them
is for the parser to check, and whatever is not written as a list of objects is left to those who read value by value.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from fmstudio_formats.batches import Batcher
from fmstudio_formats.json_template import structural

if TYPE_CHECKING:
    import pyarrow as pa

_QUOTE, _COMMA, _NEWLINE, _SPACE = b'",\n '
_OPEN, _CLOSE, _LOWER = ord("{"), ord("}"), 0x20
"""With this bit set, [ and ] are { and }: brackets are told apart by whoever parses them."""
_BLANKS = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Objects that follow each other.

    Attributes:
        lines: One on each line.
        rows: How many.
        size: Bytes they take in the text, up to the end of the last one.
    """

    lines: bytes
    rows: int
    size: int


def whole_objects(data: bytes) -> Stretch | None:
    """Find the whole objects at the start of a text; None when there is none, or it is not for here.

    Args:
        data: Text in a list, from the first bracket of an object on; it may end anywhere.
    """
    import numpy as np

    content = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(content == _QUOTE)
    if b"\\" in data:
        quotes = structural(quotes, content)
    lowered = content | _LOWER
    brackets = _outside(np.flatnonzero((lowered == _OPEN) | (lowered == _CLOSE)), quotes)
    is_open = lowered[brackets] == _OPEN
    depth = np.cumsum(np.where(is_open, 1, -1))
    if (past := np.flatnonzero(depth < 0)).size:  # the end of the list
        brackets, is_open, depth = brackets[: past[0]], is_open[: past[0]], depth[: past[0]]
    ends = brackets[(depth == 0) & ~is_open]
    starts = brackets[(depth == 1) & is_open][: len(ends)]
    if not len(ends) or starts[0] or (content[starts] != _OPEN).any() or (content[ends] != _CLOSE).any():
        return None
    size = int(ends[-1]) + 1
    made = content[:size].copy()
    if not _blank_lines(made, quotes) or not _end_lines(made, starts, ends):
        return None
    return Stretch(made.tobytes() + _tail(made, starts, ends), len(starts), size)


def _outside(places: Any, quotes: Any) -> Any:
    """Of places those that are in no text: with an even number of quotes before them."""
    import numpy as np

    return places[np.searchsorted(quotes, places) % 2 == 0]


def _blank_lines(made: Any, quotes: Any) -> bool:
    """Make the ends of lines within objects spaces; False when one is within a text, which no JSON may have."""
    import numpy as np

    breaks = np.flatnonzero((made == _NEWLINE) | (made == ord("\r")))
    if len(breaks):
        if len(_outside(breaks, quotes)) < len(breaks):
            return False
        made[breaks] = _SPACE
    return True


def _end_lines(made: Any, starts: Any, ends: Any) -> bool:
    """Put the end of a line in place of the comma between two objects; False when there is anything else."""
    import numpy as np

    before, after = ends[:-1] + 1, starts[1:]
    if not len(before):
        return True
    widths = after - before
    if (widths < 1).any():
        return False
    firsts = np.cumsum(widths) - widths
    places = np.repeat(before - firsts, widths) + np.arange(int(widths.sum()))
    between = made[places]
    is_comma = between == _COMMA
    if not np.isin(between[~is_comma], np.frombuffer(_BLANKS, np.uint8)).all():
        return False
    if (np.add.reduceat(is_comma.astype(np.int32), firsts) != 1).any():
        return False
    made[places] = _SPACE
    made[after - 1] = _NEWLINE  # the last byte between: so lines begin alike
    return True


def _tail(made: Any, starts: Any, ends: Any) -> bytes:
    """What the last line lacks to end as the others do."""
    return bytes(made[ends[0] + 1 : starts[1]]) if len(starts) > 1 else b"\n"


def batches_of(found: Iterator[dict[str, Any] | pa.Table], batcher: Batcher) -> Iterator[pa.RecordBatch]:
    """Make batches of single rows, and of tables in between."""
    for is_row, some in itertools.groupby(found, lambda one: isinstance(one, dict)):
        if is_row:
            yield from batcher.batched(cast("Iterator[dict[str, Any]]", some))
        else:
            for table in cast("Iterator[pa.Table]", some):
                yield from table.to_batches()


def of_split(name: str, found: dict[str, Any] | pa.Table) -> dict[str, Any] | pa.Table:
    """Say which split rows are of, unless they do so themselves."""
    import pyarrow as pa

    if isinstance(found, dict):
        return {"split": name, **found}
    if "split" in found.schema.names:
        return found
    return found.add_column(0, "split", pa.repeat(name, found.num_rows))
