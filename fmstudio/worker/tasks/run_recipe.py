"""Task ``run_recipe``: a recipe over a version's files → the next version's files, and dropped rows with reasons.

Writes ``rows-*.parquet`` and, when rows were dropped, ``dropped/rows-*.parquet`` to the step's output folder.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import UserError
from fmstudio.core.parquet import RowsWriter
from fmstudio.plugin_manager import PluginManager
from fmstudio.recipes import BoundStep, Recipe, bind, run_recipe
from fmstudio.recipes.outcome import Dropped, Outcome

if TYPE_CHECKING:
    import pyarrow as pa

    from fmstudio.worker.context import StepContext


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Run a recipe.

    Args:
        params: ``recipe`` (`Recipe.to_dict`), ``files`` (Parquet files of the version).
        ctx: The step.
        plugins: Where operators are found.

    Returns:
        ``rows_in``, ``rows``, ``dropped``, ``steps`` (counts of each), ``columns``, ``bytes``, ``notes``, ``files`` and
        ``dropped_files`` (names relative to the output folder).

    Raises:
        UserError: The recipe is wrong, or it would drop every row.
    """
    steps = bind(Recipe.of(params["recipe"]), plugins)
    shutil.rmtree(ctx.out_dir, ignore_errors=True)
    with RowsWriter(ctx.out_dir) as kept, RowsWriter(ctx.out_dir / "dropped") as dropped:
        result = run_recipe(steps, [Path(file) for file in params["files"]], _Files(kept, dropped), ctx)
        if not result.rows_out:
            last = next((s for s in reversed(result.steps) if s.dropped), None)
            cause = f"step {last.step} ({last.operator}) dropped the last" if last else "the dataset has none"
            raise UserError(f"No row is left: {cause}.", remedy="Loosen that step and run the recipe again.")
        rows, gone = kept.close(), dropped.close()
    if not gone.rows:
        shutil.rmtree(ctx.out_dir / "dropped")
    return {
        "rows_in": result.rows_in,
        "rows": rows.rows,
        "dropped": gone.rows,
        "steps": [stats.to_dict() for stats in result.steps],
        "columns": rows.columns,
        "bytes": rows.bytes,
        "notes": rows.notes,
        "files": [path.name for path in rows.files],
        "dropped_files": [f"dropped/{path.name}" for path in gone.files if gone.rows],
    }


class _Files:
    """The sink of a real run."""

    def __init__(self, kept: RowsWriter, dropped: RowsWriter) -> None:
        self._kept, self._dropped = kept, dropped

    def keep(self, batch: pa.RecordBatch) -> None:
        """Write to the next version."""
        self._kept.write(batch)

    def drop(self, step: BoundStep, dropped: Dropped) -> None:
        """Write with step and reason."""
        self._dropped.write(dropped.with_story(step))

    def watch(self, step: BoundStep, before: pa.RecordBatch, outcome: Outcome) -> None:
        """A real run only counts."""
