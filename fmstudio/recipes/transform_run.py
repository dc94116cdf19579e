"""Runs a transform over all rows of a version: the worker's side. Rows stream from DuckDB to Parquet files.

Memory is bounded by the sandbox and a few batches. `row_id` stays with its row for life and ascends in every output; new
rows get ids above all that the dataset ever had.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, TaskContext, UserError
from fmstudio.core.jsonfile import fsync_folder
from fmstudio.core.parquet import ROW_GROUP, RowsWriter, Written
from fmstudio.core.words import plural
from fmstudio.recipes.sandbox import Seen, arrow_reader, interruptible, open_sandbox, told
from fmstudio.recipes.schema_kind import schema_kind
from fmstudio.recipes.transforms import Plan, TransformKind, find_transform
from fmstudio.recipes.transforms.kind import CHANGED, CONTROL, FAILED, LOST, REASON, TARGET
from fmstudio.recipes.transforms.scope import SOURCE, Scope, columns_of, first_row

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


_ORDERED = {"PROJECTION", "FILTER", "READ_PARQUET", "PARQUET_SCAN", "TABLE_SCAN", "SEQ_SCAN", "EMPTY_RESULT"}
"""Operators of DuckDB's plans that give rows in the order in which they get them."""


def run_transform(params: dict[str, Any], out_dir: Path, ctx: TaskContext) -> dict[str, Any]:
    """Run a transform and write its output to a folder.

    Args:
        params: ``transform``, ``params``, ``dataset`` (`Seen.to_dict`, its files taken from ``files``), ``files``,
            ``others`` (of `Seen.to_dict`), ``next_row_id`` (first id no row ever had), ``kind`` (of the dataset).
        out_dir: Emptied first.
        ctx: The step.

    Returns:
        As `fmstudio.worker.tasks.run_recipe.run`, and ``kind``; where there are several outputs, ``datasets``: name of
        the output (and of its folder) → the same for each.

    Raises:
        UserError: The transform cannot be done, leaves no row, or changes nothing of a version.
        Cancelled: The job was cancelled.
    """
    kind = find_transform(params["transform"])
    seen = Seen.of({**params["dataset"], "files": params["files"]})
    others = [Seen.of(other) for other in params["others"]]
    shutil.rmtree(out_dir, ignore_errors=True)
    temp = ctx.workdir / "tmp"
    shutil.rmtree(temp, ignore_errors=True)
    folders = {str(temp), *seen.folders, *(folder for other in others for folder in other.folders)}
    with closing(open_sandbox(folders, temp)) as connection, interruptible(connection, ctx), told(kind.title, []):
        ctx.progress(0, None, "looking at the rows")
        scope = Scope.make(connection, seen, others, check=ctx.check_cancelled)
        values = kind.parse(params["params"])
        running = _Running(out_dir, ctx, kind, kind.plan(scope, values), scope)
        makes = kind.made(values)
        first = 0 if makes != "version" and not running.plan.kept else int(params["next_row_id"])
        result = running.write(first, params.get("kind", ""), may_be_idle=makes != "version")
    shutil.rmtree(temp, ignore_errors=True)
    return result


class _Running:
    """A plan on its way to files."""

    def __init__(self, out_dir: Path, ctx: TaskContext, kind: TransformKind, plan: Plan, scope: Scope) -> None:
        self._out, self._ctx, self._kind, self.plan, self._scope = out_dir, ctx, kind, plan, scope
        self._total = int(scope.count(f"SELECT count(*) FROM {SOURCE}"))
        self._done = self._changed_cells = self._changed_rows = self._lost = self._made = 0
        self._reasons: dict[str, int] = {}
        self._started = time.perf_counter()
        self._writers: dict[str, RowsWriter] = {}
        self._open = ExitStack()

    def write(self, first_id: int, known_kind: str, *, may_be_idle: bool) -> dict[str, Any]:
        """Write everything; give the result."""
        with self._open:
            dropped = self._open.enter_context(RowsWriter(self._out / "dropped"))
            if self.plan.kept:
                self._write_kept(dropped)
            for sql in self.plan.fresh:
                first_id = self._write_fresh(sql, first_id)
            written = {name: writer.close() for name, writer in self._writers.items()}
            gone = dropped.close()
        if not sum(one.rows for one in written.values()):
            raise UserError(
                f"No row would be left after “{self._kind.title}”.", remedy="Change its settings and run it again."
            )
        if not may_be_idle and not gone.rows and self._is_idle(written):
            raise UserError(
                f"“{self._kind.title}” would leave everything as it is, so there is no new version.",
                remedy="Change its settings, or look at its preview first.",
            )
        if not gone.rows:
            shutil.rmtree(self._out / "dropped")
        fsync_folder(self._out)
        return self._result(written, gone, known_kind)

    def _is_idle(self, written: dict[str, Written]) -> bool:
        """Whether no cell, row or column of the version is another one, when no row is dropped."""
        if self._made or self._changed_cells or self._lost:
            return False
        names = [column["name"] for column in written[""].columns]
        types = columns_of(self._scope.connection, f"SELECT * FROM ({self.plan.kept})")
        return names == list(self._scope.columns) and all(types[n] == t for n, t in self._scope.columns.items())

    def _write_kept(self, dropped: RowsWriter) -> None:
        last = -1
        for batch in self._batches(ordered(self._scope.connection, self.plan.kept)):
            batch, control = _apart(batch)
            ids = batch.column(ROW_ID).to_numpy()
            if len(ids) and (ids[0] <= last or (ids[1:] <= ids[:-1]).any()):
                raise RuntimeError(f"{self._kind.id} gave rows out of order")
            last = int(ids[-1]) if len(ids) else last
            self._count(control)
            if REASON in control:
                batch = self._parted(batch, control[REASON], dropped)
            self._put(batch, control.get(TARGET))

    def _write_fresh(self, sql: str, first_id: int) -> int:
        import numpy as np
        import pyarrow as pa

        for batch in self._batches(sql):
            batch, _ = _apart(batch)
            ids = pa.array(np.arange(first_id, first_id + batch.num_rows, dtype=np.int64))
            first_id += batch.num_rows
            self._made += batch.num_rows if self.plan.kept else 0
            whole = pa.RecordBatch.from_arrays([ids, *batch.columns], names=[ROW_ID, *batch.schema.names])
            self._put(whole, None)
        return first_id

    def _batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        reader = arrow_reader(self._scope.connection, sql, ROW_GROUP)
        is_empty = True
        for batch in reader:
            self._ctx.check_cancelled()
            yield batch
            is_empty = False
            self._done += batch.num_rows
            self._ctx.progress(self._done, max(self._total, self._done), "rows")
        if is_empty:
            yield _empty(reader.schema)

    def _count(self, control: dict[str, Any]) -> None:
        import pyarrow.compute as pc

        if FAILED in control and control[FAILED].null_count < len(control[FAILED]):
            raise UserError(
                f"{control[FAILED].drop_null()[0].as_py()}.",
                remedy="Choose what to do with values that do not fit. Nothing was changed.",
            )
        if CHANGED in control:
            self._changed_cells += pc.sum(control[CHANGED]).as_py() or 0
            self._changed_rows += pc.sum(pc.greater(control[CHANGED], 0)).as_py() or 0
        if LOST in control:
            self._lost += len(control[LOST]) - control[LOST].null_count

    def _parted(self, batch: pa.RecordBatch, reason: pa.Array, dropped: RowsWriter) -> pa.RecordBatch:
        """The rows that stay; the others are kept as dropped."""
        import pyarrow.compute as pc

        if reason.null_count == len(reason):
            return batch
        is_gone = pc.is_valid(reason)
        why = reason.filter(is_gone)
        for entry in pc.value_counts(why).to_pylist():
            self._reasons[entry["values"]] = self._reasons.get(entry["values"], 0) + entry["counts"]
        dropped.write(_with_story(batch.filter(is_gone), why, self._kind.id))
        return batch.filter(pc.invert(is_gone))

    def _put(self, batch: pa.RecordBatch, target: pa.Array | None) -> None:
        import pyarrow.compute as pc

        if target is None:
            self._writer("").write(batch)
            return
        for name in pc.unique(target).to_pylist():
            self._writer(name).write(batch.filter(pc.equal(target, name)))

    def _writer(self, name: str) -> RowsWriter:
        if name not in self._writers:
            self._writers[name] = self._open.enter_context(RowsWriter(self._out / name))
        return self._writers[name]

    def _result(self, written: dict[str, Written], gone: Written, known_kind: str) -> dict[str, Any]:
        rows = sum(one.rows for one in written.values())
        notes = [*self.plan.warnings, *self.plan.notes]
        if self._lost:
            notes.append(f"In {plural(self._lost, 'row')} a value did not fit and is empty now.")
        step = {
            "step": 1,
            "operator": self._kind.id,
            "title": self._kind.title,
            "rows_in": self._total,
            "kept": rows - self._made,
            "dropped": gone.rows,
            "changed": self._changed_rows,
            "changed_cells": self._changed_cells,
            "made": self._made,
            "seconds": round(time.perf_counter() - self._started, 4),
            "reasons": dict(sorted(self._reasons.items(), key=lambda item: -item[1])[:50]),
            "columns": [
                c["name"] for c in next(iter(written.values())).columns if c["name"] not in self._scope.columns
            ],
        }
        parts = {name: _part(one, step, notes, known_kind) for name, one in written.items()}
        if "" not in parts:
            return {"datasets": parts, "rows_in": self._total, "rows": rows, "steps": [step], "notes": notes}
        files = [f"dropped/{path.name}" for path in gone.files if gone.rows]
        return {**parts[""], "rows_in": self._total, "dropped": gone.rows, "dropped_files": files}


def _part(written: Written, step: dict[str, Any], notes: list[str], known_kind: str) -> dict[str, Any]:
    return {
        "rows": written.rows,
        "steps": [step],
        "columns": written.columns,
        "bytes": written.bytes,
        "notes": [*notes, *written.notes],
        "files": [path.name for path in written.files],
        "kind": schema_kind({column["name"]: column["type"] for column in written.columns}, known_kind),
    }


def ordered(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The query so that its rows ascend by ``row_id``; sorted only where its plan does not keep the files' order."""
    plan = first_row(connection, f"EXPLAIN (FORMAT json) {sql}")[1]
    names: set[str] = set()
    waiting: list[dict[str, Any]] = json.loads(plan)
    while waiting:
        node = waiting.pop()
        names.add(str(node["name"]).strip())
        waiting += node.get("children", [])
    return sql if names <= _ORDERED else f"SELECT * FROM ({sql}) ORDER BY {ROW_ID}"


def _apart(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[str, Any]]:
    """The rows without control columns, and these."""
    control = {name: batch.column(name) for name in batch.schema.names if name in CONTROL}
    return batch.select([name for name in batch.schema.names if name not in control]), control


def _with_story(rows: pa.RecordBatch, reason: pa.Array, operator: str) -> pa.RecordBatch:
    """Dropped rows as a recipe keeps them; see `fmstudio.recipes.outcome.Dropped.with_story`."""
    import pyarrow as pa

    count = rows.num_rows
    story = {
        "step": pa.repeat(pa.scalar(1, pa.int32()), count),
        "operator": pa.repeat(pa.scalar(operator), count),
        "reason": reason,
        "representative": pa.nulls(count, pa.int64()),
        "similarity": pa.nulls(count, pa.float32()),
    }
    taken = {f"dropped_{name}" if name in rows.schema.names else name: column for name, column in story.items()}
    return pa.RecordBatch.from_arrays([*rows.columns, *taken.values()], names=[*rows.schema.names, *taken])


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
