"""Datasets, versions and side columns in the catalogue, and undo over them. Moves no files (see `publish`)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from fmstudio.api.errors import UserError
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes


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


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset at its current version."""

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


@dataclass(frozen=True, slots=True)
class Operation:
    """An entry of the operation log. `state`: done, undone, or superseded (undone and then overtaken)."""

    id: int
    kind: str
    dataset_id: str
    version_before: int | None
    version_after: int | None
    title: str
    params: dict[str, Any]
    job_id: str
    state: str
    created: float


class Datasets:
    """Reads and moves the pointers of datasets.

    Args:
        folder: The project folder.
    """

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog = catalog
        self._folder = folder

    def all(self) -> list[Dataset]:
        """Datasets that are not deleted, oldest first."""
        return self._datasets("NOT d.is_deleted", [])

    def get(self, id_or_name: str) -> Dataset:
        """Find a dataset by id or name.

        Raises:
            UserError: There is none; the message lists those there are.
        """
        found = self._datasets("NOT d.is_deleted AND (d.id = ? OR d.name = ?)", [id_or_name, id_or_name])
        if not found:
            names = ", ".join(d.name for d in self.all()) or "none yet"
            raise UserError(f"There is no dataset “{id_or_name}” in this project.", remedy=f"There is: {names}.")
        return found[0]

    def _datasets(self, condition: str, parameters: list[Any]) -> list[Dataset]:
        rows = self._catalog.records(
            "SELECT d.id, d.name, d.kind, d.current_version AS version, v.rows, v.bytes, v.columns, d.created,"
            " d.source,"
            " (SELECT count(*) FROM versions n WHERE n.dataset_id = d.id)::INTEGER AS versions"
            " FROM datasets d JOIN versions v ON v.dataset_id = d.id AND v.number = d.current_version"
            f" WHERE {condition} ORDER BY d.created",
            parameters,
        )
        side = self._catalog.query("SELECT dataset_id, version, name, type FROM side_columns")
        return [
            _dataset(row, [Column(s[2], s[3], True) for s in side if s[:2] == (row["id"], row["version"])])
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

    def version_folder(self, dataset_id: str, number: int) -> Path:
        """Where a version's Parquet files are."""
        return self._folder / "datasets" / dataset_id / f"v{number:04d}"

    def files(self, dataset_id: str, number: int | None = None) -> list[Path]:
        """Parquet files of a version, in row order."""
        wanted = self.version(dataset_id, number).number
        return sorted(self.version_folder(dataset_id, wanted).glob("rows-*.parquet"))

    def side_columns(self, dataset_id: str, version: int) -> list[dict[str, Any]]:
        """Side columns of a version: name, type, folder (relative to the project), facts."""
        return self._catalog.records(
            "SELECT name, type, folder, facts, job_id, created FROM side_columns WHERE dataset_id = ? AND version = ?"
            " ORDER BY created DESC",
            [dataset_id, version],
        )

    def operations(self, dataset_id: str | None = None) -> list[Operation]:
        """The operation log, oldest first."""
        condition, parameters = ("WHERE dataset_id = ?", [dataset_id]) if dataset_id else ("", [])
        rows = self._catalog.records(f"SELECT * FROM operations {condition} ORDER BY id", parameters)
        return [Operation(**row) for row in rows]

    def rename(self, dataset_id: str, name: str) -> Changes:
        """Give a dataset another name.

        Raises:
            UserError: The name is empty or taken.
        """
        clean = name.strip()
        if not clean or any(d.name == clean and d.id != dataset_id for d in self.all()):
            raise UserError(f"The name “{clean}” is empty or already taken.", remedy="Choose another one.")
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE datasets SET name = ? WHERE id = ?", [clean, dataset_id])
        return Changes(datasets=frozenset({dataset_id}))

    def delete(self, dataset_id: str) -> Changes:
        """Hide a dataset; its files stay and undo brings it back."""
        dataset = self.get(dataset_id)
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE datasets SET is_deleted = true WHERE id = ?", [dataset_id])
            log_operation(connection, "delete", dataset_id, dataset.version, None, f"Delete {dataset.name}")
        return Changes(datasets=frozenset({dataset_id}))

    def undo(self, dataset_id: str | None = None) -> Operation | None:
        """Take back the newest operation that stands (of one dataset, or of all); None when there is nothing."""
        done = [op for op in self.operations(dataset_id) if op.state == "done"]
        return self._move(done[-1], "undone", done[-1].version_before) if done else None

    def redo(self, dataset_id: str | None = None) -> Operation | None:
        """Do again what was undone last; None when there is nothing."""
        undone = [op for op in self.operations(dataset_id) if op.state == "undone"]
        return self._move(undone[0], "done", undone[0].version_after) if undone else None

    def _move(self, operation: Operation, state: str, version: int | None) -> Operation:
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE operations SET state = ? WHERE id = ?", [state, operation.id])
            connection.execute(
                "UPDATE datasets SET is_deleted = ?, current_version = coalesce(?, current_version) WHERE id = ?",
                [version is None, version, operation.dataset_id],
            )
        return operation


def log_operation(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    dataset_id: str,
    before: int | None,
    after: int | None,
    title: str,
    params: dict[str, Any] | None = None,
    job_id: str = "",
) -> None:
    """Append to the operation log; what was undone on this dataset can no longer be redone."""
    connection.execute(
        "UPDATE operations SET state = 'superseded' WHERE dataset_id = ? AND state = 'undone'", [dataset_id]
    )
    values = {
        "kind": kind,
        "dataset_id": dataset_id,
        "version_before": before,
        "version_after": after,
        "title": title,
        "params": params or {},
        "job_id": job_id,
        "state": "done",
        "created": time.time(),
    }
    insert(connection, "operations", values)


def _columns(stored: list[dict[str, str]]) -> tuple[Column, ...]:
    return tuple(Column(item["name"], item["type"]) for item in stored)


def _dataset(row: dict[str, Any], side: list[Column]) -> Dataset:
    return Dataset(**{**row, "columns": (*_columns(row["columns"]), *side), "source": row["source"] or {}})
