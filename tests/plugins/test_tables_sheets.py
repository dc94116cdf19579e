"""Spreadsheets: headers below titles, types, what a spreadsheet hides, and files that cannot be opened."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeReport
from tests.plugins.reading import file, parts, read

DAY = datetime.datetime(2024, 5, 6, 7, 8, 9)


def book(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


def test_types_come_through(tmp_path: Path) -> None:
    rows = [["name", "n", "x", "ok", "day", "none"], ["a", 1, 1.5, True, DAY, None], ["b", 2, 2, False, DAY, None]]
    assert read("spreadsheet", book(tmp_path / "x.xlsx", {"S": rows})) == [
        {"name": "a", "n": 1, "x": 1.5, "ok": True, "day": DAY, "none": None},
        {"name": "b", "n": 2, "x": 2.0, "ok": False, "day": DAY, "none": None},
    ]


def test_the_header_is_found_below_titles_and_to_the_right(tmp_path: Path) -> None:
    report = FakeReport()
    rows = [["Report of May"], [], [None, "question", "answer"], [None, "q1", "a1"], [None, "q2", "a2"]]
    read_rows = read("spreadsheet", book(tmp_path / "x.xlsx", {"S": rows}), report)
    assert [(row["question"], row["answer"]) for row in read_rows] == [("q1", "a1"), ("q2", "a2")]
    assert any("row 3" in note for note in report.notes)


def test_a_sheet_without_names_is_numbered(tmp_path: Path) -> None:
    path = book(tmp_path / "x.xlsx", {"S": [[1, 2], [3, 4]]})
    assert read("spreadsheet", path) == [{"column_1": 1, "column_2": 2}, {"column_1": 3, "column_2": 4}]
    assert read("spreadsheet", path, header="first") == [{"1": 3, "2": 4}]
    named = book(tmp_path / "y.xlsx", {"S": [["a", "b"], ["c", "d"]]})
    assert len(read("spreadsheet", named, header="none")) == 2 and read("spreadsheet", named) == [{"a": "c", "b": "d"}]


def test_sheets_are_parts(tmp_path: Path) -> None:
    path = book(tmp_path / "x.xlsx", {"Empty": [], "One": [["a"], [1]], "Two": [["b"], [2], [3]]})
    workbook = openpyxl.load_workbook(path)
    workbook["Two"].sheet_state = "hidden"
    workbook.save(path)
    found = parts("spreadsheet", path)
    assert [(part.id, part.rows) for part in found] == [("Empty", 0), ("One", 1), ("Two", 2)]
    assert "hidden" in found[2].detail and "empty" in found[0].detail
    report = FakeReport()
    assert read("spreadsheet", path, report) == [{"a": 1}] and any("“Two”" in note for note in report.notes)
    assert read("spreadsheet", path, part="Two") == [{"b": 2}, {"b": 3}]
    with pytest.raises(UserError, match="no sheet “Tow”"):
        read("spreadsheet", path, part="Tow")


def test_what_a_spreadsheet_hides_is_told(tmp_path: Path) -> None:
    path = book(tmp_path / "x.xlsx", {"S": [["a", "b"], [1, "=A2*2"], [2, "#REF!"], [3, 4]]})
    workbook = openpyxl.load_workbook(path)
    workbook["S"].merge_cells("A6:B6")
    workbook["S"]["A6"] = 5
    workbook.save(path)
    report = FakeReport()
    assert [row["a"] for row in read("spreadsheet", path, report)] == [1, 2, 3, 5]
    notes = " ".join(report.notes)
    assert "1 formula cells have no stored value (the first is B2)" in notes
    assert "1 cells hold an error (the first is B3)" in notes and "1 merged areas" in notes
    assert [(c, r, v) for c, r, _, v in report.flags] == [("b", 2, "#REF!")]


def test_ruined_values_are_flagged(tmp_path: Path) -> None:
    genes = [["gene", "card"], ["BRCA1", 4111111111111110]]
    genes += [["TP53", "5.5E+15"], ["EGFR", 4222222222222220], ["KRAS", None], [DAY, None], ["MYC", None]]
    report = FakeReport()
    rows = read("spreadsheet", book(tmp_path / "x.xlsx", {"S": genes}), report)
    flagged = {(c, r) for c, r, _, _ in report.flags}
    assert flagged == {("card", 1), ("card", 2), ("card", 3), ("gene", 5)}
    assert rows[1]["card"] == "5.5E+15" and rows[0]["card"] == "4111111111111110"


def test_a_lone_date_among_names_is_plain_text_and_flagged(tmp_path: Path) -> None:
    day, moment = datetime.date(2024, 3, 2), datetime.datetime(2024, 3, 2, 12, 30)
    report = FakeReport()
    genes = [["gene", "note"], ["BRCA1", "a"], [day, moment], ["TP53", "b"], ["EGFR", "c"]]
    rows = read("spreadsheet", book(tmp_path / "x.xlsx", {"S": genes}), report)
    assert [row["gene"] for row in rows] == ["BRCA1", "2024-03-02", "TP53", "EGFR"]
    assert rows[1]["note"] == "2024-03-02 12:30:00"
    assert ("gene", 2, "2024-03-02") in [(c, r, v) for c, r, _, v in report.flags]
    assert any("“gene”: 1 date among texts" in note for note in report.notes)


def test_a_few_texts_among_dates_are_no_names(tmp_path: Path) -> None:
    report = FakeReport()
    read("spreadsheet", book(tmp_path / "x.xlsx", {"S": [["due"], ["open"], [DAY], [DAY], ["open"]]}), report)
    assert not report.flags


def test_numbers_of_more_digits_than_a_spreadsheet_keeps_are_flagged(tmp_path: Path) -> None:
    report = FakeReport()
    cards = [["card"], [1234567890123450000], [5500000000000000], [4539578763621490000]]
    read("spreadsheet", book(tmp_path / "x.xlsx", {"S": cards}), report)
    assert [value for _, _, _, value in report.flags] == [
        "1234567890123450000",
        "5500000000000000",
        "4539578763621490000",
    ]


def test_ods(tmp_path: Path) -> None:
    cells = "".join(
        f'<table:table-row><table:table-cell office:value-type="string"><text:p>{a}</text:p></table:table-cell>{b}'
        "</table:table-row>"
        for a, b in [
            ("name", '<table:table-cell office:value-type="string"><text:p>n</text:p></table:table-cell>'),
            ("x", '<table:table-cell office:value-type="float" office:value="3"><text:p>3</text:p></table:table-cell>'),
        ]
    )
    names = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
        for short, long in [("office", "office"), ("table", "table"), ("text", "text")]
    )
    content = (
        f'<?xml version="1.0"?><office:document-content {names}><office:body><office:spreadsheet>'
        f'<table:table table:name="T">{cells}</table:table></office:spreadsheet></office:body></office:document-content>'
    )
    with zipfile.ZipFile(tmp_path / "x.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
    assert read("spreadsheet", tmp_path / "x.ods") == [{"name": "x", "n": 3}]
    assert [part.id for part in parts("spreadsheet", tmp_path / "x.ods")] == ["T"]


def test_many_rows_come_in_batches_and_keep_their_order(tmp_path: Path) -> None:
    rows = [["n", "t"], *[[i, f"text {i}"] for i in range(9_000)]]
    read_rows = read("spreadsheet", book(tmp_path / "x.xlsx", {"S": rows}))
    assert [row["n"] for row in read_rows] == list(range(9_000))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"a,b\n1,2\n", "no spreadsheet"),
        (b"PK\x03\x04" + b"\0" * 200, "cut or damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5_000), "no spreadsheet"),
    ],
)
def test_what_cannot_be_opened_is_a_plain_error(content: bytes, said: str, tmp_path: Path) -> None:
    path = file(tmp_path / "x.xlsx", content)
    for action in (lambda: read("spreadsheet", path), lambda: parts("spreadsheet", path)):
        with pytest.raises(UserError, match=said):
            action()


def test_cut_and_damaged_workbooks_never_raise_anything_else(tmp_path: Path) -> None:
    content = book(tmp_path / "x.xlsx", {"S": [["a", "b"], *[[i, "t"] for i in range(300)]]}).read_bytes()
    for number in range(0, len(content), max(1, len(content) // 60)):
        for damaged in (content[:number], content[:number] + b"\xff\0\xfe" + content[number + 3 :]):
            try:
                read("spreadsheet", file(tmp_path / "y.xlsx", damaged), FakeReport())
            except UserError as error:
                assert error.message


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(80 << 20))
    with pytest.raises(UserError, match="more than a spreadsheet should"):
        read("spreadsheet", tmp_path / "x.xlsx")
