"""Task ``sql_dataset``: a query of the console → the files of a new dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmstudio.plugin_manager import PluginManager
from fmstudio.recipes.sql_run import run_query

if TYPE_CHECKING:
    from fmstudio.worker.context import StepContext


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Run the query; see `fmstudio.recipes.sql_run.run_query`."""
    return run_query(params, ctx.out_dir, ctx)
