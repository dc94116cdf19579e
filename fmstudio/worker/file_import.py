"""Files → importer → mapping → numbered rows in Parquet, and a list of rejects: what the task `import_dataset` does."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fmstudio.api import TaskContext, UserError
from fmstudio.core.addresses import as_text, is_remote
from fmstudio.core.parquet import FILE_BYTES, RowsWriter, Written
from fmstudio.core.schemas import Mapping
from fmstudio.core.words import plural
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.gathering import gather
from fmstudio.worker.hashing import Hashes
from fmstudio.worker.import_checkpoint import EVERY_S, ImportCheckpoint
from fmstudio.worker.importing import Report
from fmstudio.worker.reading import Reading
from fmstudio.worker.sources import ReadOtherwise, Source, SourceReader, size_of

if TYPE_CHECKING:
    from fmstudio.worker.context import StepContext


def import_files(
    params: dict[str, Any], ctx: StepContext, plugins: PluginManager, hashes: Hashes, sink: IO[str]
) -> dict[str, Any]:
    """Import files as one dataset; see `fmstudio.worker.tasks.import_dataset.run`.

    Args:
        hashes: Of the files; begun already where they are all on this machine.
        sink: Where rejects are written, as JSON Lines.

    Raises:
        UserError: Nothing could be read; the message carries the first reason.
    """
    told = Report()
    named = _on_this_machine(params["files"], ctx.workdir / "fetched", told, ctx)
    files = [path for _, path in named]
    hashes.start(files)
    target = ctx.workdir / "fresh" if params.get("update") else ctx.out_dir
    checkpoint = ImportCheckpoint(
        ctx.workdir / "checkpoint.json", files, target, float(params.get("checkpoint_s", EVERY_S))
    )
    work = _Work(params, files, target, ctx, plugins, checkpoint)
    state = checkpoint.load()
    try:
        done = work.done(Report(sink, notes=list(told.notes)), state)
    except ReadOtherwise:
        ctx.log("What was read before is not what is there now: begun anew.", "warning")
        done = work.done(Report(sink, notes=list(told.notes)), None)
    digests = hashes.all()
    counts = _update(params["update"], done, ctx) if params.get("update") else {}
    return {**_result(done, named, digests), **counts}


@dataclass
class _Done:
    """What reading the files gave."""

    written: Written
    mapping: Mapping
    report: Report
    importer: str
    shape_key: str
    is_remembered: bool


def read_rows(params: dict[str, Any], folder: Path, ctx: TaskContext, plugins: PluginManager) -> tuple[list[Path], int]:
    """Read all rows as an import would, into Parquet files in a folder; for a look at what an update would change.

    Returns:
        The files, and how many pieces could not be read.

    Raises:
        UserError: Nothing could be read.
    """
    from fmstudio.worker.fetched import local_files

    report = Report()
    files = local_files(params["files"], report, ctx)
    done = _Work(params, files, folder / "rows", ctx, plugins).done(report)
    return done.written.files, report.rejected


@dataclass(frozen=True, slots=True)
class _Work:
    """Files to be read into a folder.

    Attributes:
        params: See `fmstudio.worker.tasks.import_dataset.run`.
        files: The files, all on this machine.
        target: Folder of the Parquet files.
        checkpoint: Where it is noted how far it came; None = nowhere.
    """

    params: dict[str, Any]
    files: list[Path]
    target: Path
    ctx: TaskContext
    plugins: PluginManager
    checkpoint: ImportCheckpoint | None = None

    def done(self, report: Report, state: dict[str, Any] | None = None) -> _Done:
        """Read them, from their start or from where a state was kept.

        Raises:
            UserError: Nothing could be read.
            ReadOtherwise: The state is of no use.
        """
        if state is None and self.checkpoint is not None:
            self.checkpoint.forget()
            report.restart()
        heap = self.ctx.workdir / "unpacked"
        shutil.rmtree(heap, ignore_errors=True)
        try:
            parts = self.params.get("parts") or ()
            sources = gather(
                self.files, self.params.get("importer"), self.plugins, report, self.ctx, workdir=heap, parts=parts
            )
            return self._read(sources, report, state)
        finally:
            shutil.rmtree(heap, ignore_errors=True)

    def _read(self, sources: list[Source], report: Report, state: dict[str, Any] | None) -> _Done:
        reader = SourceReader(sources, self.params.get("importer_params"), self.plugins, report, self.ctx)
        with RowsWriter(self.target, file_bytes=FILE_BYTES, state=state and state["writer"]) as writer:
            reading = Reading(self.params, report, writer.write, lambda: self._keep(reader, reading, report, writer))
            if state is not None:
                reader.restore(state["reader"])
                reading.restore(state["reading"])
                report.restore(state["report"])
                self.ctx.log(f"Going on after row {reading.rows:,}")
            for source, batches in reader:
                reading.take(source, batches, is_one_of_many=len(sources) > 1)
                self.ctx.log(f"{source.name}: {plural(reading.read, 'row')} read")
            if not reading.rows or reading.mapping is None:
                raise _nothing([source.name for source in sources], report)
            reading.tell()
            written = writer.close()
            return _Done(written, reading.mapping, report, reading.importer, reading.shape, reading.is_remembered)

    def _keep(self, reader: SourceReader, reading: Reading, report: Report, writer: RowsWriter) -> None:
        """Note where reading stands, if it is time to: as soon as all rows so far are on the disk."""
        checkpoint = self.checkpoint
        if checkpoint is not None and checkpoint.is_due() and reading.rows:
            state = {"reader": reader.state(), "reading": reading.state(), "report": report.state()}
            writer.keep(lambda written: checkpoint.keep({**state, "writer": written}))


def _on_this_machine(names: list[str], folder: Path, report: Report, ctx: TaskContext) -> list[tuple[str, Path]]:
    """Fetch what is an address; give for each file where it came from (absolute path or address) and where it lies.

    Raises:
        UserError: See `fetching.fetch`.
    """
    found: list[tuple[str, Path]] = []
    for name in names:
        if is_remote(name):
            # Here, because most imports need no network: its modules take longer to load than a small file.
            from fmstudio.worker.fetched import bring_fetched
            from fmstudio.worker.fetching import Network, fetch

            bring_fetched(name, folder)
            found += [(name, path) for path in fetch(name, folder, Network.of_settings("Import"), report, ctx)]
        else:
            found.append((str(Path(name).absolute()), Path(name)))
    return found


def _update(update: dict[str, Any], done: _Done, ctx: StepContext) -> dict[str, Any]:
    """Match the rows that were read with the dataset's and write its next version."""
    from fmstudio.recipes.file_update import FileUpdate

    old = [Path(file) for file in update["files"]]
    ctx.log("Comparing with the dataset")
    _empty(ctx.out_dir)
    with FileUpdate(done.written.files, old, str(update.get("key") or ""), ctx.workdir / "tmp") as found:
        counts = found.counts()
        for note in found.notes():
            done.report.note(note)
        with RowsWriter(ctx.out_dir) as kept, RowsWriter(ctx.out_dir / "dropped") as dropped:
            for batch in found.rows(1 + _last_taken(update)):
                ctx.check_cancelled()
                kept.write(batch)
            for batch in found.gone():
                dropped.write(batch)
            done.written, gone = kept.close(), dropped.close()
    if not gone.rows:
        shutil.rmtree(ctx.out_dir / "dropped")
    if counts.repeated_keys:
        done.report.note(
            f"{plural(counts.repeated_keys, 'row repeats', 'rows repeat')} a key; the first is matched with the first, and so on."
        )
    shutil.rmtree(ctx.workdir / "fresh", ignore_errors=True)
    return {"update": counts.to_dict(), "dropped": gone.rows}


def _empty(out_dir: Path) -> None:
    """Remove what an earlier, killed run of this step left of the version; rejects are this run's."""
    for old in out_dir.glob("rows-*"):
        old.unlink()
    shutil.rmtree(out_dir / "dropped", ignore_errors=True)


def _last_taken(update: dict[str, Any]) -> int:
    """The largest row id the dataset ever gave, also in versions whose files are no longer there."""
    from fmstudio.recipes.file_update import largest_id

    return max(largest_id([Path(file) for file in update["taken"]]), int(update.get("taken_up_to", -1)))


def _nothing(sources: list[str], report: Report) -> UserError:
    names = ", ".join(sources[:3]) + (f" and {len(sources) - 3} more" if len(sources) > 3 else "")
    if not report.first:
        return UserError(f"{names} holds no rows.", remedy="Choose a file with content.")
    first = report.first[0]
    place = f"line {first['line']}: " if first["line"] else f"row {first['row']}: " if first["row"] else ""
    return UserError(
        f"Not one row of {names} could be read; {place}{first['reason']}",
        remedy="Choose another importer, encoding or mapping.",
        details=str(first["raw"]),
    )


def _result(done: _Done, named: list[tuple[str, Path]], digests: list[str]) -> dict[str, Any]:
    written, mapping, report = done.written, done.mapping, done.report
    sources = [
        {"path": origin, "name": as_text(file.name), "sha256": digest, "bytes": size_of(file)}
        for (origin, file), digest in zip(named, digests, strict=True)
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
        "importer": done.importer,
        "shape_key": done.shape_key,
        "remembered": done.is_remembered,
        "flags": report.flags,
        "flagged": report.flagged,
    }
