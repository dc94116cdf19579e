"""The command line as a script would use it, on real files in real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmstudio.project.sample import sample_files
from tests.helpers import fmstudio, fmstudio_json, write_jsonl


@pytest.fixture
def project(tmp_path: Path) -> str:
    """An empty project."""
    folder = str(tmp_path / "project")
    fmstudio_json("project", "new", folder)
    return folder


def test_tech_support_becomes_ten_rows_and_undo_brings_them_back(project: str, tmp_path: Path) -> None:
    source = next(f for f in sample_files() if f.stem == "tech_support")
    imported = fmstudio_json("import", str(source), "--project", project)
    assert imported["rows"] == 1050
    assert imported["dataset"]["kind"] == "conversation"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: Dedup\nsteps:\n  - operator: normalise_text\n  - operator: exact_dedup\n", "utf-8")
    cleaned = fmstudio_json("recipe", "run", str(recipe), "--dataset", "tech_support", "--project", project)
    assert (cleaned["dataset"]["rows"], cleaned["dataset"]["version"], cleaned["dropped"]) == (10, 2, 1040)
    dropped = fmstudio_json("rows", "tech_support", "--dropped", "--limit", "1", "--project", project)
    assert dropped["total"] == 1040
    assert dropped["rows"][0]["operator"] == "exact_dedup"
    assert dropped["rows"][0]["reason"]
    fmstudio_json("undo", "tech_support", "--project", project)
    assert fmstudio_json("datasets", "--project", project)["datasets"][0]["rows"] == 1050
    fmstudio_json("redo", "tech_support", "--project", project)
    assert fmstudio_json("datasets", "--project", project)["datasets"][0]["rows"] == 10


def test_good_rows_of_a_damaged_jsonl_come_in_and_bad_ones_are_listed(project: str, tmp_path: Path) -> None:
    source = tmp_path / "partly.jsonl"
    source.write_text('{"text": "one"}\n{"text": broken}\n{"text": "three"}\n{"text": "cut', "utf-8")
    imported = fmstudio_json("import", str(source), "--project", project)
    assert (imported["rows"], imported["rejected"]) == (2, 2)
    rejects = fmstudio_json("rows", "partly", "--rejects", "--project", project)["rejects"]
    assert [r["line"] for r in rejects] == [2, 4]
    assert all(r["reason"] for r in rejects)


def test_search_by_meaning_finds_the_printer(project: str) -> None:
    source = next(f for f in sample_files() if f.stem == "tech_support")
    fmstudio_json("import", str(source), "--project", project)
    embedded = fmstudio_json("embed", "tech_support", "--project", project)
    assert embedded["rows"] == 1050
    found = fmstudio_json("search", "tech_support", "paper does not come out", "--limit", "1", "--project", project)
    assert "printer" in json.dumps(found["rows"][0]["messages"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rows", "nothing"], "There is no dataset “nothing”"),
        (["import", "no-such-file.csv"], "There is no file"),
        (["chat", "--model", "nobody", "hi"], "nobody"),
        (["search", "texts", "x"], "no embedding yet"),
        (["rows", "texts", "--where", "nonsense >"], "This filter cannot be run"),
        (["rows", "texts", "--where", "1=1); DROP TABLE x; --"], "filter"),
        (["rows", "texts", "--where", "text IN (SELECT content FROM read_text('/etc/hostname'))"], "filter"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    project: str, tmp_path: Path, arguments: list[str], words: str
) -> None:
    fmstudio_json("import", str(write_jsonl(tmp_path / "texts.jsonl", [{"text": "a"}])), "--project", project)
    failed = fmstudio(*arguments, "--project", project, "--json")
    assert failed.returncode == 2, failed.stderr
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr
    assert failed.stdout == ""


def test_a_mapping_can_be_given(project: str, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "pairs.jsonl", [{"frage": "Wie?", "reply": "So."}])
    imported = fmstudio_json("import", str(source), "--project", project, "--map", "prompt=frage", "completion=reply")
    assert imported["kind"] == "prompt_completion"
    row = fmstudio_json("rows", "pairs", "--project", project)["rows"][0]
    assert (row["prompt"], row["completion"]) == ("Wie?", "So.")


def test_the_importer_can_be_set_as_its_own_messages_say(project: str, tmp_path: Path) -> None:
    source = tmp_path / "plain.csv"
    source.write_text("1:2\n3:4\n", "utf-8")
    done = fmstudio_json("import", str(source), "--set", "has_header=no", "delimiter=:", "--project", project)
    assert (done["rows"], [column["name"] for column in done["columns"]]) == (2, ["row_id", "column_1", "column_2"])
    refused = fmstudio("import", str(source), "--set", "header=no", "--project", project)
    assert refused.returncode == 2 and "has_header" in refused.stderr
    refused = fmstudio("import", str(source), "--set", "has_header", "--project", project)
    assert refused.returncode == 2 and "“has_header” is no setting" in refused.stderr


def test_each_table_of_a_workbook_becomes_a_dataset(project: str, tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    for title, cells in (("Main", ["a", 1]), ("Two", ["b", 2024]), ("Empty", [])):
        sheet = book.create_sheet(title)
        for cell in cells:
            sheet.append([cell])
    del book["Sheet"]
    book.save(tmp_path / "book.xlsx")
    made = fmstudio_json("import", str(tmp_path / "book.xlsx"), "--each", "--project", project)
    assert [(one["dataset"]["name"], one["rows"]) for one in made["datasets"]] == [("book Main", 1), ("book Two", 1)]
    shown = fmstudio("rows", "book Two", "--project", project).stdout
    assert "2024" in shown, "the user's numbers stand as they are: this one may be a year"
    both = [str(tmp_path / "book.xlsx"), str(write_jsonl(tmp_path / "x.jsonl", [{"a": 1}]))]
    assert fmstudio("import", *both, "--each", "--name", "one", "--project", project).returncode == 2


def test_a_part_of_a_file_that_has_none_is_refused(project: str, tmp_path: Path) -> None:
    source = tmp_path / "two.json"
    source.write_text('{"train": [{"a": 1}], "test": [{"a": 2}, {"a": 3}]}', "utf-8")
    refused = fmstudio("import", str(source), "--part", "test", "--project", project)
    assert refused.returncode == 2 and "no part “test”" in refused.stderr
    assert fmstudio_json("import", str(source), "--set", "rows=test", "--project", project)["rows"] == 2


def test_files_with_other_columns_are_told_in_one_note(project: str, tmp_path: Path) -> None:
    files = [str(write_jsonl(tmp_path / f"{name}.jsonl", [{"a": 1, name: 2}])) for name in ("b", "c", "d")]
    notes = fmstudio_json("import", *files, "--project", project)["notes"]
    told = [note for note in notes if "other columns" in note]
    assert told == [
        "2 files hold other columns than b.jsonl: c.jsonl has also c and lacks b. What a file lacks is empty in its rows."
    ]


def test_slips_of_the_pen_are_refused(project: str, tmp_path: Path) -> None:
    fmstudio_json("import", str(write_jsonl(tmp_path / "texts.jsonl", [{"text": "a"}])), "--project", project)
    for arguments, words in (
        (["import", ""], "The name of a file is empty"),
        (["jobs", "--retry", "nobody"], "There is no job “nobody”"),
        (["edit", "texts", "0", "txet=b"], "Did you mean “text”?"),
        (["rename", "texts", " "], "The name is empty"),
    ):
        failed = fmstudio(*arguments, "--project", project)
        assert failed.returncode == 2 and words in failed.stderr and "Traceback" not in failed.stderr, failed.stderr
    [job] = fmstudio_json("jobs", "--project", project)["jobs"]
    assert "has not failed" in fmstudio("jobs", "--retry", job["id"], "--project", project).stderr
    fmstudio_json("edit", "texts", "0", "topic=b", "--new-column", "--project", project)
    assert fmstudio_json("rows", "texts", "--project", project)["rows"][0]["topic"] == "b"
