"""Exporters of tables and text: what stands in the files, read by other programs where they are at hand."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import math
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmstudio.api import DatasetFacts, UserError
from tests.plugins.export_kit import chats, everything, export, lines, turns


def table(**columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def test_json_lines_hold_every_type(tmp_path: Path) -> None:
    path, report = export(tmp_path, "jsonl", everything())
    first, second, third, _ = lines(path)
    assert first["whole"] == 1 and second["whole"] == -(2**63) and third["whole"] == 2**63 - 1
    assert math.isnan(second["share"]) and third["share"] == -math.inf
    assert first["list"] == ["x", None] and second["list"] == [] and third["struct"] is None
    assert (first["when"], first["day"]) == ("2024-02-29T12:30:00.250000", "2024-02-29")
    assert (first["exact"], first["raw"]) == ("1.10", "AP8=")
    assert any("2 numbers are not finite" in note for note in report.notes)
    strict, _ = export(tmp_path, "jsonl", everything(), name="strict.jsonl", not_numbers="null", skip_nulls=True)
    assert "NaN" not in strict.read_text() and "share" not in lines(strict)[1]


def test_json_is_one_array_even_without_rows(tmp_path: Path) -> None:
    path, _ = export(tmp_path, "json", table(a=[1, 2]))
    assert json.loads(path.read_text()) == [{"a": 1}, {"a": 2}]
    path, _ = export(tmp_path, "json", table(a=[1]).slice(0, 0), name="none.json")
    assert json.loads(path.read_text()) == []


def test_a_name_that_ends_in_gz_is_compressed_and_always_the_same(tmp_path: Path) -> None:
    made = [export(tmp_path, "jsonl", table(a=["x"] * 99), name=f"{n}.jsonl.gz")[0].read_bytes() for n in "ab"]
    assert made[0] == made[1]
    assert gzip.decompress(made[0]).count(b"\n") == 99


def test_csv_is_read_back_by_duckdb_with_null_apart_from_empty(tmp_path: Path) -> None:
    texts = ["a,b", 'say "hi"', "two\nlines", "", None, " spaces ", "tab\there", "cr\rhere"]
    path, _ = export(tmp_path, "csv", table(text=texts, n=list(range(8))))
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT text, n FROM read_csv('{path}', allow_quoted_nulls=false) ORDER BY n"
        ).fetchall()
    assert [row[0] for row in found] == texts


def test_csv_of_one_column_keeps_rows_without_a_value(tmp_path: Path) -> None:
    path, _ = export(tmp_path, "csv", table(text=["a", None, "b"]))
    assert path.read_text() == 'text\na\n""\nb\n'


def test_csv_says_what_it_writes_in_another_form(tmp_path: Path) -> None:
    path, report = export(tmp_path, "csv", everything())
    assert any("JSON text: list, struct" in note for note in report.notes)
    assert any("“whole” holds whole numbers of more than 15 digits" in note for note in report.notes)
    assert '"[""x"", null]"' in path.read_text("utf-8")


def test_formulas_are_disarmed_only_when_asked(tmp_path: Path) -> None:
    batch = table(text=["=1+1", "+1", "-1", "@x", "fine", "1-1"], n=[-1, 2, 3, 4, 5, 6])
    plain, _ = export(tmp_path, "csv", batch)
    assert plain.read_text().splitlines()[1] == "=1+1,-1"
    path, report = export(tmp_path, "csv", batch, name="safe.csv", escape_formulas=True, byte_order_mark=True)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert [line.split(",")[0] for line in path.read_text("utf-8-sig").splitlines()[1:]] == [
        "'=1+1", "'+1", "'-1", "'@x", "fine", "1-1",
    ]  # fmt: skip
    assert any("apostrophe" in note for note in report.notes)


def test_tsv_and_semicolons(tmp_path: Path) -> None:
    path, _ = export(tmp_path, "tsv", table(a=["x\ty", "z"], b=[True, None]))
    assert path.read_text() == 'a\tb\n"x\ty"\ttrue\nz\t\n'
    path, _ = export(tmp_path, "csv", table(a=["x;y"], b=[1.5]), delimiter="semicolon", null_text="\\N")
    assert path.read_text() == 'a;b\n"x;y";1.5\n'


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "none"])
def test_parquet_keeps_types_and_batches_become_row_groups(tmp_path: Path, compression: str) -> None:
    batch = everything()
    path, _ = export(tmp_path, "parquet", *[batch] * 600, compression=compression, row_group=1024)
    with pq.ParquetFile(path) as file:
        assert (file.metadata.num_rows, file.metadata.row_group(0).num_rows) == (2400, 1024)
        assert file.schema_arrow.equals(batch.schema)
        assert file.metadata.row_group(0).column(0).compression == {"none": "UNCOMPRESSED"}.get(
            compression, compression.upper()
        )


def test_arrow_is_read_by_polars_and_mapped(tmp_path: Path) -> None:
    path, _ = export(tmp_path, "arrow", everything(), everything())
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        assert reader.read_all().num_rows == 8 and reader.schema.equals(everything().schema)
    assert polars.read_ipc(path).height == 8


def cells(path: Path) -> list[list[list[Any]]]:
    book = openpyxl.load_workbook(path)
    return [[[cell.value for cell in row] for row in sheet.iter_rows()] for sheet in book.worksheets]


def test_excel_holds_text_as_text_and_long_numbers_too(tmp_path: Path) -> None:
    strange = ["=1+1", "#N/A", "\x1b[0m", "_x0041_", "a\r\nb", "  x ", "👩‍👩‍👧", "\ufeff"]
    path, report = export(tmp_path, "xlsx", table(text=strange, n=[10**15, 10**15 - 1, 1, 2, 3, 4, 5, 6]))
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    assert (sheet.title, sheet.freeze_panes, sheet["A1"].font.bold) == ("Data", "A2", True)
    assert sheet["A2"].value == "=1+1" and sheet["A2"].data_type == "s"
    assert sheet["A3"].value == "#N/A" and sheet["A3"].data_type == "s"
    assert [sheet["B2"].value, sheet["B3"].value] == ["1000000000000000", 10**15 - 1]
    assert any("more than 15 digits" in note for note in report.notes)
    from python_calamine import CalamineWorkbook

    rows = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    assert [row[0] for row in rows[1:]] == strange


def test_excel_has_dates_where_excel_has_them(tmp_path: Path) -> None:
    found = cells(export(tmp_path, "xlsx", everything())[0])[0]
    row, old = dict(zip(found[0], found[1], strict=True)), dict(zip(found[0], found[3], strict=True))
    assert row["when"] == dt.datetime(2024, 2, 29, 12, 30, 0, 250000)
    assert row["day"] in (dt.datetime(2024, 2, 29), dt.date(2024, 2, 29))
    assert (old["when"], old["day"]) == ("1815-06-18T00:00:00.000000", "1815-06-18")


def test_dates_beyond_the_calendar_are_written_and_stop_no_export(tmp_path: Path) -> None:
    far = table(
        day=pa.array([-(2**31) + 1, 2_932_897, 0, None], pa.int32()).cast(pa.date32()),
        at=pa.array([2**63 - 1, -(2**62), 0, None], pa.int64()).cast(pa.timestamp("us")),
        here=pa.array([2**63 - 1, 0, 0, None], pa.int64()).cast(pa.timestamp("us", "UTC")),
    )
    days = ["-5877641-06-24", "10000-01-01", "1970-01-01"]
    times = ["294247-01-10T04:00:54.775807", "-144169-06-28T09:59:32.612096"]
    rows = lines(export(tmp_path, "jsonl", far)[0])
    assert [row["day"] for row in rows] == [*days, None]
    assert [row["at"] for row in rows[:2]] == times and rows[3]["at"] is None
    assert rows[0]["here"] == f"{times[0]}Z" and rows[2]["here"].startswith("1970-01-01T00:00:00")
    assert export(tmp_path, "csv", far)[0].read_text().splitlines()[2].startswith("10000-01-01,")
    found = cells(export(tmp_path, "xlsx", far)[0])[0]
    assert [row[0] for row in found[1:4]] == [*days[:2], dt.datetime(1970, 1, 1)] and found[1][1] == times[0]


def test_excel_keeps_all_digits_of_a_number(tmp_path: Path) -> None:
    shares = [1 / 3, 4 / 3, 0.1 + 0.2, 1e-300 / 3, 2.5, -5e-324]
    path, _ = export(tmp_path, "xlsx", table(share=shares))
    assert [row[0] for row in cells(path)[0][1:]] == shares


def test_maps_are_objects(tmp_path: Path) -> None:
    day = dt.date(2024, 2, 29)
    maps = table(
        by_text=pa.array([[("a", day), ("b", None)], [], None, [("c", day)]], pa.map_(pa.string(), pa.date32())),
        by_number=pa.array([[(1, [0.5])], None, [(2, None), (3, [])], []], pa.map_(pa.int64(), pa.list_(pa.float64()))),
        by_day=pa.array([[(day, 1)], None, None, None], pa.map_(pa.date32(), pa.int8())),
        inside=pa.array([[[(True, b"\x00")]], [], None, [None]], pa.list_(pa.map_(pa.bool_(), pa.binary()))),
    ).slice(0, 4)  # fmt: skip
    rows = lines(export(tmp_path, "jsonl", maps)[0])
    assert [row["by_text"] for row in rows] == [{"a": "2024-02-29", "b": None}, {}, None, {"c": "2024-02-29"}]
    assert [row["by_number"] for row in rows] == [{"1": [0.5]}, None, {"2": None, "3": []}, {}]
    assert rows[0]["by_day"] == {"2024-02-29": 1}
    assert [row["inside"] for row in rows] == [[{"true": "AA=="}], [], None, [None]]
    part = maps.slice(2, 2)
    assert lines(export(tmp_path, "jsonl", part, name="part.jsonl")[0]) == rows[2:]
    assert export(tmp_path, "csv", maps)[0].read_text().splitlines()[1].startswith('"{""a"": ""2024-02-29"", ')
    assert cells(export(tmp_path, "xlsx", maps)[0])[0][1][1] == '{"1": [0.5]}'


def test_excel_goes_on_on_further_sheets(tmp_path: Path) -> None:
    path, report = export(tmp_path, "xlsx", table(a=list(range(5))), rows_in_sheet=2, sheet="a/b:c")
    assert [sheet.title for sheet in openpyxl.load_workbook(path).worksheets] == ["a b c", "a b c 2", "a b c 3"]
    assert cells(path) == [[["a"], [0], [1]], [["a"], [2], [3]], [["a"], [4]]]
    assert any("further sheets" in note for note in report.notes)


def test_excel_never_cuts_in_silence(tmp_path: Path) -> None:
    batch = table(text=["short", "é" * 32_767, "👩" * 16_384])
    with pytest.raises(UserError, match="Row 3, column “text” has 16,384 characters"):
        export(tmp_path, "xlsx", batch)
    path, report = export(tmp_path, "xlsx", batch, name="cut.xlsx", long_texts="cut")
    written = [row[0] for row in cells(path)[0][1:]]
    assert written[1] == "é" * 32_767
    assert len(written[2].encode("utf-16-le")) // 2 <= 32_767 and set(written[2]) == {"👩"}
    assert any(note.startswith("1 texts in “text”") for note in report.notes)


def test_excel_refuses_too_many_columns(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="16,384 columns"):
        export(tmp_path, "xlsx", table(**{f"c{i}": [1] for i in range(16_385)}))


def test_text_joins_rows_or_makes_files(tmp_path: Path) -> None:
    path, _ = export(tmp_path, "text", table(text=["one", "two"]), separator="\\n---\\n")
    assert path.read_text() == "one\n---\ntwo\n"
    names = ["a/b", "..", "A/B", "", None, "con", "x" * 300]
    batch = table(text=[f"t{i}" for i in range(7)], name=names)
    folder, _ = export(tmp_path, "text", batch, name="files", layout="files", name_column="name")
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found.pop("x" * 120 + ".txt") == "t6"
    assert found == {
        "a_b.txt": "t0", "000001.txt": "t1", "A_B-000002.txt": "t2", "000003.txt": "t3", "000004.txt": "t4", "_con.txt": "t5",
    }  # fmt: skip


def test_many_text_files_go_to_several_folders(tmp_path: Path) -> None:
    facts = DatasetFacts("D", rows=20_000)
    folder, _ = export(tmp_path, "text", table(text=["x"] * 3), name="files", layout="files", facts=facts)
    assert min(path.relative_to(folder).as_posix() for path in folder.rglob("*.txt")) == "0000/000000.txt"


def test_text_of_a_conversation_is_its_messages(tmp_path: Path) -> None:
    path, _ = export(tmp_path, "text", chats(turns("hi", "hello")))
    assert path.read_text() == "hi\nhello\n"
    with pytest.raises(UserError, match="no column “body”"):
        export(tmp_path, "text", chats(turns("hi")), name="n.txt", column="body")


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "xlsx"])
def test_what_is_never_gzip_is_not_named_so(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UserError, match="would not be compressed") as caught:
        export(tmp_path, suffix, everything(), name=f"rows.{suffix}.GZ")
    assert caught.value.remedy and not list(tmp_path.iterdir())
