"""A cell that is set back to what the version holds is no edit: it does not wait, is not shown, and hides no new value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fmstudio.api import UserError
from fmstudio.project import Project
from fmstudio.project.edits import Pending
from tests.unit.edit_kit import commit, leave_out_packaged_models, make_dataset, recipe_job, shown, simple_table

D = "d-data"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with a dataset ``data`` of five rows."""
    leave_out_packaged_models(monkeypatch)
    project = Project.create(tmp_path / "project", "Test")
    make_dataset(project, "data", simple_table(5))
    yield project
    project.close()


def set_and_back(project: Project, dataset: str = D) -> None:
    project.edits.set_cells(dataset, {3: {"text": "new", "n": 9}})
    project.edits.set_cells(dataset, {3: {"text": "text 3", "n": 3}})


def test_what_is_set_back_does_not_wait(project: Project) -> None:
    set_and_back(project)
    assert project.edits.pending(D) == Pending(0, 0, 0, 2) and not project.edits.pending(D)
    assert not project.edits.overlay(D)
    with pytest.raises(UserError, match="no edits that wait"):
        project.specs.commit("data")
    project.undo(D)
    assert project.edits.pending(D).cells == 2 and shown(project, D)[3]["text"] == "new"
    project.redo(D)
    assert not project.edits.pending(D)


def test_a_tag_that_is_taken_away_again_leaves_no_column(project: Project) -> None:
    before = shown(project, D)
    project.edits.tag(D, [0, 1], add=["good"])
    assert [column.name for column in project.datasets.get(D).columns][-1] == "tags"
    project.edits.tag(D, [0, 1], remove=["good"])
    assert not project.edits.pending(D) and shown(project, D) == before
    project.edits.set_cells(D, {0: {"fresh": 5}})
    project.edits.set_cells(D, {0: {"fresh": None}})
    project.edits.set_cells(D, {0: {"fresh": "now a text"}})
    assert shown(project, D)[0]["fresh"] == "now a text"
    commit(project, D)
    assert project.datasets.get(D).columns[-1].name == "fresh" and project.count(D, "fresh LIKE 'now%'") == 1


def test_what_was_set_back_does_not_hide_what_a_job_makes(project: Project) -> None:
    set_and_back(project)
    project.edits.set_cells(D, {0: {"text": "stays"}})
    table = simple_table(5)
    changed = table.set_column(1, "text", [[f"TEXT {i}" for i in range(5)]])
    project.publish(recipe_job(project, D, changed))
    assert [row["text"] for row in shown(project, D)] == ["stays", "TEXT 1", "TEXT 2", "TEXT 3", "TEXT 4"]
    assert project.edits.pending(D).cells == 1


def test_what_came_along_stays_an_edit_whatever_it_is_set_to(project: Project) -> None:
    project.edits.set_cells(D, {0: {"text": "mine"}})
    changed = simple_table(5).set_column(1, "text", [[f"TEXT {i}" for i in range(5)]])
    project.publish(recipe_job(project, D, changed))
    project.edits.set_cells(D, {0: {"text": "text 0"}})  # what the version before this one held
    assert shown(project, D)[0]["text"] == "text 0" and project.edits.pending(D).cells == 1


def test_on_a_branch_too_a_cell_can_be_set_back(project: Project) -> None:
    project.edits.set_cells(D, {3: {"text": "new"}})
    _, branch = project.datasets.branch(D, 1, "branch")
    assert project.edits.pending(branch).cells == 1
    project.edits.set_cells(branch, {3: {"text": "text 3"}})
    assert not project.edits.pending(branch)
    assert project.edits.pending(D).cells == 1
    again = simple_table(5).set_column(1, "text", [[f"TEXT {i}" for i in range(5)]])
    project.publish(recipe_job(project, D, again))  # the edit comes along to rows that are others
    _, second = project.datasets.branch(D, 2, "second")
    project.edits.set_cells(second, {3: {"text": "text 3"}})
    assert shown(project, second)[3]["text"] == "text 3"


def test_a_recipe_on_what_was_set_back_needs_no_commit(project: Project) -> None:
    set_and_back(project)
    spec = project.specs.recipe("data", {"name": "r", "steps": []})
    assert [step.name for step in spec.steps] == ["recipe"]
    assert spec.steps[0].params["files"] == [str(file) for file in project.datasets.files(D)]
