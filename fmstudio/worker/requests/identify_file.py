"""Request ``identify_file``: the hash of a file's content, for telling whether it was imported before."""

from __future__ import annotations

import hashlib
from typing import Any

from fmstudio.api import TaskContext, UserError
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.fetched import local_files
from fmstudio.worker.importing import Report


def handle(params: dict[str, Any], state: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> dict[str, Any]:
    """Hash a file.

    Args:
        params: ``path``, or an address.
        state: Not used.
        plugins: Not used.
        ctx: For fetching.

    Returns:
        ``sha256`` and ``bytes``.

    Raises:
        UserError: The file cannot be read.
    """
    path = local_files([params["path"]], Report(), ctx)[0]
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"sha256": digest, "bytes": path.stat().st_size}
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror or error}.", remedy="Check the file.") from error
