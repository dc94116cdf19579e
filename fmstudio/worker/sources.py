"""Reading what was gathered: each source by its importer, with progress over all and where each row came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import LogLevel, Reject, TaskContext, UserError
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.importing import Naming, Report, open_importer, raw_batches

if TYPE_CHECKING:
    import pyarrow as pa

SOURCE_FILE = "source_file"
"""The column that says which file a row came from; a table that has one of that name keeps its own."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something one importer reads.

    Attributes:
        path: The file or folder.
        name: What the user knows it as: its name, or its place in the folder or archive it came from.
        importer: Id of the importer.
        family: ``table``, or ``document`` for importers whose rows are texts with `source_file`.
        is_unpacked: Whether the path is gone when the import is over.
        part: Which of several tables in the file; empty = the first, or the only one.
    """

    path: Path
    name: str
    importer: str
    family: str = "table"
    is_unpacked: bool = False
    part: str = ""

    @property
    def size(self) -> int:
        """Bytes to be read."""
        return size_of(self.path)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


def read_sources(
    sources: Sequence[Source], values: dict[str, Any] | None, plugins: PluginManager, report: Report, ctx: TaskContext
) -> Iterator[tuple[Source, Iterator[pa.RecordBatch]]]:
    """Yield each source with its batches, column names safe and the same over all; progress counts all bytes.

    Args:
        sources: What `gather` found; each is to be read before the next is asked for.
        values: The user's parameters for the importers; of several importers each takes those it knows.
        plugins: Where importers are found.
        report: For the importers; one source of many that cannot be read is a reject, not an end.
        ctx: For the importers.

    Raises:
        UserError: The only source cannot be read.
    """
    sizes = [source.size for source in sources]
    naming, before = Naming(report), 0
    for source, size in zip(sources, sizes, strict=True):
        share = _Share(ctx, before, size, sum(sizes))
        yield source, _batches(source, values, plugins, report, share, naming, is_one_of_many=len(sources) > 1)
        before += size


def is_left_to_report(source: Source, error: UserError | OSError, report: Report, *, is_one_of_many: bool) -> bool:
    """Make a source that cannot be read, or read on, a reject where there are others; say whether that was done."""
    if is_one_of_many:
        words = f"{error.message} {error.remedy}" if isinstance(error, UserError) else str(error)
        report.reject(Reject(f"{source.name}: {words}".strip(), raw=source.name))
    return is_one_of_many


def _batches(
    source: Source,
    values: dict[str, Any] | None,
    plugins: PluginManager,
    report: Report,
    ctx: TaskContext,
    naming: Naming,
    *,
    is_one_of_many: bool,
) -> Iterator[pa.RecordBatch]:
    report.file = source.name
    try:
        _, importer, params = open_importer(
            source.path, source.importer, _known(values, source, plugins, is_one_of_many), plugins
        )
        for batch in raw_batches(importer, source.path, params, report, ctx, naming, source.name):
            yield _told(batch, source) if is_one_of_many else batch
        ctx.progress(1, 1)  # importers tell of what they begin as well as of what they have done
    except (UserError, OSError) as error:
        if not is_left_to_report(source, error, report, is_one_of_many=is_one_of_many):
            raise


def _known(
    values: dict[str, Any] | None, source: Source, plugins: PluginManager, is_one_of_many: bool
) -> dict[str, Any]:
    contribution = plugins.contribution("importer", source.importer)
    chosen = dict(values or {})
    if is_one_of_many:
        fields = contribution.load().Params.field_names()
        chosen = {name: value for name, value in chosen.items() if name in fields}
    if source.part:
        chosen["part"] = source.part
    return {**contribution.facts.get("unpacked_params", {}), **chosen} if source.is_unpacked else chosen


def _told(batch: pa.RecordBatch, source: Source) -> pa.RecordBatch:
    """Add where the rows came from; a document's own `source_file` is its bare name, which this makes whole."""
    import pyarrow as pa

    column = pa.array([source.name] * batch.num_rows, pa.string())
    index = batch.schema.get_field_index(SOURCE_FILE)
    if index < 0:
        return batch.append_column(SOURCE_FILE, column)
    if source.path.is_dir():
        return batch
    return batch.set_column(index, SOURCE_FILE, column) if source.family == "document" else batch


class _Share(TaskContext):
    """The share of one source in the progress of all."""

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
