"""Task ``export``: writes a model artifact in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmstudio.core.checking import make_params
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.context import StepContext
from fmstudio.worker.run import clear_out


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Export and return the artifact's path and size in bytes.

    Args:
        params: exporter, source, base_model, and optionally params.
    """
    clear_out(ctx.out_dir)
    exporter_class = plugins.contribution("exporter", params["exporter"]).load()
    settings = make_params(exporter_class, params.get("params", {}), f"exporter {params['exporter']}")
    path = exporter_class().export(Path(params["source"]), Path(params["base_model"]), ctx.out_dir, settings, ctx)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {"path": str(path), "export_bytes": sum(file.stat().st_size for file in files)}
