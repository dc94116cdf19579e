"""The columns of a CSV file from block to block: one kind each for the whole file, widened honestly where it must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmstudio.api import ImportReport
from fmstudio_formats.csv_mixed import Mixed, Odd, is_mostly_numbers, odd_ones
from fmstudio_formats.numbers import Column, Kind, classify
from fmstudio_formats.ruined import Ruined, suspects

if TYPE_CHECKING:
    import pyarrow as pa

_LONG = 16
"""Digits from which on a spreadsheet ruins a number."""

_WORDS: dict[Kind, str] = {"whole": "whole numbers", "decimal": "decimals", "yes_no": "true or false", "text": "text"}


@dataclass(frozen=True, slots=True)
class Classified:
    """A column of a block with its kind, what in it looks ruined, and what is odd where it is text but mostly numbers."""

    column: Column
    suspects: list[tuple[int, str]]
    odd: Odd | None = None


def classified(text: pa.Array) -> Classified:
    """Look at one column of a block; on any thread."""
    import pyarrow.compute as pc

    column = classify(text)
    if column.kind in ("empty", "yes_no", "decimal"):
        return Classified(column, [])
    is_short = column.kind == "whole" and (pc.max(pc.binary_length(text)).as_py() or 0) < _LONG
    odd = odd_ones(text) if column.kind == "text" and is_mostly_numbers(text) else None
    return Classified(column, [] if is_short else suspects(text), odd)


class Columns:
    """Gives each block's columns in the kind that the file as a whole calls for.

    Args:
        names: The columns.
        has_types: Whether numbers are to be told from text.
        report: Takes notes and flags.
    """

    def __init__(self, names: list[str], has_types: bool, report: ImportReport) -> None:
        self._names, self._has_types, self._report = names, has_types, report
        self._kinds: list[Kind] = ["empty"] * len(names)
        self._ruined = Ruined(report)
        self._mixed = [Mixed() for _ in names]
        self._widened: set[int] = set()
        self._rows = 0

    def state(self) -> dict[str, Any]:
        """What is known of the rows so far, as JSON; see `restore`."""
        return {
            "kinds": list(self._kinds),
            "widened": sorted(self._widened),
            "rows": self._rows,
            "ruined": self._ruined.state(),
            "mixed": [mixed.state() for mixed in self._mixed],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self._kinds, self._widened, self._rows = list(state["kinds"]), set(state["widened"]), state["rows"]
        self._ruined.restore(state["ruined"])
        for mixed, kept in zip(self._mixed, state["mixed"], strict=True):
            mixed.restore(kept)

    def expect(self, kinds: list[Kind]) -> None:
        """Take kinds that were found by looking ahead."""
        self._kinds = list(kinds)

    def batch(self, columns: list[Classified]) -> pa.RecordBatch:
        """Make a batch of a block's columns."""
        import pyarrow as pa

        arrays = []
        rows = len(columns[0].column.text)
        for number, (name, found) in enumerate(zip(self._names, columns, strict=True)):
            if self._has_types:
                arrays.append(self._array(number, found.column))
                self._mixed[number].look(found.column, found.odd, self._rows)
            else:
                arrays.append(found.column.text)
            if found.suspects:
                self._ruined.look(name, found.suspects, self._rows, rows)
        self._rows += rows
        return pa.RecordBatch.from_arrays(arrays, names=self._names)

    def tell(self) -> None:
        """State what was found in the whole file."""
        self._ruined.tell()
        for number, name in enumerate(self._names):
            if number not in self._widened:
                self._mixed[number].tell(name, self._report)

    def _array(self, number: int, column: Column) -> pa.Array:
        import pyarrow as pa

        before, kind = self._kinds[number], merged(self._kinds[number], column.kind)
        if kind != before:
            self._kinds[number] = kind
            if before not in ("empty", kind) and kind == "text":
                self._widened.add(number)
                self._tell_widening(self._names[number], before, column.kind)
        if kind == column.kind:
            return column.values
        if kind in ("text", "empty"):
            return column.text
        if column.kind == "empty":
            return pa.nulls(len(column.text), _type_of(kind))
        return column.values.cast(pa.float64(), safe=False) if _is_small(column.values) else column.text

    def _tell_widening(self, name: str, before: Kind, now: Kind) -> None:
        lost = " Decimals before it are in their shortest form (1.50 is 1.5)." if before == "decimal" else ""
        self._report.note(
            f"Column “{name}” holds {_WORDS[before]}, but {_WORDS[now]} after row {self._rows}, so it is stored as text.{lost}"
        )


def merged(one: Kind, other: Kind) -> Kind:
    """Give the narrowest kind that holds both."""
    if one == other or other == "empty":
        return one
    if one == "empty":
        return other
    return "decimal" if {one, other} == {"whole", "decimal"} else "text"


def _type_of(kind: Kind) -> pa.DataType:
    import pyarrow as pa

    return {"whole": pa.int64(), "decimal": pa.float64(), "yes_no": pa.bool_()}[kind]


def _is_small(values: pa.Array) -> bool:
    """Whether whole numbers are exact as decimals."""
    import pyarrow.compute as pc

    ends = pc.min_max(values).as_py()
    return all(end is None or abs(end) <= 2**53 for end in ends.values())
