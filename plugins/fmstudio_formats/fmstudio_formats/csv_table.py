"""CSV and TSV: delimiter and quote found from a sample, types only where nothing is lost, bad rows reported.

Arrow splits whole blocks into columns of text; a block with anything wrong in it is read record by record. So damage
costs its own block some speed, and each bad row is known by line and byte. Types are decided column by column
(`numbers`); what a spreadsheet ruined is pointed at (`ruined`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import Field, Importer, ImportReport, TaskContext
from fmstudio.api import Params as AnyParams
from fmstudio_formats.batches import BYTES, ROWS
from fmstudio_formats.csv_columns import Columns, classified
from fmstudio_formats.csv_head import SAMPLE, Dialect, column_names, find_dialect
from fmstudio_formats.csv_records import CarefulReader, count_lines, record_blocks
from fmstudio_formats.csv_split import first_records, split
from fmstudio_formats.csv_survey import survey
from fmstudio_formats.encoding import EncodingParams, Source, open_utf8
from fmstudio_formats.lines import At, Block, LineNumbers, in_order, mark_of

if TYPE_CHECKING:
    import pyarrow as pa


class CsvParams(EncodingParams):
    """Settings of the CSV importer."""

    delimiter: str = Field(default="", max_length=1, title="Delimiter", description="One character; empty = detect.")
    quote: str = Field(default="", max_length=1, title="Quote", description="One character; empty = detect.")
    has_header: bool = Field(default=True, title="First line names the columns")
    types: Literal["detect", "text"] = Field(
        default="detect", title="Types", description="“text” keeps every value exactly as it is written."
    )


class CsvImporter(Importer):
    """Reads ``.csv`` and ``.tsv``, also compressed."""

    Params = CsvParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, CsvParams)
        head = open_utf8(path, params.encoding, report)
        try:
            is_plain, sample = head.start is not None and not head.is_recoded, head.read(SAMPLE)
        finally:
            head.close()
        dialect = find_dialect(sample, params.delimiter, params.quote, path, report)
        source, later = head.again(), head.again()
        try:
            table = _Table(source, dialect, path, params, report, ctx)
            if self.mark is not None:
                table.go_on(later, self.mark)
            elif is_plain and params.types == "detect":
                table.columns.expect(survey(path, dialect, table.names, source.size, sample))
            yield from table.batches(self)
        finally:
            source.close()
            later.close()


class _Table:
    """One CSV file while it is read."""

    def __init__(
        self, source: Source, dialect: Dialect, path: Path, params: CsvParams, report: ImportReport, ctx: TaskContext
    ) -> None:
        self._source, self._path, self._params = source, path, params
        self._report, self._ctx, self._dialect = report, ctx, dialect
        self._start = At.of(source, None)
        self._blocks = record_blocks(source, dialect, self._start)
        self._first: Block | None = self._without_header()
        self.columns = Columns(self.names, params.types == "detect", report)

    def _without_header(self) -> Block:
        """Take the header off the first block and name the columns after it."""
        block = next(self._blocks, Block(b"", 0, 0))
        records, ends = first_records(block.data[self._dialect.skipped :], self._dialect)
        header = records[0] if records else []
        self.names = column_names(
            header, self._params.has_header, records[1] if len(records) > 1 else None, self._report
        )
        cut = self._dialect.skipped + (ends[0] if self._params.has_header else 0)
        taken = block.data[:cut]
        byte = self._source.after(block.byte, taken)
        return Block(block.data[cut:], byte, block.end, block.ahead)

    def go_on(self, source: Source, mark: dict[str, Any]) -> None:
        """Begin at a mark that `batches` has set, with the same file opened anew."""
        self._source, self._start = source, At.of(source, mark)
        self._first, self._blocks = None, record_blocks(source, self._dialect, self._start)
        self.columns.restore(mark["columns"])

    def batches(self, importer: Importer) -> Iterator[pa.RecordBatch]:
        """Yield the rows; whenever no record is half read, the importer's mark is where reading stands."""
        end = self._start.end
        with LineNumbers(self._source, count_lines) as lines:
            careful = CarefulReader(self._dialect, len(self.names), self._report, self._source, lines)
            for block, columns in in_order(self._all_blocks(), self._parse):
                self._ctx.check_cancelled()
                self._ctx.progress(self._source.consumed(block.end), self._source.size, "bytes read")
                if not careful.carry and (place := mark_of(block, self._source)) is not None:
                    importer.mark = {**place, "columns": self.columns.state()}
                if columns is not None and not careful.carry:
                    yield self.columns.batch(columns)
                else:
                    yield from self._careful(careful, block, is_last=False)
                end = block.end
            yield from self._careful(careful, Block(b"", None, end), is_last=True)
            self._source.tell_damage(self._path, self._report, lambda: lines.at(end))
        self.columns.tell()

    def _all_blocks(self) -> Iterator[Block]:
        if self._first is not None:
            yield self._first
        yield from self._blocks

    def _parse(self, block: Block) -> list[Any] | None:
        """Split a block with Arrow; None when anything is wrong in it. Runs on any thread."""
        table = split(block.data, self.names, self._dialect)
        return None if table is None else [classified(column) for column in table]

    def _careful(self, careful: CarefulReader, block: Block, *, is_last: bool) -> Iterator[pa.RecordBatch]:
        rows: list[list[str]] = []
        size = 0
        for row in careful.read(block, is_last):
            rows.append(row)
            size += sum(map(len, row))
            if len(rows) >= ROWS or size >= BYTES:
                yield self._of_rows(rows)
                rows, size = [], 0
        if rows:
            yield self._of_rows(rows)

    def _of_rows(self, rows: list[list[str]]) -> pa.RecordBatch:
        import pyarrow as pa

        return self.columns.batch([classified(pa.array(cells, pa.string())) for cells in zip(*rows, strict=True)])
