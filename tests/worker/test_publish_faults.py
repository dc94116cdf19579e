"""The app is killed while it publishes: reopening shows the state before or after, and nothing is lost, whatever the job."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from fmstudio.cli.session import make_queue
from fmstudio.core.jsonfile import write_json
from fmstudio.core.parquet import RowsWriter
from fmstudio.jobs.spec import Job, JobSpec, StepSpec
from fmstudio.project import Project
from fmstudio.project.folding import FOLDED, with_folding
from fmstudio.project.models import ModelLibrary
from tests.helpers import ROOT
from tests.unit.edit_kit import finish, make_dataset, ran, recipe_job, shown, simple_table

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")

KINDS = ("import", "recipe", "embed", "transform", "train")

KILL_WHILE_PUBLISHING = """
import os, signal, sys
from pathlib import Path
from fmstudio.cli.session import make_queue
from fmstudio.project import Project, placing, publish
from fmstudio.project.models import ModelLibrary

point, folder = sys.argv[1:]

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

ModelLibrary.add_packaged = lambda self: None
project = Project.open(Path(folder))
if point == "before rename":
    placing.write_json = die
elif point == "after rename":
    placing.fsync_folder = die
elif point == "in transaction":
    publish.Publisher._mark = die
elif point == "after transaction":
    placing.Places.keep = die
make_queue(project)
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A closed project with a dataset of ten rows, one of them edited."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelLibrary, "add_packaged", lambda self: None)
        folder = tmp_path_factory.mktemp("faults") / "project"
        project = Project.create(folder)
        make_dataset(project, "kept", simple_table(10))
        project.edits.set_cells("d-kept", {3: {"text": "edited"}})
        project.close()
        yield folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the template."""
    monkeypatch.setattr(ModelLibrary, "add_packaged", lambda self: None)
    return Path(shutil.copytree(template, tmp_path / "project"))


def finished(project: Project, kind: str) -> Job:
    """A job of this kind whose workers are done and whose result is not published."""
    if kind == "import":
        meta = {"dataset_id": "d-fresh", "name": "fresh"}
        spec = JobSpec.new("Import fresh", kind, [StepSpec("import", "import_dataset")], meta=meta)
        return finish(project, spec, [simple_table(30)])
    if kind == "recipe":
        return recipe_job(project, "d-kept", simple_table(6))
    if kind == "transform":
        return ran(project, project.specs.commit("kept"))
    if kind == "embed":
        return embedded(project)
    return trained(project)


def embedded(project: Project) -> Job:
    """The pending edit is folded in by the job's first step."""
    job = ran(project, project.specs.embed("kept", "fake"))
    with RowsWriter(job.out_folder("embed"), prefix="embedding") as writer:
        writer.write(pa.RecordBatch.from_pydict({"row_id": [0], "vector": [[0.5, 0.5]]}))
        writer.close()
    return with_results(job, {"embed": {"dim": 2, "embedder": "fake", "rows": 1}})


def trained(project: Project) -> Job:
    """The pending edit is folded in by the job's first step."""
    meta = {"name": "tuned", "dataset_id": "d-kept", "base_id": "base", "run": {"trainer": "fake"}}
    steps = [StepSpec("train", "train", {"train_files": FOLDED}), StepSpec("export", "export")]
    spec = JobSpec.new("Train tuned", "train", steps, meta=meta)
    job = ran(project, with_folding(project.datasets, project.edits, "d-kept", spec))
    adapter, gguf = job.out_folder("train") / "adapter", job.out_folder("export") / "tuned.gguf"
    for file in (adapter / "adapter_model.safetensors", gguf):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"weights")
    return with_results(job, {"train": {"adapter_dir": str(adapter), "loss": 0.5}, "export": {"path": str(gguf)}})


def with_results(job: Job, results: dict[str, dict[str, object]]) -> Job:
    names = [step.name for step in job.spec.steps]
    for name, result in results.items():
        folder = job.step_folder(names.index(name))
        folder.mkdir()
        write_json(folder / "DONE", result)
    job.read_results()
    return job


def is_published(project: Project, kind: str) -> bool:
    """Whether all of the job's result is in the project; half of it fails the test."""
    found = {
        "import": [d.rows for d in project.datasets.all() if d.name == "fresh"] == [30],
        "recipe": [v.rows for v in project.datasets.versions("d-kept")][1:] == [6],
        "transform": [v.operation for v in project.datasets.versions("d-kept")][1:] == ["Commit edits (1 cell edited)"],
        "embed": len(project.datasets.side_columns("d-kept", 2)) == 1,
        "train": [(m.path.exists(), m.dataset_version) for m in project.models.all() if m.name == "tuned"]
        == [(True, 2), (True, 2)],
    }[kind]
    operations = [op.kind for op in project.datasets.operations() if op.kind != "edit"]
    logged = {"import": ["import"], "recipe": ["recipe"], "embed": ["commit", "embed"]}.get(kind, ["commit"])
    assert operations == ["import", *(logged if found else ())]
    assert len(project.datasets.versions("d-kept")) == (1 if kind == "import" or not found else 2)
    return found


@pytest.mark.parametrize(
    ("kind", "point"),
    [
        *((kind, point) for kind in KINDS for point in ("after rename", "in transaction")),
        *((kind, point) for kind in ("transform", "train") for point in ("before rename", "after transaction")),
    ],
)
def test_a_kill_while_publishing_leaves_before_or_after(folder: Path, kind: str, point: str) -> None:
    project = Project.open(folder)
    rows = shown(project, "kept")
    job = finished(project, kind)
    job.state = "running"
    job.save()
    project.close()
    died = subprocess.run(
        [sys.executable, "-c", KILL_WHILE_PUBLISHING, point, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    again = Project.open(folder)
    try:
        assert is_published(again, kind) == (point == "after transaction")
        assert bool(again.recovered) == (point in ("after rename", "in transaction"))
        assert shown(again, "kept") == rows
        assert make_queue(again).wait(job.id).state == "succeeded"
        assert is_published(again, kind)
        if kind in ("recipe", "transform"):
            again.undo("d-kept") if kind == "transform" else again.datasets.go_to("d-kept", 2)
        assert shown(again, "kept") == rows
        assert not list(folder.glob("jobs/*/out/*/rows-*.parquet"))
    finally:
        again.close()


def test_a_result_that_cannot_be_entered_goes_back_to_its_job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fmstudio.project import publish

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    project = Project.open(folder)
    try:
        job = finished(project, "import")
        with monkeypatch.context() as patch:
            patch.setattr(publish, "log_operation", full)
            with pytest.raises(Exception, match="could not be moved"):
                project.publish(job)
        assert [d.name for d in project.datasets.all()] == ["kept"]
        assert project.publish(job)
        assert project.count("fresh") == 30
    finally:
        project.close()


def test_a_branch_that_was_cut_off_is_taken_away(folder: Path) -> None:
    project = Project.open(folder)
    rows = shown(project, "kept")
    _, made = project.datasets.branch("d-kept", 1, "cut off")
    with project._catalog.transaction() as connection:
        for table, column in (("datasets", "id"), ("versions", "dataset_id"), ("operations", "dataset_id")):
            connection.execute(f"DELETE FROM {table} WHERE {column} = ?", [made])
    project.close()
    again = Project.open(folder)
    try:
        assert again.recovered == [f"datasets/{made}/v0001"]
        assert not (folder / "datasets" / made).exists()
        assert shown(again, "kept") == rows
    finally:
        again.close()
