"""Task ``evaluate``: measures a model or adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmstudio.core.checking import make_params
from fmstudio.core.jsonfile import write_json
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.context import StepContext


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Evaluate, keep the figures in ``out/evaluation.json`` and return them.

    Args:
        params: evaluator, base_model, adapter (path or None), reference, and optionally params.
    """
    evaluator_class = plugins.contribution("evaluator", params["evaluator"]).load()
    settings = make_params(evaluator_class, params.get("params", {}), f"evaluator {params['evaluator']}")
    adapter = Path(params["adapter"]) if params["adapter"] else None
    figures: dict[str, Any] = evaluator_class().evaluate(
        Path(params["base_model"]), adapter, Path(params["reference"]), settings, ctx
    )
    write_json(ctx.out_dir / "evaluation.json", figures)
    return figures
