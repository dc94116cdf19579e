"""Dataset exporters: the rows of a dataset → a file or folder in a format that others read.

The app reads the rows (pending edits, filter and chosen columns applied), writes beside the target and renames when all
is done, writes the extra files (rejected and dropped rows, provenance) and records the export: an exporter only writes
one format.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fmstudio.api.context import TaskContext
from fmstudio.api.params import Params

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What is known of the rows beyond the rows themselves: the material of a dataset card.

    Attributes:
        name: Name of the dataset.
        kind: `SchemaKind` of its rows.
        version: Number of the version that is exported; `version_name` is the user's own name for it.
        rows: Number of rows that the exporter will be given.
        where: The filter that chose them; empty = all rows.
        license: Licence the user chose, as an SPDX or Hugging Face identifier; empty = unknown.
        created: When the export was asked for, in seconds since 1970.
        sources: The imported files: ``name``, ``sha256`` and ``bytes`` each.
        operations: What made the version, oldest first: ``dataset`` (name of the dataset that this one was made from;
            empty for its own), ``version``, ``operation``, ``rows``, ``dropped``, ``created``, ``steps`` (``operator``
            and ``params``; a recipe's also ``dropped`` and ``changed``).
        dropped: Rows that cleaning dropped on the way: ``version``, ``step``, ``operator``, ``reason``, ``rows``.
        rejected: Number of pieces of the imported files that could not be read.
        edits: Pending edits that are in the rows: ``cells``, ``added``, ``deleted`` (empty when there are none).
        app: Name and version of the app.
    """

    name: str
    kind: str = "table"
    version: int = 1
    version_name: str = ""
    rows: int = 0
    where: str = ""
    license: str = ""
    created: float = 0.0
    sources: list[dict[str, Any]] = field(default_factory=list)
    operations: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    rejected: int = 0
    edits: dict[str, int] = field(default_factory=dict)
    app: str = "FM Studio"

    def to_dict(self) -> dict[str, Any]:
        """Give the facts as plain JSON data."""
        return asdict(self)

    @classmethod
    def of(cls, data: dict[str, Any]) -> DatasetFacts:
        """Read what `to_dict` gave; keys it does not know are left out."""
        known = {item.name for item in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})


class ExportReport(ABC):
    """What an exporter says while it writes."""

    @abstractmethod
    def leave_out(self, row: int, reason: str) -> None:
        """Say that a row cannot be expressed in this format and is not written; it is counted and listed.

        Args:
            row: 0-based position of the row among all rows that the exporter was given.
            reason: Why, in words a user understands. Alike rows get the same words: reasons are counted.
        """

    @abstractmethod
    def note(self, text: str) -> None:
        """State a fact the user should see with the result, e.g. ``"Lists are written as JSON text."``; kept once."""


class DatasetExporter(ABC):
    """Writes one format. Runs in a worker; one instance per export.

    Manifest facts: ``suffix = ".jsonl"`` (of the file; empty for a folder), ``kinds = ["conversation"]`` (the kinds of
    rows that fit; left out = all of them), ``guess = true`` (the format to take for this suffix when none is named).

    Example:
        >>> class LinesExporter(DatasetExporter):
        ...     def write(self, batches, schema, target, params, facts, report, ctx):
        ...         with target.open("w", encoding="utf-8") as file:
        ...             for batch in batches:
        ...                 file.writelines(f"{row}\\n" for row in batch.to_pylist())
        ...         return [target]
    """

    Params: ClassVar[type[Params]] = Params

    def check(self, schema: pa.Schema, params: Any) -> None:  # noqa: B027 - most formats take any columns
        """Make sure that rows of these columns fit the format; called before anything is written.

        Raises:
            UserError: They do not; the message says what is missing, the remedy which transform would make it.
        """

    @abstractmethod
    def write(
        self,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        target: Path,
        params: Any,
        facts: DatasetFacts,
        report: ExportReport,
        ctx: TaskContext,
    ) -> list[Path]:
        """Write all rows to `target` and return the files written.

        Args:
            batches: The rows, in order, in batches of bounded size and of this schema; there may be none. Taking one
                reports progress and raises `Cancelled` when the user asked to stop: nothing needs to be tidied.
            schema: Columns of the rows. ``row_id`` is among them only when the user asked for it.
            target: A path that does not exist yet, in a folder that does: to be made as a file, or as a folder that
                holds all the files. Its name is the one the user chose.
            params: The settings, an instance of ``Params``.
            facts: What is known of the dataset.
            report: Takes rows that cannot be expressed, and notes.

        Raises:
            UserError: A value cannot be written and the settings do not say what to do; the message names row and
                column. Nothing of the export is kept then.
        """
