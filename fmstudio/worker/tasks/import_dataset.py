"""Task ``import_dataset``: files → importer → mapping → numbered rows in Parquet, and a list of rejects.

Writes ``rows-*.parquet`` and, when anything was rejected, ``rejects.jsonl`` to the step's output folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, LogLevel, TaskContext, UserError
from fmstudio.core.parquet import RowsWriter, Written
from fmstudio.core.schemas import Mapping
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.importing import (
    SAMPLE_ROWS,
    Naming,
    Report,
    choose_mapping,
    first_batches,
    map_batch,
    open_importer,
    raw_batches,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from fmstudio.worker.context import StepContext


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Import files as one dataset.

    Args:
        params: ``files`` (paths), and optionally ``importer`` (id; None = by name and content), ``importer_params``,
            ``mapping`` (`Mapping.to_dict`; None = detected).
        ctx: The step.
        plugins: Where importers are found.

    Returns:
        ``rows``, ``rejected``, ``kind``, ``mapping``, ``columns`` (name and type), ``bytes``, ``sources`` (path, name,
        sha256, bytes), ``notes``, ``files`` (names of the Parquet files).

    Raises:
        UserError: Nothing could be read; the message carries the first reason.
    """
    files = [Path(file) for file in params["files"]]
    if not files:
        raise UserError("No file was given.", remedy="Name at least one file.")
    _clear(ctx.out_dir)
    rejects = ctx.out_dir / "rejects.jsonl"
    with ThreadPoolExecutor(1) as pool, rejects.open("w", encoding="utf-8") as sink:
        hashes = [pool.submit(_sha256, path) for path in files]
        try:
            written, mapping, report = _import(files, params, ctx, plugins, Report(sink))
        finally:
            for hashed in hashes:
                hashed.cancel()
    if not report.rejected:
        rejects.unlink()
    return _result(written, mapping, report, files, hashes)


def _import(
    files: list[Path], params: dict[str, Any], ctx: StepContext, plugins: PluginManager, report: Report
) -> tuple[Written, Mapping, Report]:
    mapping: Mapping | None = Mapping.of(params["mapping"]) if params.get("mapping") else None
    rows = 0
    with RowsWriter(ctx.out_dir) as writer:
        for file, batches in _files(files, params, ctx, plugins, report):
            read = 0
            sample = first_batches(batches, SAMPLE_ROWS)
            if sample:
                mapping = choose_mapping(mapping, sample)
            for batch in chain(sample, batches):
                assert mapping is not None
                mapped = map_batch(batch, mapping, report, read)
                read += batch.num_rows
                if mapped.num_rows:
                    writer.write(_numbered(mapped, rows))
                    rows += mapped.num_rows
            ctx.log(f"{file.name}: {read} rows read")
        if not rows:
            raise _nothing(files, report)
        assert mapping is not None
        return writer.close(), mapping, report


def _files(
    files: list[Path], params: dict[str, Any], ctx: StepContext, plugins: PluginManager, report: Report
) -> Iterator[tuple[Path, Iterator[pa.RecordBatch]]]:
    total = sum(file.stat().st_size for file in files if file.exists())
    before = 0
    naming = Naming(report)
    for file in files:
        _, importer, settings = open_importer(file, params.get("importer"), params.get("importer_params"), plugins)
        part = _Part(ctx, before, file.stat().st_size, total)
        yield file, raw_batches(importer, file, settings, report, part, naming)
        before += file.stat().st_size


class _Part(TaskContext):
    """The share of one file in the progress of all."""

    def __init__(self, ctx: TaskContext, before: int, size: int, total: int) -> None:
        self.workdir, self._ctx = ctx.workdir, ctx
        self._before, self._size, self._total = before, size, total

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Bytes of all files, whatever unit the importer counts this one in."""
        share = min(done / total, 1.0) if total else 0.0
        self._ctx.progress(self._before + round(share * self._size), self._total, "bytes read")

    def log(self, text: str, level: LogLevel = "info") -> None:
        """Pass on."""
        self._ctx.log(text, level)

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """Pass on."""
        self._ctx.metric(name, value, step)

    @property
    def cancelled(self) -> bool:
        """Pass on."""
        return self._ctx.cancelled


def _numbered(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    ids = pa.array(np.arange(first, first + batch.num_rows, dtype=np.int64))
    return pa.RecordBatch.from_arrays([ids, *batch.columns], names=[ROW_ID, *batch.schema.names])


def _nothing(files: list[Path], report: Report) -> UserError:
    names = ", ".join(file.name for file in files)
    if not report.first:
        return UserError(f"{names} holds no rows.", remedy="Choose a file with content.")
    first = report.first[0]
    place = f"line {first['line']}: " if first["line"] else f"row {first['row']}: " if first["row"] else ""
    return UserError(
        f"Not one row of {names} could be read; {place}{first['reason']}",
        remedy="Choose another importer, encoding or mapping.",
        details=str(first["raw"]),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clear(out_dir: Path) -> None:
    """Remove what an earlier, killed run of this step left."""
    out_dir.mkdir(parents=True, exist_ok=True)
    for old in (*out_dir.glob("rows-*"), out_dir / "rejects.jsonl"):
        with suppress(FileNotFoundError):
            old.unlink()


def _result(
    written: Written, mapping: Mapping, report: Report, files: list[Path], hashes: list[Future[str]]
) -> dict[str, Any]:
    sources = [
        {"path": str(file.resolve()), "name": file.name, "sha256": hashed.result(), "bytes": file.stat().st_size}
        for file, hashed in zip(files, hashes, strict=True)
    ]
    return {
        "rows": written.rows,
        "rejected": report.rejected,
        "kind": mapping.kind,
        "mapping": mapping.to_dict(),
        "columns": written.columns,
        "bytes": written.bytes,
        "sources": sources,
        "notes": [*report.notes, *mapping.notes, *written.notes],
        "files": [path.name for path in written.files],
    }
