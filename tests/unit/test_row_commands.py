"""The commands that change rows and datasets, and how rows are looked for, in this process."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from fmstudio.cli.main import main
from fmstudio.project import Project
from tests.unit.edit_kit import leave_out_packaged_models, make_dataset, simple_table


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    leave_out_packaged_models(monkeypatch)
    project = Project.create(tmp_path / "project")
    make_dataset(project, "data", simple_table(20))
    project.close()
    return tmp_path / "project"


@pytest.fixture
def ask(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command and gives its JSON; of one that fails, what it said."""

    def run(*words: str, code: int = 0) -> Any:
        assert main([*words, "--project", str(folder), "--json"]) == code
        said = capsys.readouterr()
        return json.loads(said.out) if code == 0 else said.err

    return run


def test_rows_are_rated_doubled_and_split(ask: Any) -> None:
    assert ask("rate", "data", "good", "1", "2")["operation"]["title"] == "Rate 2 rows good"
    assert ask("rate", "data", "none", "1")["pending"]["cells"] == 1
    assert ask("duplicate-rows", "data", "3")["dataset"]["rows"] == 21
    ask("edit", "data", "4", "text=one. two. ")
    assert ask("split-row", "data", "4", "text", "--at", ". ")["dataset"]["rows"] == 22
    rows = ask("rows", "data", "--limit", "99")["rows"]
    assert [row["text"] for row in rows[-2:]] == ["text 3", "two"] and rows[4]["text"] == "one"
    assert [row["row_id"] for row in rows if row["rating"] == 1] == [2]
    assert "parts nothing" in ask("split-row", "data", "5", "text", "--at", "|", code=2)
    assert "holds no text" in ask("split-row", "data", "5", "messages", code=2)
    assert "no row 99" in ask("split-row", "data", "99", "text", code=2)
    assert "no column “nope”" in ask("split-row", "data", "5", "nope", code=2)


def test_too_many_matching_rows_are_counted_and_the_transform_that_deletes_them_is_named(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fmstudio.project.edits.MOST_OVERLAY_ROWS", 5)
    where = "n >= 0 AND text <> 'a'"
    said = ask("delete-rows", "data", "--where", where, code=2)
    assert "20 rows match; edits by hand can touch 5 at most." in said and "ommit" not in said
    command = shlex.split(said.split("rows: ")[1].splitlines()[0])
    assert command == ["fmstudio", "transform", "data", "delete_where", "--set", f"where={where}"]
    assert ask(*command[1:], "--preview")["changed"] == 20


def test_edits_are_taken_back_and_a_dataset_renamed_and_deleted(ask: Any) -> None:
    ask("edit", "data", "4", "text=other")
    assert not ask("discard", "data")["pending"]["cells"]
    assert not ask("discard", "data")["changed"]
    assert ask("rename", "data", "letters")["dataset"]["name"] == "letters"
    assert "The name is empty" in ask("rename", "letters", " ", code=2)
    assert ask("delete", "letters")["deleted"]["name"] == "letters"
    assert ask("datasets")["datasets"] == []
    ask("undo")
    ask("undo")
    assert [dataset["name"] for dataset in ask("datasets")["datasets"]] == ["data"]


def test_rows_are_found_by_words_sorted_and_cut(ask: Any) -> None:
    found = ask(
        "rows", "data", "--find", "text:1 -12", "--where", "n < 4", "--sort", "row_id DESC", "--columns", "row_id,n"
    )
    assert found["columns"] == ["row_id", "n"]
    assert found["rows"] == [
        {"row_id": i, "n": i % 7} for i in range(19, -1, -1) if "1" in str(i) and i != 12 and i % 7 < 4
    ]
    assert "no column “m”" in ask("rows", "data", "--columns", "n,m", code=2)
    assert "This order cannot be run" in ask("rows", "data", "--sort", "nope", code=2)
