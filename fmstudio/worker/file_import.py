"""Files → importer → mapping → numbered rows in Parquet, and a list of rejects: what the task `import_dataset` does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, TaskContext, UserError
from fmstudio.core.addresses import is_remote
from fmstudio.core.parquet import FILE_BYTES, RowsWriter, Written
from fmstudio.core.schemas import Mapping
from fmstudio.core.words import plural
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.gathering import gather
from fmstudio.worker.hashing import Hashes
from fmstudio.worker.importing import (
    SAMPLE_ROWS,
    Report,
    choose_mapping,
    first_batches,
    map_batch,
)
from fmstudio.worker.inspection import shape_key
from fmstudio.worker.sources import SOURCE_FILE, Source, is_left_to_report, read_sources, size_of

if TYPE_CHECKING:
    import pyarrow as pa

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
    report, heap = Report(sink), ctx.workdir / "unpacked"
    shutil.rmtree(heap, ignore_errors=True)
    try:
        named = _on_this_machine(params["files"], ctx.workdir / "fetched", report, ctx)
        files = [path for _, path in named]
        hashes.start(files)
        sources = gather(
            files, params.get("importer"), plugins, report, ctx, workdir=heap, parts=params.get("parts") or ()
        )
        done = _import(sources, params, _fresh_dir(params, ctx), ctx, plugins, report)
    finally:
        shutil.rmtree(heap, ignore_errors=True)
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
    files, parts = local_files(params["files"], report, ctx), params.get("parts") or ()
    sources = gather(files, params.get("importer"), plugins, report, ctx, workdir=folder / "unpacked", parts=parts)
    done = _import(sources, params, folder / "rows", ctx, plugins, report)
    return done.written.files, report.rejected


def _import(
    sources: list[Source],
    params: dict[str, Any],
    target: Path,
    ctx: TaskContext,
    plugins: PluginManager,
    report: Report,
) -> _Done:
    with RowsWriter(target, file_bytes=FILE_BYTES) as writer:
        reading = _Reading(params, report, writer)
        for source, batches in read_sources(sources, params.get("importer_params"), plugins, report, ctx):
            read = reading.take(source, batches, is_one_of_many=len(sources) > 1)
            ctx.log(f"{source.name}: {plural(read, 'row')} read")
        if not reading.rows or reading.mapping is None:
            raise _nothing([source.name for source in sources], report)
        reading.tell()
        return _Done(writer.close(), reading.mapping, report, reading.importer, reading.shape, reading.is_remembered)


class _Reading:
    """Sources on their way to one dataset, all read with the mapping of the first."""

    def __init__(self, params: dict[str, Any], report: Report, writer: RowsWriter) -> None:
        self.mapping: Mapping | None = None
        self.importer = self.shape = ""
        self.rows = 0
        self._first_columns: tuple[str, list[str]] | None = None
        self._others: list[str] = []
        self._given: dict[str, Any] | None = params.get("mapping")
        self._known_shapes: dict[str, Any] = params.get("known_shapes") or {}
        self.is_remembered = False
        self._report, self._writer = report, writer

    def take(self, source: Source, batches: Iterator[pa.RecordBatch], *, is_one_of_many: bool) -> int:
        """Read a source; give the number of its rows."""
        read = 0
        sample = first_batches(batches, SAMPLE_ROWS)
        try:
            mapping = self._choose(source, sample) if sample else None
        except UserError as error:
            if not is_left_to_report(source, error, self._report, is_one_of_many=is_one_of_many):
                raise
            return 0
        if sample:
            self._compare(source, sample)
        for batch in chain(sample, batches):
            assert mapping is not None
            mapped = map_batch(batch, mapping, self._report, read)
            read += batch.num_rows
            if mapped.num_rows:
                self._writer.write(_numbered(mapped, self.rows))
                self.rows += mapped.num_rows
        return read

    def _compare(self, source: Source, sample: list[pa.RecordBatch]) -> None:
        """See whether a source has other columns than the first one: rows then lack those of the others."""
        columns = [name for name in sample[0].schema.names if name != SOURCE_FILE]
        if self._first_columns is None:
            self._first_columns = source.name, columns
            return
        known = self._first_columns[1]
        more, fewer = ([c for c in a if c not in b] for a, b in ((columns, known), (known, columns)))
        if more or fewer:
            said = [f"{verb} {_listed(names)}" for verb, names in (("has also", more), ("lacks", fewer)) if names]
            self._others.append(f"{source.name} {' and '.join(said)}")

    def tell(self) -> None:
        """Say in one note which sources had other columns."""
        if self._others and self._first_columns:
            files = (
                f"{plural(len(self._others), 'file holds', 'files hold')} other columns than {self._first_columns[0]}"
            )
            self._report.note(f"{files}: {self._others[0]}. What a file lacks is empty in its rows.")

    def _choose(self, source: Source, sample: list[pa.RecordBatch]) -> Mapping:
        key = shape_key(source.importer, sample)
        given = self.mapping or self._given
        remembered = None if given else self._known_shapes.get(key)
        mapping = choose_mapping(given or remembered, sample)
        if remembered:
            self.is_remembered = True
            self._report.note(f"Read as last time, as {mapping.told()}.")
        if not self.shape:
            self.shape, self.importer = key, source.importer
        self.mapping = mapping
        return mapping


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


def _fresh_dir(params: dict[str, Any], ctx: StepContext) -> Path:
    """Where the file's rows go: to the output, or beside it when they are matched with a dataset's first."""
    if not params.get("update"):
        return ctx.out_dir
    fresh = ctx.workdir / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    return fresh


def _update(update: dict[str, Any], done: _Done, ctx: StepContext) -> dict[str, Any]:
    """Match the rows that were read with the dataset's and write its next version."""
    from fmstudio.recipes.file_update import FileUpdate

    old = [Path(file) for file in update["files"]]
    ctx.log("Comparing with the dataset")
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


def _last_taken(update: dict[str, Any]) -> int:
    """The largest row id the dataset ever gave, also in versions whose files are no longer there."""
    from fmstudio.recipes.file_update import largest_id

    return max(largest_id([Path(file) for file in update["taken"]]), int(update.get("taken_up_to", -1)))


def _numbered(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    # Not `pa.array`: it imports pandas wherever that is installed, a quarter of a second.
    numbers = np.arange(first, first + batch.num_rows, dtype=np.int64)
    ids = pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])
    return pa.RecordBatch.from_arrays([ids, *batch.columns], names=[ROW_ID, *batch.schema.names])


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


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
        {"path": origin, "name": file.name, "sha256": digest, "bytes": size_of(file)}
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
