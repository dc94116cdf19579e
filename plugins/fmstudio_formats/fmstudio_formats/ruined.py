"""Values that a spreadsheet has ruined, as far as the values themselves show it.

What is gone without a trace (leading zeros, the digits of 5.5E+15) cannot be brought back here; what can be seen is
pointed at, and the value is kept as it is written. Sources: Excel keeps 15 significant digits and shows longer numbers
as 5.5E+15 (Microsoft, "Excel specifications and limits"); names that it takes for dates, such as the genes SEPT2 and
MARCH1, become 2-Sep and 1-Mar (Ziemann et al., Genome Biology 17:177, 2016).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fmstudio.api import ImportReport
from fmstudio_formats.numbers import buffers

if TYPE_CHECKING:
    import pyarrow as pa

_MONTH = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_ROUNDED = r"-?\d(\.\d{1,5})?E\+\d{2,3}"
_DATE = rf"\d{{1,2}}-{_MONTH}|{_MONTH}-\d{{2}}"
_ERROR = r"#(REF!|NAME\?|VALUE!|DIV/0!|N/A|NULL!|NUM!|SPILL!)|#{4,}"
_LONG = r"-?[1-9]\d{15,}"
_ANY = rf"^({_ROUNDED}|{_DATE}|{_ERROR}|{_LONG})$"
_SHORTEST, _LONGEST = 4, 40
_FIRST = b"-0123456789#JFMASOND"
"""What a suspect begins with: a sign, a digit, an error's mark or a month."""
_EXCEL_DIGITS = 15

_REASONS = (
    (re.compile(f"^({_ROUNDED})$"), "looks like a number that a spreadsheet rounded"),
    (re.compile(f"^({_DATE})$"), "looks like a name that a spreadsheet took for a date"),
    (re.compile(f"^({_ERROR})$"), "is a spreadsheet's error in place of a value"),
    (re.compile(f"^({_LONG})$"), "looks like a number whose last digits a spreadsheet made zero"),
)
_FLAGGED = 1_000
"""Values of a column that are pointed at one by one; the note counts all of them."""


def suspects(text: pa.Array) -> list[tuple[int, str]]:
    """Give position and text of the cells worth a closer look; cheap for columns that have none.

    Args:
        text: Cells without nulls.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = _likely(text)
    if not len(rows):
        return []
    text = text.take(rows)
    found = pc.indices_nonzero(pc.match_substring_regex(text, _ANY))
    places = rows.take(found)
    return list(zip(places.cast(pa.int64()).to_pylist(), text.take(found).to_pylist(), strict=True))


def _likely(text: pa.Array) -> pa.Array:
    """Rows whose length and first byte may be those of a suspect: far cheaper to tell than a match."""
    import numpy as np
    import pyarrow as pa

    offsets, data = buffers(text)
    lengths = np.diff(offsets)
    short = np.flatnonzero((lengths >= _SHORTEST) & (lengths <= _LONGEST))
    rows = short[np.isin(data[offsets[:-1][short]], np.frombuffer(_FIRST, np.uint8))]
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows)])


class Ruined:
    """Points at ruined values of one file, and counts them per column and reason."""

    def __init__(self, report: ImportReport) -> None:
        self._report = report
        self._count: dict[tuple[str, str], int] = {}
        self._first: dict[tuple[str, str], tuple[int, str]] = {}

    def state(self) -> list[list[Any]]:
        """What was found so far, as JSON; see `restore`."""
        return [[*key, count, *self._first[key]] for key, count in self._count.items()]

    def restore(self, state: list[list[Any]]) -> None:
        """Go on from a `state`."""
        self._count = {(column, reason): count for column, reason, count, _, _ in state}
        self._first = {(column, reason): (row, value) for column, reason, _, row, value in state}

    def look(self, column: str, found: list[tuple[int, str]], rows_before: int, rows: int) -> None:
        """Look at a column of one batch.

        Args:
            column: Its name.
            found: What `suspects` gave.
            rows_before: Rows of the file before this batch.
            rows: Rows with a value in this batch.
        """
        for position, value, reason in _judged(found, rows):
            key = (column, reason)
            count = self._count[key] = self._count.get(key, 0) + 1
            self._first.setdefault(key, (rows_before + position + 1, value))
            if count <= _FLAGGED:
                self._report.flag(column, rows_before + position + 1, f"“{value}” {reason}.", value)

    def tell(self) -> None:
        """At the end: state how many there are in each column."""
        for (column, reason), count in self._count.items():
            row, value = self._first[column, reason]
            plain = reason.replace("looks like", "look like").replace("is a spreadsheet", "are a spreadsheet")
            what = f"1 value {reason}" if count == 1 else f"{count} values {plain}"
            self._report.note(f"Column “{column}”: {what} (row {row}: {value}). Kept as written.")


def _judged(found: list[tuple[int, str]], rows: int) -> Iterator[tuple[int, str, str]]:
    """Leave out what the column as a whole explains: dates in a column of dates, long numbers with all their digits."""
    kinds: dict[str, list[tuple[int, str]]] = {}
    for position, value in found:
        reason = next(reason for pattern, reason in _REASONS if pattern.match(value))
        kinds.setdefault(reason, []).append((position, value))
    rounded, dates, _, long = (kinds.pop(reason, []) for _, reason in _REASONS)
    if rounded and all(_exponent(value) >= 11 for _, value in rounded):
        yield from ((*item, _REASONS[0][1]) for item in rounded)
    if len(dates) * 2 <= rows:
        yield from ((*item, _REASONS[1][1]) for item in dates)
    yield from ((*item, _REASONS[2][1]) for item in found if item[1].startswith("#"))
    zeroed = [item for item in long if not item[1].lstrip("-")[_EXCEL_DIGITS:].strip("0")]
    if len(zeroed) * 10 >= len(long) * 9:
        yield from ((*item, _REASONS[3][1]) for item in zeroed)


def _exponent(value: str) -> int:
    return int(value.partition("+")[2])


def number_suspects(values: list[Any]) -> list[tuple[int, str]]:
    """The same for cells of a spreadsheet, where a number is a number: whole ones beyond 15 digits that end in zeros."""
    pattern = re.compile(_ANY)
    texts = ((i, _digits(v) if isinstance(v, float) and v.is_integer() else str(v)) for i, v in enumerate(values))
    return [(i, text) for i, text in texts if len(text) <= _LONGEST and pattern.match(text)]


def _digits(number: float) -> str:
    """Write a whole number as the spreadsheet has it: with the digits that are its own, then zeros (`int` makes some up)."""
    return format(Decimal(repr(number)), "f").removesuffix(".0")
