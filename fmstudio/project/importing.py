"""What the project knows of files: which it has imported, and how files of a shape were read when the user corrected it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.datasets import Dataset, Datasets

if TYPE_CHECKING:
    import duckdb

MOST_REMEMBERED = 500
"""Corrected mappings that are kept; the oldest go first."""


@dataclass(frozen=True, slots=True)
class KnownSource:
    """A file that was imported.

    Attributes:
        path, name, bytes, sha256: The file as it was then.
        created: When the dataset was made, seconds since 1970.
        mapping: How it was read.
    """

    dataset_id: str
    dataset: str
    version: int
    rows: int
    created: float
    path: str
    name: str
    bytes: int
    sha256: str
    mapping: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Remembered:
    """A mapping the user corrected, for files of one shape."""

    shape_key: str
    importer: str
    mapping: dict[str, Any]
    importer_params: dict[str, Any]
    created: float


class Imports:
    """Known files and remembered mappings of a project. Every method blocks; thread-safe."""

    def __init__(self, catalog: Catalog, datasets: Datasets) -> None:
        self._catalog = catalog
        self._datasets = datasets

    def sources(self) -> list[KnownSource]:
        """The files of all datasets that are not deleted, the newest dataset first."""
        return [
            _source(dataset, file)
            for dataset in reversed(self._datasets.all())
            for file in (dataset.source or {}).get("files", [])
            if file.get("sha256")
        ]

    def known_file(self, path: Path) -> list[Dataset]:
        """Datasets that were made from this very content, whatever the file's name; the newest first.

        The file is read only when one of its size is known; of a large one that takes a while.

        Raises:
            UserError: The file is not there, or cannot be read.
        """
        try:
            size = path.stat().st_size
        except OSError as error:
            raise UserError(f"There is no file {path}.", remedy="Check the name.") from error
        same_size = [source for source in self.sources() if source.bytes == size]
        if not same_size or not path.is_file():
            return []
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}.", remedy="Check who may read it.") from error
        ids = dict.fromkeys(source.dataset_id for source in same_size if source.sha256 == digest)
        return [self._datasets.get(dataset_id) for dataset_id in ids]

    def from_address(self, address: str) -> list[Dataset]:
        """Datasets that came from this address, the newest first."""
        ids = dict.fromkeys(source.dataset_id for source in self.sources() if source.path == address)
        return [self._datasets.get(dataset_id) for dataset_id in ids]

    def mappings(self) -> dict[str, dict[str, Any]]:
        """Shape key → the mapping that was used last for files of that shape."""
        return {one.shape_key: one.mapping for one in self.remembered()}

    def remembered(self) -> list[Remembered]:
        """All remembered mappings, the oldest first."""
        rows = self._catalog.records("SELECT * FROM mappings ORDER BY created")
        return [Remembered(**row) for row in rows]

    def forget(self, shape_key: str) -> None:
        """Read files of this shape by what is in them again."""
        with self._catalog.transaction() as connection:
            connection.execute("DELETE FROM mappings WHERE shape_key = ?", [shape_key])


def remember(
    connection: duckdb.DuckDBPyConnection,
    shape_key: str,
    importer: str,
    mapping: dict[str, Any],
    importer_params: dict[str, Any],
) -> None:
    """Note, inside a transaction, how the user wants files of a shape to be read."""
    connection.execute("DELETE FROM mappings WHERE shape_key = ?", [shape_key])
    kept = {name: value for name, value in mapping.items() if name != "notes"}
    values = {
        "shape_key": shape_key,
        "importer": importer,
        "mapping": kept,
        "importer_params": importer_params,
        "created": time.time(),
    }
    insert(connection, "mappings", values)
    connection.execute(
        "DELETE FROM mappings WHERE shape_key NOT IN (SELECT shape_key FROM mappings ORDER BY created DESC LIMIT ?)",
        [MOST_REMEMBERED],
    )


def remember_import(connection: duckdb.DuckDBPyConnection, meta: dict[str, Any], result: dict[str, Any]) -> None:
    """Remember a mapping that the user corrected, once the import has succeeded; for files of the shape it was made for."""
    said, shape = meta.get("remember") or {}, result.get("shape_key")
    if said and shape and said.get("shape") in (None, "", shape):
        params = dict(said.get("importer_params") or {})
        remember(connection, shape, str(result.get("importer", "")), result["mapping"], params)


def source_of(result: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Say where a dataset comes from; files it was updated from earlier stay listed under ``earlier``."""
    now = time.time()
    source = {
        "files": [{**file, "imported": now} for file in result["sources"]],
        "mapping": result.get("mapping"),
        "notes": result["notes"],
        "flags": result.get("flags", []),
    }
    if before:
        source["earlier"] = [*before.get("earlier", []), *before.get("files", [])]
    return source


def _source(dataset: Dataset, file: dict[str, Any]) -> KnownSource:
    return KnownSource(
        dataset_id=dataset.id,
        dataset=dataset.name,
        version=dataset.version,
        rows=dataset.rows,
        created=float(file.get("imported") or dataset.created),
        path=str(file.get("path", "")),
        name=str(file.get("name", "")),
        bytes=int(file.get("bytes") or 0),
        sha256=str(file["sha256"]),
        mapping=dict((dataset.source or {}).get("mapping") or {}),
    )
