"""Importers on good and damaged files of each kind, through the manifest and the public door."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeReport, check_importer
from fmstudio.plugin_manager import PluginManager
from tests.plugins.reading import file, read

GOOD = {
    "jsonl": ("a.jsonl", '{"a": 1}\n{"a": 2, "b": "x"}\n'),
    "json": ("a.json", '[{"a": 1}, {"a": 2}]'),
    "csv": ("a.csv", "a,b\n1,x\n2,y\n"),
    "yaml": ("a.yml", "- a: 1\n- a: 2\n"),
    "xml": ("a.xml", "<rows><row a='1'/><row a='2'/></rows>"),
    "text": ("a.txt", "one\ntwo\n\nthree\n"),
}


@pytest.mark.parametrize("importer_id", GOOD)
def test_conforms(importer_id: str, tmp_path: Path) -> None:
    name, content = GOOD[importer_id]
    kind = PluginManager().contribution("importer", importer_id).load()
    assert len(check_importer(kind(), file(tmp_path / name, content), kind.Params())) == 2


@pytest.mark.parametrize("importer_id", [*GOOD, "parquet"])
def test_zero_bytes_is_a_plain_error(importer_id: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="empty"):
        read(importer_id, file(tmp_path / "x", ""))


@pytest.mark.parametrize("importer_id", GOOD)
def test_a_binary_file_is_a_plain_error(importer_id: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no text file"):
        read(importer_id, file(tmp_path / "x", b"GGUF\x03\x00\x00\x00" + bytes(range(256)) * 4))


# JSON Lines


def test_jsonl_good_rows_come_through_and_bad_ones_are_listed(tmp_path: Path) -> None:
    lines = [
        b'{"n": 0, "t": "a"}',
        b'{"n": 1, ',
        b"",
        b"[1, 2]",
        b'{"n": 2, "t": "\xff\xfe"}',
        '{"n": 3, "t": "ü"}'.encode(),
    ]
    report = FakeReport()
    rows = read("jsonl", file(tmp_path / "x.jsonl", b"\n".join(lines)), report)
    assert [row["n"] for row in rows] == [0, 3] and rows[1]["t"] == "ü"
    assert [(r.line, r.byte) for r in report.rejects] == [(2, 19), (4, 30), (5, 37)]
    assert "column 10" in report.rejects[0].reason and report.rejects[0].raw == '{"n": 1, '
    assert "a list" in report.rejects[1].reason and "Not UTF-8" in report.rejects[2].reason


def test_jsonl_a_bad_line_far_into_a_large_file_has_its_number(tmp_path: Path) -> None:
    line = json.dumps({"n": 1, "t": "x" * 200}) + "\n"
    path = file(tmp_path / "x.jsonl", line * 5_000 + "{broken\n" + line * 5_000)
    report = FakeReport()
    rows = read("jsonl", path, report)
    assert len(rows) == 10_000
    assert [(r.line, r.byte) for r in report.rejects] == [(5_001, 5_000 * len(line))]


def test_jsonl_a_last_line_that_is_cut(tmp_path: Path) -> None:
    report = FakeReport()
    assert read("jsonl", file(tmp_path / "x.jsonl", '{"a": 1}\n{"a": 2}\n{"a"'), report) == [{"a": 1}, {"a": 2}]
    assert report.rejects[0].line == 3


def test_jsonl_dates_stay_text_and_large_numbers_keep_their_digits(tmp_path: Path) -> None:
    content = '{"d": "2020-01-02", "x": {"t": "2020-01-02T03:04:05Z"}, "id": 1}\n' * 3 + (
        '{"d": "soon", "x": {"t": "now"}, "id": 12345678901234567890}\n'
    )
    rows = read("jsonl", file(tmp_path / "x.jsonl", content))
    assert [row["d"] for row in rows] == ["2020-01-02"] * 3 + ["soon"]
    assert rows[0]["x"] == {"t": "2020-01-02T03:04:05Z"}
    assert str(rows[-1]["id"]) == "12345678901234567890"


def test_jsonl_values_of_mixed_kinds_are_all_kept(tmp_path: Path) -> None:
    rows = read("jsonl", file(tmp_path / "x.jsonl", '{"a": 1}\n{"a": "x"}\n{"a": [1]}\n{"a": true}\n{"a": null}\n'))
    assert [row["a"] for row in rows] == ["1", "x", "[1]", "true", None]


def test_jsonl_a_line_longer_than_a_block(tmp_path: Path) -> None:
    long = json.dumps({"a": "y" * 9_000_000})
    rows = read("jsonl", file(tmp_path / "x.jsonl", f'{{"a": "first"}}\n{long}\n{{"a": "last"}}\n'))
    assert [len(row["a"]) for row in rows] == [5, 9_000_000, 4]


def test_jsonl_with_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    report = FakeReport()
    assert read("jsonl", file(tmp_path / "x.jsonl", b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}\r\n{bad\r\n'), report) == [
        {"a": 1},
        {"a": 2},
    ]
    assert report.rejects[0].byte == 23 and "byte order mark" in report.notes[0]


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-32-be", "cp1252", "gb18030", "shift_jis"])
@pytest.mark.parametrize(
    ("importer", "name", "before", "bad", "after"),
    [
        ("jsonl", "x.jsonl", '{"a": "%s"}\n' * 3, "{broken\n", '{"a": "%s"}\n'),
        ("csv", "x.csv", "a,b\n" + "%s,1\n" * 3, "1,2,3\n", "%s,2\n"),
        ("json", "x.json", '[{"a": "%s"},\n{"a": "%s"},\n', '{"a": "b" "c"},\n', '{"a": "%s"}]\n'),
        ("yaml", "x.yaml", "- a: %s\n- a: %s\n", "- a: [1\n", "- a: %s\n"),
    ],
)
def test_the_byte_of_what_is_broken_is_that_in_the_file(
    tmp_path: Path, codec: str, importer: str, name: str, before: str, bad: str, after: str
) -> None:
    word = {"cp1252": "größe", "gb18030": "尺寸", "shift_jis": "サイズ"}.get(codec, "größe 尺寸 🙂")
    text = [part.replace("%s", word) for part in (before, bad, after)]
    report = FakeReport()
    rows = read(importer, file(tmp_path / name, "".join(text).encode(codec)), report, encoding=codec)
    assert len(rows) == before.count("%s") + 1
    (reject,) = report.rejects
    assert reject.byte is not None
    assert "".join(text).encode(codec)[reject.byte :].decode(codec).lstrip().startswith(bad.strip()[:4])


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-32", "cp1252", "utf-8-sig"])
def test_encodings_are_found_and_stated(codec: str, tmp_path: Path) -> None:
    texts = ["Die Bäume blühen schön über der Straße.", "Voilà, très bien, où est le café près de la forêt ?"] * 20
    content = "".join(json.dumps({"t": t}, ensure_ascii=False) + "\n" for t in texts).encode(codec)
    report = FakeReport()
    assert [row["t"] for row in read("jsonl", file(tmp_path / "x.jsonl", content), report)] == texts
    assert report.notes and "Encoding" in report.notes[0]


def test_a_wrong_encoding_named_by_the_user_is_an_error_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"byte \d+"):
        read("jsonl", file(tmp_path / "x.jsonl", '{"a": "ü"}\n'.encode("cp1252")), encoding="utf-16")
    with pytest.raises(UserError, match="no encoding “klingon”"):
        read("jsonl", file(tmp_path / "x.jsonl", "{}"), encoding="klingon")


@pytest.mark.parametrize("depth", [70, 900, 5_000, 100_000])
def test_absurd_nesting_is_refused_and_kills_nothing(depth: int, tmp_path: Path) -> None:
    deep = "[" * depth + "]" * depth
    objects = '{"a":' * depth + "1" + "}" * depth
    report = FakeReport()
    content = f'{{"a": 1}}\n{{"a": {deep}}}\n{{"a": {objects}}}\n'
    assert read("jsonl", file(tmp_path / "x.jsonl", content), report) == [{"a": 1}]
    assert [r.line for r in report.rejects] == [2, 3] and "nested" in report.rejects[0].reason
    report = FakeReport()
    assert read("json", file(tmp_path / "x.json", f'[{{"a": 1}}, {{"a": {deep}}}]'), report) == [{"a": 1}]
    assert "nested" in report.rejects[0].reason
    for text in (f"- {deep}\n", "- " * depth + "x\n"):
        with pytest.raises(UserError, match="line 1: nested"):
            read("yaml", file(tmp_path / "x.yml", text))


def test_half_characters_become_question_marks(tmp_path: Path) -> None:
    content = '{"a": "x\\ud800y", "m": [{"role": "user", "content": "\\udfff"}]}\n'
    rows = read("jsonl", file(tmp_path / "x.jsonl", content))
    assert rows[0]["a"] == "x?y" and "?" in str(rows[0]["m"])


@pytest.mark.parametrize("importer", ["jsonl", "json"])
def test_half_characters_are_told_and_change_no_type(importer: str, tmp_path: Path) -> None:
    report = FakeReport()
    content = '{"a": "x\\ud83d y", "m": [{"b": "\\udfff", "c": 1}], "\\ud83d": 1}\n{"a": "z\\ud83d"}\n'
    rows = read(importer, file(tmp_path / f"x.{importer}", content), report)
    assert rows[0] == {"a": "x? y", "m": [{"b": "?", "c": 1}], "?": 1}
    told = [note for note in report.notes if "halves of characters" in note]
    assert ["“a”" in told[0], "“m”" in told[1], len(told)] == [True, True, 2]
    assert not any("different kinds" in note for note in report.notes)


def test_numbers_of_too_many_digits_are_told_as_such(tmp_path: Path) -> None:
    for name, importer, content in (("x.yml", "yaml", f"- n: {10**29}\n"), ("x.json", "json", f'[{{"n": {10**29}}}]')):
        report = FakeReport()
        assert read(importer, file(tmp_path / name, content), report) == [{"n": str(10**29)}]
        assert any("“n” holds numbers of too many digits" in note for note in report.notes)


def test_zero_bytes_are_told_as_what_they_are(tmp_path: Path) -> None:
    report = FakeReport()
    rows = read("text", file(tmp_path / "x.txt", b"A first line of text.\n\nAnd one with \0 in it.\n"), report)
    assert len(rows) == 2 and not report.rejects
    assert any("zero bytes, the first at offset" in note for note in report.notes)
    assert not any("rejected" in note for note in report.notes)


def test_brackets_inside_a_text_are_no_nesting(tmp_path: Path) -> None:
    art = "]" * 500 + "}" * 500
    assert read("jsonl", file(tmp_path / "x.jsonl", json.dumps({"a": art}) + "\n")) == [{"a": art}]
    assert read("json", file(tmp_path / "x.json", json.dumps([{"a": art}]))) == [{"a": art}]
    assert read("yaml", file(tmp_path / "x.yml", json.dumps([{"a": art}]))) == [{"a": art}]


# JSON


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ('{"version": "1", "data": [{"a": 1}], "n": 3}', [{"a": 1}]),
        ('{"a": 1, "tags": ["x", "y"]}', [{"a": 1, "tags": ["x", "y"]}]),
        (
            '{"conversations": [["hi", "hello"], ["bye"]]}',
            [{"conversations": ["hi", "hello"]}, {"conversations": ["bye"]}],
        ),
        ('["one", "two"]', [{"text": "one"}, {"text": "two"}]),
        ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ('{\n "a": 1\n}', [{"a": 1}]),
    ],
)
def test_json_shapes(content: str, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    assert read("json", file(tmp_path / "x.json", content)) == rows


@pytest.mark.parametrize("prefix", ["[", '{"data": ['])
def test_json_cut_gives_its_whole_rows_and_one_reject(prefix: str, tmp_path: Path) -> None:
    report = FakeReport()
    rows = read("json", file(tmp_path / "x.json", prefix + '\n{"a": 1},\n{"a": 2},\n{"a": "th'), report)
    assert rows == [{"a": 1}, {"a": 2}]
    assert len(report.rejects) == 1 and report.rejects[0].line == 4


def test_json_cut_between_rows(tmp_path: Path) -> None:
    report = FakeReport()
    assert read("json", file(tmp_path / "x.json", '[{"a": 1},\n{"a": 2}'), report) == [{"a": 1}, {"a": 2}]
    assert "closing ]" in report.rejects[0].reason


def test_json_broken_in_the_middle_names_line_and_byte(tmp_path: Path) -> None:
    rows = ",\n".join(json.dumps({"n": i, "t": "ü" * 100}, ensure_ascii=False) for i in range(20_000))
    head = "[" + rows + ",\n"
    report = FakeReport()
    read_rows = read("json", file(tmp_path / "x.json", head + '{"n": oops},\n' + rows + "]"), report)
    assert len(read_rows) == 40_000 and len(report.rejects) == 1
    assert (report.rejects[0].line, report.rejects[0].byte) == (20_001, len(head.encode()))


def test_json_the_list_can_be_named(tmp_path: Path) -> None:
    path = file(tmp_path / "x.json", '{"a": [{"x": 1}], "b": [{"y": 2}, {"y": 3}]}')
    report = FakeReport()
    assert read("json", path, report) == [{"x": 1}] and "not from b" in report.notes[1]
    assert read("json", path, rows="b") == [{"y": 2}, {"y": 3}]
    with pytest.raises(UserError, match="no list “c”"):
        read("json", path, rows="c")


def test_json_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not JSON: line 2"):
        read("json", file(tmp_path / "x.json", "\n<html></html>"))


# CSV


@pytest.mark.parametrize(("delimiter", "title"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "bar")])
def test_csv_finds_the_delimiter(delimiter: str, title: str, tmp_path: Path) -> None:
    text = "\n".join(delimiter.join(row) for row in (["name", "n"], ["a b", "1"], ["c", "2"])) + "\n"
    report = FakeReport()
    assert read("csv", file(tmp_path / "x.csv", text), report) == [{"name": "a b", "n": 1}, {"name": "c", "n": 2}]
    assert report.notes == ["Encoding: UTF-8", f"Delimiter: {title}"]


def test_csv_bad_rows_are_listed_with_their_line(tmp_path: Path) -> None:
    report = FakeReport()
    rows = read("csv", file(tmp_path / "x.csv", 'a,b\n1,"x\ny"\n2,z,extra\n3\n4,w\n'), report)
    assert rows == [{"a": 1, "b": "x\ny"}, {"a": 4, "b": "w"}]
    assert [r.raw for r in report.rejects] == ["2,z,extra", "3"]
    assert [r.line for r in report.rejects] == [4, 5]
    assert report.rejects[0].reason == "3 fields instead of 2."


def test_csv_lines_of_bad_rows_in_a_long_file(tmp_path: Path) -> None:
    good = [f'{i},"a\nb"' for i in range(300_000)]
    lines = ["a,b", *good[:1_000], "only one", *good[1_000:], "x,y,z", "last"]
    report = FakeReport()
    assert len(read("csv", file(tmp_path / "x.csv", "\n".join(lines)), report)) == 300_000
    assert [r.line for r in report.rejects] == [2_002, 600_003, 600_004]


def test_csv_numbers_only_where_nothing_is_lost(tmp_path: Path) -> None:
    text = "zip,n,x,empty,mixed\n00712,1,0.5,,1\n12345,-2,1e-3,,b\n,3,,,2\n"
    rows = read("csv", file(tmp_path / "x.csv", text))
    assert [row["zip"] for row in rows] == ["00712", "12345", ""]
    assert [row["n"] for row in rows] == [1, -2, 3]
    assert [row["x"] for row in rows] == [0.5, 0.001, None]
    assert [row["mixed"] for row in rows] == ["1", "b", "2"]
    assert read("csv", tmp_path / "x.csv", types="text")[0]["n"] == "1"


def test_csv_a_quote_that_is_never_closed_costs_its_line(tmp_path: Path) -> None:
    report = FakeReport()
    rows = read("csv", file(tmp_path / "x.csv", 'a,b\n0,z\n1,"x\n' + "2,y\n" * 100_000), report)
    assert rows == [{"a": 0, "b": "z"}, *[{"a": 2, "b": "y"}] * 100_000]
    assert [(r.line, r.byte, r.raw) for r in report.rejects] == [(3, 8, '1,"x')]
    assert "quoted field" in report.rejects[0].reason


def test_csv_bytes_that_are_not_utf8_cost_their_row_only(tmp_path: Path) -> None:
    good = "".join(f"{i},ü\n" for i in range(200)).encode()
    report = FakeReport()
    rows = read("csv", file(tmp_path / "x.csv", b"a,b\n" + good + b"200,\xff\n" + good), report)
    assert len(rows) == 400 and len(report.rejects) == 1 and "Not UTF-8" in report.rejects[0].reason
    assert report.rejects[0].line == 202


def test_csv_without_header_and_with_doubled_names(tmp_path: Path) -> None:
    assert read("csv", file(tmp_path / "x.csv", "1,2\n3,4\n"), has_header=False) == [
        {"column_1": 1, "column_2": 2},
        {"column_1": 3, "column_2": 4},
    ]
    assert read("csv", file(tmp_path / "y.csv", "a,a,\n1,2,3\n")) == [{"a": 1, "a_2": 2, "column_3": 3}]


def test_csv_in_a_windows_encoding(tmp_path: Path) -> None:
    text = "wort,zahl\n" + "Straße für Bäume und Flüsse,1\nGrüße aus Köln,2\n" * 30
    report = FakeReport()
    assert (
        read("csv", file(tmp_path / "x.csv", text.encode("cp1252")), report)[0]["wort"] == "Straße für Bäume und Flüsse"
    )
    assert "cp1252" in report.notes[0]


# Parquet


def test_parquet_comes_as_it_is(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2], "tags": [["x"], []]})
    pq.write_table(table, tmp_path / "x.parquet")
    assert read("parquet", tmp_path / "x.parquet") == table.to_pylist()


def test_parquet_cut(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(10_000))}), tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()
    with pytest.raises(UserError, match="its end"):
        read("parquet", file(tmp_path / "cut.parquet", content[: len(content) // 2]))


# YAML


def test_yaml_chatterbot_turns_stay_text(tmp_path: Path) -> None:
    content = "categories:\n- small talk\nconversations:\n- - Is it?\n  - Yes\n- - 42\n  - 2020-01-01\n"
    assert read("yaml", file(tmp_path / "x.yml", content)) == [
        {"conversations": ["Is it?", "Yes"], "category": "small talk"},
        {"conversations": ["42", "2020-01-01"], "category": "small talk"},
    ]


def test_yaml_rows_keep_json_types_only(tmp_path: Path) -> None:
    content = "rows:\n- {a: 1, b: yes, c: true, d: 2020-01-01, e: null, f: 0.5}\n"
    assert read("yaml", file(tmp_path / "x.yml", content)) == [
        {"a": 1, "b": "yes", "c": True, "d": "2020-01-01", "e": None, "f": 0.5}
    ]


@pytest.mark.parametrize(
    "written",
    [
        *("12:30", "1:30:15", "1:30.5"),
        *("01234", "0777", "-007", "007.5", "-0"),
        *("+4912345", "+1.5", "+.inf", "1_000", "1_0.5", "0x1F", "0b11", "1.", "1e5"),
    ],
)
def test_yaml_numbers_that_would_be_written_back_in_another_way_stay_text(written: str, tmp_path: Path) -> None:
    for content in (f"- a: {written}\n", f"rows:\n- a: {written}\n"):
        assert read("yaml", file(tmp_path / "x.yml", content)) == [{"a": written}]


def test_yaml_numbers_are_numbers(tmp_path: Path) -> None:
    written = {"0": 0, "-12": -12, "1.5": 1.5, "-.5": -0.5, "1e-5": 1e-5, "2.5e+10": 2.5e10, ".inf": math.inf}
    rows = read("yaml", file(tmp_path / "x.yml", "- [" + ", ".join(written) + "]\n- 7\n"))
    assert rows[0]["messages"] == list(written.values()) and rows[1]["text"] == 7


def test_yaml_broken_names_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 4, column 4: .*began in line 3"):
        read("yaml", file(tmp_path / "x.yml", "rows:\n- b: 2\n- c: [1, 2\n- d: 3\n"))


def test_yaml_a_broken_item_of_a_list_costs_itself(tmp_path: Path) -> None:
    report = FakeReport()
    content = "".join(f"- a: {i}\n" for i in range(3_000)) + "- c: [1, 2\n" + "- a: 1\n" * 10
    assert len(read("yaml", file(tmp_path / "x.yml", content), report)) == 3_010
    assert [(r.line, r.raw) for r in report.rejects] == [(3_001, "- c: [1, 2")]


def test_yaml_runs_nothing(tmp_path: Path) -> None:
    content = f"- !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{tmp_path}/ran]]\n"
    with pytest.raises(UserError, match="broken YAML"):
        read("yaml", file(tmp_path / "x.yml", content))
    assert not (tmp_path / "ran").exists()


# Text


def test_text_units(tmp_path: Path) -> None:
    path = file(tmp_path / "x.md", "# One\ntwo\n\n\nthree\r\n")
    assert [(r["text"], r["line"]) for r in read("text", path)] == [("# One\ntwo", 1), ("three", 5)]
    assert [r["text"] for r in read("text", path, rows="line")] == ["# One", "two", "three"]
    assert [r["text"] for r in read("text", path, rows="file")] == ["# One\ntwo\n\n\nthree"]


@pytest.mark.parametrize(
    ("content", "mark"),
    [
        ("id\ttext\n1\ta\n2\tb\n", "a tab"),
        ("id|text\n1|a\n2|b\n", "a bar"),
        ("One; two.\nThree.\nFour; five.\n", ""),
        ("| a | b |\n| --- | --- |\n| 1 | 2 |\n", ""),
        ("a\tb\n", ""),
        ("Plain.\n\nText.\n\nMore.\n", ""),
    ],
)
def test_a_text_that_is_a_table_is_told(content: str, mark: str, tmp_path: Path) -> None:
    report = FakeReport()
    read("text", file(tmp_path / "x.txt", content), report)
    told = [note for note in report.notes if "rows of a table" in note]
    assert [mark in note for note in told] == ([True] if mark else [])
