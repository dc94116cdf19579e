"""The project's facade: undo and redo, publishing, recovery, chats, models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fmstudio.api import UserError
from fmstudio.jobs.spec import Job, JobSpec, StepSpec
from fmstudio.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project."""
    project = Project.create(tmp_path / "project", "Test")
    yield project
    project.close()


def finished_job(project: Project, spec: JobSpec, rows: int) -> Job:
    """A job as a worker leaves it: an output folder and a DONE marker."""
    step = spec.steps[0].name
    job = Job(spec, project.jobs_dir / spec.id)
    spec.save(job.folder)
    job.step_folder(0).mkdir()
    job.out_folder(step).mkdir(parents=True)
    path = job.out_folder(step) / "rows-00000.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT i AS row_id, 'x' AS text FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet)"
        )
    result: dict[str, Any] = {
        "rows": rows,
        "bytes": path.stat().st_size,
        "kind": "text",
        "columns": [{"name": "row_id", "type": "BIGINT"}, {"name": "text", "type": "VARCHAR"}],
        "sources": [],
        "notes": [],
    }
    (job.step_folder(0) / "DONE").write_text(json.dumps(result), "utf-8")
    job.read_results()
    return job


def imported(project: Project, name: str = "data", rows: int = 10) -> str:
    meta = {"dataset_id": f"d-{name}", "name": name}
    spec = JobSpec.new("Import", "import", [StepSpec("import", "import_dataset")], meta=meta)
    project.publish(finished_job(project, spec, rows))
    return f"d-{name}"


def cleaned(project: Project, dataset_id: str, rows: int) -> None:
    project.publish(finished_job(project, project.specs.recipe(dataset_id, {"name": "r", "steps": []}), rows))


def test_undo_and_redo_walk_through_versions_and_imports(project: Project) -> None:
    dataset = imported(project, rows=10)
    cleaned(project, dataset, 7)
    cleaned(project, dataset, 5)
    counts = []
    for step in ("undo", "undo", "redo", "redo"):
        getattr(project, step)(dataset)
        counts.append(project.count(dataset))
    assert counts == [7, 10, 7, 5]
    for _ in range(3):
        project.undo(dataset)
    assert project.datasets.all() == []
    assert project.undo(dataset) is None
    project.redo(dataset)
    assert project.count(dataset) == 10


def test_a_new_operation_after_undo_cannot_be_redone_over(project: Project) -> None:
    dataset = imported(project, rows=10)
    cleaned(project, dataset, 7)
    project.undo(dataset)
    cleaned(project, dataset, 3)
    assert project.redo(dataset) is None
    assert [v.rows for v in project.datasets.versions(dataset)] == [10, 7, 3]
    assert [step.get("version") for step in project.lineage(dataset)] == [None, 1, 3]


def test_delete_is_undone(project: Project) -> None:
    dataset = imported(project)
    project.datasets.delete(dataset)
    assert project.datasets.all() == []
    project.undo()
    assert [d.id for d in project.datasets.all()] == [dataset]


def test_publishing_twice_changes_nothing(project: Project) -> None:
    meta = {"dataset_id": "d-x", "name": "x"}
    job = finished_job(project, JobSpec.new("Import", "import", [StepSpec("import", "import_dataset")], meta=meta), 4)
    assert project.publish(job)
    assert not project.publish(job)
    assert len(project.datasets.all()) == 1


def test_two_imports_of_one_name_stay_apart(project: Project) -> None:
    imported(project, "a")
    meta = {"dataset_id": "d-other", "name": "a"}
    spec = JobSpec.new("Import", "import", [StepSpec("import", "import_dataset")], meta=meta)
    project.publish(finished_job(project, spec, 2))
    assert [d.name for d in project.datasets.all()] == ["a", "a 2"]


def test_a_newer_catalogue_is_refused_politely(project: Project) -> None:
    folder = project.folder
    project.close()
    with duckdb.connect(str(folder / "catalog.duckdb")) as connection:
        connection.execute("INSERT INTO schema_version VALUES (999)")
    with pytest.raises(UserError, match="newer FM Studio"):
        Project.open(folder)
    with duckdb.connect(str(folder / "catalog.duckdb")) as connection:
        connection.execute("DELETE FROM schema_version WHERE number = 999")
    Project.open(folder).close()


def test_a_damaged_catalogue_is_explained(project: Project) -> None:
    folder = project.folder
    project.close()
    (folder / "catalog.duckdb").write_bytes(b"\0" * 4096)
    with pytest.raises(UserError, match="damaged"):
        Project.open(folder)


def test_a_folder_that_is_no_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fmstudio project new"):
        Project.open(tmp_path)


def test_a_rating_keeps_all_that_reproduces_the_turn(project: Project) -> None:
    chat = project.chats.new_conversation("m-1")
    asked = project.chats.add_message(chat.id, "user", "Hello?")
    facts = {"model": "sha256:1", "adapters": [{"id": "a", "scale": 1.0}], "seed": 7, "temperature": 0.5}
    said = project.chats.add_message(chat.id, "assistant", "Hm.", parent_id=asked.id, facts=facts)
    project.chats.rate(said.id, -1, "Hello! How can I help?")
    rating = project.chats.ratings()[0]
    assert rating["rating"] == -1
    assert rating["correction"] == "Hello! How can I help?"
    assert rating["answer"] == "Hm."
    assert rating["context"]["seed"] == 7
    assert rating["context"]["messages"] == [{"role": "user", "content": "Hello?"}]
    shown = project.chats.messages(chat.id)[-1]
    assert (shown.rating, shown.correction) == (-1, "Hello! How can I help?")
    project.chats.rate(said.id, 1)
    assert project.chats.ratings()[0]["rating"] == 1


def test_conversations_are_found_by_text_and_deleted_reversibly(project: Project) -> None:
    chat = project.chats.new_conversation(title="Plans")
    project.chats.add_message(chat.id, "user", "Where is the Lighthouse?")
    assert [c.id for c in project.chats.conversations("lighthouse")] == [chat.id]
    assert project.chats.conversations("submarine") == []
    project.chats.set_deleted(chat.id, True)
    assert project.chats.conversations() == []
    project.chats.set_deleted(chat.id, False)
    assert len(project.chats.conversations()) == 1


def test_a_pickled_model_is_refused(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match="pickle"):
        project.models.add(folder)


def test_a_model_whose_file_is_gone_is_marked_missing(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    head = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (folder / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(4))
    entry = project.models.add(folder)
    assert project.models.add(folder).id == entry.id
    (folder / "model.safetensors").unlink()
    (folder / "config.json").unlink()
    folder.rmdir()
    assert project.models.get(entry.id).is_missing
