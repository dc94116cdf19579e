"""Projects that earlier versions of FM Studio wrote open, hold what they held, and go on; newer ones are left alone.

``tests/data/project-schema-N.tar.xz`` were made by the releases of that schema: an import, edits or a recipe, a chat.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from fmstudio.api import UserError
from fmstudio.project import Project
from fmstudio.project.migrations import STEPS
from tests.unit.edit_kit import commit, leave_out_packaged_models, shown

DATA = Path(__file__).resolve().parent.parent / "data"


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Gives a copy of the project of a schema."""
    leave_out_packaged_models(monkeypatch)

    def unpack(schema: int) -> Path:
        folder = tmp_path / f"schema-{schema}"
        with tarfile.open(DATA / f"project-schema-{schema}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
        assert newest_step(folder) == schema
        return folder

    return unpack


def newest_step(folder: Path) -> int:
    with duckdb.connect(str(folder / "catalog.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT max(number) FROM schema_version").fetchall()
    return int(rows[0][0])


def check_chat(project: Project) -> None:
    assert [chat.title for chat in project.chats.conversations("hafen")] == ["Harbour"]
    rating = project.chats.ratings()[0]
    assert (rating["rating"], rating["answer"], rating["correction"]) == (-1, "At the sea.", "Am Meer.")


def test_a_project_of_the_first_schema(unpacked: Callable[[int], Path]) -> None:
    folder = unpacked(1)
    project = Project.open(folder)
    try:
        assert [row["text"] for row in shown(project, "letters")] == ["Grüße aus 東京", "", "third"]
        assert [row["reason"] for row in project.dropped("letters").records()]
        check_chat(project)
        dataset = project.datasets.get("letters").id
        project.edits.set_cells(dataset, {0: {"text": "changed"}})
        commit(project, dataset)
        assert [version.rows for version in project.datasets.versions(dataset)] == [4, 3, 3]
        while project.datasets.get(dataset).version != 1:
            assert project.undo(dataset)
        assert [row["text"] for row in shown(project, "letters")] == ["Grüße aus 東京", "", "third", "third"]
    finally:
        project.close()
    assert newest_step(folder) == len(STEPS)


def test_a_project_with_edits_that_waited(unpacked: Callable[[int], Path]) -> None:
    folder = unpacked(3)
    project = Project.open(folder)
    try:
        assert [row["text"] for row in shown(project, "letters")] == ["Grüße aus 東京", "", "edited"]
        assert shown(project, "letters")[0]["tags"] == ["kept"]
        dataset = project.datasets.get("letters").id
        assert project.edits.pending(dataset).deleted == 1
        assert [version.name for version in project.datasets.versions(dataset)] == ["", "checked"]
        check_chat(project)
        project.undo(dataset)
        assert len(shown(project, "letters")) == 4
        project.redo(dataset)
        commit(project, dataset)
        assert [row["reason"] for row in project.dropped("letters").records()] == ["deleted by hand"]
    finally:
        project.close()
    Project.open(folder).close()
    assert newest_step(folder) == len(STEPS)


def test_a_project_of_a_newer_schema_is_left_as_it_is(unpacked: Callable[[int], Path]) -> None:
    folder = unpacked(3)
    with duckdb.connect(str(folder / "catalog.duckdb")) as connection:
        connection.execute("INSERT INTO schema_version VALUES (?)", [len(STEPS) + 1])
    before = (folder / "catalog.duckdb").read_bytes()
    with pytest.raises(UserError, match=r"newer FM Studio .*Nothing was changed"):
        Project.open(folder)
    assert (folder / "catalog.duckdb").read_bytes() == before
    assert not (folder / "open-by.json").exists()


def test_a_step_that_fails_half_way_is_taken_back(
    unpacked: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpacked(3)
    with monkeypatch.context() as patch:
        patch.setattr("fmstudio.project.migrations.STEPS", [*STEPS[:3], f"{STEPS[3]}; SELECT error('no room');"])
        with pytest.raises(UserError):
            Project.open(folder)
    assert newest_step(folder) == 3
    project = Project.open(folder)
    check_chat(project)
    project.close()
