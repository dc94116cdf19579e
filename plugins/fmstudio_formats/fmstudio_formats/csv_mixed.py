"""Columns of numbers that one odd value has made text: counted and told, as the look at a file of JSON tells them.

Only columns that begin as numbers are looked at, so a column of texts costs a glance at a few cells of each block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmstudio.api import ImportReport
from fmstudio_formats.numbers import Column, buffers

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBER = r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$"
"""Also numbers that are kept as text to lose nothing (007): who wrote them wrote a number."""
_GLANCE = 32
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Odd:
    """What a block's column holds.

    Attributes:
        numbers: How many cells are numbers.
        others: How many are neither that nor empty.
        first: The first of those: its place in the block, and its text.
    """

    numbers: int
    others: int
    first: tuple[int, str] | None


def is_mostly_numbers(text: pa.Array) -> bool:
    """Whether most of some cells are numbers, as a glance tells.

    Args:
        text: Cells without nulls.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = np.flatnonzero(np.diff(buffers(text)[0]))
    places = np.ascontiguousarray(filled[:: len(filled) // _GLANCE + 1])
    # Not the numbers themselves: Arrow imports pandas to take them, a quarter of a second.
    some = text.take(pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)]))
    return bool(pc.sum(pc.match_substring_regex(some, _NUMBER)).as_py() * 2 > len(some))


def odd_ones(text: pa.Array) -> Odd:
    """Count what is no number."""
    import numpy as np
    import pyarrow.compute as pc

    is_number = pc.match_substring_regex(text, _NUMBER)
    places = pc.indices_nonzero(pc.invert(is_number))
    others = np.frombuffer(places.buffers()[1], np.uint64, len(places)) if len(places) else np.empty(0, np.uint64)
    others = others[np.diff(buffers(text)[0])[others] > 0]
    first = int(others[0]) if len(others) else 0
    return Odd(pc.sum(is_number).as_py(), len(others), (first, text[first].as_py()) if len(others) else None)


class Mixed:
    """One column of a file: its numbers and what stands among them."""

    def __init__(self) -> None:
        self._numbers = self._others = 0
        self._first: tuple[int, str] | None = None
        self._is_text = False

    def state(self) -> list[Any]:
        """What was seen so far, as JSON; see `restore`."""
        return [self._numbers, self._others, self._first, self._is_text]

    def restore(self, state: list[Any]) -> None:
        """Go on from a `state`."""
        self._numbers, self._others, first, self._is_text = state
        self._first = tuple(first) if first else None

    def look(self, column: Column, odd: Odd | None, rows_before: int) -> None:
        """Take a block in; `odd` where the glance has told that it is text but mostly numbers."""
        if self._is_text or column.kind == "empty":
            return
        if column.kind in ("whole", "decimal"):
            self._numbers += len(column.text) - column.values.null_count
            return
        if odd is None and not self._numbers:
            self._is_text = True
            return
        found = odd or odd_ones(column.text)
        self._numbers += found.numbers
        self._others += found.others
        if self._first is None and found.first is not None:
            self._first = (rows_before + found.first[0] + 1, found.first[1])

    def tell(self, name: str, report: ImportReport) -> None:
        """State it, at the end of the file."""
        if self._first is None:
            return
        row, value = self._first
        shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
        what = f"1 value that is none (row {row:,}: {shown})"
        if self._others > 1:
            what = f"{self._others:,} values that are none (the first in row {row:,}: {shown})"
        report.note(f"Column “{name}” holds {self._numbers:,} numbers, but also {what}, so it is stored as text.")
