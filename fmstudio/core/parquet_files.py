"""The Parquet files of one dataset version while they are written: several at once, each by a thread of its own.

A file is a run of rows, so the next one can be compressed while the one before is still being: encoding and zstd are most of
the work of an import. What waits for that is bounded in bytes.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fmstudio.core.parquet_storage import ROW_GROUP, open_writer, repeating_columns
from fmstudio.core.unify import Unifier

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

GROUP_BYTES = 64 << 20
"""A row group of very large rows ends here."""

FILE_BYTES = 32 << 20
"""Bytes of rows in memory in each of the first files of many: what one thread compresses in a fifth of a second."""

_SYNC_BYTES = 16 << 20
"""Bytes of rows after which what was written is sent to the disk; at the end of a file little is left to wait for."""
_SAME_SIZE = 8
_LARGEST_FILE = 256 << 20
_THREADS = max(1, min(4, os.cpu_count() or 1))
_WAITING_BYTES = _THREADS * (12 << 20)
"""Bytes of rows that wait to be written. Each page they take has to be cleared first: twice as many made an import of 1 M
CSV rows take 5 % longer on two cores."""


class _Output:
    """One file: what is to be written into it, and by which columns."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self.tables: queue.SimpleQueue[pa.Table | None] = queue.SimpleQueue()
        self.rows = self.bytes = 0
        self.is_whole = False


class ParquetFiles:
    """Files ``PREFIX-00000.parquet`` … of one schema each, which `finish` brings to the last one.

    Used by one thread.

    Args:
        folder: Where they go; it is there.
        prefix: First part of their names.
        max_rows: Rows after which a new file starts.
        file_bytes: Bytes of rows in memory after which a new file starts, later ones at up to 256 MiB; None = `max_rows`
            alone counts.
        level: zstd level.
    """

    def __init__(self, folder: Path, prefix: str, max_rows: int, file_bytes: int | None, level: int) -> None:
        self._folder, self._prefix, self._level = folder, prefix, level
        self._max_rows, self._file_bytes = max_rows, file_bytes
        self._outputs: list[_Output] = []
        self._open: _Output | None = None
        self._begun: queue.SimpleQueue[_Output | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._space = threading.Condition()
        self._waiting = 0
        self._error: BaseException | None = None
        self._is_abandoned = False
        self._repeating: tuple[pa.Schema, list[str]] | None = None
        self._unsynced: queue.SimpleQueue[tuple[_Output, bool] | None] = queue.SimpleQueue()
        self._syncing: threading.Thread | None = None
        self._to_tell: deque[tuple[list[_Output], Callable[[list[str]], None]]] = deque()

    def take_over(self, names: Sequence[str]) -> None:
        """Go on after files of an earlier run; any others of the same prefix, which were not finished, are removed.

        Raises:
            OSError: One of them is not there or damaged.
        """
        import pyarrow.parquet as pq

        for path in self._folder.glob(f"{self._prefix}-*"):
            if path.name not in names:
                path.unlink()
        for name in names:
            self._outputs.append(_Output(self._folder / name, pq.read_schema(self._folder / name)))
            self._outputs[-1].is_whole = True

    @property
    def are_none(self) -> bool:
        """Whether no file has been begun."""
        return not self._outputs

    def write(self, table: pa.Table) -> None:
        """Add rows; waits while too much is to be written yet.

        Raises:
            OSError: Writing failed, here or earlier.
        """
        self._wait()
        if self._open is None or self._open.schema != table.schema:
            self.end_file()
            self._open = self._begin(table.schema)
        size = table.nbytes
        with self._space:
            self._waiting += size
        self._open.tables.put(table)
        self._open.rows += table.num_rows
        self._open.bytes += size
        if self._open.rows >= self._max_rows or self._open.bytes >= self._most_bytes():
            self.end_file()

    def end_file(self) -> None:
        """Let the next rows begin a new file."""
        if self._open is not None:
            self._open.tables.put(None)
        self._open = None

    def keep(self, then: Callable[[list[str]], None]) -> None:
        """End the file; once all rows so far are on the disk, say so by giving `then` the names of their files.

        It is called by a thread of this object's, or not at all when writing fails; it may raise an OSError.
        """
        self._to_tell.append((list(self._outputs), then))  # first: the end of the file is what makes it be told
        self.end_file()

    def finish(self, unifier: Unifier) -> list[Path]:
        """Wait for all files, bring them to the final schema and make them last (fsync).

        Raises:
            OSError: Writing failed.
        """
        self._stop()
        self._raise()
        final = unifier.schema()
        while any(output.schema != final for output in self._outputs):
            for output in self._outputs:
                if output.schema != final:
                    self._rewrite(output, final, unifier)
            final = unifier.schema()
        return [output.path for output in self._outputs]

    def abandon(self) -> None:
        """Write nothing more; the files are of no use."""
        self._is_abandoned = True
        self._stop()

    def _most_bytes(self) -> int:
        if self._file_bytes is None:
            return 1 << 62
        return min(self._file_bytes << len(self._outputs) // _SAME_SIZE, _LARGEST_FILE)

    def _begin(self, schema: pa.Schema) -> _Output:
        output = _Output(self._folder / f"{self._prefix}-{len(self._outputs):05}.parquet", schema)
        self._outputs.append(output)
        self._begun.put(output)
        if self._syncing is None:
            self._syncing = threading.Thread(target=self._sync_files, name=f"sync {self._prefix}", daemon=True)
            self._syncing.start()
        if len(self._threads) < _THREADS:
            name = f"write {self._prefix} {len(self._threads)}"
            self._threads.append(threading.Thread(target=self._write_files, name=name, daemon=True))
            self._threads[-1].start()
        return output

    def _stop(self) -> None:
        self.end_file()
        for _ in self._threads:
            self._begun.put(None)
        for thread in self._threads:
            thread.join()
        if self._syncing is not None:
            self._unsynced.put(None)
            self._syncing.join()

    def _wait(self) -> None:
        with self._space:
            self._space.wait_for(lambda: self._waiting < _WAITING_BYTES or self._error is not None)
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _write_files(self) -> None:
        while (output := self._begun.get()) is not None:
            self._write_file(output)

    def _write_file(self, output: _Output) -> None:
        writer: pq.ParquetWriter | None = None
        written = 0
        try:
            while (table := output.tables.get()) is not None:
                if not self._is_abandoned and self._error is None:
                    writer = writer or self._writer(output, table)
                    writer.write_table(table, row_group_size=ROW_GROUP)
                    written += table.nbytes
                    if written >= _SYNC_BYTES:
                        self._unsynced.put((output, False))
                        written = 0
                with self._space:
                    self._waiting -= table.nbytes
                    self._space.notify()
            if writer is not None:
                writer.close()
                self._unsynced.put((output, True))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that writes by _raise
            self._fail(error)
            with suppress(Exception):  # the disk may be full; what went wrong first is the news, not this
                if writer is not None:
                    writer.close()

    def _fail(self, error: BaseException) -> None:
        with self._space:
            self._error = self._error or error
            self._space.notify()

    def _sync_files(self) -> None:
        """Make last what was written, while more is being written; a full disk may show here first."""
        while (written := self._unsynced.get()) is not None:
            output, is_whole = written
            try:
                if not self._is_abandoned and self._error is None:
                    _sync(output.path)
                    output.is_whole = is_whole
                    self._tell_kept()
            except BaseException as error:  # noqa: BLE001 - as in `_write_file`
                self._fail(error)

    def _tell_kept(self) -> None:
        """Say that rows are on the disk, where `keep` was asked to."""
        while self._to_tell and all(output.is_whole for output in self._to_tell[0][0]):
            outputs, then = self._to_tell.popleft()
            then([output.path.name for output in outputs])

    def _writer(self, output: _Output, sample: pa.Table) -> pq.ParquetWriter:
        """Open a file; which columns repeat is found out once for all files of a schema."""
        known = self._repeating
        if known is None or known[0] != output.schema:
            known = self._repeating = (output.schema, repeating_columns(sample))
        return open_writer(output.path, output.schema, dictionary=known[1], level=self._level)

    def _rewrite(self, output: _Output, final: pa.Schema, unifier: Unifier) -> None:
        """Bring one finished file to the final schema (a column appeared or changed its type after it)."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        fresh = output.path.with_suffix(".tmp")
        writer: pq.ParquetWriter | None = None
        with pq.ParquetFile(output.path) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP):
                batch = unifier.bring(batch)
                if writer is not None and batch.schema != final:
                    writer.close()
                    self._rewrite(output, batch.schema, unifier)
                    return
                final = batch.schema
                table = pa.Table.from_batches([batch])
                if writer is None:
                    writer = open_writer(fresh, final, dictionary=repeating_columns(table), level=self._level)
                writer.write_table(table)
        writer = writer or open_writer(fresh, final, dictionary=[], level=self._level)
        writer.close()
        os.replace(fresh, output.path)
        _sync(output.path)
        output.schema = final


def _sync(path: Path) -> None:
    with open(path, "r+b") as file:
        os.fsync(file.fileno())
