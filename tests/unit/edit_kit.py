"""Shared by tests of edits: datasets without an import, and commits without a worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fmstudio.api.testing import FakeContext
from fmstudio.core.jsonfile import write_json
from fmstudio.core.parquet import RowsWriter
from fmstudio.jobs.spec import Job, JobSpec, StepSpec
from fmstudio.project import Project
from fmstudio.project.models import ModelLibrary
from fmstudio.recipes.commit_run import run_commit


def leave_out_packaged_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open projects fast: reading the header of the packaged model takes longer than all else."""
    monkeypatch.setattr(ModelLibrary, "add_packaged", lambda self: None)


def finish(project: Project, spec: JobSpec, tables: list[pa.Table], **more: Any) -> Job:
    """A job of one step as a worker leaves it: each table in a file of its own, a DONE marker."""
    job = Job(spec, project.jobs_dir / spec.id)
    spec.save(job.folder)
    step = spec.steps[0].name
    out = job.out_folder(step)
    files: list[Path] = []
    columns: list[dict[str, str]] = []
    for table in tables:
        with RowsWriter(out / "part") as writer:
            for batch in table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]:
                writer.write(batch)
            written = writer.close()
        target = out / f"rows-{len(files):05}.parquet"
        written.files[0].replace(target)
        (out / "part").rmdir()
        files.append(target)
        columns = written.columns
    result = {
        "rows": sum(table.num_rows for table in tables),
        "bytes": sum(file.stat().st_size for file in files),
        "columns": columns,
        "kind": "table",
        "sources": [],
        "notes": [],
        **more,
    }
    job.step_folder(0).mkdir(parents=True, exist_ok=True)
    write_json(job.step_folder(0) / "DONE", result)
    job.read_results()
    return job


def make_dataset(project: Project, name: str, *tables: pa.Table) -> str:
    """A dataset of these tables, which have a ``row_id``; give its id."""
    meta = {"dataset_id": f"d-{name}", "name": name}
    spec = JobSpec.new(f"Import {name}", "import", [StepSpec("import", "import_dataset")], meta=meta)
    project.publish(finish(project, spec, list(tables)))
    return f"d-{name}"


def simple_table(count: int, first: int = 0) -> pa.Table:
    """Rows with a text, a number and a list of messages."""
    ids = range(first, first + count)
    return pa.table(
        {
            "row_id": pa.array(ids, pa.int64()),
            "text": [f"text {i}" for i in ids],
            "n": pa.array([i % 7 for i in ids], pa.int64()),
            "messages": [[{"role": "user", "content": f"hello {i}"}] for i in ids],
        }
    )


def ran(project: Project, spec: JobSpec) -> Job:
    """A commit job, run in this process as its worker runs it."""
    job = Job(spec, project.jobs_dir / spec.id)
    spec.save(job.folder)
    folder = job.step_folder(0)
    folder.mkdir(parents=True)
    ctx = FakeContext(folder)
    ctx.out_dir = job.out_folder(spec.steps[0].name)
    result = run_commit(json.loads(json.dumps(spec.steps[0].params)), ctx)
    write_json(folder / "DONE", result)
    job.read_results()
    return job


def commit(project: Project, dataset: str) -> Job:
    """Commit the pending edits of a dataset."""
    job = ran(project, project.specs.commit(dataset))
    project.publish(job)
    return job


def recipe_job(project: Project, dataset_id: str, table: pa.Table) -> Job:
    """A recipe on the version as it is published (pending edits stay pending), which gave this table."""
    version = project.datasets.overlays.state(dataset_id).version
    meta = {"dataset_id": dataset_id, "version": version, "recipe": {"name": "r", "steps": []}}
    return finish(project, JobSpec.new("Run r", "recipe", [StepSpec("recipe", "run_recipe")], meta=meta), [table])


def shown(project: Project, dataset: str) -> list[dict[str, Any]]:
    """All rows as the user sees them."""
    return project.page(dataset, offset=0, limit=1_000_000).records()
