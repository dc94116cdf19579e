"""Request ``inspect_file``: what a file holds and how it would be imported, from its first rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmstudio.api import TaskContext
from fmstudio.core.schemas import Mapping
from fmstudio.core.unify import Unifier
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.importing import (
    SAMPLE_ROWS,
    Naming,
    Report,
    candidates,
    choose_mapping,
    first_batches,
    map_batch,
    open_importer,
    raw_batches,
    sample_rows,
)


def handle(params: dict[str, Any], state: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> dict[str, Any]:
    """Preview an import.

    Args:
        params: ``path``, and optionally ``importer``, ``importer_params``, ``mapping``, ``limit`` (rows, 50).
        state: Not used.
        plugins: Where importers are found.
        ctx: For the importer.

    Returns:
        ``importer``, ``importers`` (id and title of those that fit), ``kind``, ``mapping``, ``columns`` (name and type
        after mapping), ``raw_columns``, ``rows`` (mapped), ``raw_rows``, ``rejects`` (the first 20), ``rejected``,
        ``notes``, ``bytes``, ``estimated_rows``.

    Raises:
        UserError: Nothing can be read, or the mapping does not fit.
    """
    path, limit = Path(params["path"]), int(params.get("limit", 50))
    chosen, importer, settings = open_importer(path, params.get("importer"), params.get("importer_params"), plugins)
    report, seen = Report(), _Seen(ctx)
    batches = raw_batches(importer, path, settings, report, seen, Naming(report))
    sample = first_batches(batches, max(limit, SAMPLE_ROWS))
    mapping = choose_mapping(params.get("mapping"), sample) if sample else Mapping("table")
    unifier, mapped, before = Unifier(), [], 0
    for batch in sample:
        mapped.append(unifier.conform(map_batch(batch, mapping, report, before)))
        before += batch.num_rows
    size = path.stat().st_size
    return {
        "importer": chosen.id,
        "importers": [{"id": c.id, "title": c.title} for c in candidates(path, plugins)],
        "kind": mapping.kind,
        "mapping": mapping.to_dict(),
        "columns": [{"name": f.name, "type": str(f.type)} for f in unifier.schema()],
        "raw_columns": list(dict.fromkeys(name for batch in sample for name in batch.schema.names)),
        "rows": _plain(sample_rows(mapped, limit)),
        "raw_rows": _plain(sample_rows(sample, limit)),
        "rejects": report.first,
        "rejected": report.rejected,
        "notes": [*report.notes, *mapping.notes, *unifier.notes],
        "bytes": size,
        "estimated_rows": round(before * size / min(size, seen.done)) if seen.done else before,
    }


class _Seen(TaskContext):
    """Remembers how much of the file was read, for the estimate of its rows."""

    def __init__(self, ctx: TaskContext) -> None:
        self.workdir, self._ctx, self.done = ctx.workdir, ctx, 0.0

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Remember."""
        self.done = done

    def log(self, text: str, level: Any = "info") -> None:
        """Pass on."""
        self._ctx.log(text, level)

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """A preview measures nothing."""

    @property
    def cancelled(self) -> bool:
        """Pass on."""
        return self._ctx.cancelled


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make rows that JSON can carry: dates and bytes as text, no infinite numbers."""
    return [{name: _plain_value(value) for name, value in row.items()} for row in rows]


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain_value(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_value(v) for v in value]
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
