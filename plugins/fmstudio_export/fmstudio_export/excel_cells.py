"""Arrow values → Excel cells: text stays text, dates become dates where Excel has them, long numbers become text."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fmstudio.api import ExportReport, UserError
from fmstudio_export.plain_values import MAPS, PlainValues, in_calendar, json_text

if TYPE_CHECKING:
    import pyarrow as pa

CELL_LIMIT = 32_767
_EXACT_DIGITS = 10**15
_FIRST_DAY = dt.datetime(1900, 3, 1)
"""Excel counts a 29 February 1900 that never was: dates from here on are right."""
_UNWRITABLE = re.compile(r"_x[0-9A-Fa-f]{4}_|[\x00-\x08\x0b-\x1f\ufffe\uffff]")


class Cells:
    """Makes the rows of a book.

    Args:
        sheet: Any sheet of the book.
        is_cutting: Cut texts that are too long and count them, instead of raising.
    """

    def __init__(self, sheet: Any, schema: pa.Schema, report: ExportReport, *, is_cutting: bool) -> None:
        self._sheet, self._schema, self._report, self._is_cutting = sheet, schema, report, is_cutting
        self._plain = PlainValues(report)
        self._row = 0
        self._cut: dict[str, int] = {}

    def rows(self, batch: pa.RecordBatch) -> Iterator[list[Any]]:
        """Yield the rows of a batch as openpyxl takes them.

        Raises:
            UserError: A text does not fit into a cell.
        """
        columns = [self._values(c, n) for c, n in zip(batch.columns, batch.schema.names, strict=True)]
        for values in zip(*columns, strict=True):
            yield [self._cell(value, column) for column, value in enumerate(values)]
            self._row += 1

    def tell(self) -> None:
        """At the end: say what was cut."""
        for name, count in self._cut.items():
            self._report.note(f"{count:,} texts in “{name}” are longer than a cell holds and were cut.")

    def _values(self, column: pa.Array, name: str) -> list[Any]:
        import pyarrow as pa
        import pyarrow.compute as pc

        t, kind = pa.types, column.type
        if t.is_timestamp(kind) and kind.tz is None:
            exact = self._plain.column(column, name).to_pylist()
            # Excel keeps milliseconds: a finer time stays text.
            milliseconds = column.cast(pa.timestamp("ms"), safe=False)
            fits = column.cast(pa.timestamp("ns"), safe=False).equals(milliseconds.cast(pa.timestamp("ns"), safe=False))
            near = pc.if_else(in_calendar(milliseconds), milliseconds, None).to_pylist()
            return [_date(v, e) for v, e in zip(near, exact, strict=True)] if fits else exact
        if t.is_date(kind):
            exact = self._plain.column(column, name).to_pylist()
            days = column.cast(pa.date32())
            near = pc.if_else(in_calendar(days), days, None).to_pylist()
            return [_date(v, e) for v, e in zip(near, exact, strict=True)]
        return list(self._plain.column(column, name).to_pylist(**MAPS))

    def _cell(self, value: Any, column: int) -> Any:
        if value is None or isinstance(value, bool | dt.date):
            return value
        if isinstance(value, int):
            if abs(value) < _EXACT_DIGITS:
                return value
            self._report.note("Whole numbers of more than 15 digits are written as text: Excel would round them.")
            return self._text(str(value), column)
        if isinstance(value, float):
            return self._number(value) if math.isfinite(value) else self._text(str(value), column)
        if isinstance(value, list | dict):
            self._report.note("Lists and objects are written as JSON text.")
            value = json_text(value)
        return self._text(value, column)

    def _number(self, value: float) -> Any:
        """A number with all its digits: openpyxl writes 16, and one in four needs 17 to be the same again."""
        if float(f"{value:.16g}") == value:
            return value
        from openpyxl.cell import WriteOnlyCell

        cell = WriteOnlyCell(self._sheet)
        cell.value, cell.data_type = repr(value), "n"
        return cell

    def _text(self, text: str, column: int) -> Any:
        """A text that Excel takes for nothing else: no formula, no error value."""
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ERROR_CODES

        clean = escaped(text)
        if len(text) * 2 > CELL_LIMIT and utf16_length(clean) > CELL_LIMIT:
            clean = self._shortened(text, column)
        if not clean.startswith("=") and clean not in ERROR_CODES:
            return clean
        cell = WriteOnlyCell(self._sheet)
        cell.value, cell.data_type = clean, "s"
        return cell

    def _shortened(self, text: str, column: int) -> str:
        name = self._schema.names[column]
        if not self._is_cutting:
            raise UserError(
                f"Row {self._row + 1}, column “{name}” has {len(text):,} characters; an Excel cell holds {CELL_LIMIT:,}.",
                remedy="Export as CSV, JSON Lines or Parquet, leave the column out, or choose to cut long texts.",
            )
        self._cut[name] = self._cut.get(name, 0) + 1
        while utf16_length(clean := escaped(text)) > CELL_LIMIT:
            text = text[: len(text) - max(1, (utf16_length(clean) - CELL_LIMIT) // 7)]
        return clean


def _date(value: Any, exact: Any) -> Any:
    """A date where Excel counts right, else its ISO text."""
    if value is None:
        return exact
    moment = value if isinstance(value, dt.datetime) else dt.datetime(value.year, value.month, value.day)
    return value if moment >= _FIRST_DAY else exact


def utf16_length(text: str) -> int:
    """Length as Excel counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def escaped(text: str) -> str:
    """Write what XML cannot hold as ``_x001B_``, and so a text that looks like it (ECMA-376, part 1, 22.9.2.19)."""
    return _UNWRITABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    found = match.group(0)
    return f"_x{ord(found):04X}_" if len(found) == 1 else f"_x005F{found}"
