"""CSV: types that lose nothing, conflicts that are told, ruined values that are flagged, damage that costs its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fmstudio.api.testing import FakeReport
from tests.plugins.reading import file, read


def column(path: Path, values: list[str], report: FakeReport | None = None) -> list[Any]:
    return [
        row["x"] for row in read("csv", file(path / "x.csv", "x,n\n" + "".join(f"{v},1\n" for v in values)), report)
    ]


@pytest.mark.parametrize(
    ("values", "typed"),
    [
        (["1", "-2", "30"], [1, -2, 30]),
        (["1", "", "3"], [1, None, 3]),
        (["1.50", "2", "-0.25"], [1.5, 2.0, -0.25]),
        ([".5", "1.0"], [0.5, 1.0]),
        (["1.5e-7", "2E+3"], [1.5e-7, 2000.0]),
        (["true", "false", ""], [True, False, None]),
        (["True", "False"], [True, False]),
        (["999999999999999999"], [999999999999999999]),
    ],
)
def test_values_that_lose_nothing_are_typed(values: list[str], typed: list[Any], tmp_path: Path) -> None:
    assert column(tmp_path, values) == typed


@pytest.mark.parametrize(
    "values",
    [
        ["007", "8"],
        ["0049 30 123", "0"],
        ["+1", "2"],
        ["1e5", "2e3"],
        ["1.", "2."],
        ["-0", "1"],
        ["0x10", "1"],
        ["1_000"],
        ["nan", "1"],
        ["inf", "1.5"],
        ["00.5", "1.5"],
        ["12345678901234567890", "1"],
        ["0.1234567890123456789", "1.5"],
        ["yes", "no"],
        ["true", "1"],
        ["1 ", "2"],
        ["٣", "4"],
    ],
)
def test_values_that_would_lose_something_stay_text(values: list[str], tmp_path: Path) -> None:
    assert column(tmp_path, values) == values


def test_a_late_text_in_a_column_of_numbers_is_seen_ahead(tmp_path: Path) -> None:
    lines = [f"{i},{i}.50,{'x' * 40}\n" for i in range(60_000)]
    lines[-1] = f"none,unknown,{'x' * 40}\n"
    report = FakeReport()
    rows = read("csv", file(tmp_path / "x.csv", "a,b,c\n" + "".join(lines)), report)
    assert (rows[7]["a"], rows[7]["b"]) == ("7", "7.50") and rows[-1]["a"] == "none"


def test_a_text_that_no_look_ahead_met_is_told(tmp_path: Path) -> None:
    lines = [f"{i},{'x' * 40}\n" for i in range(200_000)]
    lines[120_001] = f"none,{'x' * 40}\n"
    report = FakeReport()
    rows = read("csv", file(tmp_path / "x.csv", "a,c\n" + "".join(lines)), report)
    assert rows[120_001]["a"] == "none" and str(rows[120_000]["a"]) == "120000"
    assert any("“a” holds whole numbers, but text" in note for note in report.notes)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([*map(str, range(999)), "abc"], "holds 999 numbers, but also 1 value that is none (row 1,000: abc)"),
        (
            ["1.5", "", "n/a", "-", "007", "2", "+3"],
            "holds 4 numbers, but also 2 values that are none (the first in row 3",
        ),
        (["1", "2", "x" * 99], f"(row 3: {'x' * 40}…), so it is stored as text."),
        (["007", "010", "+49"], ""),
        (["1", "a", "b", "c"], ""),
        (["2024-01-01", "2024-01-02", "none"], ""),
        (["true", "false", "1"], ""),
    ],
)
def test_a_few_texts_among_numbers_are_told(values: list[str], told: str, tmp_path: Path) -> None:
    report = FakeReport()
    assert column(tmp_path, values, report) == [value or "" for value in values]
    notes = [note for note in report.notes if "numbers, but also" in note]
    assert len(notes) == bool(told) and all(told in note for note in notes)


def test_texts_among_numbers_are_counted_in_a_long_file_and_told_once(tmp_path: Path) -> None:
    lines = [f"{i},{'none' if i % 100_000 == 99_999 else i},{'x' * 40}\n" for i in range(300_000)]
    lines[70] = f"70,none,{'x' * 40}\n"
    report = FakeReport()
    read("csv", file(tmp_path / "x.csv", "a,b,c\n" + "".join(lines)), report)
    told = [note for note in report.notes if "numbers" in note]
    assert told == [
        "Column “b” holds 299,996 numbers, but also 4 values that are none (the first in row 71: none), so it is stored as text."
    ]


def test_ruined_values_are_flagged_and_kept_as_they_are(tmp_path: Path) -> None:
    report = FakeReport()
    values = ["4111111111111", "5.5E+15", "4222222222222"]
    assert column(tmp_path, values, report) == values
    assert [(c, r, v) for c, r, _, v in report.flags] == [("x", 2, "5.5E+15")]
    assert "rounded" in report.flags[0][2] and any("“x”: 1 value looks like" in note for note in report.notes)


@pytest.mark.parametrize(
    ("values", "flagged"),
    [
        (["BRCA1", "2-Mar", "TP53", "SEPT2"], ["2-Mar"]),
        (["2-Mar", "3-Mar", "4-Apr"], []),
        (["a", "#REF!", "b"], ["#REF!"]),
        (["a", "########", "b"], ["########"]),
        (["4111111111111110", "4222222222222220"], ["4111111111111110", "4222222222222220"]),
        (["4111111111111111", "4222222222222220", "4333333333333333"], []),
        (["1.5E-07", "2.5E+12", "3.25"], []),
        (["#hashtag", "E+11"], []),
    ],
)
def test_what_is_flagged_and_what_is_not(values: list[str], flagged: list[str], tmp_path: Path) -> None:
    report = FakeReport()
    column(tmp_path, values, report)
    assert [flag[3] for flag in report.flags] == flagged


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind(end: str, tmp_path: Path) -> None:
    text = end.join(["a,b", "1,x", '2,"y' + end + 'z"', "3", "4,w"]) + end
    report = FakeReport()
    rows = read("csv", file(tmp_path / "x.csv", text), report)
    assert [row["a"] for row in rows] == [1, 2, 4] and rows[1]["b"] == f"y{end}z"
    assert [(r.line, r.byte, r.raw) for r in report.rejects] == [(5, text.encode().index(b"3" + end.encode()), "3")]


def test_mixed_line_ends(tmp_path: Path) -> None:
    rows = read("csv", file(tmp_path / "x.csv", "a,b\r\n1,x\n2,y\r3,z"))
    assert [(row["a"], row["b"]) for row in rows] == [(1, "x"), (2, "y"), (3, "z")]


def test_bad_rows_have_line_and_byte_in_a_long_file(tmp_path: Path) -> None:
    lines = [f'{i},"{"y" * 90}"\n' for i in range(100_000)]
    lines[70_000] = "70000\n"
    text = "a,b\n" + "".join(lines)
    report = FakeReport()
    assert len(read("csv", file(tmp_path / "x.csv", text), report)) == 99_999
    assert [(r.line, r.byte) for r in report.rejects] == [(70_002, text.index("\n70000\n") + 1)]


def test_a_quoted_cell_of_many_lines_across_blocks(tmp_path: Path) -> None:
    long = "line, with comma\n".replace('"', "") * 400_000
    text = f'a,b\n1,"{long}"\n2,z\n'
    rows = read("csv", file(tmp_path / "x.csv", text))
    assert [row["a"] for row in rows] == [1, 2] and rows[0]["b"] == long


def test_inch_marks_and_doubled_quotes(tmp_path: Path) -> None:
    text = 'a,b\n1,5" pipe\n2,"say ""hi"""\n3,6" pipe\n4,7" pipe\n'
    assert [row["b"] for row in read("csv", file(tmp_path / "x.csv", text))] == [
        '5" pipe',
        'say "hi"',
        '6" pipe',
        '7" pipe',
    ]


def test_zero_bytes_cost_their_row(tmp_path: Path) -> None:
    report = FakeReport()
    content = b"name,n\n" + b"somebody,1\n" * 20 + b"bro\0\0\0ken,2\n" + b"another,3\n" * 20
    assert len(read("csv", file(tmp_path / "x.csv", content), report)) == 40
    assert [r.line for r in report.rejects] == [22] and "zero byte" in report.rejects[0].reason


def test_utf16_and_a_utf16_file_that_is_cut(tmp_path: Path) -> None:
    content = ("a,b\n" + "".join(f"{i},größe\n" for i in range(2_000))).encode("utf-16")
    assert len(read("csv", file(tmp_path / "x.csv", content))) == 2_000
    report = FakeReport()
    assert len(read("csv", file(tmp_path / "y.csv", content[:-5]), report)) in (1_999, 2_000)
    assert any("cut within a character" in r.reason for r in report.rejects)


def test_excels_separator_line_and_single_quotes(tmp_path: Path) -> None:
    assert read("csv", file(tmp_path / "x.csv", "sep=;\r\na;b\r\n1,5;x\r\n")) == [{"a": "1,5", "b": "x"}]
    report = FakeReport()
    text = "a,b\n'x,1','y'\n'z','it''s'\n"
    assert read("csv", file(tmp_path / "y.csv", text), report) == [{"a": "x,1", "b": "y"}, {"a": "z", "b": "it's"}]
    assert "Quote: '" in report.notes


def test_a_first_line_that_looks_like_data_is_told(tmp_path: Path) -> None:
    report = FakeReport()
    read("csv", file(tmp_path / "x.csv", "1,x\n2,y\n"), report)
    assert any("looks like data" in note for note in report.notes)


def test_only_a_header_gives_no_rows(tmp_path: Path) -> None:
    assert read("csv", file(tmp_path / "x.csv", "a,b\n")) == []
    assert read("csv", file(tmp_path / "y.csv", "a,b")) == []


def test_many_very_large_rows_come_in_small_batches(tmp_path: Path) -> None:
    from fmstudio.api.testing import FakeContext
    from fmstudio.plugin_manager import PluginManager

    cell = "z" * 300_000
    path = file(tmp_path / "x.csv", "a,b\n" + "".join(f'{i},"{cell}"\n' for i in range(200)))
    kind = PluginManager().contribution("importer", "csv").load()
    sizes = [b.nbytes for b in kind().read(path, kind.Params(), FakeReport(), FakeContext())]
    assert max(sizes) < 24 << 20 and sum(sizes) > 60_000_000


@pytest.mark.parametrize(
    "above",
    [
        "# exported by a tool\n# 2024, second try\n",
        "# one\n\n",
        "Quarterly report\n\n",
        "Quarterly report\nof 2024\n,\n",
        "Quarterly report,\n,\n",
    ],
)
def test_what_stands_above_a_table_is_told_and_not_read(above: str, tmp_path: Path) -> None:
    report = FakeReport()
    path = file(tmp_path / "x.csv", f"{above}id,text\n1,ä\n2,b,c\n3,d\n")
    assert read("csv", path, report) == [{"id": 1, "text": "ä"}, {"id": 3, "text": "d"}]
    assert any(note.startswith("What stands above the table is not read: ") for note in report.notes)
    (reject,) = report.rejects
    assert reject.line == above.count("\n") + 3
    assert reject.byte == len(f"{above}id,text\n1,ä\n".encode())


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("#CHROM,POS\n1,2\n3,4\n", ["#CHROM", "POS"]),
        ("text\nHello, world\nFoo, bar\n", ["text"]),
        ("a,b\n1,2\n", ["a", "b"]),
        ('"# no, comment",b\n1,2\n3,4\n', ["# no, comment", "b"]),
    ],
)
def test_a_header_is_nothing_above_a_table(content: str, columns: list[str], tmp_path: Path) -> None:
    report = FakeReport()
    rows = read("csv", file(tmp_path / "x.csv", content), report)
    assert not rows or list(rows[0]) == columns
    assert not any("above the table" in note for note in report.notes)
