"""Reading what was gathered: each source by its importer, with progress over all and where each row came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Importer, LogLevel, Reject, TaskContext, UserError
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


@dataclass(frozen=True, slots=True)
class Place:
    """Where reading stands.

    Attributes:
        source: Number of the source that is being read; those before it are done.
        mark: Where its importer can begin; see `Importer.mark`.
        rows: How many were read after that.
    """

    source: int = 0
    mark: dict[str, Any] | None = None
    rows: int = 0


class ReadOtherwise(Exception):
    """What was read before is not what is there now, so that nothing can be gone on with."""


class SourceReader:
    """Reads sources one after the other, and can go on later, in another process, from where it stands.

    Args:
        sources: What `gather` found.
        values: The user's parameters for the importers; of several importers each takes those it knows.
        plugins: Where importers are found.
        report: For the importers; one source of many that cannot be read is a reject, not an end.
        ctx: For the importers.

    Example:
        >>> for source, batches in SourceReader(sources, None, plugins, report, ctx):
        ...     for batch in batches:
        ...         write(batch)
    """

    def __init__(
        self,
        sources: Sequence[Source],
        values: dict[str, Any] | None,
        plugins: PluginManager,
        report: Report,
        ctx: TaskContext,
    ) -> None:
        self._sources, self._values, self._plugins = sources, values, plugins
        self._report, self._ctx = report, ctx
        self._naming = Naming(report)
        self._start = self._place = Place()

    def state(self) -> dict[str, Any]:
        """Where reading stands, after the batch that was given last, as JSON; see `restore`."""
        return {"sources": len(self._sources), "place": asdict(self._place), "names": self._naming.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Begin after what was read when a `state` was taken.

        Raises:
            ReadOtherwise: There are more or fewer sources now.
        """
        if state["sources"] != len(self._sources):
            raise ReadOtherwise
        self._start = Place(**state["place"])
        self._naming.restore(state["names"])

    def __iter__(self) -> Iterator[tuple[Source, Iterator[pa.RecordBatch]]]:
        """Yield each source with its batches, column names safe and the same over all; progress counts all bytes.

        Each is to be read before the next is asked for.

        Raises:
            UserError: The only source cannot be read.
            ReadOtherwise: What was read before comes otherwise now.
        """
        sizes = [source.size for source in self._sources]
        before = 0
        for number, (source, size) in enumerate(zip(self._sources, sizes, strict=True)):
            if number >= self._start.source:
                share = _Share(self._ctx, before, size, sum(sizes))
                yield source, self._batches(number, source, share)
            before += size

    def _batches(self, number: int, source: Source, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        self._report.file = source.name
        is_one_of_many = len(self._sources) > 1
        try:
            _, importer, params = open_importer(
                source.path,
                source.importer,
                _known(self._values, source, self._plugins, is_one_of_many),
                self._plugins,
            )
            start = self._start if number == self._start.source else Place(number)
            importer.mark = start.mark
            batches = raw_batches(importer, source.path, params, self._report, ctx, self._naming, source.name)
            for batch in self._after(start, batches, importer):
                yield _told(batch, source) if is_one_of_many else batch
            ctx.progress(1, 1)  # importers tell of what they begin as well as of what they have done
        except (UserError, OSError) as error:
            if not is_left_to_report(source, error, self._report, is_one_of_many=is_one_of_many):
                raise

    def _after(self, start: Place, batches: Iterator[pa.RecordBatch], importer: Importer) -> Iterator[pa.RecordBatch]:
        """Yield what comes after a place, and keep track of it; what comes before is read once more, in silence."""
        mark, rows = start.mark, 0
        self._report.is_silent = start.rows > 0
        try:
            for batch in batches:
                if importer.mark is not mark:
                    mark, rows = importer.mark, 0
                rows += batch.num_rows
                self._place = Place(start.source, mark, rows)
                if not self._report.is_silent:
                    yield batch
                elif rows >= start.rows:
                    self._report.is_silent = False
                    if rows > start.rows:
                        yield batch.slice(batch.num_rows - (rows - start.rows))
            if self._report.is_silent:
                raise ReadOtherwise
        finally:
            self._report.is_silent = False


def is_left_to_report(source: Source, error: UserError | OSError, report: Report, *, is_one_of_many: bool) -> bool:
    """Make a source that cannot be read, or read on, a reject where there are others; say whether that was done."""
    if is_one_of_many:
        words = f"{error.message} {error.remedy}" if isinstance(error, UserError) else str(error)
        report.reject(Reject(f"{source.name}: {words}".strip(), raw=source.name))
    return is_one_of_many


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
