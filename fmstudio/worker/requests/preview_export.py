"""Request ``preview_export``: the first rows of an export as the file would hold them, written by the exporter itself."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import DatasetExporter, DatasetFacts, ExportReport, TaskContext
from fmstudio.core.checking import make_params
from fmstudio.plugin_manager import PluginManager
from fmstudio.project.export_rows import ExportRows

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CHARS = 6_000


class _Report(ExportReport):
    """Keeps what the exporter says."""

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []

    def leave_out(self, row: int, reason: str) -> None:
        self.left_out[reason] += 1

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def handle(params: dict[str, Any], state: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> dict[str, Any]:
    """Write a few rows to a folder of temporary files and read them back.

    Args:
        params: What `fmstudio.project.export_preview.preview_request` made.

    Returns:
        ``text``: what the file begins with (of a folder: its card); ``is_text``; ``files``: names; ``columns``: names
        and types of what is written; ``rows``: rows tried; ``left_out``: reason → rows of these; ``notes``.

    Raises:
        UserError: The rows do not fit the format, or the filter is wrong.
    """
    contribution = plugins.contribution("dataset_exporter", params["exporter"])
    exporter_class = contribution.load()
    settings = make_params(exporter_class, params["exporter_params"], contribution.title)
    overlay, workdir = params["overlay"] or {}, Path(params["workdir"])
    rows = ExportRows(
        [Path(path) for path in params["files"]],
        rows=Path(overlay["rows"]) if overlay else None,
        deleted=Path(overlay["deleted"]) if overlay else None,
        where=params["where"],
        columns=params["columns"],
        folder=Path(params["folder"]),
        workdir=workdir,
    )
    exporter: DatasetExporter = exporter_class()
    exporter.check(rows.schema, settings)
    first = _first(rows, int(params["limit"]))
    facts = DatasetFacts.of({**params["facts"], "rows": sum(batch.num_rows for batch in first)})
    report = _Report()
    folder = Path(tempfile.mkdtemp(prefix="look-", dir=workdir))
    try:
        target = folder / f"preview{contribution.facts.get('suffix', '')}"
        written = exporter.write(iter(first), rows.schema, target, settings, facts, report, ctx)
        text, is_text = _text(written)
        names = [path.relative_to(target).as_posix() if target.is_dir() else path.name for path in written]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "text": text,
        "is_text": is_text,
        "files": names,
        "columns": [[field.name, str(field.type)] for field in rows.schema],
        "rows": facts.rows,
        "left_out": dict(report.left_out),
        "notes": report.notes,
    }


def _first(rows: ExportRows, limit: int) -> list[pa.RecordBatch]:
    return list(_taken(rows, limit))


def _taken(rows: ExportRows, limit: int) -> Iterator[pa.RecordBatch]:
    for _, batch in rows.batches():
        part = batch.slice(0, limit)
        limit -= part.num_rows
        yield part
        if limit <= 0:
            return


def _text(written: list[Path]) -> tuple[str, bool]:
    """The beginning of the first file that is a text."""
    for path in written:
        with path.open("rb") as file:
            raw = file.read(MOST_CHARS * 4)
        if b"\0" in raw or path.suffix in (".parquet", ".arrow", ".xlsx", ".gz"):
            continue
        return raw.decode("utf-8", errors="replace")[:MOST_CHARS], True
    return "", False
