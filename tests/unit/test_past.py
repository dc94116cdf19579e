"""Earlier states of a dataset can be looked at without moving anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fmstudio.api.errors import UserError
from fmstudio.project import Project
from tests.unit.edit_kit import commit, leave_out_packaged_models, make_dataset, shown, simple_table


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    leave_out_packaged_models(monkeypatch)
    made = Project.create(tmp_path / "p")
    yield made
    made.close()


def test_each_point_of_the_history_shows_what_going_there_would_show(project: Project) -> None:
    dataset = make_dataset(project, "rows", simple_table(10))
    project.edits.set_cells(dataset, {1: {"text": "one"}})
    project.edits.delete_rows(dataset, [2, 3])
    commit(project, dataset)
    project.edits.add_rows(dataset, [{"text": "new"}])
    project.edits.set_cells(dataset, {1: {"text": "uno"}})
    project.datasets.restore(dataset, 1)
    project.undo(dataset)
    project.undo(dataset)
    ids = [entry.operation.id for entry in project.datasets.history(dataset)]
    before = shown(project, dataset)
    seen = {number: project.past.page(dataset, number, limit=1000).records() for number in ids}
    counts = project.past.row_counts(dataset)
    assert shown(project, dataset) == before
    for number in ids:
        project.datasets.go_to(dataset, number)
        there = shown(project, dataset)
        assert seen[number] == there, number
        assert counts[number][0] == len(there), number
    assert [counts[number][1] for number in ids] == [10, 0, -2, 0, 1, 0, 1]


def test_touched_cells_and_a_condition(project: Project) -> None:
    dataset = make_dataset(project, "rows", simple_table(10))
    project.edits.set_cells(dataset, {4: {"text": "four", "n": 4}})
    number = project.datasets.history(dataset)[-1].operation.id
    assert project.past.touched(dataset, number) == {(4, "text"), (4, "n")} - ({(4, "n")} if 4 % 7 == 4 else set())
    page = project.past.page(dataset, number, where="row_id IN (4)")
    assert [row["text"] for row in page.records()] == ["four"]
    assert page.total == 1


def test_what_was_overtaken_cannot_be_looked_at(project: Project) -> None:
    dataset = make_dataset(project, "rows", simple_table(3))
    project.edits.set_cells(dataset, {1: {"text": "one"}})
    lost = project.datasets.history(dataset)[-1].operation.id
    project.undo(dataset)
    project.edits.set_cells(dataset, {1: {"text": "two"}})
    with pytest.raises(UserError, match="no point"):
        project.past.page(dataset, lost)
