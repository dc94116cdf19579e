"""Folds edits made by hand into the next version: the worker's side of a commit.

Files without an edited row are hard-linked; only the others are written again, in one pass with bounded memory. Rows that
were added go to the end, which keeps ``row_id`` ascending: into the last file when that is small, else into a new one.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fmstudio.api import ROW_ID
from fmstudio.core.jsonfile import fsync_folder
from fmstudio.core.linking import link_file
from fmstudio.core.parquet import ROW_GROUP, RowsWriter, count_rows, read_batches, schema_of
from fmstudio.core.unify import convert

if TYPE_CHECKING:
    import pyarrow as pa

REASON = "deleted by hand"
OPERATOR = "commit"
SMALL = 16 * ROW_GROUP
"""A last file of fewer rows takes added rows in, so that many small commits do not leave many small files."""


class CommitContext(Protocol):
    """What a commit needs of its step: a `TaskContext` with a place for results."""

    out_dir: Path

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """See `TaskContext.progress`."""
        ...

    def check_cancelled(self) -> None:
        """See `TaskContext.check_cancelled`."""
        ...


def run_commit(params: dict[str, Any], ctx: CommitContext) -> dict[str, Any]:
    """Write the next version to ``ctx.out_dir``.

    Args:
        params: ``files``: Parquet files of the version. ``overlay``: what `Edits.export_overlay` gave.
        ctx: The step.

    Returns:
        As `fmstudio.worker.tasks.run_recipe.run`; and ``paths``: the files' full paths, for a next step.
    """
    return _Commit([Path(file) for file in params["files"]], params["overlay"], ctx).run()


class _Commit:
    def __init__(self, files: Sequence[Path], overlay: dict[str, Any], ctx: CommitContext) -> None:
        import pyarrow.parquet as pq

        self._files, self._overlay, self._ctx, self._out = list(files), overlay, ctx, ctx.out_dir
        self._schema = _with_columns(schema_of(files), pq.read_schema(overlay["rows"]))
        self._is_wider = len(self._schema) > len(schema_of(files))
        self._total = count_rows(files)
        self._made: list[Path] = []
        self._columns: list[dict[str, str]] = []
        self._done = self._changed = 0

    def run(self) -> dict[str, Any]:
        started = time.perf_counter()
        shutil.rmtree(self._out, ignore_errors=True)
        self._out.mkdir(parents=True)
        with RowsWriter(self._out / "dropped") as dropped:
            self._dropped = dropped
            self._write_all()
            gone = dropped.close()
        if not gone.rows:
            shutil.rmtree(self._out / "dropped")
        fsync_folder(self._out)
        return self._result(gone.rows, time.perf_counter() - started)

    def _write_all(self) -> None:
        import numpy as np

        patches, deleted = _Patches(Path(self._overlay["rows"])), _ids([Path(self._overlay["deleted"])])
        with patches:
            for file in self._files:
                self._ctx.check_cancelled()
                ids = _ids([file])
                touched = np.isin(ids, deleted).any() or np.isin(ids, patches.ids).any()
                takes_more = file == self._files[-1] and self._overlay["added"] and len(ids) < SMALL
                if touched or self._is_wider or takes_more:
                    self._rewrite(file, patches, deleted, patches.rest() if takes_more else iter(()))
                else:
                    self._link(file)
                self._done += len(ids)
                self._ctx.progress(self._done, self._total, "rows")
            self._add(patches.rest())
        if not self._made:  # every row was deleted: an empty file keeps the columns
            self._write("rest", iter([_empty(self._schema)]))

    def _link(self, file: Path) -> None:
        target = self._next_name()
        link_file(file, target)
        self._made.append(target)

    def _rewrite(self, file: Path, patches: _Patches, deleted: Any, more: Iterator[pa.RecordBatch]) -> None:
        def batches() -> Iterator[pa.RecordBatch]:
            done = self._done
            for batch in read_batches([file]):
                self._ctx.check_cancelled()
                yield self._patched(batch, patches, deleted)
                done += batch.num_rows
                self._ctx.progress(done, self._total, "rows")
            yield from (_conformed(batch, self._schema) for batch in more)

        self._write(file.stem, batches())

    def _patched(self, batch: pa.RecordBatch, patches: _Patches, deleted: Any) -> pa.RecordBatch:
        """The rows that stay, with edited ones in their place."""
        import numpy as np
        import pyarrow as pa

        ids = batch.column(ROW_ID).to_numpy()
        is_gone = np.isin(ids, deleted)
        if is_gone.any():
            self._dropped.write(_with_story(batch.filter(pa.array(is_gone))))
        fresh = patches.up_to(int(ids[-1]) if len(ids) else -1)
        self._changed += fresh.num_rows
        is_old = ~(is_gone | np.isin(ids, fresh.column(ROW_ID).to_numpy()))
        kept = _conformed(batch.filter(pa.array(is_old)), self._schema)
        if not fresh.num_rows:
            return kept
        both = pa.Table.from_batches([kept, *_conformed_table(fresh, self._schema)]).sort_by(ROW_ID)
        return both.combine_chunks().to_batches()[0] if both.num_rows else kept

    def _add(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._write("added", (_conformed(batch, self._schema) for batch in batches))

    def _write(self, name: str, batches: Iterator[pa.RecordBatch]) -> None:
        """Write a file; none when there are no rows, unless it is the only one (``rest``)."""
        part = self._out / f"part-{name}"
        with RowsWriter(part, max_rows=1 << 40) as writer:
            for batch in batches:
                if batch.num_rows or name == "rest":
                    writer.write(batch)
            written = writer.close()
        if written.rows or name == "rest":
            self._columns = written.columns
            target = self._next_name()
            written.files[0].replace(target)
            self._made.append(target)
        shutil.rmtree(part)

    def _next_name(self) -> Path:
        return self._out / f"rows-{len(self._made):05}.parquet"

    def _result(self, gone: int, seconds: float) -> dict[str, Any]:
        columns = [{"name": field.name, "type": str(field.type)} for field in self._schema]
        rows, added = count_rows(self._made), int(self._overlay["added"])
        step = {
            "step": 1,
            "operator": OPERATOR,
            "title": "Commit edits",
            "rows_in": self._total,
            "kept": rows - added,
            "dropped": gone,
            "changed": self._changed,
            "made": added,
            "seconds": round(seconds, 4),
            "reasons": {REASON: gone} if gone else {},
            "columns": list(self._overlay["new_columns"]),
        }
        return {
            "rows_in": self._total,
            "rows": rows,
            "dropped": gone,
            "steps": [step],
            "columns": self._columns or columns,
            "bytes": sum(path.stat().st_size for path in self._made),
            "notes": [],
            "files": [path.name for path in self._made],
            "paths": [str(path) for path in self._made],
            "dropped_files": [f"dropped/{p.name}" for p in sorted((self._out / "dropped").glob("*.parquet"))],
        }


class _Patches:
    """The rows that were edited or added, read forward, a row group at a time."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.ids = _ids([path])
        self._file = pq.ParquetFile(path)
        self._batches = self._file.iter_batches(batch_size=ROW_GROUP)
        self._waiting = _empty(self._file.schema_arrow)

    def __enter__(self) -> _Patches:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def up_to(self, last_id: int) -> pa.Table:
        """The next rows, up to and with this id."""
        import pyarrow as pa

        found = []
        while True:
            ids = self._waiting.column(ROW_ID).to_numpy()
            count = int(ids.searchsorted(last_id, side="right"))
            found.append(self._waiting.slice(0, count))
            self._waiting = self._waiting.slice(count)
            if self._waiting.num_rows:
                break
            fresh = next(self._batches, None)
            if fresh is None:
                break
            self._waiting = fresh
        return pa.Table.from_batches(found)

    def rest(self) -> Iterator[pa.RecordBatch]:
        """All rows that are left."""
        waiting, self._waiting = self._waiting, self._waiting.slice(0, 0)
        yield waiting
        while (batch := next(self._batches, None)) is not None:
            yield batch


def _ids(files: Sequence[Path]) -> Any:
    import numpy as np

    parts = [batch.column(0).to_numpy() for batch in read_batches(files, [ROW_ID], 1 << 20)]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _with_columns(base: pa.Schema, rows: pa.Schema) -> pa.Schema:
    """The version's schema, and the columns that edits added."""
    for field in rows:
        if base.get_field_index(field.name) < 0:
            base = base.append(field.remove_metadata().with_nullable(True))
    return base.remove_metadata()


def _conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for field in schema:
        index = batch.schema.get_field_index(field.name)
        none = index < 0
        arrays.append(pa.nulls(batch.num_rows, field.type) if none else convert(batch.column(index), field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _conformed_table(table: pa.Table, schema: pa.Schema) -> list[pa.RecordBatch]:
    return [_conformed(batch, schema) for batch in table.to_batches()]


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _with_story(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Deleted rows as a recipe keeps the rows it drops; see `fmstudio.recipes.outcome.Dropped.with_story`."""
    import pyarrow as pa

    count = rows.num_rows
    story = {
        "step": pa.repeat(pa.scalar(1, pa.int32()), count),
        "operator": pa.repeat(pa.scalar(OPERATOR), count),
        "reason": pa.repeat(pa.scalar(REASON), count),
        "representative": pa.nulls(count, pa.int64()),
        "similarity": pa.nulls(count, pa.float32()),
    }
    taken = {f"dropped_{name}" if name in rows.schema.names else name: column for name, column in story.items()}
    return pa.RecordBatch.from_arrays([*rows.columns, *taken.values()], names=[*rows.schema.names, *taken])
