"""Request ``embed_query``: vectors of a few texts; the model stays loaded for the session's life."""

from __future__ import annotations

from typing import Any

from fmstudio.api import TaskContext
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.embedding import kept_embedder


def handle(params: dict[str, Any], state: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> dict[str, Any]:
    """Embed texts.

    Args:
        params: ``embedder``, ``texts``, and optionally ``embedder_params``.
        state: Keeps the model.
        plugins: Where embedders are found.
        ctx: Not used.

    Returns:
        ``vectors`` (a list of numbers per text) and ``dim``.

    Raises:
        UserError: The embedder's model is not installed.
    """
    embedder = kept_embedder(params["embedder"], params.get("embedder_params"), plugins, state)
    vectors = embedder.embed([str(text) for text in params["texts"]])
    return {"vectors": vectors.tolist(), "dim": int(vectors.shape[1])}
