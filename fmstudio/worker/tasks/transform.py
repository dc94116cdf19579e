"""Task ``transform``: a version's files → the next version's files, or those of new datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmstudio.plugin_manager import PluginManager

if TYPE_CHECKING:
    from fmstudio.worker.context import StepContext


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Run a transform.

    Args:
        params: ``transform`` (its id), ``params``, ``files``; for ``commit`` the ``overlay``, for all others see
            `fmstudio.recipes.transform_run.run_transform`.
        ctx: The step.
        plugins: Not used.

    Raises:
        UserError: There is no such transform, or it cannot be done.
    """
    if params["transform"] == "commit":
        from fmstudio.recipes.commit_run import run_commit

        return run_commit(params, ctx)
    from fmstudio.recipes.transform_run import run_transform

    return run_transform(params, ctx.out_dir, ctx)
