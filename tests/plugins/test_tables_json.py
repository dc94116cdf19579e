"""JSON and JSON Lines beyond the simple: nested lists, values one after the other, damage in the middle, lines that never end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeContext, FakeReport
from fmstudio.plugin_manager import PluginManager
from tests.plugins.reading import file, read


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('{"data": {"rows": [{"a": 1}, {"a": 2}]}, "n": 2}', [{"a": 1}, {"a": 2}]),
        ('{"a": 1} {"a": 2}{"a": 3}', [{"a": 1}, {"a": 2}, {"a": 3}]),
        ('{\n "a": 1\n}\n{\n "a": 2\n}\n', [{"a": 1}, {"a": 2}]),
        ('[{"a": 1}][{"a": 2}]', [{"a": 1}, {"a": 2}]),
        ('{"id": 1, "messages": [{"role": "user", "content": "x"}]}', [{"id": 1, "messages": [{"role": "user", "content": "x"}]}]),
        ('{"a": {"b": [{"c": 1}]}}', [{"a": {"b": [{"c": 1}]}}]),
        ("[]", []),
        ("{}", []),
    ],
)  # fmt: skip
def test_shapes(content: str, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    assert read("json", file(tmp_path / "x.json", content)) == rows


def test_a_nested_list_can_be_named(tmp_path: Path) -> None:
    path = file(tmp_path / "x.json", '{"r": {"a": [{"x": 1}, {"x": 2}], "b": [{"y": 3}, {"y": 4}]}}')
    report = FakeReport()
    assert read("json", path, report) == [{"x": 1}, {"x": 2}] and any("not from r.b" in n for n in report.notes)
    assert read("json", path, rows="r.b") == [{"y": 3}, {"y": 4}]


def test_a_nested_list_is_not_told_as_one_row(tmp_path: Path) -> None:
    report = FakeReport()
    content = '{"meta": {"x": 1}, "data": {"rows": [{"a": 1}, {"a": 2}]}}'
    assert read("json", file(tmp_path / "x.json", content), report) == [{"a": 1}, {"a": 2}]
    assert "Rows are read from “data.rows”." in report.notes and not any("one row" in note for note in report.notes)


@pytest.mark.parametrize(
    ("index", "named"), [([0, 1], {}), (["x", "y"], {"index": "x"}), ([1, 0], {"index": 1}), (None, {})]
)
def test_pandas_split_form_is_the_table_it_is(index: list[Any] | None, named: dict[str, Any], tmp_path: Path) -> None:
    value = {"columns": ["a", 5], "index": index, "data": [[1, "p"], [2, None]]}
    written = json.dumps({key: part for key, part in value.items() if part is not None})
    rows = read("json", file(tmp_path / "x.json", written))
    assert rows[0] == {**named, "a": 1, "5": "p"} and len(rows) == 2


def test_names_of_columns_that_come_too_late_are_told(tmp_path: Path) -> None:
    report = FakeReport()
    rows = read("json", file(tmp_path / "x.json", '{"data": [[1, 2]], "columns": ["a", "b"]}'), report)
    assert rows == [{"data": [1, 2]}] and any("“columns”" in note for note in report.notes)


def test_the_place_of_an_open_text_is_said_in_good_english(tmp_path: Path) -> None:
    for content, importer, words in (
        ('{"a": 1}\n{"a":"x\n', "jsonl", "Unterminated string starting at column 6."),
        ('[{"a": 1},\n{"a":"x\n', "json", "Invalid control character (line 2)."),
    ):
        report = FakeReport()
        read(importer, file(tmp_path / f"x.{importer}", content), report)
        assert any(words in reject.reason for reject in report.rejects), report.rejects


def test_a_very_large_wrapper_is_streamed(tmp_path: Path) -> None:
    rows = ",".join(json.dumps({"n": i, "t": "x" * 1000}) for i in range(20_000))
    path = file(tmp_path / "x.json", f'{{"data": {{"rows": [{rows}]}}}}')
    assert [row["n"] for row in read("json", path)] == list(range(20_000))


@pytest.mark.parametrize("broken", ['{"n": oops}', '{"n": 5, "t": "never closed}', '{"n": [1, {"z": 2}', "{]"])
def test_a_broken_row_costs_itself(broken: str, tmp_path: Path) -> None:
    lines = [json.dumps({"n": i, "t": f"text {i}"}) for i in range(50)]
    lines[20] = broken
    report = FakeReport()
    rows = read("json", file(tmp_path / "x.json", "[\n" + ",\n".join(lines) + "\n]"), report)
    assert {row["n"] for row in rows} >= {*range(20), *range(22, 50)} and len(rows) <= 49
    assert report.rejects[0].line == 22 and report.rejects[0].raw.startswith(broken[:10])


def test_bytes_that_are_not_utf8_cost_their_row(tmp_path: Path) -> None:
    rows = [json.dumps({"n": i, "t": "größe"}, ensure_ascii=False).encode() for i in range(50)]
    rows[7] = b'{"n": 7, "t": "gr\xffe"}'
    report = FakeReport()
    assert [r["n"] for r in read("json", file(tmp_path / "x.json", b"[" + b",\n".join(rows) + b"]"), report)] == [
        *range(7),
        *range(8, 50),
    ]
    assert "not UTF-8" in report.rejects[0].reason and report.rejects[0].line == 8


def test_a_missing_comma_is_told_and_both_rows_are_read(tmp_path: Path) -> None:
    report = FakeReport()
    assert len(read("json", file(tmp_path / "x.json", '[{"a": 1} {"a": 2}]'), report)) == 2
    assert any("comma" in note for note in report.notes)


def test_lines_of_every_kind_of_damage(tmp_path: Path) -> None:
    good = '{"n": %d}'
    lines = [(good % i).encode() for i in range(12)]
    lines[3] = b'{"n": 3, "t": "\0\0"}'
    lines[5] = b'{"n": 5}{"n": 55}'
    lines[7] = b'{"n": 7'
    lines[9] = b'{"n": ' + b"9" * 5_000 + b"}"
    report = FakeReport()
    rows = read("jsonl", file(tmp_path / "x.jsonl", b"\n".join(lines)), report)
    assert [row["n"] for row in rows] == [0, 1, 2, 4, 5, 55, 6, 8, 10, 11]
    assert [r.line for r in report.rejects] == [4, 8, 10] and "zero byte" in report.rejects[0].reason


def test_kinds_that_do_not_go_together_are_told(tmp_path: Path) -> None:
    report = FakeReport()
    read("jsonl", file(tmp_path / "x.jsonl", '{"a": 1}\n{"a": "x"}\n{"a": [1]}\n'), report)
    assert any("“a” holds different kinds of values (lists and numbers and text)" in note for note in report.notes)


def test_blocks_in_parallel_keep_their_order_and_lines(tmp_path: Path) -> None:
    line = json.dumps({"n": 0, "t": "x" * 200})
    lines = [line.replace('"n": 0', f'"n": {i}') for i in range(120_000)]
    for place in (10, 50_000, 119_999):
        lines[place] = "broken"
    report = FakeReport()
    rows = read("jsonl", file(tmp_path / "x.jsonl", "\n".join(lines)), report)
    assert [row["n"] for row in rows] == [i for i in range(120_000) if i not in (10, 50_000, 119_999)]
    assert [r.line for r in report.rejects] == [11, 50_001, 120_000]


def test_a_preview_reads_no_more_than_it_needs(tmp_path: Path) -> None:
    path = file(tmp_path / "x.jsonl", (json.dumps({"t": "x" * 1000}) + "\n") * 60_000)
    kind = PluginManager().contribution("importer", "jsonl").load()
    ctx = FakeContext()
    batches = kind().read(path, kind.Params(), FakeReport(), ctx)
    assert next(batches).num_rows > 100
    batches.close()
    assert ctx.progress_calls[-1][0] < 1 << 20


@pytest.mark.parametrize("content", ["nonsense", '"text"', "42", "\x01\x02"])
def test_what_is_no_table_is_a_plain_error(content: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        read("json", file(tmp_path / "x.json", content))


def test_lists_called_as_splits_are_all_read_and_say_which(tmp_path: Path) -> None:
    report = FakeReport()
    content = '{"version": 1, "train": [{"a": 1}, {"a": 2}], "notes": [{"x": 1}], "test": [{"a": 3}]}'
    assert read("json", file(tmp_path / "x.json", content), report) == [
        {"split": "train", "a": 1}, {"split": "train", "a": 2}, {"split": "test", "a": 3},
    ]  # fmt: skip
    assert "Rows are read from “train, test”; not from notes." in report.notes
    assert read("json", file(tmp_path / "x.json", content), rows="train") == [{"a": 1}, {"a": 2}]
