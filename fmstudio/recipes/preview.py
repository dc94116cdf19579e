"""What a recipe would do, seen on a sample of real rows: counts for each step and examples of what it changes.

Counts of deduplication on a sample are lower bounds: the twin of a row may lie outside the sample.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, TaskContext, UserError
from fmstudio.core.parquet import ROW_GROUP, RowsWriter
from fmstudio.recipes.executor import run_recipe
from fmstudio.recipes.outcome import Dropped, Outcome
from fmstudio.recipes.stages import BoundStep

if TYPE_CHECKING:
    import pyarrow as pa

_PART = 256


def preview(
    steps: Sequence[BoundStep], files: Sequence[Path], ctx: TaskContext, *, sample_rows: int = 2_000, examples: int = 20
) -> dict[str, Any]:
    """Run a recipe over a sample.

    Args:
        steps: From `bind`.
        files: The rows.
        ctx: Its `workdir` holds the sample meanwhile.
        sample_rows: Size of the sample, taken in short runs spread evenly over the rows, the same ones every time.
        examples: Most example rows for each step and kind.

    Returns:
        ``rows`` (of the dataset), ``sampled``, ``is_whole`` (all rows were sampled), ``rows_out``, and ``steps``: the
        counts of each step with ``examples``: ``kept`` (row), ``changed`` (before, after), ``dropped`` (row, reason,
        for duplicates representative and similarity).
    """
    with tempfile.TemporaryDirectory(dir=ctx.workdir, prefix="preview-") as folder:
        total, batches = _sample(files, sample_rows)
        writer = RowsWriter(Path(folder), prefix="sample")
        for batch in batches:
            writer.write(batch)
        written = writer.close()
        if not written.rows:
            raise UserError("The dataset has no rows to preview.")
        collector = _Collector(steps, examples)
        result = run_recipe(steps, written.files, collector, ctx)
    told = [stats.to_dict() | {"examples": collector.examples[stats.step]} for stats in result.steps]
    return {
        "rows": total,
        "sampled": written.rows,
        "is_whole": written.rows == total,
        "rows_out": result.rows_out,
        "steps": told,
    }


def _sample(files: Sequence[Path], wanted: int) -> tuple[int, list[pa.RecordBatch]]:
    """Read runs of rows, evenly spread over all row groups."""
    import pyarrow.parquet as pq

    groups: list[tuple[Path, int, int]] = []
    for path in files:
        meta = pq.read_metadata(path)
        groups += [(path, i, meta.row_group(i).num_rows) for i in range(meta.num_row_groups)]
    total = sum(rows for _, _, rows in groups)
    if total > wanted and len(groups) > (most := max(1, wanted // _PART)):
        groups = [groups[round(i * (len(groups) - 1) / max(1, most - 1))] for i in range(most)]
    share = -(-wanted // max(1, len(groups)))
    batches: list[pa.RecordBatch] = []
    for path, index, _ in groups:
        with pq.ParquetFile(path) as file:
            table = file.read_row_group(index)
        batches += (table if total <= wanted else _runs(table, share)).to_batches(max_chunksize=ROW_GROUP)
        if sum(batch.num_rows for batch in batches) >= wanted:
            break
    return total, batches


def _runs(table: pa.Table, share: int) -> pa.Table:
    """Take about `share` rows of a table in up to 16 runs, evenly spread."""
    import numpy as np

    rows = table.num_rows
    if rows <= share:
        return table
    runs = max(1, min(16, share // 16))
    length = share // runs
    starts = np.linspace(0, rows - length, runs).astype(np.int64)
    return table.take(np.unique(np.concatenate([np.arange(s, s + length) for s in starts])))


class _Collector:
    """A sink that keeps the first examples of each step."""

    def __init__(self, steps: Sequence[BoundStep], most: int) -> None:
        self._most = most
        self.examples: dict[int, dict[str, list[dict[str, Any]]]] = {
            step.number: {"kept": [], "changed": [], "dropped": []} for step in steps
        }

    def keep(self, batch: pa.RecordBatch) -> None:
        """Rows that went through need no example of their own."""

    def drop(self, step: BoundStep, dropped: Dropped) -> None:
        """Keep the first dropped rows with their reasons."""
        room = self._room(step, "dropped")
        part = Dropped(
            dropped.rows.slice(0, room),
            dropped.reason.slice(0, room),
            None if dropped.representative is None else dropped.representative.slice(0, room),
            None if dropped.similarity is None else dropped.similarity.slice(0, room),
        )
        names = dropped.rows.schema.names
        for story in part.with_story(step).to_pylist():
            row = {name: plain(story[name]) for name in names}
            more = {name: story.get(f"dropped_{name}", story.get(name)) for name in ("representative", "similarity")}
            reason = story.get("dropped_reason", story["reason"])
            self.examples[step.number]["dropped"].append({"row": row, "reason": reason, **more})

    def watch(self, step: BoundStep, before: pa.RecordBatch, outcome: Outcome) -> None:
        """Keep the first rows that stayed, and the first that changed, before and after."""
        import pyarrow.compute as pc

        if outcome.changed is not None and (room := self._room(step, "changed")):
            hits = pc.indices_nonzero(outcome.changed).slice(0, room)
            pairs = zip(before.take(hits).to_pylist(), outcome.batch.take(hits).to_pylist(), strict=True)
            told = [{"row_id": old.get(ROW_ID), "before": plain(old), "after": plain(new)} for old, new in pairs]
            self.examples[step.number]["changed"] += told
        room = self._room(step, "kept")
        self.examples[step.number]["kept"] += [plain(row) for row in outcome.batch.slice(0, room).to_pylist()]

    def _room(self, step: BoundStep, kind: str) -> int:
        return self._most - len(self.examples[step.number][kind])


def plain(value: Any) -> Any:
    """Make a value that JSON can carry: dates and bytes as text, no infinite numbers."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
