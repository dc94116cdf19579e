"""Task ``train``: runs a trainer over the rows of a dataset version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmstudio.api.trainer import TrainRequest
from fmstudio.core.checking import make_params
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.context import StepContext


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Train and return the adapter's place and what was measured.

    Args:
        params: trainer, params, base_model, train_files, eval_files, and optionally chat_template.
    """
    trainer_class = plugins.contribution("trainer", params["trainer"]).load()
    request = TrainRequest(
        base_model=Path(params["base_model"]),
        train_files=[Path(file) for file in params["train_files"]],
        eval_files=[Path(file) for file in params["eval_files"]],
        out_dir=ctx.out_dir,
        chat_template=params.get("chat_template", ""),
    )
    settings = make_params(trainer_class, params["params"], f"trainer {params['trainer']}")
    result = trainer_class().train(request, settings, ctx)
    return {
        **result.metrics,
        "adapter_dir": str(result.adapter_dir),
        "reference": str(result.reference) if result.reference else None,
        "chat_template": result.chat_template,
        "template_hash": result.template_hash,
    }
