"""Request ``preview_recipe``: what a recipe keeps, changes and drops on a sample of real rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmstudio.api import TaskContext
from fmstudio.plugin_manager import PluginManager
from fmstudio.recipes import Recipe, bind, preview


def handle(params: dict[str, Any], state: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> dict[str, Any]:
    """Preview a recipe.

    Args:
        params: ``recipe`` (`Recipe.to_dict`), ``files``, and optionally ``sample_rows`` (2 000), ``examples`` (20).
        state: Not used.
        plugins: Where operators are found.
        ctx: For the operators.

    Returns:
        See `fmstudio.recipes.preview.preview`.

    Raises:
        UserError: The recipe is wrong; the message names step and field.
    """
    steps = bind(Recipe.of(params["recipe"]), plugins)
    return preview(
        steps,
        [Path(file) for file in params["files"]],
        ctx,
        sample_rows=int(params.get("sample_rows", 2_000)),
        examples=int(params.get("examples", 20)),
    )
