"""In, changed, committed, undone, out and in again: any table is at the end what it was at the beginning."""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmstudio.api.testing import FakeContext
from fmstudio.core.jsonfile import write_json
from fmstudio.jobs.spec import Job, JobSpec
from fmstudio.project import Project
from tests.plugins.export_kit import plugins
from tests.unit.edit_kit import leave_out_packaged_models, shown
from tests.unit.test_export_roundtrip import COLUMNS, same, tables


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    leave_out_packaged_models(monkeypatch)
    made = Project.create(tmp_path / "project")
    yield made
    made.close()


def run(project: Project, spec: JobSpec) -> Job:
    """Run a job's steps in this process, as its workers run them, and publish it."""
    job = Job(spec, project.jobs_dir / spec.id)
    spec.save(job.folder)
    for index, step in enumerate(spec.steps):
        folder = job.step_folder(index)
        folder.mkdir(parents=True)
        ctx = FakeContext(folder)
        ctx.out_dir = job.out_folder(step.name)
        task = importlib.import_module(f"fmstudio.worker.tasks.{step.task}")
        write_json(folder / "DONE", task.run(json.loads(json.dumps(step.params)), ctx, plugins()))
    job.read_results()
    project.publish(job)
    return job


def import_table(project: Project, path: Path) -> str:
    spec = project.specs.import_files([path], mapping={"kind": "table"})
    run(project, spec)
    return str(spec.meta["dataset_id"])


def cells(project: Project, dataset: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "row_id"} for row in shown(project, dataset)]


@pytest.mark.parametrize("exporter", ["parquet", "jsonl", "arrow"])
def test_any_table_survives_the_whole_circle(project: Project, tmp_path: Path, exporter: str) -> None:
    numbers = itertools.count()
    suffix = {"parquet": "parquet", "jsonl": "jsonl", "arrow": "arrow"}[exporter]

    @settings(max_examples=12)
    @given(tables(*COLUMNS), st.data())
    def check(batch: pa.RecordBatch, data: st.DataObject) -> None:
        number = next(numbers)
        source = tmp_path / f"{exporter}-{number}.parquet"
        pq.write_table(pa.Table.from_batches([batch]), source)
        dataset = import_table(project, source)
        before = cells(project, dataset)
        assert same(before, batch.to_pylist())

        row = data.draw(st.integers(0, batch.num_rows - 1))
        name = data.draw(st.sampled_from(batch.schema.names))
        project.edits.set_cells(dataset, {row: {name: None}})
        project.edits.add_rows(dataset, [{name: before[row][name]}])
        run(project, project.specs.commit(dataset)) if project.edits.pending(dataset) else None
        assert project.datasets.get(dataset).rows == batch.num_rows + 1
        while project.datasets.get(dataset).version != 1 or project.edits.pending(dataset):
            assert project.undo(dataset) is not None
        assert same(cells(project, dataset), before)

        target = tmp_path / f"out-{number}.{suffix}"
        run(project, project.specs.export_dataset(dataset, exporter, target))
        assert same(cells(project, import_table(project, target)), before)

    check()
