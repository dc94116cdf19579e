"""Spreadsheets (XLSX, XLSM, XLSB, XLS, ODS) through calamine: stored values only, so no formula or macro ever runs.

A sheet is a table: its header row is found, whole numbers, dates and yes/no keep their types, and what a spreadsheet
hides is told: formulas without a stored value, error cells, merged cells, ruined numbers.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from fmstudio.api import Field, Importer, ImportReport, Params, Part, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.batches import Batcher, cell_text
from fmstudio_formats.parts import choose, column_count
from fmstudio_formats.ruined import Ruined, number_suspects
from fmstudio_formats.sheet_container import check_container
from fmstudio_formats.sheet_header import find_header, header_names
from fmstudio_formats.sheet_xml import SheetFacts, sheet_facts

if TYPE_CHECKING:
    import pyarrow as pa

_LOOKED_AT = 30
_COUNTED = 20 << 20
_DATE_IN_TEXT = "looks like a name that a spreadsheet took for a date"

T = TypeVar("T")


class SheetParams(Params):
    """Settings of the spreadsheet importer."""

    part: str = Field(default="", title="Sheet", description="Name of the sheet; empty = the first that has cells.")
    header: Literal["detect", "first", "none"] = Field(
        default="detect",
        title="Column names",
        description="“detect” finds the row of names below titles and empty rows; “none” names columns by number.",
    )


class SpreadsheetImporter(Importer):
    """Reads ``.xlsx``, ``.xlsm``, ``.xlsb``, ``.xls`` and ``.ods``."""

    Params = SheetParams

    def parts(self, path: Path, ctx: TaskContext) -> list[Part]:
        """See `Importer.parts`."""
        with path.open("rb") as file:
            book = _open(path, file)
            is_small = path.stat().st_size <= _COUNTED
            return [_part(book, path, sheet, is_small) for sheet in _sheets(book)]

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, SheetParams)
        with path.open("rb") as file:
            book = _open(path, file)
            names = [sheet.name for sheet in _sheets(book)]
            if not params.part and path.stat().st_size <= _COUNTED:
                names.sort(key=lambda name: not _load(book, path, name).height)
            name = choose(names, params.part, "sheet", path, report)
            facts = sheet_facts(path, [sheet.name for sheet in book.sheets_metadata].index(name))
            sheet = _load(book, path, name)
            yield from Batcher(report).batched(_Rows(sheet, facts, path, params.header, report, ctx).rows())


def _open(path: Path, file: Any) -> Any:
    """Open a workbook.

    Raises:
        UserError: It is empty, encrypted, absurdly large, cut or no spreadsheet.
    """
    check_container(path)
    import python_calamine

    try:
        return _guarded(lambda: python_calamine.CalamineWorkbook.from_filelike(file))
    except python_calamine.PasswordError as error:
        raise UserError(f"{path.name} is encrypted.", remedy="Save it without a password and import again.") from error
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _load(book: Any, path: Path, name: str) -> Any:
    import python_calamine

    try:
        return _guarded(lambda: book.get_sheet_by_name(name))
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _guarded(action: Callable[[], T]) -> T:
    """Call into calamine; a panic of its Rust code, which is no `Exception`, becomes a `ValueError`."""
    try:
        return action()
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise ValueError(f"The reader gave up: {error}") from error
        raise


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path.name} is no spreadsheet, or is cut or damaged.",
        remedy="Open it in a spreadsheet program and save it again, or copy it again.",
        details=str(error),
    )


def _sheets(book: Any) -> list[Any]:
    """The sheets that hold cells, as against charts and macros."""
    return [sheet for sheet in book.sheets_metadata if str(sheet.typ).endswith("WorkSheet")]


def _part(book: Any, path: Path, sheet: Any, is_small: bool) -> Part:
    hidden = "" if str(sheet.visible).endswith(".Visible") else "hidden sheet"
    if not is_small:
        return Part(sheet.name, sheet.name, None, hidden or "sheet")
    loaded = _load(book, path, sheet.name)
    detail = f"{hidden or 'sheet'}, {column_count(loaded.width)}" if loaded.height else f"empty {hidden or 'sheet'}"
    return Part(sheet.name, sheet.name, max(0, loaded.height - 1), detail)


class _Rows:
    """The rows of one sheet as objects."""

    def __init__(
        self, sheet: Any, facts: SheetFacts, path: Path, header: str, report: ImportReport, ctx: TaskContext
    ) -> None:
        self._sheet, self._facts, self._header = sheet, facts, header
        self._report, self._ctx = report, ctx
        self._size, self._name = path.stat().st_size, path.name
        self._ruined, self._dates = Ruined(report), Counter[str]()
        self._left = (sheet.start or (0, 0))[1]  # calamine leaves out empty columns before the data, but not rows

    def rows(self) -> Iterator[dict[str, Any]]:
        cells = self._sheet.iter_rows()
        top = [row for _, row in zip(range(_LOOKED_AT), cells, strict=False)]
        at = find_header(top) if self._header == "detect" else (0 if self._header == "first" else None)
        width = max(map(len, top), default=0)
        names = header_names(top[at] if at is not None else [], width)
        self._tell_header(at, names)
        start = 0 if at is None else at + 1
        yield from self._named(top[start:], cells, names, start)

    def _named(self, top: list[Any], cells: Iterator[Any], names: list[str], start: int) -> Iterator[dict[str, Any]]:
        total, given, number = max(1, self._sheet.height), 0, start
        pending: list[list[Any]] = []
        places: list[int] = []
        for number, row in enumerate(_chained(top, cells), start):
            values = [_plain(cell) for cell in row]
            if all(value is None for value in values):
                continue
            pending.append(values)
            places.append(number)
            if len(pending) >= 2_000:
                self._ctx.check_cancelled()
                self._ctx.progress(self._size * number / total, self._size, "bytes read")
                yield from self._flagged(pending, places, names, given)
                given += len(pending)
                pending, places = [], []
        yield from self._flagged(pending, places, names, given)
        self._ctx.progress(self._size, self._size, "bytes read")
        self._ruined.tell()
        for name, count in self._dates.items():
            dates = "1 date" if count == 1 else f"{count:,} dates"
            self._report.note(f"Column “{name}”: {dates} among texts, as a spreadsheet makes of names.")
        self._tell_facts()

    def _flagged(
        self, rows: list[list[Any]], places: list[int], names: list[str], given: int
    ) -> Iterator[dict[str, Any]]:
        for index, name in enumerate(names):
            column = [row[index] if index < len(row) else None for row in rows]
            found = number_suspects(column)
            if found:
                self._ruined.look(name, found, given, sum(value is not None for value in column))
            self._flag_dates(name, column, given)
        self._flag_errors(places, names, given)
        for row in rows:
            yield {name: _storable(value) for name, value in zip(names, row, strict=False)}

    def _flag_dates(self, name: str, column: list[Any], given: int) -> None:
        """A few dates among many texts: gene names, sizes and fractions that were typed in."""
        texts = sum(isinstance(value, str) for value in column)
        dates = [i for i, value in enumerate(column) if isinstance(value, datetime.date)]
        if dates and texts > 2 * len(dates):
            for index in dates[:1_000]:
                shown = cell_text(_storable(column[index]))
                self._report.flag(name, given + index + 1, f"“{shown}” {_DATE_IN_TEXT}.", shown)
            self._dates[name] += len(dates)

    def _flag_errors(self, places: list[int], names: list[str], given: int) -> None:
        if not self._facts.errors:
            return
        for index, place in enumerate(places):
            for column, text in self._facts.errors.get(place, ()):
                if 0 <= column - self._left < len(names):
                    self._report.flag(
                        names[column - self._left], given + index + 1, f"The cell holds the error {text}.", text
                    )

    def _tell_header(self, at: int | None, names: list[str]) -> None:
        if at:
            self._report.note(f"Column names are in row {at + 1}; what is above is not read.")
        elif at is None and names and self._header == "detect":
            self._report.note("No row of column names was found, so the columns are numbered.")

    def _tell_facts(self) -> None:
        facts = self._facts
        if facts.uncalculated:
            self._report.note(
                f"{facts.uncalculated} formula cells have no stored value (the first is {facts.first_uncalculated}) and are "
                "read as empty: open the file in a spreadsheet program and save it."
            )
        if facts.error_count:
            self._report.note(
                f"{facts.error_count} cells hold an error (the first is {facts.first_error}) and are read as empty."
            )
        merged = self._sheet.merged_cell_ranges
        if merged:
            self._report.note(f"{len(merged)} merged areas: only the first cell of each has the value.")


def _chained(top: list[Any], rest: Iterator[Any]) -> Iterator[Any]:
    yield from top
    yield from rest


def _plain(cell: Any) -> Any:
    """Calamine gives "" for an empty cell and a decimal for each number."""
    if cell == "":
        return None
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    return cell


def _storable(value: Any) -> Any:
    """Dates and times as ISO text where a column of them cannot be told from others by type alone."""
    if isinstance(value, datetime.timedelta):
        return str(value)
    if isinstance(value, datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        with suppress(OverflowError):
            return datetime.datetime(value.year, value.month, value.day)
    return value
