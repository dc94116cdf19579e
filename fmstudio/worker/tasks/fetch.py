"""Task ``fetch``: what lies behind an address, for a look before an import. Leaves it in the cache, nothing in the project."""

from __future__ import annotations

from typing import Any

from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.context import StepContext
from fmstudio.worker.fetched import fetch_for_look
from fmstudio.worker.fetching import TooLarge
from fmstudio.worker.importing import Report


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Fetch.

    Args:
        params: ``address``.
        ctx: For progress and cancelling.
        plugins: Not used.

    Returns:
        ``bytes``, ``notes``, and ``too_large``: why nothing was fetched, when there is too much for a look; else empty.

    Raises:
        UserError: The network is switched off, the address is not allowed, or the download failed.
    """
    report = Report()
    try:
        found = fetch_for_look(params["address"], report, ctx)
    except TooLarge as error:
        return {"bytes": 0, "notes": [], "too_large": error.message}
    return {"bytes": sum(path.stat().st_size for path in found), "notes": report.notes, "too_large": ""}
