"""JSON Lines and JSON: every row an object with all its columns, null written as null."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import DatasetExporter, DatasetFacts, ExportReport, Field, Params, TaskContext
from fmstudio_export.plain_values import PlainValues, json_text, numbered_rows
from fmstudio_export.text_file import open_text

if TYPE_CHECKING:
    import pyarrow as pa


class JsonParams(Params):
    """Settings of JSON and JSON Lines."""

    not_numbers: Literal["NaN", "null"] = Field(
        default="NaN",
        title="NaN and infinite numbers",
        description="“NaN” keeps them as Python, pandas and DuckDB read them, which strict JSON parsers refuse; “null” drops them.",
    )
    skip_nulls: bool = Field(
        default=False, title="Leave out empty cells", description="A column that is null in a row is not written there."
    )


class JsonLinesExporter(DatasetExporter):
    """Writes ``.jsonl``: one object a line."""

    Params = JsonParams

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
        write_lines(target, _rows(batches, params, report))
        return [target]


class JsonExporter(DatasetExporter):
    """Writes ``.json``: one array of objects, a row on each line."""

    Params = JsonParams

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
        write_array(target, _rows(batches, params, report))
        return [target]


def _rows(batches: Iterator[pa.RecordBatch], params: JsonParams, report: ExportReport) -> Iterator[dict[str, Any]]:
    plain = PlainValues(report, is_finite_only=params.not_numbers == "null")
    for _, row in numbered_rows(batches, plain):
        yield {name: value for name, value in row.items() if value is not None} if params.skip_nulls else row
    if plain.not_finite:
        how = "null" if params.not_numbers == "null" else "NaN or Infinity, which strict JSON parsers refuse"
        report.note(f"{plain.not_finite:,} numbers are not finite; they are written as {how}.")


def write_lines(target: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write JSON Lines."""
    with open_text(target) as file:
        file.writelines(json_text(row) + "\n" for row in rows)


def write_array(target: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON array, a row at a time."""
    with open_text(target) as file:
        file.write("[")
        for number, row in enumerate(rows):
            file.write(("\n" if number == 0 else ",\n") + json_text(row))
        file.write("\n]\n")
