"""Request ``describe``: the parameter schemas of contributions, from which the window builds its forms."""

from __future__ import annotations

from typing import Any

from fmstudio.api.context import TaskContext
from fmstudio.api.errors import UserError
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.check import params_schema


def handle(params: dict[str, Any], state: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> dict[str, Any]:
    """Describe all contributions of the kinds asked for.

    Args:
        params: ``kinds``: list of kinds of contribution.

    Returns:
        ``schemas``: ``"kind/id"`` → JSON schema; ``errors``: ``"kind/id"`` → why it cannot be loaded.
    """
    schemas: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for kind in params["kinds"]:
        for contribution in plugins.contributions(kind):
            key = f"{kind}/{contribution.id}"
            try:
                schemas[key] = params_schema(contribution)
            except UserError as error:
                errors[key] = str(error)
    return {"schemas": schemas, "errors": errors}
