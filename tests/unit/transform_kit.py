"""Shared by tests of transforms and the console: jobs of several steps, run in this process as their workers run them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from fmstudio.api.testing import FakeContext
from fmstudio.core.jsonfile import write_json
from fmstudio.jobs.spec import Job, JobSpec
from fmstudio.plugin_manager import PluginManager
from fmstudio.project import Project
from tests.unit.edit_kit import shown


def run_spec(project: Project, spec: JobSpec) -> Job:
    """Run all steps of a job and publish it."""
    job = Job(spec, project.jobs_dir / spec.id)
    spec.save(job.folder)
    for number, step in enumerate(JobSpec.load(job.folder).steps):
        params = {key: _resolved(value, job) for key, value in step.params.items()}
        folder = job.step_folder(number)
        folder.mkdir(parents=True)
        ctx = FakeContext(folder)
        ctx.out_dir = job.out_folder(step.name)
        task = importlib.import_module(f"fmstudio.worker.tasks.{step.task}")
        result = task.run(json.loads(json.dumps(params)), ctx, PluginManager())
        write_json(folder / "DONE", result)
        job.read_results()
    project.publish(job)
    return job


def _resolved(value: Any, job: Job) -> Any:
    if isinstance(value, dict) and "from_step" in value:
        return job.results[value["from_step"]][value["key"]]
    return value


def transform(project: Project, dataset: str, transform_id: str, /, **params: Any) -> Job:
    """Run a transform."""
    return run_spec(project, project.specs.transform(dataset, transform_id, params))


def ids_of(project: Project, dataset: str) -> list[int]:
    """Row ids as they stand in the files, in order."""
    import pyarrow.parquet as pq

    files: list[Path] = project.datasets.files(project.datasets.get(dataset).id)
    return [value for file in files for value in pq.read_table(file, columns=["row_id"]).column(0).to_pylist()]


def column(project: Project, dataset: str, name: str) -> list[Any]:
    """The values of a column, in row order."""
    return [row[name] for row in shown(project, dataset)]


def texts_table(texts: list[str | None], **more: list[Any]) -> pa.Table:
    """Rows with a text."""
    return pa.table({"row_id": pa.array(range(len(texts)), pa.int64()), "text": pa.array(texts, pa.string()), **more})
