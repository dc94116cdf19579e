"""Datasets, versions and side columns in the catalogue, and the pointers between them.

Moves no files of jobs (see `publish`); a branch links the files of the version it begins with (see `branching`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.project.branching import branch_version
from fmstudio.project.catalog import Catalog
from fmstudio.project.cell_values import arrow_name, parse_type
from fmstudio.project.changes import Changes
from fmstudio.project.history import History, HistoryEntry, Operation, files_collected, log_operation, name_version
from fmstudio.project.overlay import Overlay, Overlays
from fmstudio.project.side_columns import STANDS

__all__ = ["Column", "Dataset", "Datasets", "HistoryEntry", "Operation", "Version", "log_operation"]

NAMES_SAID = 20
"""Most names that are told when one is not found."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a dataset; `is_side` marks an enrichment kept apart (an embedding)."""

    name: str
    type: str
    is_side: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable state of a dataset.

    Attributes:
        operation: What made it, in words.
        parent: Number of the version it was made from; None for an import.
        statistics: What the operation measured (a recipe: counts per step).
        name: The user's own name for it; empty when it has none.
    """

    dataset_id: str
    number: int
    parent: int | None
    rows: int
    dropped: int
    rejected: int
    bytes: int
    columns: tuple[Column, ...]
    operation: str
    statistics: dict[str, Any]
    job_id: str
    created: float
    name: str = ""

    @property
    def is_collected(self) -> bool:
        """Whether its files were taken away to free disk space; only its entry is left."""
        return "collected" in self.statistics


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset at its current version; `rows` and `columns` count the edits that wait for a commit."""

    id: str
    name: str
    kind: str
    version: int
    rows: int
    bytes: int
    columns: tuple[Column, ...]
    created: float
    source: dict[str, Any] = field(default_factory=dict)
    versions: int = 1


class Datasets:
    """Reads and moves the pointers of datasets.

    Args:
        folder: The project folder.

    Attributes:
        overlays: The pending edits of datasets.
        log: The operation log.
    """

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog = catalog
        self.folder = folder
        self.overlays = Overlays(catalog)
        self.log = History(catalog)

    def all(self) -> list[Dataset]:
        """Datasets that are not deleted, oldest first."""
        return self._datasets("NOT d.is_deleted", [])

    def id_of(self, id_or_name: str) -> str:
        """The id alone, at a tenth of what `get` costs: for what is asked at every scroll.

        Raises:
            UserError: See `get`.
        """
        found = self._catalog.query(
            "SELECT id FROM datasets WHERE NOT is_deleted AND (id = ? OR name = ?) ORDER BY created LIMIT 1",
            [id_or_name, id_or_name],
        )
        return str(found[0][0]) if found else self.get(id_or_name).id

    def get(self, id_or_name: str) -> Dataset:
        """Find a dataset by id or name.

        Raises:
            UserError: There is none; the message lists those there are.
        """
        found = self._datasets("NOT d.is_deleted AND (d.id = ? OR d.name = ?)", [id_or_name, id_or_name])
        if not found:
            every = [dataset.name for dataset in self.all()]
            names = ", ".join(every[:NAMES_SAID]) + (" …" if every[NAMES_SAID:] else "") or "none yet"
            raise UserError(f"There is no dataset “{id_or_name}” in this project.", remedy=f"There is: {names}.")
        return found[0]

    def id_even_gone(self, id_or_name: str) -> str:
        """The id of a dataset; where none is there, of the newest that was deleted or whose making was undone.

        Raises:
            UserError: There never was one.
        """
        found = self._catalog.query(
            "SELECT d.id FROM datasets d WHERE d.id = ? OR d.name = ?"
            " ORDER BY d.is_deleted, (SELECT max(o.id) FROM operations o WHERE o.dataset_id = d.id) DESC LIMIT 1",
            [id_or_name, id_or_name],
        )
        return str(found[0][0]) if found else self.get(id_or_name).id

    def _datasets(self, condition: str, parameters: list[Any]) -> list[Dataset]:
        rows = self._catalog.records(
            "SELECT d.id, d.name, d.kind, d.current_version AS version, v.rows, v.bytes, v.columns, d.created,"
            " d.source,"
            " (SELECT count(*) FROM versions n WHERE n.dataset_id = d.id)::INTEGER AS versions"
            " FROM datasets d JOIN versions v ON v.dataset_id = d.id AND v.number = d.current_version"
            f" WHERE {condition} ORDER BY (SELECT min(o.id) FROM operations o WHERE o.dataset_id = d.id), d.created",
            parameters,
        )
        side = self._catalog.query(f"SELECT dataset_id, version, name, type FROM side_columns s WHERE {STANDS}")
        return [
            _dataset(
                row,
                [Column(s[2], s[3], True) for s in side if s[:2] == (row["id"], row["version"])],
                self.overlays.current(row["id"]),
            )
            for row in rows
        ]

    def versions(self, dataset_id: str) -> list[Version]:
        """All versions, oldest first."""
        rows = self._catalog.records("SELECT * FROM versions WHERE dataset_id = ? ORDER BY number", [dataset_id])
        return [Version(**{**row, "columns": _columns(row["columns"])}) for row in rows]

    def version(self, dataset_id: str, number: int | None = None) -> Version:
        """One version; the current one when `number` is None.

        Raises:
            UserError: There is no such version.
        """
        wanted = self.get(dataset_id).version if number is None else number
        for version in self.versions(dataset_id):
            if version.number == wanted:
                return version
        raise UserError(f"This dataset has no version {wanted}.")

    def version_number(self, dataset_id: str, wanted: str) -> int:
        """The number of a version that is written as its number or as the user's name for it.

        Raises:
            UserError: It is neither.
        """
        versions, text = self.versions(dataset_id), wanted.strip()
        named = {version.name: version.number for version in versions if version.name}
        is_number = text.isdecimal() and (text not in named or int(text) in [v.number for v in versions])
        if is_number:
            return int(text)
        if text in named:
            return named[text]
        raise UserError(
            f"No version of this dataset is named “{wanted}”.",
            remedy=f"Write a version's number or name; named: {', '.join(named) or 'none yet'}.",
        )

    def version_folder(self, dataset_id: str, number: int) -> Path:
        """Where a version's Parquet files are."""
        return self.folder / "datasets" / dataset_id / f"v{number:04d}"

    def files(self, dataset_id: str, number: int | None = None) -> list[Path]:
        """Parquet files of a version, in row order.

        Raises:
            UserError: There is no such version, or its files were collected as garbage.
        """
        found = self.version(dataset_id, number)
        if found.is_collected:
            raise files_collected(found.number)
        return sorted(self.version_folder(dataset_id, found.number).glob("rows-*.parquet"))

    def side_columns(self, dataset_id: str, version: int) -> list[dict[str, Any]]:
        """Side columns of a version that were not undone: name, type, folder (relative to the project), facts."""
        return self._catalog.records(
            "SELECT name, type, folder, facts, job_id, created FROM side_columns s"
            f" WHERE dataset_id = ? AND version = ? AND {STANDS} ORDER BY s.rowid DESC",
            [dataset_id, version],
        )

    def operations(self, dataset_id: str | None = None) -> list[Operation]:
        """The operation log, oldest first."""
        return self.log.operations(dataset_id)

    def history(self, dataset_id: str) -> list[HistoryEntry]:
        """Everything that ever happened to a dataset, oldest first."""
        return self.log.entries(dataset_id)

    def go_to(self, dataset_id: str, operation_id: int) -> Changes:
        """Undo and redo so that this operation is the newest that stands; see `History.go_to`."""
        return self.log.go_to(dataset_id, operation_id)

    def undo(self, dataset_id: str | None = None) -> Operation | None:
        """Take back the newest operation that stands (of one dataset, or of all); None when there is nothing."""
        return self.log.undo(dataset_id)

    def redo(self, dataset_id: str | None = None) -> Operation | None:
        """Do again what was undone last; None when there is nothing."""
        return self.log.redo(dataset_id)

    def rename(self, dataset_id: str, name: str) -> Changes:
        """Give a dataset another name.

        Raises:
            UserError: The name is empty or taken.
        """
        clean = name.strip()
        with self._catalog.transaction() as connection:
            dataset = self.get(dataset_id)
            if clean == dataset.name:
                return Changes()
            self._check_name(clean, dataset.id)
            connection.execute("UPDATE datasets SET name = ? WHERE id = ?", [clean, dataset.id])
            names = {"before": dataset.name, "after": clean}
            title = f"Rename {dataset.name} to {clean}"
            log_operation(connection, "rename", dataset.id, dataset.version, dataset.version, title, names)
        return Changes(datasets=frozenset({dataset.id}))

    def name_version(self, dataset_id: str, number: int, name: str) -> Changes:
        """Give a version a name of the user's own; empty takes it away.

        Raises:
            UserError: There is no such version, or another one has this name.
        """
        clean = name.strip()
        with self._catalog.transaction() as connection:
            version, current = self.version(dataset_id, number), self.get(dataset_id).version
            if clean == version.name:
                return Changes()
            if clean and any(v.name == clean for v in self.versions(dataset_id)):
                raise UserError(f"Another version is named “{clean}” already.", remedy="Choose another name.")
            params = {"number": number, "before": version.name, "after": clean}
            name_version(connection, dataset_id, params)
            title = f"Name version {number} “{clean}”" if clean else f"Take the name off version {number}"
            log_operation(connection, "name_version", dataset_id, current, current, title, params)
        return Changes(datasets=frozenset({dataset_id}))

    def restore(self, dataset_id: str, number: int) -> Changes:
        """Make an older version the current one, as it was published; can be undone.

        Restoring the current version takes its pending edits back.

        Raises:
            UserError: There is no such version.
        """
        with self._catalog.transaction() as connection:
            version, state = self.version(dataset_id, number), self.overlays.state(dataset_id)
            if version.is_collected:
                raise files_collected(number)
            if state.version == number and not state.operations:
                return Changes()
            title = f"Restore version {number}" + (f" “{version.name}”" if version.name else "")
            if self.overlays.current(dataset_id):
                title += ", without the edits that waited for a commit"
            connection.execute("UPDATE datasets SET current_version = ? WHERE id = ?", [number, dataset_id])
            log_operation(connection, "restore", dataset_id, state.version, number, title)
        return Changes(datasets=frozenset({dataset_id}))

    def _check_name(self, name: str, dataset_id: str = "") -> None:
        if not name:
            raise UserError("The name is empty.", remedy="Write one.")
        if self.log.free_name(name, dataset_id) != name:
            raise UserError(f"The name “{name}” is already taken.", remedy="Choose another one.")

    def branch(self, dataset_id: str, number: int, name: str) -> tuple[Changes, str]:
        """Make a new dataset that begins as a version of this one; give its id.

        Its files are hard links where the disk can, else copies. Pending edits come along when it is the current
        version.

        Raises:
            UserError: There is no such version, the name is empty or taken, or the files cannot be copied.
        """
        clean = name.strip()
        self._check_name(clean)
        if self.version(dataset_id, number).is_collected:
            raise files_collected(number)
        made = branch_version(self._catalog, self.folder, self.overlays, (dataset_id, number), clean)
        return Changes(datasets=frozenset({made})), made

    def bring_back(self, dataset_id: str) -> Changes:
        """Show a deleted dataset again; see `History.bring_back`."""
        return self.log.bring_back(dataset_id)

    def delete(self, dataset_id: str) -> Changes:
        """Hide a dataset; its files stay and undo brings it back."""
        dataset = self.get(dataset_id)
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE datasets SET is_deleted = true WHERE id = ?", [dataset.id])
            log_operation(connection, "delete", dataset.id, dataset.version, None, f"Delete {dataset.name}")
        return Changes(datasets=frozenset({dataset_id}))


def _columns(stored: list[dict[str, str]]) -> tuple[Column, ...]:
    return tuple(Column(item["name"], item["type"]) for item in stored)


def _dataset(row: dict[str, Any], side: list[Column], overlay: Overlay) -> Dataset:
    own = _columns(row["columns"])
    have = {column.name for column in own}
    new = [Column(n, arrow_name(parse_type(kind))) for n, kind in overlay.new_columns.items() if n not in have]
    more = {"columns": (*own, *new, *side), "source": row["source"] or {}, "rows": row["rows"] + overlay.row_change}
    return Dataset(**{**row, **more})
