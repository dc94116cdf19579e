"""Request ``count_tokens``: exact token counts of a file's first rows, or of texts, in a model's own vocabulary."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fmstudio.api import TaskContext, UserError
from fmstudio.core.schemas import Mapping
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.fetched import local_files
from fmstudio.worker.gathering import gather
from fmstudio.worker.importing import Report, first_batches, map_batch
from fmstudio.worker.inspection import MEASURED_ROWS, quantiles, texts_of
from fmstudio.worker.sources import SourceReader
from fmstudio.worker.unpacking import PREVIEW, Budget


def handle(params: dict[str, Any], state: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> dict[str, Any]:
    """Count.

    Args:
        params: ``model`` (path of a GGUF file), and ``texts``, or what `inspect_file` takes with its ``mapping``.
        state: Not used: a vocabulary opens in a fraction of a second.
        plugins: Where engines and importers are found.
        ctx: For the importer.

    Returns:
        ``counts`` in the order of the texts, and ``mean``, ``median``, ``p95``, ``max``, ``total``, ``is_estimate`` (no).

    Raises:
        UserError: No engine reads the model's vocabulary, or the file cannot be read.
    """
    model = Path(params["model"])
    texts = params["texts"] if "texts" in params else _texts(params, plugins, ctx)
    suffix = model.suffix.lower().lstrip(".")
    engines = [c for c in plugins.contributions("chat_backend") if suffix in c.facts.get("formats", [])]
    if not engines:
        raise UserError(f"No engine counts the tokens of {model.name}.", remedy="Choose a GGUF model.")
    counts: list[int] = engines[0].load().count_texts(model, texts)
    return {"counts": counts, **quantiles(sorted(counts)), "is_estimate": False}


def _texts(params: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> list[str]:
    report, part = Report(), str(params.get("part") or "")
    mapping = Mapping.of(params["mapping"])
    with TemporaryDirectory(prefix="count-", dir=ctx.workdir) as unpacked:
        sources = gather(
            local_files([params["path"]], report, ctx), params.get("importer"), plugins, report, ctx,
            workdir=Path(unpacked), budget=Budget(*PREVIEW, is_preview=True), parts=[part] if part else (),
        )  # fmt: skip
        read = SourceReader(sources, params.get("importer_params"), plugins, report, ctx)
        sample = first_batches(chain.from_iterable(batches for _, batches in read), MEASURED_ROWS)
    return texts_of([map_batch(batch, mapping, report, 0) for batch in sample])
