"""`Exports`: what went out of the project, and the specification of a job that exports.

The record of an export (table ``exports``) is what lineage follows from a file in the world back to version and source.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.jobs.spec import Job, JobSpec, StepSpec
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.datasets import Datasets, Version
from fmstudio.project.export_facts import dataset_facts, version_chain
from fmstudio.project.rejects import reject_files

if TYPE_CHECKING:
    import duckdb

    from fmstudio.project.edits import Edits

STEP = "dataset_export"
OWN_FOLDERS = ("datasets", "models", "jobs", "tmp", "trash")


@dataclass(frozen=True, slots=True)
class ExportInclude:
    """Which rows go out, and what goes beside them.

    Attributes:
        where: SQL condition over the columns; empty = all rows.
        columns: Columns to write, in order; empty = all (``row_id`` only with `provenance`).
        rejected: A further file with the pieces of the imported files that could not be read.
        dropped: A further file with the rows that cleaning dropped, with reasons.
        provenance: A column ``row_id`` where the format has columns, and ``provenance.json``: source files, operations,
            and the id of each row.
    """

    where: str = ""
    columns: tuple[str, ...] = ()
    rejected: bool = False
    dropped: bool = False
    provenance: bool = False

    def extras(self) -> list[str]:
        """Names of the further files asked for."""
        return [name for name in ("rejected", "dropped", "provenance") if getattr(self, name)]


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """An export that was made.

    Attributes:
        exporter: Id of the dataset exporter.
        path: The file or folder, where it was written.
        rows: Rows written.
        bytes: Size without the extra files.
        sha256: Of the file; of a folder, of the sorted lines ``HASH  NAME`` of its files.
    """

    id: str
    dataset_id: str
    version: int
    exporter: str
    path: str
    rows: int
    bytes: int
    sha256: str
    job_id: str
    created: float

    @property
    def is_missing(self) -> bool:
        """Whether nothing is there any more."""
        return not Path(self.path).exists()


class Exports:
    """Exports of a project. Every method blocks; thread-safe.

    Args:
        folder: The project folder.
    """

    def __init__(self, catalog: Catalog, datasets: Datasets, edits: Edits, folder: Path) -> None:
        self._catalog = catalog
        self._datasets = datasets
        self._edits = edits
        self._folder = folder

    def all(self, dataset_id: str = "") -> list[ExportRecord]:
        """Exports that were made, newest first; of one dataset when it is named."""
        condition, values = ("WHERE dataset_id = ?", [dataset_id]) if dataset_id else ("", [])
        rows = self._catalog.records(f"SELECT * FROM exports {condition} ORDER BY rowid DESC", values)
        return [ExportRecord(**row) for row in rows]

    def spec(
        self,
        dataset: str,
        exporter: str,
        target: Path,
        *,
        params: Mapping[str, Any] | None = None,
        version: int | None = None,
        include: ExportInclude | None = None,
        license: str = "",
        overwrite: bool = False,
    ) -> JobSpec:
        """A job that writes a version's rows to `target`; those of the current version with its pending edits.

        Args:
            params: Settings of the exporter.
            version: None = the current one.
            license: For the dataset card and the provenance; empty = unknown.
            overwrite: Replace a file, or a folder that an earlier export wrote.

        Raises:
            UserError: The dataset or version is not there, or the target is taken or lies in no folder.
        """
        found, chosen = self._datasets.get(dataset), include or ExportInclude()
        number = self._datasets.version(found.id, version).number
        place = self._checked(target, overwrite)
        chain = version_chain(self._datasets, found.id, number)
        rejects = reject_files(self._catalog, self._folder, (found.id, number))[::-1]
        facts = dataset_facts(self._datasets, found, number, chosen.where, license, sum(one.count for one in rejects))
        meta = {"dataset_id": found.id, "version": number, "exporter": exporter, "path": str(place)}
        work: dict[str, Any] = {
            "exporter": exporter,
            "exporter_params": dict(params or {}),
            "target": str(place),
            "overwrite": overwrite,
            "files": [str(file) for file in self._datasets.files(found.id, number)],
            "overlay": None,
            "where": chosen.where,
            "columns": list(chosen.columns),
            "folder": str(self._folder),
            "rejects": [str(one.path) for one in rejects],
            "dropped": self._dropped(chain),
            "include": chosen.extras(),
            "facts": facts.to_dict(),
        }
        spec = JobSpec.new(
            f"Export {found.name} to {place.name}",
            "dataset_export",
            [StepSpec(STEP, "export_dataset", work)],
            meta=meta,
        )
        if number == found.version:
            self._add_edits(found.id, spec, work)
        return spec

    def _add_edits(self, dataset_id: str, spec: JobSpec, work: dict[str, Any]) -> None:
        """Put the pending edits into the job's folder: the worker cannot look into the catalogue."""
        if not self._edits.pending(dataset_id):
            return
        overlay = self._edits.export_overlay(dataset_id, self._folder / "jobs" / spec.id / "overlay")
        if overlay["version"] != spec.meta["version"]:
            raise UserError("The dataset got a new version just now.", remedy="Export it again.")
        work["overlay"] = {"rows": overlay["rows"], "deleted": overlay["deleted"]}
        counts = {"cells": overlay["cells"], "added": overlay["added"], "deleted": overlay["deleted_rows"]}
        work["facts"]["edits"] = counts

    def _checked(self, target: Path, overwrite: bool) -> Path:
        place = Path(target).expanduser().absolute()
        if not place.name:
            raise UserError(f"{target} names no file.", remedy="Give the export a name.")
        if not place.parent.is_dir():
            raise UserError(f"There is no folder {place.parent}.", remedy="Make it first, or choose another place.")
        if any(place.resolve().is_relative_to((self._folder / own).resolve()) for own in OWN_FOLDERS):
            raise UserError("This is a place that the project keeps for itself.", remedy="Choose a folder of your own.")
        if (place.exists() or place.is_symlink()) and not overwrite:
            raise UserError(f"{place} is already there.", remedy="Choose another name, or allow to overwrite it.")
        return place

    def _dropped(self, chain: Sequence[Version]) -> list[dict[str, Any]]:
        return [
            {"version": v.number, "operation": v.operation, "files": [str(path) for path in files]}
            for v in chain
            if (files := self._found([v], "dropped/*.parquet"))
        ]

    def _found(self, chain: Sequence[Version], pattern: str) -> list[Path]:
        folders = [self._datasets.version_folder(version.dataset_id, version.number) for version in chain]
        return [path for folder in folders for path in sorted(folder.glob(pattern))]


def record_export(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write what a finished job exported to the catalogue."""
    result, meta = job.results[STEP], job.spec.meta
    values = {
        "id": f"x-{job.id}",
        "dataset_id": meta["dataset_id"],
        "version": meta["version"],
        "exporter": meta["exporter"],
        **{key: result[key] for key in ("path", "rows", "bytes", "sha256")},
        "job_id": job.id,
        "created": time.time(),
    }
    insert(connection, "exports", values)
