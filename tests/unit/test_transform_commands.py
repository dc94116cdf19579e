"""What previews print on a terminal, in this process: the change is in sight, however wide the table or long the text."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmstudio.cli.main import main
from fmstudio.project import Project
from tests.unit.edit_kit import make_dataset
from tests.unit.transform_kit import texts_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    project = Project.create(tmp_path / "project")
    long = "word " * 100
    wide = {f"c{i}": ["x", "x"] for i in range(200)}
    make_dataset(project, "wide", texts_table([f"{long}old end", "nothing"], **wide))
    make_dataset(project, "odd", texts_table(["t"], **{"a,b": ["v"], "two\nlines": ["w"]}))
    project.close()
    return tmp_path / "project"


def run(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> str:
    assert main([*words, "--project", str(folder)]) == 0
    return capsys.readouterr().out


def test_a_preview_shows_the_columns_and_places_that_change(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, folder, "transform", "wide", "replace", "--set", "find=old", "replacement=new", "--preview")
    assert "2 rows become 2; 1 cell changes." in said
    assert "word old end" in said and "word new end" in said
    assert "196 further columns are not shown here" in said
    assert max(len(line) for line in said.splitlines()) < 150
    said = run(capsys, folder, "transform", "wide", "compute", "--set", "column=made", "expression=42", "--preview")
    before, after = said.split("After")
    assert "2 cells change." in said and "c0" in before and "42" in after.splitlines()[3]
    said = run(capsys, folder, "transform", "wide", "delete_where", "--set", "where=row_id = 1", "--preview")
    assert "2 rows become 1; 1 row changes." in said and "nothing" in said


def test_a_preview_says_which_columns_come_and_go(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, folder, "transform", "odd", "rename_columns", "--set", 'names={"text": "words"}', "--preview")
    assert "  New columns: words.\n  Columns taken away: text.\n" in said
    said = run(capsys, folder, "transform", "wide", "drop_columns", "--set", "columns=c1", "--preview")
    assert "New columns" not in said and "  Columns taken away: c1.\n" in said


@pytest.mark.parametrize(("word", "cells"), [("true", 1), ("Yes", 1), ("1", 1), ("False", 0), ("off", 0)])
def test_truth_is_said_in_several_words(
    folder: Path, capsys: pytest.CaptureFixture[str], word: str, cells: int
) -> None:
    setting = f"ignore_case={word}"
    said = run(capsys, folder, "transform", "wide", "replace", "--set", "find=OLD", "column=text", setting, "--preview")
    assert f"; {cells} cell" in said


def test_a_join_shows_first_what_it_brings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, folder, "transform", "wide", "join", "--set", "dataset=odd", "key=row_id", "--preview")
    header = said.split("After")[1].splitlines()[1]
    assert header.split()[:5] == ["row_id", "text_2", "a,b", "two", "lines"], "a line of its own for each row"


def test_nested_values_are_shown_as_they_are_typed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = "SELECT [1.5::DECIMAL(3,1), NULL] AS l, {'a': true, 'd': DATE '2024-01-01'} AS s, '\\xFF'::BLOB AS b"
    said = run(capsys, folder, "sql", query).splitlines()[2]
    assert said.split("  ") == ['["1.5", null]', '{"a": true, "d": "2024-01-01"}', "/w=="]
    assert '"/w=="' in run(capsys, folder, "sql", query, "--json")
    assert run(capsys, folder, "sql", query, "--csv").splitlines()[1].endswith(",/w==")


def test_columns_with_a_comma_in_their_name_are_chosen_as_json(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(capsys, folder, "rows", "odd", "--columns", '["a,b"]').split()[:3] == ["a,b", "───", "v"]
    run(capsys, folder, "export", "odd", "--to", str(tmp_path / "x.csv"), "--columns", '["text", "a,b"]')
    assert (tmp_path / "x.csv").read_text().splitlines() == ['text,"a,b"', "t,v"]
