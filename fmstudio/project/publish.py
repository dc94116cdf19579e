"""Publishing: what a finished job left in ``out/`` becomes part of the project.

First the files are renamed into place, then one transaction makes them known. A kill in between leaves a folder that
the catalogue does not know: `recover` gives it back to its job, and publishing runs again. All of it is idempotent.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.core.jsonfile import fsync_folder, read_json, write_json
from fmstudio.jobs.spec import Job
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes
from fmstudio.project.datasets import Datasets, log_operation

OWNER_FILE = "made-by.json"


class Publisher:
    """Puts the results of jobs into the project."""

    def __init__(self, catalog: Catalog, datasets: Datasets, folder: Path) -> None:
        self._catalog = catalog
        self._datasets = datasets
        self._folder = folder
        self._kinds: dict[str, Callable[[Job], Changes]] = {
            "import": self._import,
            "recipe": self._recipe,
            "embed": self._embed,
            "train": self._train,
        }

    def publish(self, job: Job) -> Changes:
        """Publish once; a second call changes nothing.

        Raises:
            UserError: The disk is full, or the job's results are not there.
        """
        if self._catalog.query("SELECT 1 FROM published WHERE job_id = ?", [job.id]):
            return Changes()
        if job.kind not in self._kinds:
            return Changes()
        try:
            return self._kinds[job.kind](job)
        except OSError as error:
            raise UserError(
                f"The result of “{job.title}” could not be moved into the project: {error}.",
                remedy="Free some disk space, then choose Retry: the finished work is kept.",
            ) from error

    def recover(self, jobs_dir: Path) -> list[str]:
        """Give folders that no catalogue entry knows back to their jobs; say what was found.

        Called at open, before any job is adopted.
        """
        known = {
            *(f"datasets/{d}/v{n:04d}" for d, n in self._catalog.query("SELECT dataset_id, number FROM versions")),
            *(row[0] for row in self._catalog.query("SELECT folder FROM side_columns")),
            *(f"models/{row[0]}" for row in self._catalog.query("SELECT job_id FROM models WHERE job_id <> ''")),
        }
        said = []
        for marker in [
            *self._folder.glob(f"datasets/*/*/{OWNER_FILE}"),
            *self._folder.glob(f"datasets/*/columns/*/{OWNER_FILE}"),
            *self._folder.glob(f"models/*/{OWNER_FILE}"),
        ]:
            place = marker.parent.relative_to(self._folder).as_posix()
            owner = read_json(marker, {})
            out = jobs_dir / owner.get("job_id", "-") / "out" / owner.get("step", "-")
            if place not in known and out.parent.is_dir():
                shutil.rmtree(out, ignore_errors=True)
                marker.parent.replace(out)
                said.append(place)
        return said

    # ---- one method a kind of job --------------------------------------------------------------------------------

    def _import(self, job: Job) -> Changes:
        result, meta = job.results["import"], job.spec.meta
        dataset_id = meta["dataset_id"]
        self._place(job, "import", self._datasets.version_folder(dataset_id, 1))
        with self._catalog.transaction() as connection:
            dataset = {
                "id": dataset_id,
                "name": self._free_name(meta["name"]),
                "kind": result["kind"],
                "current_version": 1,
                "is_deleted": False,
                "created": time.time(),
                "source": {"files": result["sources"], "mapping": result.get("mapping"), "notes": result["notes"]},
            }
            insert(connection, "datasets", dataset)
            insert(connection, "versions", self._version_row(dataset_id, 1, None, job, result, "Import"))
            log_operation(connection, "import", dataset_id, None, 1, job.title, meta, job.id)
            self._mark(connection, job)
        return Changes(datasets=frozenset({dataset_id}))

    def _recipe(self, job: Job) -> Changes:
        result, meta = job.results["recipe"], job.spec.meta
        dataset_id, parent = meta["dataset_id"], meta["version"]
        rows = self._catalog.query("SELECT max(number) FROM versions WHERE dataset_id = ?", [dataset_id])
        number = int(rows[0][0]) + 1
        self._place(job, "recipe", self._datasets.version_folder(dataset_id, number))
        operation = f"Recipe “{meta['recipe']['name']}”"
        with self._catalog.transaction() as connection:
            insert(connection, "versions", self._version_row(dataset_id, number, parent, job, result, operation))
            connection.execute("UPDATE datasets SET current_version = ? WHERE id = ?", [number, dataset_id])
            log_operation(connection, "recipe", dataset_id, parent, number, operation, meta, job.id)
            self._mark(connection, job)
        return Changes(datasets=frozenset({dataset_id}))

    def _embed(self, job: Job) -> Changes:
        result, meta = job.results["embed"], job.spec.meta
        dataset_id = meta["dataset_id"]
        folder = self._folder / "datasets" / dataset_id / "columns" / f"{meta['column_name']}-{job.id}"
        self._place(job, "embed", folder)
        with self._catalog.transaction() as connection:
            column = {
                "dataset_id": dataset_id,
                "version": meta["version"],
                "name": meta["column_name"],
                "type": f"FLOAT[{result['dim']}]",
                "folder": folder.relative_to(self._folder).as_posix(),
                "facts": {**result, "embedder": meta["embedder"], "column": meta["column"]},
                "job_id": job.id,
                "created": time.time(),
            }
            insert(connection, "side_columns", column)
            self._mark(connection, job)
        return Changes(datasets=frozenset({dataset_id}))

    def _train(self, job: Job) -> Changes:
        meta = job.spec.meta
        out = self._folder / "models" / job.id
        self._place(job, None, out)
        metrics = {k: v for k, v in job.result.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        peft = out / "train" / Path(job.results["train"]["adapter_dir"]).name
        gguf = out / "export" / Path(job.results["export"]["path"]).name
        with self._catalog.transaction() as connection:
            for kind_format, path in (("peft", peft), ("gguf", gguf)):
                insert(connection, "models", _adapter_row(job, kind_format, path, metrics))
            run = {
                "job_id": job.id,
                "name": meta["name"],
                "dataset_id": meta["dataset_id"],
                "dataset_version": meta["version"],
                "base_id": meta["base_id"],
                "run": meta["run"],
                "metrics": {**metrics, "answers": job.result.get("answers", [])},
                "created": time.time(),
            }
            insert(connection, "runs", run)
            self._mark(connection, job)
        return Changes(models=True, runs=True)

    # ---- helpers ---------------------------------------------------------------------------------------------------

    def _place(self, job: Job, step: str | None, target: Path) -> None:
        """Rename a step's output folder (None: all steps' outputs) to where it stays."""
        source = job.folder / "out" if step is None else job.out_folder(step)
        if not source.is_dir():
            raise UserError(
                f"The results of “{job.title}” are no longer there ({source.name}).", remedy="Run it again."
            )
        write_json(source / OWNER_FILE, {"job_id": job.id, "step": step or "."})
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        source.replace(target)
        fsync_folder(target.parent)

    def _version_row(
        self, dataset_id: str, number: int, parent: int | None, job: Job, result: dict[str, Any], operation: str
    ) -> dict[str, Any]:
        return {
            "dataset_id": dataset_id,
            "number": number,
            "parent": parent,
            "rows": result["rows"],
            "dropped": result.get("dropped", 0),
            "rejected": result.get("rejected", 0),
            "bytes": result["bytes"],
            "columns": result["columns"],
            "operation": operation,
            "statistics": {"steps": result.get("steps", [])},
            "job_id": job.id,
            "created": time.time(),
        }

    def _free_name(self, wanted: str) -> str:
        taken = {row[0] for row in self._catalog.query("SELECT name FROM datasets WHERE NOT is_deleted")}
        names = (wanted, *(f"{wanted} {n}" for n in range(2, len(taken) + 3)))
        return next(name for name in names if name not in taken)

    def _mark(self, connection: Any, job: Job) -> None:
        insert(connection, "published", {"job_id": job.id, "created": time.time()})


def _adapter_row(job: Job, file_format: str, path: Path, metrics: dict[str, Any]) -> dict[str, Any]:
    meta = job.spec.meta
    size = path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    return {
        "id": f"{job.id}-{file_format}",
        "name": meta["name"],
        "kind": "adapter",
        "format": file_format,
        "path": str(path),
        "bytes": size,
        "facts": {"run": meta["run"]},
        "base_id": meta["base_id"],
        "dataset_id": meta["dataset_id"],
        "dataset_version": meta["version"],
        "job_id": job.id,
        "metrics": metrics,
        "is_removed": False,
        "created": time.time(),
    }
