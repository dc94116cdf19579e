"""Request ``render_template``: a model's chat template on a sample conversation, held against its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmstudio.api import TaskContext
from fmstudio.core.checking import make_params
from fmstudio.plugin_manager import PluginManager

EVALUATOR = "chat_template"


def handle(params: dict[str, Any], state: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> dict[str, Any]:
    """Render and check.

    Args:
        params: ``model`` (path of a GGUF file), and optionally ``template`` and ``system``.
        state: Not used: a vocabulary opens in a fraction of a second.
        plugins: Where the check is found.
        ctx: For the check.

    Returns:
        See the evaluator ``chat_template``.

    Raises:
        UserError: The model cannot be opened, or the template cannot be read.
    """
    evaluator = plugins.contribution("evaluator", EVALUATOR).load()
    given = {key: params[key] for key in ("template", "system") if params.get(key) is not None}
    model = Path(params["model"])
    figures: dict[str, Any] = evaluator().evaluate(model, None, model, make_params(evaluator, given, EVALUATOR), ctx)
    return figures
