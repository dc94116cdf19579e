"""Dataset rows on disk: write Arrow batches as Parquet files of one schema, and read them back in batches.

Says how rows are stored (zstd, row groups of 8 192 rows, `row_id` first and with statistics) and nothing about where or
when they are published: that is the project's business.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID
from fmstudio.core.parquet_files import FILE_BYTES, GROUP_BYTES, ParquetFiles
from fmstudio.core.parquet_storage import ROW_GROUP, open_writer
from fmstudio.core.unify import Unifier

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FILE_BYTES", "ROW_GROUP", "RowsWriter", "Written", "count_rows", "open_writer", "read_batches", "schema_of"]

_QUEUE = 1
"""Batches on their way to the writing thread; what waits to be written is bounded apart (`ParquetFiles`)."""


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

    What was written can be gone on with after the process has died: see `keep`.

    Args:
        out_dir: Folder of the files; made when missing.
        prefix: First part of the file names.
        max_rows: Rows after which a new file starts.
        file_bytes: Bytes in memory after which a new file starts, so that several are compressed at once; `FILE_BYTES` for
            what may be large, None = `max_rows` alone counts.
        level: zstd level.
        state: What `keep` gave in an earlier run: its rows come first.

    Raises:
        OSError: A file of the earlier run is not there or damaged.
    """

    def __init__(
        self,
        out_dir: Path,
        *,
        prefix: str = "rows",
        max_rows: int = 122 * ROW_GROUP,
        file_bytes: int | None = None,
        level: int = 1,
        state: dict[str, Any] | None = None,
    ) -> None:
        out_dir.mkdir(parents=True, exist_ok=True)
        self._files = ParquetFiles(out_dir, prefix, max_rows, file_bytes, level)
        self._rows = _Gathering(self._files)
        if state is not None:
            self._rows.restore(state)
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

    def keep(self, then: Callable[[dict[str, Any]], None]) -> None:
        """Bring all rows so far to the disk without waiting for it; then call `then`, on another thread.

        Args:
            then: Takes a state (JSON) with which a later `RowsWriter` goes on after these rows. It may raise an OSError,
                which is then raised here as one of writing.
        """
        self._raise()
        self._queue.put(then)

    def close(self) -> Written:
        """Finish the files, make them last (fsync), and say what was written."""
        self._stop()
        self._raise()
        return self._rows.finish()

    def _drain(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is None:
                try:
                    if callable(item):
                        self._rows.keep(item)
                    else:
                        self._rows.append(item)
                except BaseException as error:  # noqa: BLE001 - handed to the caller's thread by _raise
                    self._error = error

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


class _Gathering:
    """Batches on their way into row groups; lives on the writing thread."""

    def __init__(self, files: ParquetFiles) -> None:
        self._files, self._unifier = files, Unifier()
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = self._pending_bytes = self._rows = 0
        self._schema: pa.Schema | None = None

    def restore(self, state: dict[str, Any]) -> None:
        self._files.take_over(state["files"])
        self._unifier.restore(state["columns"])
        self._rows = state["rows"]

    def keep(self, then: Callable[[dict[str, Any]], None]) -> None:
        self._flush(everything=True)
        rows, columns = self._rows, self._unifier.state()
        self._files.keep(lambda files: then({"files": files, "rows": rows, "columns": columns}))

    def append(self, batch: pa.RecordBatch) -> None:
        batch = self._unifier.conform(_row_id_first(batch))
        if batch.schema != self._schema:
            self._flush(everything=True)
            self._schema = batch.schema
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self._pending_bytes += batch.nbytes
        if self._pending_rows >= ROW_GROUP or self._pending_bytes >= GROUP_BYTES:
            self._flush(everything=self._pending_bytes >= GROUP_BYTES)

    def finish(self) -> Written:
        self._flush(everything=True)
        paths = self._files.finish(self._unifier)
        columns = [{"name": field.name, "type": str(field.type)} for field in self._unifier.schema()]
        size = sum(path.stat().st_size for path in paths)
        return Written(paths, self._rows, columns, size, self._unifier.notes)

    def _flush(self, *, everything: bool) -> None:
        """Hand over whole row groups, or all there is; the first rows even when there are none, for their columns."""
        import pyarrow as pa

        if not self._pending:
            return
        table = pa.Table.from_batches(self._pending)
        count = table.num_rows if everything else table.num_rows // ROW_GROUP * ROW_GROUP
        if count or (everything and self._files.are_none):
            self._files.write(table.slice(0, count))
            self._rows += count
        rest = table.slice(count)
        self._pending = rest.to_batches() if rest.num_rows else []
        self._pending_rows = rest.num_rows
        self._pending_bytes = rest.nbytes if rest.num_rows else 0


def _row_id_first(batch: pa.RecordBatch) -> pa.RecordBatch:
    names = batch.schema.names
    if ROW_ID not in names or names[0] == ROW_ID:
        return batch
    return batch.select([ROW_ID, *(name for name in names if name != ROW_ID)])


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
