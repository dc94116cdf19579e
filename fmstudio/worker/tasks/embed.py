"""Task ``embed``: one unit vector per row, in ``embedding-*.parquet``.

Columns: ``row_id`` (int64) and ``vector`` (fixed-size list of float32, read exactly by every engine).
Each part is written beside and renamed; run again, the task goes on after the last whole part.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, Embedder, UserError, text_array
from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.core.parquet import ROW_GROUP, count_rows, open_writer, read_batches, schema_of
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.embedding import VECTOR, columns_to_read, open_embedder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from fmstudio.worker.context import StepContext

PART_ROWS = ROW_GROUP
_AT_ONCE = 512


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Embed all rows.

    Args:
        params: ``embedder`` (id), ``files``, and optionally ``embedder_params``, ``column`` (empty = the row's text).
        ctx: The step.
        plugins: Where embedders are found.

    Returns:
        ``rows``, ``dim``, ``embedder``, ``column``, ``seconds`` (of this run), ``resumed_rows``, ``files``.

    Raises:
        UserError: The embedder's model is not installed, or no column holds text.
    """
    files = [Path(file) for file in params["files"]]
    column = params.get("column") or ""
    columns = columns_to_read(schema_of(files).names, column)
    ctx.out_dir.mkdir(parents=True, exist_ok=True)
    _forget_others(params, files, ctx)
    started = time.monotonic()
    ctx.progress(0, None, "loading the embedder")
    embedder = open_embedder(params["embedder"], params.get("embedder_params"), plugins)
    total, done, resumed, parts = count_rows(files), 0, 0, []
    for number, batch in enumerate(read_batches(files, columns, PART_ROWS)):
        part = ctx.out_dir / f"embedding-{number:05}.parquet"
        if part.exists():
            resumed += batch.num_rows
        else:
            _write(part, batch, _embed(embedder, text_array(batch, column).to_pylist(), ctx, done, total))
        done += batch.num_rows
        parts.append(part)
        ctx.progress(done, total, "rows embedded")
    if not parts:
        raise UserError("The dataset has no rows to embed.")
    dim = schema_of(parts).field(VECTOR).type.list_size
    seconds = round(time.monotonic() - started, 3)
    return {
        "rows": done,
        "dim": dim,
        "embedder": params["embedder"],
        "column": column,
        "seconds": seconds,
        "resumed_rows": resumed,
        "files": [part.name for part in parts],
    }


def _embed(
    embedder: Embedder, texts: Sequence[str], ctx: StepContext, before: int, total: int
) -> npt.NDArray[np.float32]:
    import numpy as np

    made = []
    for start in range(0, len(texts), _AT_ONCE):
        ctx.check_cancelled()
        made.append(embedder.embed(texts[start : start + _AT_ONCE]))
        ctx.progress(before + min(start + _AT_ONCE, len(texts)), total, "rows embedded")
    return np.concatenate(made)


def _write(part: Path, batch: pa.RecordBatch, vectors: npt.NDArray[np.float32]) -> None:
    import numpy as np
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    array = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    table = pa.table({ROW_ID: batch.column(ROW_ID), VECTOR: array})
    beside = part.with_suffix(".tmp")
    with open_writer(beside, table.schema, dictionary=[]) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP)
    with beside.open("r+b") as file:
        os.fsync(file.fileno())
    os.replace(beside, part)


def _forget_others(params: dict[str, Any], files: Sequence[Path], ctx: StepContext) -> None:
    """Remove parts that were made with another embedder or of other rows."""
    key = {
        "embedder": params["embedder"],
        "params": params.get("embedder_params") or {},
        "column": params.get("column") or "",
        "files": [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files],
    }
    note = ctx.workdir / "parts.json"
    if read_json(note, None) != key:
        for old in ctx.out_dir.glob("embedding-*"):
            old.unlink()
        write_json(note, key)
