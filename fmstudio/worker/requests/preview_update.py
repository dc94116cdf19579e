"""Request ``preview_update``: what would change if a dataset were updated from a file; the whole file is read."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fmstudio.api import TaskContext
from fmstudio.plugin_manager import PluginManager
from fmstudio.recipes.file_update import counts_of
from fmstudio.worker.file_import import read_rows


def handle(params: dict[str, Any], state: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> dict[str, Any]:
    """Count what an update changes.

    Args:
        params: Those of the task ``import_dataset``, with its ``update``.
        state: Not used.
        plugins: Where importers are found.
        ctx: Its folder takes the rows while they are compared.

    Returns:
        ``added``, ``removed``, ``changed``, ``unchanged``, ``repeated_keys``, ``notes`` (columns that get another type), and ``rejected``.

    Raises:
        UserError: The file cannot be read, or has nothing in common with the dataset.
    """
    update = params["update"]
    with TemporaryDirectory(prefix="update-", dir=ctx.workdir) as folder:
        files, rejected = read_rows({**params, "update": None}, Path(folder), ctx, plugins)
        old = [Path(file) for file in update["files"]]
        counts = counts_of(files, old, str(update.get("key") or ""), Path(folder) / "tmp")
    return {**counts, "rejected": rejected}
