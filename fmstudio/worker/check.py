"""Worker mode ``check``: imports everything one plugin contributes, in a process that may die of it."""

from __future__ import annotations

import os
import sys

from fmstudio.api.errors import UserError
from fmstudio.jobs.protocol import Done, Error, Hello
from fmstudio.plugin_manager import Contribution
from fmstudio.worker.run import worker_plugins
from fmstudio.worker.stdio import Channel


def check_plugin(plugin_id: str) -> int:
    """Load each contribution's class; report the first that fails and the JSON schema of each one's parameters."""
    channel = Channel()
    channel.send(Hello(os.getpid()))
    contributions = [c for p in worker_plugins().plugins if p.id == plugin_id for c in p.contributions]
    schemas: dict[str, object] = {}
    for contribution in contributions:
        try:
            schemas[f"{contribution.kind}/{contribution.id}"] = params_schema(contribution)
        except UserError as error:
            channel.send(Error(error.message, error.remedy, error.details, is_user_error=True))
            return 1
    channel.send(Done({"schemas": schemas}))
    sys.stderr.flush()
    return 0


def params_schema(contribution: Contribution) -> dict[str, object]:
    """JSON schema of a contribution's `Params`; empty for a page, which has none.

    Raises:
        UserError: The class cannot be loaded, or is none of its kind.
    """
    if contribution.kind == "page":
        return {}
    cls = contribution.load()
    params = getattr(cls, "Params", None)
    if params is None or not hasattr(params, "model_json_schema"):
        raise UserError(f"{contribution.title} (plugin {contribution.plugin_id}) has no Params model.")
    schema: dict[str, object] = params.model_json_schema()
    return schema
