"""Editing and versions from the command line: every command, its words and its JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fmstudio.__main__ import main
from tests.helpers import write_jsonl


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A project with a dataset of five rows."""
    source = write_jsonl(tmp_path / "data.jsonl", [{"text": f"text {i}", "n": i} for i in range(5)])
    folder = tmp_path / "project"
    assert main(["project", "new", str(folder)]) == 0
    assert main(["import", str(source), "--project", str(folder)]) == 0
    capsys.readouterr()
    return folder


def test_rows_are_edited_committed_and_taken_back(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> str:
        code = main([*words, "--project", str(folder)])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out

    def ask(*words: str) -> Any:
        return json.loads(run(*words, "--json"))

    assert run("edit", "data", "1", "text=new", "n=") == (
        "Edit 2 cells in 2 columns: “data” has 5 rows now.\nWaiting for a commit: 2 cells, 0 rows added, 0 rows deleted.\n"
    )
    assert "Nothing changed" in run("edit", "data", "1", "text=new")
    extra = write_jsonl(tmp_path / "more.jsonl", [{"text": "line\u2028separator"}, {"text": "more", "fresh": [1, 2]}])
    assert ask("add-rows", "data", str(extra))["dataset"]["rows"] == 7
    assert "Delete 2 rows" in run("delete-rows", "data", "--where", "n >= 3")
    assert "Delete 1 row" in run("delete-rows", "data", "0")
    assert "Tag 2 rows with good" in run("tag", "data", "1", "2", "--add", "good")
    assert "Remove the tag good from 1 row" in run("tag", "data", "2", "--remove", "good")
    assert run("commit", "data").startswith("Version 2 of “data”: 4 rows. Commit edits (3 cells edited, 2 rows added")
    rows = ask("rows", "data")["rows"]
    assert [row["text"] for row in rows] == ["new", "text 2", "line\u2028separator", "more"]
    assert rows[0]["tags"] == ["good"]
    assert rows[3]["fresh"] == [1, 2]
    versions = ask("versions", "data", "--name", "2=checked")["versions"]
    assert [(v["number"], v["name"], v["rows"]) for v in versions] == [(1, "", 5), (2, "checked", 4)]
    assert "Restore version 1" in run("restore", "data", "1")
    assert "5 rows" in run("branch", "data", "1", "second try")
    history = ask("history", "data")["history"]
    first_edit = history[1]["operation"]["id"]
    assert ask("history", "data", "--go-to", str(first_edit))["rows"] == 5
    assert ask("rows", "data")["rows"][1]["text"] == "new"
    assert "Import data" in run("history", "data", "--go-to", "0")
    assert ask("rows", "data")["rows"][1]["text"] == "text 1"


def test_the_history_of_the_project_and_of_a_dataset_that_is_gone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str, code: int = 0) -> str:
        assert main([*words, "--project", str(folder)]) == code
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    run("branch", "data", "1", "second try")
    run("versions", "data", "--name", "1=as it came")
    run("edit", "data", "1", "text=new")
    assert "Restore version 1 “as it came”, without the edits that waited for a commit" in run(
        "restore", "data", "as it came"
    )
    assert (
        run("undo") == "Undo: Restore version 1 “as it came”, without the edits that waited for a commit, in “data”.\n"
    )
    deleted = run("delete", "second try")
    assert f"fmstudio undo 'second try' --project {folder}" in deleted
    run("edit", "data", "2", "text=newer")
    whole = run("history")
    assert "Delete second try" in whole
    assert "Edit 1 cell in text, in “data”" in next(line for line in whole.splitlines() if line.startswith("*"))
    assert "is not there now. Bring it back with: fmstudio undo 'second try'" in run("history", "second try")
    assert run("undo", "second try") == "Undo: Delete second try.\n"
    assert json.loads(run("rows", "data", "--json"))["rows"][2]["text"] == "newer", "later work stands"
    assert "needs a dataset" in run("history", "--go-to", "1", code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["edit", "data", "1", "text"], "not COLUMN=VALUE"),
        (["edit", "data", "99", "text=x"], "no row 99"),
        (["edit", "data", "1", "n=many"], "whole numbers"),
        (["delete-rows", "data"], "Name the rows"),
        (["tag", "data", "1"], "--add or to --remove"),
        (["commit", "data"], "no edits that wait"),
        (["restore", "data", "7"], "no version 7"),
        (["versions", "data", "--name", "x"], "not N=NAME"),
        (["history", "data", "--go-to", "999"], "no point 999"),
        (["branch", "data", "1", "data"], "already taken"),
        (["add-rows", "data", "nowhere.jsonl"], "cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main([*words, "--project", str(folder)]) == 2
    heard = capsys.readouterr()
    assert said in heard.err
    assert heard.out == ""
    assert "Traceback" not in heard.err
