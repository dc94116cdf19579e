"""Task ``import_dataset``: files → importer → mapping → numbered rows in Parquet, and a list of rejects.

Writes ``rows-*.parquet`` and, when anything was rejected, ``rejects.jsonl`` to the step's output folder. An update of a
dataset writes its next version: rows keep their ids, and those that are gone lie in ``dropped/``. A run that was killed
or cancelled is gone on with: see `import_checkpoint`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.core.addresses import is_remote
from fmstudio.worker.hashing import Hashes

if TYPE_CHECKING:
    from fmstudio.plugin_manager import PluginManager
    from fmstudio.worker.context import StepContext


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Import files as one dataset.

    Args:
        params: ``files`` (paths and addresses), and optionally ``importer`` (id; None = by name and content), ``importer_params``,
            ``mapping`` (`Mapping.to_dict`; None = detected), ``known_shapes`` (shape key → mapping to use where none is
            given), ``parts`` (ids; each part of each file is read, in order), ``update`` (``files`` of the version to
            update, ``taken``: files with all row ids ever used, ``key``: column that names a row), ``checkpoint_s`` (seconds
            between two checkpoints).
        ctx: The step.
        plugins: Where importers are found.

    Returns:
        ``rows``, ``rejected``, ``kind``, ``mapping``, ``columns`` (name and type), ``bytes``, ``sources`` (path, name,
        sha256, bytes), ``notes``, ``files`` (names of the Parquet files), ``importer`` (id of the first file's),
        ``shape_key``, ``remembered`` (whether it was read by one of the known shapes), ``flags``, ``flagged``; of an update
        also ``update`` (counts) and ``dropped``.

    Raises:
        UserError: Nothing could be read; the message carries the first reason.
    """
    if not params["files"]:
        raise UserError("No file was given.", remedy="Name at least one file.")
    ctx.out_dir.mkdir(parents=True, exist_ok=True)
    rejects = ctx.out_dir / "rejects.jsonl"
    with Hashes() as hashes, rejects.open("a", encoding="utf-8") as sink:
        if not any(is_remote(str(name)) for name in params["files"]):
            hashes.start([Path(name) for name in params["files"]])
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here multiplies matrices; idle threads would spin
        # Only now: what reads files takes half a second to load, in which one core can hash already.
        from fmstudio.worker.file_import import import_files

        result = import_files(params, ctx, plugins, hashes, sink)
    if not result["rejected"]:
        rejects.unlink()
    return result
