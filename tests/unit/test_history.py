"""Undo, redo, the time slider, restore, branch, names: one log, one order, whatever the clock says."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from fmstudio.api import UserError
from fmstudio.project import Project
from fmstudio.project.migrations import STEPS
from tests.unit.edit_kit import commit, leave_out_packaged_models, make_dataset, recipe_job, shown, simple_table

D = "d-data"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with a dataset ``data`` of ten rows."""
    leave_out_packaged_models(monkeypatch)
    project = Project.create(tmp_path / "project", "Test")
    make_dataset(project, "data", simple_table(10))
    yield project
    project.close()


def worked_on(project: Project) -> list[list[dict[str, object]]]:
    """Edit, commit, rename, recipe, edit, name, delete rows, restore; what was shown after each, the import first."""
    steps = [
        lambda: None,
        lambda: project.edits.set_cells(D, {1: {"text": "one"}}),
        lambda: project.edits.add_rows(D, [{"text": "added"}]),
        lambda: commit(project, D),
        lambda: project.datasets.rename(D, "renamed"),
        lambda: project.edits.tag(D, [2], add=["good"]),
        lambda: project.publish(recipe_job(project, D, simple_table(6))),
        lambda: project.datasets.name_version(D, 2, "committed"),
        lambda: project.edits.delete_rows(D, [0]),
        lambda: project.datasets.restore(D, 2),
        lambda: project.edits.rate(D, [3], 1),
        lambda: project.edits.discard(D),
    ]
    seen = []
    for step in steps:
        step()
        seen.append(shown(project, D))
    return seen


def test_everything_is_undone_and_done_again_in_order(project: Project) -> None:
    seen = worked_on(project)
    operations = project.datasets.operations(D)
    log = [op for op in operations if "carried_from" not in op.params]
    assert [op.kind for op in log] == [
        *("import", "edit", "edit", "commit", "rename", "edit", "recipe", "name_version"),
        *("edit", "restore", "edit", "discard"),
    ]
    states = [shown(project, D)]
    for _ in operations[1:]:
        assert project.undo(D) is not None
        states.append(shown(project, D))
    assert states[-1] == seen[0]
    assert all(state in states for state in seen)
    assert project.datasets.get(D).name == "data"
    assert project.datasets.version(D, 2).name == ""
    for state in reversed(states[:-1]):
        project.redo(D)
        assert shown(project, D) == state
        assert project.datasets.get(D).rows == project.count(D) == len(state)
    assert project.datasets.get(D).name == "renamed"
    assert project.datasets.version(D, 2).name == "committed"
    assert project.redo(D) is None


def test_the_time_slider_goes_anywhere_and_back(project: Project) -> None:
    worked_on(project)
    entries = project.datasets.history(D)
    there: dict[int, object] = {}
    for entry in entries:
        project.datasets.go_to(D, entry.operation.id)
        there[entry.operation.id] = shown(project, D)
        assert [e.operation.id for e in project.datasets.history(D) if e.is_current] == [entry.operation.id]
    for entry in entries[::-2]:
        project.datasets.go_to(D, entry.operation.id)
        assert shown(project, D) == there[entry.operation.id]
    project.datasets.go_to(D, entries[-1].operation.id)
    assert project.datasets.go_to(D, 0)
    assert shown(project, D) == there[entries[0].operation.id]
    assert not project.datasets.go_to(D, 0)
    assert entries[3].text.startswith("Commit edits (1 cell edited, 1 row added) → version 2")


def test_what_new_work_has_overtaken_cannot_be_gone_to(project: Project) -> None:
    project.edits.set_cells(D, {1: {"text": "old"}})
    overtaken = project.datasets.operations(D)[-1].id
    project.undo(D)
    project.edits.set_cells(D, {1: {"text": "new"}})
    assert project.redo(D) is None
    assert [e.can_go for e in project.datasets.history(D)] == [True, False, True]
    with pytest.raises(UserError, match="no point"):
        project.datasets.go_to(D, overtaken)
    assert project.rows_by_id(D, [1]).records()[0]["text"] == "new"


def test_redo_goes_over_datasets_in_the_order_of_undo(project: Project) -> None:
    make_dataset(project, "other", simple_table(3))
    project.edits.rate(D, [1], 1)
    project.edits.rate("d-other", [1], 1)
    project.edits.rate(D, [2], 1)
    assert project.undo("d-other") is not None
    assert [op.dataset_id for op in (project.undo(), project.undo()) if op] == [D, D]
    redone = [project.redo() for _ in range(3)]
    assert [(op.dataset_id, op.title) for op in redone if op] == [
        *((D, "Rate 1 row good"), (D, "Rate 1 row good"), ("d-other", "Rate 1 row good"))
    ]
    assert [op.id for op in redone if op][:2] == sorted(op.id for op in redone if op and op.dataset_id == D)


def test_a_clock_that_goes_backwards_changes_no_order(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    for number in range(5):
        monkeypatch.setattr(time, "time", lambda number=number: now - 3600 * number)
        project.edits.set_cells(D, {1: {"text": f"edit {number}"}})
    for number in (3, 2, 1, 0):
        project.undo(D)
        assert project.rows_by_id(D, [1]).records()[0]["text"] == f"edit {number}"
    project.redo(D)
    assert project.rows_by_id(D, [1]).records()[0]["text"] == "edit 1"
    assert [e.operation.id for e in project.datasets.history(D)] == [1, 2, 3, 4, 5, 6]


def test_the_commit_is_undone_to_the_edits_it_took(project: Project) -> None:
    project.edits.set_cells(D, {1: {"text": "one"}})
    commit(project, D)
    project.edits.set_cells(D, {2: {"text": "two"}})
    project.undo(D)
    project.undo(D)
    assert project.datasets.get(D).version == 1
    assert project.edits.pending(D).cells == 1
    project.undo(D)
    assert shown(project, D) == simple_table(10).to_pylist()


def test_restore_shows_a_version_as_it_was_published(project: Project) -> None:
    project.edits.set_cells(D, {1: {"text": "one"}})
    commit(project, D)
    project.edits.set_cells(D, {1: {"text": "pending"}})
    project.datasets.restore(D, 1)
    assert shown(project, D) == simple_table(10).to_pylist()
    assert not project.edits.pending(D)
    assert not project.datasets.restore(D, 1)
    project.edits.set_cells(D, {1: {"text": "on one"}})
    assert project.datasets.restore(D, 1)
    assert project.rows_by_id(D, [1]).records()[0]["text"] == "text 1"
    for text in ("on one", "text 1", "pending", "one"):
        project.undo(D)
        assert project.rows_by_id(D, [1]).records()[0]["text"] == text
    with pytest.raises(UserError, match="no version 9"):
        project.datasets.restore(D, 9)


def test_a_commit_after_restore_is_made_from_the_restored_version(project: Project) -> None:
    project.publish(recipe_job(project, D, simple_table(4)))
    project.datasets.restore(D, 1)
    project.edits.delete_rows(D, [0])
    commit(project, D)
    version = project.datasets.version(D)
    assert (version.number, version.parent, version.rows) == (3, 1, 9)
    assert project.undo(D) is not None
    assert (project.datasets.get(D).version, project.count(D)) == (1, 9)


def test_a_branch_shares_files_and_goes_its_own_way(project: Project) -> None:
    project.edits.set_cells(D, {1: {"text": "one"}})
    commit(project, D)
    project.edits.set_cells(D, {2: {"text": "pending"}})
    _, old = project.datasets.branch(D, 1, "from one")
    _, new = project.datasets.branch(D, 2, "from two")
    assert shown(project, old) == simple_table(10).to_pylist()
    assert shown(project, new) == shown(project, D)
    assert os.path.samefile(project.datasets.files(old)[0], project.datasets.files(D, 1)[0])
    assert project.datasets.get(new).source["branch_of"] == {"dataset_id": D, "name": "data", "version": 2}
    project.edits.delete_rows(old, [0, 1])
    commit(project, old)
    assert (project.count(old), project.count(D)) == (8, 10)
    with pytest.raises(UserError, match="already taken"):
        project.datasets.branch(D, 1, "data")
    for _ in range(2):
        project.undo(new)
    assert [d.name for d in project.datasets.all()] == ["data", "from one"]
    project.redo(new)
    assert project.count(new) == 10


def test_a_branch_is_copied_where_the_disk_has_no_links(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    _, made = project.datasets.branch(D, 1, "copy")
    assert shown(project, made) == shown(project, D)
    assert not os.path.samefile(project.datasets.files(made)[0], project.datasets.files(D)[0])


def test_names_of_versions_are_unique_and_can_be_taken_away(project: Project) -> None:
    project.publish(recipe_job(project, D, simple_table(4)))
    project.datasets.name_version(D, 1, " raw ")
    with pytest.raises(UserError, match="named “raw” already"):
        project.datasets.name_version(D, 2, "raw")
    assert not project.datasets.name_version(D, 1, "raw")
    project.datasets.name_version(D, 1, "")
    assert project.datasets.version(D, 1).name == ""
    project.undo(D)
    assert project.datasets.version(D, 1).name == "raw"


def test_what_comes_back_finds_a_free_name(project: Project) -> None:
    project.datasets.delete(D)
    make_dataset(project, "later", simple_table(2))
    project.datasets.rename("d-later", "data")
    project.undo(D)
    assert {d.id: d.name for d in project.datasets.all()} == {D: "data 2", "d-later": "data"}


def test_undoing_work_on_a_deleted_dataset_does_not_bring_it_back(project: Project) -> None:
    job = recipe_job(project, D, simple_table(4))
    project.datasets.delete(D)
    project.publish(job)
    assert project.datasets.all() == []
    project.undo(D)
    assert project.datasets.all() == []
    project.undo(D)
    assert project.datasets.get(D).version == 1


def test_undoing_the_import_hides_the_dataset_with_its_edits(project: Project) -> None:
    project.edits.set_cells(D, {1: {"text": "one"}})
    project.undo()
    project.undo()
    assert project.datasets.all() == []
    project.redo()
    project.redo()
    assert project.rows_by_id(D, [1]).records()[0]["text"] == "one"


def test_a_catalogue_of_the_first_schema_migrates_and_keeps_everything(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    project = Project.create(folder)
    make_dataset(project, "data", simple_table(10))
    project.close()
    (folder / "catalog.duckdb").unlink()
    with duckdb.connect(str(folder / "catalog.duckdb")) as old:
        old.execute("CREATE TABLE schema_version (number INTEGER)")
        old.execute(STEPS[0])
        old.execute("INSERT INTO schema_version VALUES (1)")
        old.execute("INSERT INTO datasets VALUES ('d-data', 'data', 'table', 1, false, 1.0, '{\"files\": []}')")
        columns = '[{"name": "row_id", "type": "int64"}]'
        for number in (1, 2):
            old.execute(
                "INSERT INTO versions VALUES ('d-data', ?, NULL, 10, 0, 0, 1, ?, 'Import', '{}', 'j', 1.0)",
                [number, columns],
            )
        logged = "INSERT INTO operations (kind, dataset_id, version_before, version_after, title, params, state)"
        old.execute(f"{logged} VALUES ('import', 'd-data', NULL, 1, 'Import', '{{}}', 'done')")
        old.execute(f"{logged} VALUES ('recipe', 'd-data', 1, 2, 'Recipe', '{{}}', 'undone')")
        old.execute("INSERT INTO messages VALUES ('m', 'c', NULL, 'user', 'Hello', '{}', 1.0)")
    project = Project.open(folder)
    try:
        assert shown(project, D) == simple_table(10).to_pylist()
        assert project.datasets.version(D, 1).name == ""
        assert project.chats.messages("c")[0].content == "Hello"
        redone = project.redo()
        assert redone is not None and redone.title == "Recipe"
        assert project.undo(D) is not None
        project.edits.set_cells(D, {1: {"text": "new"}})
        commit(project, D)
        assert project.datasets.get(D).version == 3
        assert project.redo(D) is None
    finally:
        project.close()


def test_an_edit_of_a_nested_value_is_undone_exactly(project: Project) -> None:
    table = pa.table({"row_id": pa.array([0], pa.int64()), "x": [[[1.5, None], [], None]]})
    make_dataset(project, "nested", table)
    project.edits.set_cells("d-nested", {0: {"x": [[float("inf")], None]}})
    assert shown(project, "nested")[0]["x"] == [[float("inf")], None]
    project.undo("d-nested")
    assert shown(project, "nested") == table.to_pylist()


def test_a_deleted_dataset_comes_back_while_the_work_on_others_stands(project: Project) -> None:
    other = make_dataset(project, "other", simple_table(3))
    project.edits.set_cells(D, {1: {"text": "mine"}})
    with pytest.raises(UserError, match="not deleted"):
        project.datasets.bring_back(D)
    job = recipe_job(project, D, simple_table(4))
    project.datasets.delete(D)
    project.publish(job)  # a job that was on its way makes its version all the same
    project.edits.set_cells(other, {1: {"text": "later"}})
    assert [s.can_come_back for s in project.disk.usage().subjects if s.kind == "dataset"] == [True, False]
    assert project.datasets.id_even_gone("data") == D
    project.datasets.bring_back(D)
    assert project.rows_by_id(D, [1]).records()[0]["text"] == "mine"
    assert project.rows_by_id(other, [1]).records()[0]["text"] == "later"
    project.undo(D)
    project.undo(D)
    assert [dataset.id for dataset in project.datasets.all()] == [other]
    project.datasets.bring_back(D)
    assert project.datasets.get(D).rows == 10


def test_a_name_that_is_there_goes_before_that_of_a_deleted_dataset(project: Project) -> None:
    project.datasets.delete(D)
    later = make_dataset(project, "later", simple_table(2))
    project.datasets.rename(later, "data")
    assert project.datasets.id_even_gone("data") == later
    project.datasets.delete(later)
    assert project.datasets.id_even_gone("data") == later, "the newest"
    with pytest.raises(UserError, match="no dataset “never”"):
        project.datasets.id_even_gone("never")


def test_versions_are_found_by_number_or_name(project: Project) -> None:
    project.edits.set_cells(D, {1: {"text": "one"}})
    commit(project, D)
    project.datasets.name_version(D, 1, "raw")
    project.datasets.name_version(D, 2, "1")
    assert [project.datasets.version_number(D, text) for text in ("2", " raw ", "1", "9")] == [2, 1, 1, 9]
    project.datasets.name_version(D, 2, "2024")
    assert project.datasets.version_number(D, "2024") == 2
    with pytest.raises(UserError, match="named “none”") as caught:
        project.datasets.version_number(D, "none")
    assert caught.value.remedy.endswith("raw, 2024.")


def test_an_operation_is_told_with_its_dataset(project: Project) -> None:
    project.edits.set_cells(D, {1: {"text": "one"}})
    undone = project.undo()
    assert undone is not None and project.datasets.log.told(undone) == f"{undone.title}, in “data”"
    made = project.undo()
    assert made is not None and project.datasets.log.told(made) == "Import data"
