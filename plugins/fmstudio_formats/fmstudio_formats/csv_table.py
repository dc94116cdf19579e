"""CSV and TSV: delimiter found from a sample, types only where nothing is lost, bad lines reported.

Arrow splits the file; every column is read as text first. A column becomes numbers only when each of its values is
written as that number would be (so ``007`` and ``1e5x`` stay text).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fmstudio.api import Importer, ImportReport, Reject, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.encoding import EncodingParams, Source, is_utf8, open_utf8

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLE = 64 << 10
_BLOCK = 4 << 20
_WHOLE = r"^-?(0|[1-9]\d{0,17})$"
_DECIMAL = r"^-?(0|[1-9]\d{0,14})(\.\d{1,15})?([eE][-+]?\d{1,2})?$"
_TITLES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


class CsvParams(EncodingParams):
    """Settings of the CSV importer."""

    delimiter: str = Field(default="", max_length=1, title="Delimiter", description="One character; empty = detect.")
    has_header: bool = Field(default=True, title="First line names the columns")
    types: Literal["detect", "text"] = Field(
        default="detect", title="Types", description="“text” keeps every value exactly as it is written."
    )


class CsvImporter(Importer):
    """Reads ``.csv`` and ``.tsv``."""

    Params = CsvParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, CsvParams)
        source = open_utf8(path, params.encoding, report)
        stream = _Counted(source, ctx)
        try:
            head = _first_lines(stream.peek(_SAMPLE))
            delimiter = params.delimiter or _sniff(head, path)
            report.note(f"Delimiter: {_TITLES.get(delimiter, delimiter)}")
            names = _column_names(head, delimiter, params.has_header)
            for batch in _batches(stream, names, delimiter, params.has_header, report, path):
                ctx.check_cancelled()
                yield _typed(batch) if params.types == "detect" else batch
        finally:
            source.stream.close()


class _Counted(io.RawIOBase):
    """The file as Arrow wants it: readable, with progress, and a look at its start."""

    def __init__(self, source: Source, ctx: TaskContext) -> None:
        self._source, self._ctx, self._done, self._ahead = source, ctx, 0, b""

    def peek(self, size: int) -> bytes:
        """Give the first bytes without taking them."""
        self._ahead = self._source.stream.read(size)
        return self._ahead

    def readable(self) -> bool:
        """Arrow asks."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes."""
        size = size if size > 0 else _BLOCK
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        data = data or self._source.stream.read(size)
        self._done += len(data)
        self._ctx.progress(min(self._done, self._source.size), self._source.size, "bytes read")
        return data


def _first_lines(sample: bytes) -> str:
    text = sample.decode("utf-8", "ignore")
    return text if len(sample) < _SAMPLE else text[: text.rfind("\n") + 1] or text


def _sniff(head: str, path: Path) -> str:
    """Choose the delimiter that splits the first lines into the same number of fields, the more the better."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    best, score = ",", 0.0
    for candidate in _TITLES:
        widths = [len(row) for row in _parsed(head, candidate)[:50] if row]
        usual = max(set(widths), key=widths.count) if widths else 1
        value = widths.count(usual) / len(widths) * min(usual, 20) if usual > 1 else 0.0
        if value > score:
            best, score = candidate, value
    return best


def _parsed(head: str, delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter))
    except csv.Error:
        return []


def _column_names(head: str, delimiter: str, has_header: bool) -> list[str]:
    first = next((row for row in _parsed(head, delimiter) if row), [])
    if not first:
        raise UserError("The file has no line to read columns from.", remedy="Choose a file with content.")
    names: list[str] = []
    for number, cell in enumerate(first, 1):
        name = (cell.strip() if has_header else "") or f"column_{number}"
        while name in names:
            name += "_2"
        names.append(name)
    return names


def _batches(
    stream: _Counted, names: list[str], delimiter: str, has_header: bool, report: ImportReport, path: Path
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.csv as pc

    bad = _BadRows(report, 1 + int(has_header))
    read = pc.ReadOptions(
        block_size=_BLOCK, column_names=names, skip_rows_after_names=int(has_header), use_threads=False
    )
    parse = pc.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=bad.keep)
    kinds = {name: pa.binary() for name in names}
    rows = 0
    try:
        for batch in pc.open_csv(stream, read, parse, pc.ConvertOptions(column_types=kinds, strings_can_be_null=False)):
            bad.tell(batch)
            rows += batch.num_rows
            yield _decoded(batch, rows - batch.num_rows, report)
        bad.tell(None)
    except pa.ArrowInvalid as error:
        bad.tell(None)
        reason = _plain(str(error))
        place = f"after row {rows}" if rows else "at its start"
        if not rows:
            raise UserError(
                f"{path.name} cannot be read as CSV {place}: {reason}",
                remedy="Check the delimiter, the quotes and the encoding.",
            ) from error
        report.reject(Reject(f"The rest of the file, {place}, cannot be read: {reason}", None, None))


class _BadRows:
    """Rows with too many or too few fields, and the line each starts at.

    Arrow counts rows; a quoted field may span lines, so the line ends inside the rows before are added.
    """

    def __init__(self, report: ImportReport, first: int) -> None:
        self._report = report
        self._waiting: list[tuple[int, str, str]] = []
        self._next, self._line = first, first

    def keep(self, row: Any) -> str:
        """Arrow met a row that does not fit; it may be ahead of the batches."""
        reason = f"{row.actual_columns} fields instead of {row.expected_columns}."
        self._waiting.append((row.number or 0, reason, row.text or ""))
        return "skip"

    def tell(self, batch: pa.RecordBatch | None) -> None:
        """Report what lies before or within this batch of good rows; None: all that is left."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = 0 if batch is None else batch.num_rows
        inner = pa.array([0] * rows, pa.int64())
        for column in () if batch is None else batch.columns:
            inner = pc.add(inner, pc.count_substring(column, b"\n"))
        used = 0
        while self._waiting and (batch is None or self._waiting[0][0] <= self._next + rows - used):
            number, reason, text = self._waiting.pop(0)
            good = number - self._next if batch is not None else 0
            self._line += good + (pc.sum(inner.slice(used, good)).as_py() or 0)
            self._report.reject(Reject(reason, self._line, None, text[:2000]))
            used, self._next = used + good, number + 1
            self._line += 1 + text.count("\n")
        self._line += rows - used + (pc.sum(inner.slice(used)).as_py() or 0)
        self._next += rows - used


def _decoded(batch: pa.RecordBatch, before: int, report: ImportReport) -> pa.RecordBatch:
    """Turn bytes into text; a row with bytes that are not UTF-8 is rejected."""
    import pyarrow as pa

    try:
        return batch.cast(pa.schema([(name, pa.string()) for name in batch.schema.names]))
    except pa.ArrowInvalid:
        good = []
        for index, row in enumerate(batch.to_pylist()):
            if is_utf8(b"".join(value or b"" for value in row.values())):
                good.append(index)
            else:
                raw = b",".join(value or b"" for value in row.values()).decode("utf-8", "replace")
                report.reject(Reject(f"Row {before + index + 1} has bytes that are not UTF-8.", None, None, raw[:2000]))
        return _decoded(batch.take(pa.array(good, pa.int64())), before, report)


def _plain(message: str) -> str:
    if "straddling" in message or "out of sync" in message:
        return "a quoted field is never closed."
    return message.removeprefix("CSV parse error: ").rstrip(".") + "."


def _typed(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([_numbers(column) for column in batch.columns], names=batch.schema.names)


def _numbers(column: pa.Array) -> pa.Array:
    """Turn a column into numbers when every value reads back as it is written; an empty cell is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = pc.if_else(pc.equal(column, ""), None, column)
    if filled.null_count == len(filled):
        return column
    for pattern, kind in ((_WHOLE, pa.int64()), (_DECIMAL, pa.float64())):
        if pc.all(pc.match_substring_regex(filled, pattern)).as_py():
            return filled.cast(kind)
    return column
