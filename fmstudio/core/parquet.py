"""Dataset rows on disk: write Arrow batches as Parquet files of one schema, and read them back in batches.

Says how rows are stored (zstd, row groups of 8 192 rows, `row_id` first and with statistics) and nothing about where or
when they are published: that is the project's business.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID
from fmstudio.core.unify import Unifier

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP = 8_192
"""Rows in a row group: a random page of 200 rows by `row_id` reads one group (10 ms), not 122 880 rows (21 ms)."""

_GROUP_BYTES = 64 << 20
_QUEUE = 4
_SAMPLE = 4_096


@dataclass(frozen=True, slots=True)
class Written:
    """What a `RowsWriter` has written.

    Attributes:
        files: The Parquet files in row order; one empty file when there were no rows but a schema was known.
        rows: Number of rows in all files.
        columns: Name and Arrow type of each column, in order.
        bytes: Size of all files.
        notes: What unifying the columns changed, in words.
    """

    files: list[Path]
    rows: int
    columns: list[dict[str, str]]
    bytes: int
    notes: list[str]


class RowsWriter:
    """Appends Arrow batches to ``rows-00000.parquet``, ``rows-00001.parquet`` … on a thread of its own.

    Batches may differ in schema: columns appear (null before), whole numbers become decimals, and what does not go
    together becomes text, with a note. Files that were written before such a change are brought to the final schema at
    close. Memory is bounded by a few batches. Used as a context manager; leaving it by an exception only stops the
    thread, the files are then of no use.

    Args:
        out_dir: Folder of the files; made when missing.
        prefix: First part of the file names.
        max_rows: Rows after which a new file starts.
        level: zstd level.
    """

    def __init__(self, out_dir: Path, *, prefix: str = "rows", max_rows: int = 122 * ROW_GROUP, level: int = 1) -> None:
        out_dir.mkdir(parents=True, exist_ok=True)
        self._files = _FileSet(out_dir, prefix, max_rows, level)
        self._queue: queue.Queue[Any] = queue.Queue(_QUEUE)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._drain, name=f"write {prefix}", daemon=True)
        self._thread.start()

    def __enter__(self) -> RowsWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: object) -> None:
        if kind is not None:
            self._stop()
            self._files.abandon()

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch; blocks while the writing thread is several batches behind."""
        self._raise()
        if batch.num_rows or batch.num_columns:
            self._queue.put(batch)

    def close(self) -> Written:
        """Finish the files, make them last (fsync), and say what was written."""
        self._stop()
        self._raise()
        return self._files.finish()

    def _drain(self) -> None:
        while (batch := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._files.append(batch)
                except BaseException as error:  # noqa: BLE001 - handed to the caller's thread by _raise
                    self._error = error

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


class _FileSet:
    """The files of one writer; lives on the writing thread."""

    def __init__(self, out_dir: Path, prefix: str, max_rows: int, level: int) -> None:
        self._dir, self._prefix, self._max_rows, self._level = out_dir, prefix, max_rows, level
        self._unifier = Unifier()
        self._done: list[tuple[Path, pa.Schema]] = []
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = self._pending_bytes = 0
        self._schema: pa.Schema | None = None
        self._writer: pq.ParquetWriter | None = None
        self._file_rows = self._rows = 0

    def append(self, batch: pa.RecordBatch) -> None:
        batch = self._unifier.conform(_row_id_first(batch))
        if batch.schema != self._schema:
            self._end_file()
            self._schema = batch.schema
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self._pending_bytes += batch.nbytes
        if self._pending_rows >= ROW_GROUP or self._pending_bytes >= _GROUP_BYTES:
            self._flush(everything=self._pending_bytes >= _GROUP_BYTES)

    def finish(self) -> Written:
        self._end_file()
        final = self._unifier.schema()
        while any(schema != final for _, schema in self._done):
            self._done = [self._rewritten(path, schema, final) for path, schema in self._done]
            final = self._unifier.schema()
        for path, _ in self._done:
            _sync(path)
        files = [path for path, _ in self._done]
        columns = [{"name": field.name, "type": str(field.type)} for field in final]
        size = sum(path.stat().st_size for path in files)
        return Written(files, self._rows, columns, size, self._unifier.notes)

    def abandon(self) -> None:
        with suppress(OSError):  # the disk may be full; what made the caller give up is the news, not this
            self._close_writer()

    def _flush(self, *, everything: bool) -> None:
        import pyarrow as pa

        table = pa.Table.from_batches(self._pending)
        count = table.num_rows if everything else table.num_rows // ROW_GROUP * ROW_GROUP
        if count or (everything and not self._done):
            self._write(table.slice(0, count))
        rest = table.slice(count)
        self._pending = rest.to_batches() if rest.num_rows else []
        self._pending_rows = rest.num_rows
        self._pending_bytes = rest.nbytes if rest.num_rows else 0

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            path = self._dir / f"{self._prefix}-{len(self._done):05}.parquet"
            self._writer = open_writer(path, table.schema, sample=table, level=self._level)
            self._done.append((path, table.schema))
        self._writer.write_table(table, row_group_size=ROW_GROUP)
        self._file_rows += table.num_rows
        self._rows += table.num_rows
        if self._file_rows >= self._max_rows:
            self._close_writer()

    def _end_file(self) -> None:
        if self._pending:
            self._flush(everything=True)
        self._close_writer()

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._file_rows = 0

    def _rewritten(self, path: Path, schema: pa.Schema, final: pa.Schema) -> tuple[Path, pa.Schema]:
        """Bring one finished file to the final schema (a column appeared or changed its type after it)."""
        import pyarrow as pa

        if schema == final:
            return path, schema
        fresh = path.with_suffix(".tmp")
        writer: pq.ParquetWriter | None = None
        for batch in read_batches([path], batch_size=ROW_GROUP):
            batch = self._unifier.bring(batch)
            if writer is not None and batch.schema != final:
                writer.close()
                return self._rewritten(path, schema, batch.schema)
            final = batch.schema
            table = pa.Table.from_batches([batch])
            writer = writer or open_writer(fresh, final, sample=table, level=self._level)
            writer.write_table(table)
        if writer is None:
            writer = open_writer(fresh, final, sample=final.empty_table(), level=self._level)
        writer.close()
        os.replace(fresh, path)
        return path, final


def open_writer(path: Path, schema: pa.Schema, *, sample: pa.Table, level: int = 1) -> pq.ParquetWriter:
    """Open a Parquet writer with the project's settings.

    Args:
        path: The file to write.
        schema: Columns of the file.
        sample: First rows, from which it is decided which columns repeat enough for a dictionary: on free text a
            dictionary only costs time (0.77 s against 0.60 s for 1 M rows of 250 bytes).
        level: zstd level.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    dictionary: list[str] = []
    for name in schema.names:
        column = sample.column(name).slice(0, _SAMPLE)
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        _repeating(column, name, dictionary)
    plain = [f.name for f in schema if not (pa.types.is_nested(f.type) or pa.types.is_string(f.type))]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=level,
        use_dictionary=dictionary or False,
        write_statistics=plain or False,
    )


def _repeating(array: pa.Array, path: str, found: list[str]) -> None:
    """Add the Parquet paths of all leaves in which at most half of the values are distinct."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_struct(kind):
        for index, leaf in enumerate(array.flatten()):
            _repeating(leaf, f"{path}.{kind.field(index).name}", found)
    elif pa.types.is_list(kind):
        _repeating(array.flatten(), f"{path}.list.element", found)
    elif not pa.types.is_nested(kind) and len(array) and pc.count_distinct(array).as_py() * 2 <= len(array):
        found.append(path)


def _row_id_first(batch: pa.RecordBatch) -> pa.RecordBatch:
    names = batch.schema.names
    if ROW_ID not in names or names[0] == ROW_ID:
        return batch
    return batch.select([ROW_ID, *(name for name in names if name != ROW_ID)])


def _sync(path: Path) -> None:
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def read_batches(
    files: Sequence[Path], columns: Sequence[str] | None = None, batch_size: int = ROW_GROUP
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of Parquet files in order, at most `batch_size` rows at a time.

    Args:
        files: Files of one schema.
        columns: Columns to read; None = all.
        batch_size: Most rows of a batch.
    """
    import pyarrow.parquet as pq

    for path in files:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=batch_size, columns=list(columns) if columns else None)


def count_rows(files: Sequence[Path]) -> int:
    """Number of rows in Parquet files, from their footers."""
    import pyarrow.parquet as pq

    return sum(int(pq.read_metadata(path).num_rows) for path in files)


def schema_of(files: Sequence[Path]) -> pa.Schema:
    """Arrow schema of Parquet files that were written by one `RowsWriter`."""
    import pyarrow.parquet as pq

    return pq.read_schema(files[0])
