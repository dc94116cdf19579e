"""The commands that look at data, in this process: what they print, and as one JSON document."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fmstudio.cli.insight_commands import bars, size
from fmstudio.cli.main import main
from fmstudio.project import Project
from tests.unit.edit_kit import commit, make_dataset, recipe_job, shown, simple_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    project = Project.create(tmp_path / "project")
    dataset = make_dataset(project, "data", simple_table(20))
    project.edits.set_cells(dataset, {3: {"text": "text changed"}})
    project.edits.delete_rows(dataset, [5])
    commit(project, dataset)
    project.close()
    return tmp_path / "project"


def run(capsys: pytest.CaptureFixture[str], folder: Path, *words: str, code: int = 0) -> str:
    assert main([*words, "--project", str(folder)]) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def as_json(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> Any:
    return json.loads(run(capsys, folder, *words, "--json"))


def test_diff(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = run(capsys, folder, "diff", "data", "1", "2")
    assert "0 rows added, 1 removed, 1 changed, 18 unchanged" in text
    assert "text: text [-3-]{+changed+}" in text
    assert "row 5 removed (deleted by hand" in text
    found = as_json(capsys, folder, "diff", "data", "1")
    assert (found["summary"]["changed"], [row["row_id"] for row in found["rows"]]) == (1, [3, 5])
    run(capsys, folder, "diff", "data", "1", "2", "--html", str(tmp_path / "d.html"))
    assert (tmp_path / "d.html").read_text("utf-8").count("<article") == 2
    assert "No version of this dataset is named “one”" in run(capsys, folder, "diff", "data", "one", code=2)


def test_diff_takes_names_and_versions_of_branches(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, folder, "versions", "data", "--name", "1=as it came")
    text = run(capsys, folder, "diff", "data", "as it came", "2")
    assert text.startswith("version 1 → version 2\n")
    run(capsys, folder, "branch", "data", "2", "twig")
    for words in (("data", "as it came", "twig@1"), ("twig", "data@as it came")):
        text = run(capsys, folder, "diff", *words)
        assert text.startswith("data, version 1 → twig, version 1\n")
        assert text.count("deleted by hand: 1") == 1, "what the branch began with is no work of the branch"


def test_a_column_of_another_type_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project.open(folder)
    rows = [{**row, "n": str(row["n"])} for row in shown(project, "d-data")]
    project.publish(recipe_job(project, "d-data", pa.Table.from_pylist(rows)))
    project.close()
    assert "other type: n (BIGINT → VARCHAR)" in run(capsys, folder, "diff", "data", "2", "3")


def test_data_cannot_steer_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project.open(folder)
    family = "\U0001f469\u200d\U0001f467"
    project.edits.set_cells("d-data", {1: {"text": f"a\x1b[31mred\x1b]0;title\x07 \u202eabc {family}"}})
    project.close()
    text = run(capsys, folder, "diff", "data", "2")
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "a\u2423[31mred\u2423]0;title\u2423 \u2423abc" in text and family in text
    table = run(capsys, folder, "rows", "data")
    assert "a\u2423[31mred\u2423]0;title\u2423 \u2423abc" in table and "\x1b" not in table
    assert as_json(capsys, folder, "rows", "data")["rows"][1]["text"].startswith("a\x1b[31m"), "data stays as it is"


def test_statistics(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "messages" in run(capsys, folder, "stats", "data")
    assert "tokens (estimate)" in run(capsys, folder, "stats", "data", "text")
    assert as_json(capsys, folder, "stats", "data", "n", "--version", "1")["rows"] == 20


def test_moments_are_said_as_such(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project.open(folder)
    start = datetime.datetime(2024, 3, 1, 12, tzinfo=datetime.UTC)
    days = [start + datetime.timedelta(days=i) for i in range(30)]
    make_dataset(project, "days", pa.table({"row_id": range(30), "at": days}))
    project.close()
    text = run(capsys, folder, "stats", "days", "at")
    assert "2024-03-01 12:00" in text and "e+09" not in text and "1,709" not in text


def test_lineage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, folder, "lineage", "data", "--row", "5")
    assert "no longer in data: deleted by hand" in text
    assert "[dropped: deleted by hand]" in text
    assert as_json(capsys, folder, "lineage", "data")["focus"] == "dataset:d-data"
    assert "no model" in run(capsys, folder, "lineage", "x", "--kind", "model", code=2)


def test_disk_and_garbage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "in this project" in run(capsys, folder, "disk")
    assert "nothing to collect" in run(capsys, folder, "gc")
    told = run(capsys, folder, "gc", "--dry-run", "--keep-undo", "0")
    assert "Not current, not named, out of reach of undo; nothing was made from it:\n" in told, "whole, not cut"
    planned = as_json(capsys, folder, "gc", "--dry-run", "--keep-undo", "0")
    done = as_json(capsys, folder, "gc", "--keep-undo", "0")
    assert planned["bytes"] == done["bytes"] > 0
    assert "were collected" in run(capsys, folder, "diff", "data", "1", "2", code=2)
    assert "from 0 on" in run(capsys, folder, "gc", "--keep-undo", "-1", code=2)


def test_words() -> None:
    assert [size(n) for n in (0, 999, 1_500, 123_456, 2_000_000)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "123 kB",
        "2.0 MB",
    ]
    assert bars([0, 1, 4]) == " ▂▇"
    assert bars([]) == ""
