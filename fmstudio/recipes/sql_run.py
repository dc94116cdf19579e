"""Runs a query of the console over all its rows and keeps them as a dataset: the worker's side."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, TaskContext, UserError
from fmstudio.core.jsonfile import fsync_folder
from fmstudio.core.parquet import ROW_GROUP, RowsWriter
from fmstudio.core.sql import name_sql
from fmstudio.recipes.console_views import View, checked_query
from fmstudio.recipes.sandbox import arrow_reader, interruptible, open_sandbox, told
from fmstudio.recipes.schema_kind import schema_kind
from fmstudio.recipes.transforms.scope import columns_of, storable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_SOURCE_ROW = "source_row_id"


def run_query(params: dict[str, Any], out_dir: Path, ctx: TaskContext) -> dict[str, Any]:
    """Run a query and write its rows, with new ids, to a folder.

    Args:
        params: ``sql``, and ``views`` (of `View.to_dict`) that it may name.
        out_dir: Emptied first.
        ctx: The step.

    Returns:
        ``rows``, ``columns``, ``bytes``, ``notes``, ``files``, ``kind``, ``steps``.

    Raises:
        UserError: The query cannot be run, or gives no row.
        Cancelled: The job was cancelled.
    """
    started = time.perf_counter()
    views = [View.of(view) for view in params["views"]]
    shutil.rmtree(out_dir, ignore_errors=True)
    temp = ctx.workdir / "tmp"
    shutil.rmtree(temp, ignore_errors=True)
    folders = {str(temp), *(folder for view in views for folder in view.folders)}
    names = [view.name for view in views]
    with (
        closing(open_sandbox(folders, temp)) as connection,
        interruptible(connection, ctx),
        told("This query", names, sql=params["sql"], kind="tables"),
        RowsWriter(out_dir) as writer,
    ):
        for view in views:
            view.make(connection)
        sql, notes = _stored(connection, checked_query(params["sql"]))
        for batch in _numbered(arrow_reader(connection, sql, ROW_GROUP), ctx):
            writer.write(batch)
        written = writer.close()
    if not written.rows:
        raise UserError("The query gives no row, so there is nothing to keep.", remedy="Look at it in the console.")
    shutil.rmtree(temp, ignore_errors=True)
    fsync_folder(out_dir)
    seconds = round(time.perf_counter() - started, 4)
    step = {
        "step": 1,
        "operator": "sql",
        "title": "SQL",
        "rows_in": written.rows,
        "kept": written.rows,
        "seconds": seconds,
    }
    return {
        "rows": written.rows,
        "columns": written.columns,
        "bytes": written.bytes,
        "notes": [*notes, *written.notes],
        "files": [path.name for path in written.files],
        "kind": schema_kind({column["name"]: column["type"] for column in written.columns}),
        "steps": [{**step, "dropped": 0, "changed": 0, "made": 0, "reasons": {}, "columns": []}],
    }


def _stored(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[str, list[str]]:
    """The query with column names that differ and types that Parquet shares; and what that changes, in words."""
    found = list(columns_of(connection, query).items())
    names, notes = unique_names([name for name, _ in found])
    inner = [f"c{number}" for number in range(len(found))]
    chosen = ", ".join(
        f"{storable(alias, kind)} AS {name_sql(name)}"
        for alias, name, (_, kind) in zip(inner, names, found, strict=True)
    )
    return f"SELECT {chosen} FROM ({query}\n) AS q({', '.join(inner)})", notes


def unique_names(raw: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names for columns, each once and none ``row_id``, which is the new dataset's own; and notes of what changed."""
    made: list[str] = []
    notes = []
    used = {ROW_ID}
    for name in raw:
        wanted = _SOURCE_ROW if name.casefold() == ROW_ID else name.strip() or "column"
        free = next(n for n in (wanted, *(f"{wanted}_{k}" for k in range(2, len(raw) + 3))) if n.casefold() not in used)
        used.add(free.casefold())
        made.append(free)
        if free != name:
            notes.append(f"The column “{name}” is called “{free}” here.")
    return made, notes


def _numbered(batches: Iterator[pa.RecordBatch], ctx: TaskContext) -> Iterator[pa.RecordBatch]:
    import numpy as np
    import pyarrow as pa

    done = 0
    for batch in batches:
        ctx.check_cancelled()
        ids = pa.array(np.arange(done, done + batch.num_rows, dtype=np.int64))
        done += batch.num_rows
        ctx.progress(done, None, "rows")
        yield pa.RecordBatch.from_arrays([ids, *batch.columns], names=[ROW_ID, *batch.schema.names])
