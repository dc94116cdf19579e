"""Importers: any file → Arrow batches of raw columns, with everything unreadable reported, never dropped silently."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fmstudio.api.context import TaskContext
from fmstudio.api.params import Params

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Reject:
    """One piece of input that could not be read.

    Attributes:
        reason: Why, in words a user understands.
        line: 1-based line where it starts, when the format has lines.
        byte: 0-based offset in the file, when known.
        raw: The raw text, cut to 2 000 characters.
    """

    reason: str
    line: int | None = None
    byte: int | None = None
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One of several tables in a file: a sheet, a table of a database, a split.

    Attributes:
        id: What the importer's ``part`` parameter takes.
        title: The name shown to the user.
        rows: How many rows it has; None where counting would need reading it.
        detail: A few words more, e.g. ``"12 columns"`` or ``"hidden sheet"``.
    """

    id: str
    title: str
    rows: int | None = None
    detail: str = ""


class ImportReport(ABC):
    """What an importer says about a file while it reads it."""

    @abstractmethod
    def reject(self, reject: Reject) -> None:
        """Keep a piece that could not be read; it goes to the dataset's rejects, reading goes on."""

    @abstractmethod
    def note(self, text: str) -> None:
        """State a fact the user should see beside the preview, e.g. ``"Encoding: Windows-1252 (detected)"``."""

    def flag(self, column: str, row: int, reason: str, value: str) -> None:  # noqa: B027 - flags are optional
        """Point at a value that is kept but looks wrong: a number that a spreadsheet has rounded, a date as a number.

        Args:
            column: The column's name in the file.
            row: 1-based number of the row among those yielded.
            reason: What is suspicious, in words a user understands.
            value: The value as it is stored.
        """


class Importer(ABC):
    """Reads one file format. Runs in a worker; one instance per file.

    The app adds ``row_id``, detects the schema (conversation, prompt/completion, text, table), maps columns to the
    canonical ones of `fmstudio.api.rows` and writes Parquet: an importer only gives the file's own columns.

    Manifest facts: ``suffixes = [".jsonl"]`` (lower case, the longest match wins); ``accepts = ["file", "folder"]``
    (default: files alone) and ``markers = ["dataset_info.json"]`` (a folder that holds such a file is claimed).

    A format with several tables in a file lists them in `parts` and has a parameter ``part: str = ""`` that names the
    one to read (empty: the first).

    An import that was cancelled or killed goes on where it stood: the file is read once more from its start, what was
    already kept is passed over, and so the same file must give the same rows each time. A format in which a place in
    the middle can be found again spares the user that: see `mark`.

    Attributes:
        mark: A place in the file, as JSON, at which `read` can begin; None = the start. The app sets it before `read` to
            a place that was noted earlier, where it has one. `read` begins there, and notes now and then, as a new
            object, where it stands: all rows yielded so far come before the mark, all others after it.

    Example:
        >>> class LinesImporter(Importer):
        ...     def read(self, path, params, report, ctx):
        ...         import pyarrow as pa
        ...         with path.open("rb") as file:
        ...             file.seek(self.mark["byte"] if self.mark else 0)
        ...             while lines := file.readlines(1 << 20):
        ...                 yield pa.RecordBatch.from_pydict({"text": [line.decode() for line in lines]})
        ...                 self.mark = {"byte": file.tell()}
    """

    Params: ClassVar[type[Params]] = Params
    mark: dict[str, Any] | None = None

    def parts(self, path: Path, ctx: TaskContext) -> list[Part]:
        """List the tables of a file, cheaply; the user chooses which to import. Empty: the file is one table.

        Raises:
            UserError: The file cannot be opened; the message names place and remedy.
        """
        return []

    @abstractmethod
    def read(self, path: Path, params: Any, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """Yield the file's rows in order, in batches of bounded size (about 8 192 rows or 16 MiB).

        Schemas of batches may differ; the app unifies them. A preview stops after the first rows, so read lazily.
        Report progress as bytes read of the file's size.

        Raises:
            UserError: Nothing at all can be read; the message names place and remedy.
        """
