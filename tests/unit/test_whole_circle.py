"""In, changed, committed, undone, out and in again: any table is at the end what it was at the beginning."""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
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
from tests.unit.test_export_roundtrip import COLUMNS, TEXT, same, tables


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


HUGE: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "unsigned": (pa.uint64(), st.integers(2**63 - 2, 2**64 - 1) | st.integers(0, 2**64 - 1)),
    "exact": (pa.decimal128(38, 0), st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal)),
    "cents": (pa.decimal128(20, 2), st.integers(-(10**19), 10**19).map(lambda n: Decimal(n) / 100)),
    "day": (pa.date32(), st.dates()),
    "moment": (pa.timestamp("us"), st.datetimes()),
    "bytes": (pa.binary(), st.binary(max_size=9)),
    "turns": (
        pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
        st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["user", "tool"]), "content": st.none() | TEXT}), max_size=3
        ),
    ),
}
"""What columnar files keep beyond what JSON can say."""
EVERY = {**COLUMNS, **HUGE}


@pytest.mark.parametrize(
    ("exporter", "kinds"), [("parquet", EVERY), ("arrow", EVERY), ("jsonl", COLUMNS)], ids=["parquet", "arrow", "jsonl"]
)
def test_any_table_survives_the_whole_circle(
    project: Project, tmp_path: Path, exporter: str, kinds: dict[str, Any]
) -> None:
    numbers = itertools.count()

    @settings(max_examples=12)
    @given(tables(*kinds, kinds=kinds), st.data())
    def check(batch: pa.RecordBatch, data: st.DataObject) -> None:
        number = next(numbers)
        source = tmp_path / f"{exporter}-{number}.parquet"
        pq.write_table(pa.Table.from_batches([batch]), source)
        dataset = import_table(project, source)
        before = cells(project, dataset)
        assert same(before, batch.to_pylist())

        row = data.draw(st.integers(0, batch.num_rows - 1))
        name = data.draw(st.sampled_from(batch.schema.names))
        value = data.draw(st.none() | kinds[name.removeprefix("c_")][1])
        project.edits.set_cells(dataset, {row: {name: value}})
        project.edits.add_rows(dataset, [{name: before[row][name]}])
        edited = cells(project, dataset)
        assert same(edited[row], {**before[row], name: value})
        assert same(edited[-1], {**dict.fromkeys(before[row]), name: before[row][name]})
        run(project, project.specs.commit(dataset))
        assert same(cells(project, dataset), edited)
        while project.datasets.get(dataset).version != 1 or project.edits.pending(dataset):
            assert project.undo(dataset) is not None
        assert same(cells(project, dataset), before)
        while project.redo(dataset):
            pass
        assert same(cells(project, dataset), edited)

        target = tmp_path / f"out-{number}.{exporter}"
        run(project, project.specs.export_dataset(dataset, exporter, target))
        assert same(cells(project, import_table(project, target)), edited)

    check()
