"""Excel workbooks, written row by row. What a cell cannot hold is said or refused, never cut in silence.

Limits ("Excel specifications and limits", Microsoft): 1 048 576 rows and 16 384 columns a sheet, 32 767 characters a
cell (counted in UTF-16), 15 digits of a number.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import DatasetExporter, DatasetFacts, ExportReport, Field, Params, TaskContext, UserError
from fmstudio_export.excel_cells import CELL_LIMIT, Cells, escaped
from fmstudio_export.text_file import refuse_gzip

if TYPE_CHECKING:
    import pyarrow as pa

SHEET_ROWS = 1_048_576
SHEET_COLUMNS = 16_384
_NAME_LENGTH = 31
_NO_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f]")


class ExcelParams(Params):
    """Settings of Excel workbooks."""

    sheet: str = Field(default="", title="Sheet name", description="Empty = the dataset's name.")
    long_texts: Literal["refuse", "cut"] = Field(
        default="refuse",
        title="Texts too long for a cell",
        description=f"A cell holds {CELL_LIMIT:,} characters. “cut” writes as many and counts the texts it cut.",
    )
    rows_in_sheet: int = Field(
        default=SHEET_ROWS - 1,
        ge=1,
        le=SHEET_ROWS - 1,
        title="Rows in a sheet",
        description="Further rows go to further sheets; Excel holds 1,048,575 below the header.",
    )


class ExcelExporter(DatasetExporter):
    """Writes ``.xlsx``."""

    Params = ExcelParams

    def check(self, schema: pa.Schema, params: Any) -> None:
        """See `DatasetExporter.check`."""
        if not 0 < len(schema) <= SHEET_COLUMNS:
            raise UserError(
                f"An Excel sheet holds 1 to {SHEET_COLUMNS:,} columns; these rows have {len(schema):,}.",
                remedy="Choose fewer columns, or export as CSV or Parquet.",
            )
        for name in schema.names:
            if len(name) > CELL_LIMIT:
                raise UserError(f"The column name “{name[:40]}…” is too long for an Excel cell.")

    def write(
        self,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        target: Path,
        params: Any,
        facts: DatasetFacts,
        report: ExportReport,
        ctx: TaskContext,
    ) -> list[Path]:
        """See `DatasetExporter.write`."""
        from openpyxl import Workbook

        refuse_gzip(target, "Name it .xlsx: a workbook is a compressed archive already.")
        book = Workbook(write_only=True)
        try:
            _write_beside(target)
            sheets = _Sheets(book, params.sheet or facts.name, params.rows_in_sheet, schema, report)
            cells = Cells(sheets.sheet, schema, report, is_cutting=params.long_texts == "cut")
            for batch in batches:
                for row in cells.rows(batch):
                    sheets.append(row)
            cells.tell()
            book.save(target)
        except BaseException as error:
            _abandon(book)
            _raise_full_disk(error)
            raise
        finally:
            tempfile.tempdir = None
        return [target]


def _write_beside(target: Path) -> None:
    """Let openpyxl keep its sheets where the book will be, not on a small temporary disk."""
    tempfile.tempdir = str(target.parent)


def _raise_full_disk(error: BaseException) -> None:
    """lxml writes the sheets and has an error of its own for what the system said."""
    name = str(error).removeprefix("IO_")
    if type(error).__name__ == "SerialisationError" and hasattr(errno, name):
        number = getattr(errno, name)
        raise OSError(number, os.strerror(number)) from error


class _Sheets:
    """The sheets of one book, each with the header on top."""

    def __init__(self, book: Any, title: str, most: int, schema: pa.Schema, report: ExportReport) -> None:
        self._book, self._title, self._most, self._schema, self._report = book, title, most, schema, report
        self._count, self._rows = 0, 0
        self.sheet = self._new()

    def append(self, row: list[Any]) -> None:
        """Write a row, on a new sheet where the last one is full."""
        if self._rows == self._most:
            self.sheet.close()
            self.sheet = self._new()
            self._report.note(f"A sheet holds {self._most:,} rows; the others are on further sheets of the book.")
        self.sheet.append(row)
        self._rows += 1

    def _new(self) -> Any:
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.styles import Font

        self._count, self._rows = self._count + 1, 0
        sheet = self._book.create_sheet(_sheet_name(self._title, self._count))
        sheet.freeze_panes = "A2"
        header = []
        for name in self._schema.names:
            cell = WriteOnlyCell(sheet)
            cell.value, cell.data_type = escaped(name), "s"
            cell.font = Font(bold=True)
            header.append(cell)
        sheet.append(header)
        return sheet


def _sheet_name(title: str, number: int) -> str:
    ending = f" {number}" if number > 1 else ""
    clean = _NO_NAME.sub(" ", title).strip(" '") or "Rows"
    return clean[: _NAME_LENGTH - len(ending)] + ending


def _abandon(book: Any) -> None:
    """Let go of the sheets' files in the temporary folder; what went wrong before is the news, not this."""
    for sheet in book.worksheets:
        with suppress(Exception):
            if not sheet.closed:
                sheet.close()
        with suppress(OSError, AttributeError):
            Path(sheet._writer.out).unlink(missing_ok=True)
