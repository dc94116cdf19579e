"""JSON files that are one object of objects, and objects whose names are values."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fmstudio.api.testing import FakeContext, FakeReport
from fmstudio.core.unify import Unifier
from fmstudio.plugin_manager import PluginManager
from tests.plugins.reading import file, read

KEYED = {f"id{i}": {"question": f"q{i}", "answer": f"a{i}"} for i in range(600)}


@pytest.mark.parametrize("many", [3, 255, 256, 257, 600])
def test_an_object_of_objects_of_one_form_has_a_row_for_each(many: int, tmp_path: Path) -> None:
    report = FakeReport()
    some = dict(list(KEYED.items())[:many])
    rows = read("json", file(tmp_path / "x.json", json.dumps(some)), report)
    assert rows == [{"key": name, **value} for name, value in some.items()]
    assert any("“key” is what it is called" in note for note in report.notes)
    assert not any("one row" in note for note in report.notes)


def test_rows_under_names_keep_the_lists_in_them(tmp_path: Path) -> None:
    some = {f"id{i}": {"context": "c", "qas": [{"q": 1}, {"q": 2}]} for i in range(4)}
    assert read("json", file(tmp_path / "x.json", json.dumps(some))) == [{"key": k, **v} for k, v in some.items()]


def test_a_member_that_is_no_object_costs_itself(tmp_path: Path) -> None:
    report = FakeReport()
    rows = read("json", file(tmp_path / "x.json", json.dumps({**KEYED, "version": 2})), report)
    assert len(rows) == 600
    assert [reject.reason for reject in report.rejects] == ["“version” is no object like those before it."]


@pytest.mark.parametrize(
    "value",
    [
        {"question": {"text": "q"}, "answer": {"text": "a"}},
        {"model": {"name": "m"}, "data": {"path": "p"}, "run": {"seed": 1}},
        {"a": 1, "b": {"c": 2}},
    ],
)
def test_objects_of_other_forms_stay_one_row(value: dict[str, Any], tmp_path: Path) -> None:
    assert read("json", file(tmp_path / "x.json", json.dumps(value))) == [value]


def test_objects_one_after_the_other_are_rows_whatever_is_in_them(tmp_path: Path) -> None:
    row = {"a": {"text": "x"}, "b": {"text": "y"}, "c": {"text": "z"}}
    text = json.dumps(row, indent=1)
    assert read("json", file(tmp_path / "x.json", f"{text}\n{text}")) == [row, row]


@pytest.mark.parametrize(("index", "named"), [(["0", "1"], {}), (["10", "20"], {"index": 10})])
def test_pandas_own_form_is_the_table_it_is(index: list[str], named: dict[str, Any], tmp_path: Path) -> None:
    value = {"a": dict(zip(index, [1, None], strict=True)), "text": dict(zip(index, ["x", "y"], strict=True))}
    report = FakeReport()
    rows = read("json", file(tmp_path / "x.json", json.dumps(value)), report)
    assert rows[0] == {**named, "a": 1, "text": "x"}
    assert len(rows) == 2
    assert any("one object a column" in note for note in report.notes)


def named_by_ids(count: int) -> list[dict[str, Any]]:
    ids = [[str(uuid.UUID(int=i * 100 + n)) for n in range(30)] for i in range(count)]
    return [{"id": i, "nodes": {name: {"text": name} for name in names}} for i, names in enumerate(ids)]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_objects_with_ever_other_names_are_text_and_no_column_for_each_name(kind: str, tmp_path: Path) -> None:
    rows = named_by_ids(200)
    text = json.dumps(rows) if kind == "json" else "\n".join(map(json.dumps, rows))
    report = FakeReport()
    importer = PluginManager().contribution("importer", kind).load()()
    path = file(tmp_path / f"x.{kind}", text)
    batches = list(importer.read(path, importer.Params(), report, FakeContext()))
    assert max(batch.schema.field("nodes").type.num_fields for batch in batches) <= 30, "of a single row at most"
    unifier = Unifier()
    batches = [unifier.conform(batch) for batch in batches]
    assert batches[-1].schema.field("nodes").type == pa.string()
    found = [row for batch in batches for row in batch.to_pylist()]
    assert [json.loads(row["nodes"]) for row in found] == [row["nodes"] for row in rows]
    assert any("ever other names" in note for note in report.notes)


def test_objects_of_many_fields_that_all_rows_have_stay_objects(tmp_path: Path) -> None:
    rows = [{"x": {f"f{n}": n for n in range(300)}} for _ in range(5)]
    assert read("json", file(tmp_path / "x.json", json.dumps(rows))) == rows


def test_ever_other_names_from_batch_to_batch_become_text() -> None:
    unifier = Unifier()
    for start in range(0, 1_300, 100):
        row = {"votes": {f"user{n}": 1 for n in range(start, start + 100)}}
        batch = unifier.conform(pa.RecordBatch.from_pylist([row]))
    assert batch.schema.field("votes").type == pa.string()
    assert json.loads(batch.to_pylist()[0]["votes"]) == row["votes"]
    assert unifier.notes == ["Column “votes” holds objects with ever other names, so it is stored as text (JSON)."]


def test_arrow_makes_columns_of_such_names_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.json

    from fmstudio_formats.arrow_json import JsonParser

    blocks: list[int] = []
    read_json = pyarrow.json.read_json

    def counted(*given: Any, **more: Any) -> Any:
        blocks.append(1)
        return read_json(*given, **more)

    monkeypatch.setattr(pyarrow.json, "read_json", counted)
    parser, data = JsonParser(), "".join(json.dumps(row) + "\n" for row in named_by_ids(100)).encode()
    assert [parser.parse(data) for _ in range(3)] == [None, None, None]
    assert len(blocks) == 1, "it takes seconds for a block"
