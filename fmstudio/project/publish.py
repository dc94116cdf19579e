"""Publishing: what a finished job left in ``out/`` becomes part of the project.

The files are renamed into place before the transaction that makes them known ends. A kill in between leaves a folder that
the catalogue does not know: `recover` gives it back to its job, and publishing runs again. All of it is idempotent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.core.addresses import name_of
from fmstudio.jobs.spec import Job
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes
from fmstudio.project.datasets import Datasets
from fmstudio.project.history import change_facts, log_operation
from fmstudio.project.importing import remember_import, source_of
from fmstudio.project.model_fetching import KIND as FETCH
from fmstudio.project.model_fetching import drop_parts, fetched_model
from fmstudio.project.model_publish import drop_other_outputs, insert_model, note_folder, note_quality
from fmstudio.project.next_versions import NextVersions, version_row
from fmstudio.project.placing import Places
from fmstudio.project.rows import RowReader


class Publisher:
    """Puts the results of jobs into the project."""

    def __init__(self, catalog: Catalog, datasets: Datasets, folder: Path, rows: RowReader) -> None:
        self._catalog = catalog
        self._datasets = datasets
        self._folder = folder
        self._lock = threading.RLock()
        self._places = Places(catalog, folder)
        self._versions = NextVersions(catalog, datasets, rows, self._places)
        self._kinds: dict[str, Callable[[Job], Changes]] = {
            "import": self._import,
            "recipe": self._recipe,
            "transform": self._transform,
            "sql_dataset": self._new_datasets,
            "embed": self._embed,
            "train": self._train,
            "convert": self._model,
            "merge": self._model,
            FETCH: self._fetched_model,
            "model_quality": self._model_fact,
            "model_export": self._model_fact,
            "dataset_export": self._export,
        }

    def publish(self, job: Job) -> Changes:
        """Publish once; a second call changes nothing.

        Raises:
            UserError: The disk is full, or the job's results are not there.
        """
        if job.kind not in self._kinds:
            return Changes()
        with self._lock:
            if self._catalog.query("SELECT 1 FROM published WHERE job_id = ?", [job.id]):
                return Changes()
            try:
                changes = self._kinds[job.kind](job)
            except OSError as error:
                self._places.return_all()
                raise UserError(
                    f"The result of “{job.title}” could not be moved into the project: {error}.",
                    remedy=f"{_way_on(error)}, then choose Retry: the finished work is kept.",
                    can_retry=True,
                ) from error
            except BaseException:
                self._places.return_all()
                raise
            self._places.keep()
        return changes

    def recover(self, jobs_dir: Path) -> list[str]:
        """Give folders that no catalogue entry knows back to their jobs; say what was found.

        Called at open, before any job is adopted.
        """
        return self._places.recover(jobs_dir)

    # ---- one method a kind of job --------------------------------------------------------------------------------

    def _import(self, job: Job) -> Changes:
        meta = job.spec.meta
        if meta.get("update_of"):
            return self._update(job)
        made = meta.get("datasets") or [{**meta, "step": "import"}]
        for one in made:
            self._place(job, one["step"], self._datasets.version_folder(one["dataset_id"], 1))
        with self._catalog.transaction() as connection:
            for one in made:
                result, dataset_id = job.results[one["step"]], one["dataset_id"]
                dataset = {
                    "id": dataset_id,
                    "name": self._datasets.log.free_name(one["name"]),
                    "kind": result["kind"],
                    "current_version": 1,
                    "is_deleted": False,
                    "created": time.time(),
                    "source": source_of(result),
                }
                insert(connection, "datasets", dataset)
                insert(connection, "versions", version_row(dataset_id, 1, None, job, result, "Import"))
                log_operation(connection, "import", dataset_id, None, 1, job.title, one, job.id)
                remember_import(connection, one, result)
            self._mark(connection, job)
        return Changes(datasets=frozenset(one["dataset_id"] for one in made))

    def _update(self, job: Job) -> Changes:
        """The next version of a dataset, from a newer file."""
        result, meta = job.results["import"], job.spec.meta
        old = self._datasets.get(meta["dataset_id"])
        facts = {"kind": result["kind"], "source": source_of(result, old.source)}
        statistics = {"update": result["update"], "source": source_of(result)}
        title = f"Update from {name_of(meta['files'][0])}"
        with self._versions.next_version(job, "import", "update", title, statistics) as (connection, operation):
            change_facts(connection, operation, old.id, {"kind": old.kind, "source": old.source}, facts)
            remember_import(connection, meta, result)
            self._mark(connection, job)
        return Changes(datasets=frozenset({old.id}))

    def _recipe(self, job: Job) -> Changes:
        title = f"Recipe “{job.spec.meta['recipe']['name']}”"
        with self._versions.next_version(job, "recipe", "recipe", title) as (connection, _):
            self._mark(connection, job)
            return Changes(datasets=frozenset({job.spec.meta["dataset_id"]}))

    def _transform(self, job: Job) -> Changes:
        """The next version of a dataset: by a transform, or by a commit of the edits made by hand."""
        meta = job.spec.meta
        if meta.get("datasets"):
            return self._new_datasets(job)
        step, old = job.spec.steps[-1].name, self._datasets.get(meta["dataset_id"])
        kind = "commit" if meta["transform"] == "commit" else "transform"
        with self._versions.next_version(job, step, kind, meta["title"]) as (connection, operation):
            made = job.results[step].get("kind", old.kind)
            if made != old.kind:
                facts = {"kind": old.kind, "source": old.source}
                change_facts(connection, operation, old.id, facts, {**facts, "kind": made})
            self._mark(connection, job)
            return Changes(datasets=frozenset({old.id}))

    def _new_datasets(self, job: Job) -> Changes:
        """Datasets made from others, by a transform or a query; those of its outputs that have no row are not made."""
        meta, step = job.spec.meta, job.spec.steps[-1].name
        result = job.results[step]
        parts = result.get("datasets", {"": result})
        made = [one for one in meta["datasets"] if one["output"] in parts]
        for one in made:
            place = self._datasets.version_folder(one["dataset_id"], 1)
            self._place(job, f"{step}/{one['output']}" if one["output"] else step, place)
        with self._catalog.transaction() as connection:
            for one in made:
                part, dataset_id = parts[one["output"]], one["dataset_id"]
                dataset = {
                    "id": dataset_id,
                    "name": self._datasets.log.free_name(one["name"]),
                    "kind": part["kind"],
                    "current_version": 1,
                    "is_deleted": False,
                    "created": time.time(),
                    "source": meta["source"],
                }
                insert(connection, "datasets", dataset)
                insert(connection, "versions", version_row(dataset_id, 1, None, job, part, meta["title"]))
                log_operation(connection, job.kind, dataset_id, None, 1, meta["title"], {**meta, **one}, job.id)
            self._mark(connection, job)
        return Changes(datasets=frozenset(one["dataset_id"] for one in made))

    def _embed(self, job: Job) -> Changes:
        result, meta = job.results["embed"], job.spec.meta
        dataset_id = meta["dataset_id"]
        folder = self._folder / "datasets" / dataset_id / "columns" / f"{meta['column_name']}-{job.id}"
        place = folder.relative_to(self._folder).as_posix()
        with self._catalog.transaction() as connection:
            version = self._versions.folded_version(connection, job)
            self._place(job, "embed", folder)
            column = {
                "dataset_id": dataset_id,
                "version": version,
                "name": meta["column_name"],
                "type": f"FLOAT[{result['dim']}]",
                "folder": place,
                "facts": {**result, "embedder": meta["embedder"], "column": meta["column"]},
                "job_id": job.id,
                "created": time.time(),
            }
            insert(connection, "side_columns", column)
            row = connection.execute("SELECT current_version FROM datasets WHERE id = ?", [dataset_id]).fetchone()
            current = row[0] if row else version
            params = {"side_column": place, "version": version}
            log_operation(connection, "embed", dataset_id, current, current, job.title, params, job.id)
            self._mark(connection, job)
        return Changes(datasets=frozenset({dataset_id}))

    def _train(self, job: Job) -> Changes:
        meta = job.spec.meta
        out = self._folder / "models" / job.id
        metrics = {k: v for k, v in job.result.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        peft = out / "train" / Path(job.results["train"]["adapter_dir"]).name
        gguf = out / "export" / Path(job.results["export"]["path"]).name
        with self._catalog.transaction() as connection:
            version = self._versions.folded_version(connection, job)
            self._place(job, None, out)
            described = {**meta["run"], "version": version}
            for kind_format, path in (("peft", peft), ("gguf", gguf)):
                insert(connection, "models", _adapter_row(job, kind_format, path, metrics, described))
            run = {
                "job_id": job.id,
                "name": meta["name"],
                "dataset_id": meta["dataset_id"],
                "dataset_version": version,
                "base_id": meta["base_id"],
                "run": described,
                "metrics": {**metrics, "answers": job.result.get("answers", [])},
                "created": time.time(),
            }
            insert(connection, "runs", run)
            self._mark(connection, job)
        changed = {meta["dataset_id"]} if version != meta["version"] else set()
        return Changes(datasets=frozenset(changed), models=True, runs=True)

    def _export(self, job: Job) -> Changes:
        from fmstudio.project.exports import record_export  # brings pydantic; opening a project does not need it

        with self._catalog.transaction() as connection:
            record_export(connection, job)
            self._mark(connection, job)
        return Changes(datasets=frozenset({job.spec.meta["dataset_id"]}))

    def _model(self, job: Job) -> Changes:
        """A model made of models: converted, merged."""
        step = job.spec.meta.get("step", "convert")
        out = self._folder / "models" / job.id
        self._place(job, step, out)
        with self._catalog.transaction() as connection:
            insert_model(connection, job, out)
            self._mark(connection, job)
        drop_other_outputs(job, step)
        return Changes(models=True)

    def _fetched_model(self, job: Job) -> Changes:
        """A model that was downloaded."""
        out = self._folder / "models" / job.id
        self._place(job, "fetch", out)
        with self._catalog.transaction() as connection:
            insert(connection, "models", fetched_model(job, out))
            self._mark(connection, job)
        drop_parts(job)
        return Changes(models=True)

    def _model_fact(self, job: Job) -> Changes:
        """Something to remember of a model: a quality report, a folder it was exported to."""
        with self._catalog.transaction() as connection:
            (note_quality if job.kind == "model_quality" else note_folder)(connection, job)
            self._mark(connection, job)
        return Changes(models=True)

    # ---- helpers ---------------------------------------------------------------------------------------------------

    def _place(self, job: Job, step: str | None, target: Path) -> None:
        """Rename a step's output folder (None: all steps' outputs) to where it stays."""
        self._places.take(job, step, target)

    def _mark(self, connection: Any, job: Job) -> None:
        insert(connection, "published", {"job_id": job.id, "created": time.time()})


def _adapter_row(
    job: Job, file_format: str, path: Path, metrics: dict[str, Any], run: dict[str, Any]
) -> dict[str, Any]:
    meta = job.spec.meta
    size = path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    return {
        "id": f"{job.id}-{file_format}",
        "name": meta["name"],
        "kind": "adapter",
        "format": file_format,
        "path": str(path),
        "bytes": size,
        "facts": {"run": run, **_template_facts(job)},
        "base_id": meta["base_id"],
        "dataset_id": meta["dataset_id"],
        "dataset_version": run["version"],
        "job_id": job.id,
        "metrics": metrics,
        "is_removed": False,
        "created": time.time(),
    }


def _template_facts(job: Job) -> dict[str, Any]:
    """Which template an adapter was trained on: what is made with it later uses the same."""
    result = job.results["train"]
    return {name: result[name] for name in ("template_hash", "chat_template") if result.get(name)}


def _way_on(error: OSError) -> str:
    return "Check who may write there" if isinstance(error, PermissionError) else "Free some disk space"
