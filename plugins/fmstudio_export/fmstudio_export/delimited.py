"""CSV and TSV (RFC 4180 quoting): nested values as JSON text, an empty text apart from an empty cell.

A null is an empty field, an empty text is ``""``: PostgreSQL, and DuckDB with ``allow_quoted_nulls=false``, read both as
they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import DatasetExporter, DatasetFacts, ExportReport, Field, Params, TaskContext
from fmstudio_export.plain_values import MAPS, PlainValues, json_text
from fmstudio_export.text_file import open_text

if TYPE_CHECKING:
    import pyarrow as pa

_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
_FORMULA = re.compile(r"^[=+\-@\t\r\n]")
_EXCEL_DIGITS = 10**15
"""Excel keeps 15 digits of a whole number ("Excel specifications and limits", Number precision)."""


class TsvParams(Params):
    """Settings of both formats."""

    null_text: str = Field(
        default="",
        pattern=r'^[^",;|\t\r\n]*$',
        title="Empty cells",
        description="What stands for a missing value; usually nothing.",
    )
    escape_formulas: bool = Field(
        default=False,
        title="Safe for spreadsheets",
        description="Puts an apostrophe before texts that start with = + - @, which a spreadsheet would run as formulas. "
        "It changes those texts, so leave it off unless the file is opened in a spreadsheet and its content is not yours.",
    )
    byte_order_mark: bool = Field(
        default=False, title="Byte order mark", description="Excel on Windows needs it to see that the file is UTF-8."
    )


class CsvParams(TsvParams):
    """Settings of CSV."""

    delimiter: Literal["comma", "semicolon", "tab", "bar"] = Field(
        default="comma", title="Delimiter", description="Excel in many European languages wants the semicolon."
    )


class TsvExporter(DatasetExporter):
    """Writes ``.tsv``."""

    Params = TsvParams

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
        _Table(params, self.delimiter(params), schema, report).write(batches, target)
        return [target]

    def delimiter(self, params: Any) -> str:
        """The character between fields."""
        return "\t"


class CsvExporter(TsvExporter):
    """Writes ``.csv``."""

    Params = CsvParams

    def delimiter(self, params: Any) -> str:
        """The character between fields."""
        return _DELIMITERS[params.delimiter]


class _Table:
    """One file being written."""

    def __init__(self, params: TsvParams, delimiter: str, schema: pa.Schema, report: ExportReport) -> None:
        self._params, self._delimiter, self._schema, self._report = params, delimiter, schema, report
        self._plain = PlainValues(report)
        # With one column no delimiter stands in the file: one in a text must not be taken for it.
        told_apart = delimiter if len(schema) > 1 else "".join(_DELIMITERS.values())
        self._special = re.compile(f'[{re.escape(told_apart)}"\\r\\n]|^\\s|\\s$')
        # A line without anything in it is no row to most readers: with one column a missing value needs its quotes.
        self._null = params.null_text if params.null_text or len(schema) > 1 else '""'

    def write(self, batches: Iterator[pa.RecordBatch], target: Path) -> None:
        """Write header and rows."""
        self._tell_nested()
        with open_text(target, "utf-8-sig" if self._params.byte_order_mark else "utf-8") as file:
            file.write(self._delimiter.join(self._text(name) for name in self._schema.names) + "\n")
            for batch in batches:
                columns = [self._cells(c, n) for c, n in zip(batch.columns, batch.schema.names, strict=True)]
                file.writelines(self._delimiter.join(cells) + "\n" for cells in zip(*columns, strict=True))

    def _tell_nested(self) -> None:
        import pyarrow as pa

        nested = [field.name for field in self._schema if pa.types.is_nested(field.type)]
        if nested:
            self._report.note(f"Lists and objects are written as JSON text: {', '.join(nested)}.")

    def _cells(self, column: pa.Array, name: str) -> list[str]:
        import pyarrow as pa

        array = self._plain.column(column, name)
        kind, null = array.type, self._null
        values = array.to_pylist(**MAPS)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            return [null if v is None else self._text(v) for v in values]
        if pa.types.is_boolean(kind):
            return [null if v is None else "true" if v else "false" for v in values]
        if pa.types.is_nested(kind):
            return [null if v is None else self._text(json_text(v)) for v in values]
        if pa.types.is_integer(kind):
            self._tell_long(name, values)
        return [null if v is None else _number(v) for v in values]

    def _text(self, text: str) -> str:
        if self._params.escape_formulas and _FORMULA.match(text):
            self._report.note("An apostrophe was put before texts that a spreadsheet would run as formulas.")
            text = "'" + text
        return self._field(text)

    def _field(self, text: str) -> str:
        if not text or text == self._params.null_text or self._special.search(text):
            return '"' + text.replace('"', '""') + '"'
        return text

    def _tell_long(self, name: str, values: list[int | None]) -> None:
        if any(value is not None and abs(value) >= _EXCEL_DIGITS for value in values):
            self._report.note(f"“{name}” holds whole numbers of more than 15 digits: Excel shows them rounded.")


def _number(value: float) -> str:
    """Give the shortest digits that read back as the same number."""
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text := repr(value), text)
