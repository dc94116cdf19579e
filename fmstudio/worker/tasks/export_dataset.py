"""Task ``export_dataset``: rows of a version → a file or folder outside the project, by a dataset exporter.

What the exporter cannot express, and what the user asked for beside the rows, goes to files next to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import DatasetExporter, DatasetFacts, TaskContext, UserError
from fmstudio.core.checking import make_params
from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.plugin_manager import Contribution, PluginManager
from fmstudio.project.export_rows import ExportRows
from fmstudio.worker.export_extras import Report, dropped_reasons, write_dropped, write_provenance, write_rejected
from fmstudio.worker.staging import Staging, hash_of

if TYPE_CHECKING:
    import pyarrow as pa

    from fmstudio.worker.context import StepContext


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Export.

    Args:
        params: ``exporter``, ``exporter_params``, ``target``, ``overwrite``; ``files``, ``overlay`` (what
            `Edits.export_overlay` gave, or None), ``where``, ``columns``, ``folder`` (the project's); ``rejects``
            (paths) and ``dropped`` (``version``, ``operation``, ``files`` each); ``include`` (names of extra files); ``facts``
            (`DatasetFacts.to_dict`).
        ctx: The step.
        plugins: Where exporters are found.

    Returns:
        ``path``, ``rows``, ``left_out`` (reason → rows), ``bytes``, ``sha256`` (of the file, or of the sorted hashes of
        a folder's files), ``files`` (path, bytes, sha256 of each), ``notes``.

    Raises:
        UserError: The rows do not fit the format, the target is taken, or the disk is full; nothing is left then.
    """
    staging = Staging(
        Path(params["target"]), f"{ctx.workdir.parent.name}-{ctx.workdir.name}", overwrite=params["overwrite"]
    )
    ready = ctx.workdir / "ready.json"
    result: dict[str, Any] | None = read_json(ready)
    if result is None:
        with staging.writing():
            result = _write(params, staging, ctx, plugins)
            ctx.check_cancelled()
            write_json(ready, result)
    # From here on the export is whole: a worker that was killed while it renamed goes on from this line.
    try:
        staging.place()
    except UserError:
        ready.unlink()
        raise
    return result


def _write(params: dict[str, Any], staging: Staging, ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    contribution = plugins.contribution("dataset_exporter", params["exporter"])
    exporter_class = contribution.load()
    settings = make_params(exporter_class, params["exporter_params"], contribution.title)
    include, dropped = params["include"], params["dropped"]
    rows = _rows(params, ctx, with_row_id="provenance" in include)
    exporter: DatasetExporter = exporter_class()
    exporter.check(rows.schema, settings)
    facts = DatasetFacts.of({**params["facts"], "rows": rows.count(), "dropped": dropped_reasons(dropped)})
    with Report(staging.folder / "left-out") as report:
        batches = _watched(rows, report, facts.rows, ctx)
        written = exporter.write(batches, rows.schema, staging.staged, settings, facts, report, ctx)
    if wrong := _misnamed(contribution, staging.target.name, plugins):
        report.note(wrong)
    if not written or not staging.staged.exists():
        raise RuntimeError(f"the exporter {params['exporter']} wrote nothing to {staging.staged.name}")
    main = {f.relative_to(staging.folder).as_posix() for f in written}
    report.keep(staging.beside("left-out.jsonl"))
    if "rejected" in include:
        write_rejected([Path(path) for path in params["rejects"]], staging.beside("rejected.jsonl"), report)
    if "dropped" in include:
        write_dropped(dropped, staging.beside("dropped.jsonl"), report, ctx)
    if "provenance" in include:
        write_provenance(facts, params["exporter"], report, staging.beside("provenance.json"))
    return _result(params, staging, report, facts, main)


def _misnamed(contribution: Contribution, name: str, plugins: PluginManager) -> str:
    """Say so when the file is named as another format's; empty when it is not."""
    plain = name.lower().removesuffix(".gz")
    own = str(contribution.facts.get("suffix", ""))
    if own and plain.endswith(own):
        return ""
    formats = [other for other in plugins.contributions("dataset_exporter") if other.facts.get("guess")]
    like = next((f.title for f in formats if f.facts.get("suffix") and plain.endswith(str(f.facts["suffix"]))), "")
    better = f" Name it {Path(name).stem}{own} for programs that go by the name." if own else ""
    return f"“{name}” is named as {like} but is written as {contribution.title}.{better}" if like else ""


def _rows(params: dict[str, Any], ctx: StepContext, *, with_row_id: bool) -> ExportRows:
    overlay = params.get("overlay") or {}
    return ExportRows(
        [Path(file) for file in params["files"]],
        rows=Path(overlay["rows"]) if overlay else None,
        deleted=Path(overlay["deleted"]) if overlay else None,
        where=params["where"],
        columns=params["columns"],
        with_row_id=with_row_id,
        folder=Path(params["folder"]),
        workdir=ctx.workdir,
    )


def _watched(rows: ExportRows, report: Report, total: int, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
    """The rows, with progress, an open ear for a cancel, and a note of which ids were given."""
    done = 0
    for ids, batch in rows.batches():
        ctx.check_cancelled()
        report.given.append(ids.to_numpy())
        yield batch
        done += batch.num_rows
        ctx.progress(done, total, "rows written")


def _result(
    params: dict[str, Any], staging: Staging, report: Report, facts: DatasetFacts, main: set[str]
) -> dict[str, Any]:
    files = staging.hashes()
    rows = facts.rows - sum(report.left_out.values())
    mark = {"app": facts.app, "exporter": params["exporter"], "dataset": facts.name, "version": facts.version}
    staging.mark({**mark, "rows": rows, "created": facts.created}, files)
    own = [file for file in files if file["path"] in main]
    return {
        "path": str(staging.target),
        "rows": rows,
        "left_out": dict(report.left_out),
        "bytes": sum(int(file["bytes"]) for file in own),
        "sha256": hash_of(own),
        "files": [{**file, "path": str(staging.target.parent / file["path"])} for file in files],
        "notes": [*report.notes, *report.losses()],
    }
