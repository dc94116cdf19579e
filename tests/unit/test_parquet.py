"""Rows on disk: row groups, unifying, order, and what comes back."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmstudio.core.parquet import ROW_GROUP, RowsWriter, Written, count_rows, read_batches


def write(folder: Path, *batches: pa.RecordBatch, **more: int) -> Written:
    with RowsWriter(folder, **more) as writer:  # type: ignore[arg-type]
        for batch in batches:
            writer.write(batch)
        return writer.close()


def rows_of(written: Written) -> list[dict[str, object]]:
    return [row for batch in read_batches(written.files) for row in batch.to_pylist()]


def batch(**columns: object) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def test_row_groups_have_8192_rows_whatever_the_batches_are(tmp_path: Path) -> None:
    sizes = [1, 10_000, 8_191, 3, 30_000]
    start = 0
    parts = []
    for size in sizes:
        parts.append(batch(text=[f"t{i}" for i in range(start, start + size)], row_id=range(start, start + size)))
        start += size
    written = write(tmp_path, *parts)
    meta = pq.read_metadata(written.files[0])
    groups = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    assert groups[:-1] == [ROW_GROUP] * (len(groups) - 1)
    assert written.rows == sum(sizes) == count_rows(written.files)
    assert written.columns[0]["name"] == "row_id"
    ids = [row["row_id"] for row in rows_of(written)]
    assert ids == list(range(start))


def test_row_id_has_statistics_in_every_group(tmp_path: Path) -> None:
    written = write(tmp_path, batch(row_id=range(20_000), text=["x"] * 20_000))
    meta = pq.read_metadata(written.files[0])
    for index in range(meta.num_row_groups):
        statistics = meta.row_group(index).column(0).statistics
        assert (statistics.min, statistics.max) == (index * ROW_GROUP, min((index + 1) * ROW_GROUP, 20_000) - 1)


def test_a_new_file_starts_after_max_rows(tmp_path: Path) -> None:
    parts = [batch(row_id=range(s, s + 8192)) for s in range(0, 5 * 8192, 8192)]
    written = write(tmp_path, *parts, max_rows=2 * 8192)
    assert [count_rows([path]) for path in written.files] == [16_384, 16_384, 8_192]


def test_whole_numbers_become_decimals_and_new_columns_are_null_before(tmp_path: Path) -> None:
    written = write(tmp_path, batch(row_id=[0], n=[1]), batch(row_id=[1], n=[2.5], extra=["x"]))
    assert rows_of(written) == [{"row_id": 0, "n": 1.0, "extra": None}, {"row_id": 1, "n": 2.5, "extra": "x"}]
    assert written.notes == []
    assert len({pq.read_schema(path).to_string(show_schema_metadata=False) for path in written.files}) == 1


def test_what_does_not_go_together_becomes_text_with_a_note(tmp_path: Path) -> None:
    written = write(tmp_path, batch(row_id=[0], n=[1]), batch(row_id=[1], n=["one"]), batch(row_id=[2], n=[{"a": [1]}]))
    assert [row["n"] for row in rows_of(written)] == ["1", "one", '{"a": [1]}']
    assert len(written.notes) == 1 and "“n”" in written.notes[0]


def test_large_whole_numbers_keep_their_digits_next_to_decimals(tmp_path: Path) -> None:
    large = 2**53 + 1
    for folder, order in (("a", [large, 0.5]), ("b", [0.5, large])):
        written = write(tmp_path / folder, *(batch(row_id=[i], n=[v]) for i, v in enumerate(order)))
        assert {str(row["n"]) for row in rows_of(written)} == {str(large), "0.5"}


def test_a_column_without_values_takes_the_type_that_comes_later(tmp_path: Path) -> None:
    written = write(tmp_path, batch(row_id=[0], n=[None], m=[[]]), batch(row_id=[1], n=[7], m=[[1]]))
    assert rows_of(written) == [{"row_id": 0, "n": None, "m": []}, {"row_id": 1, "n": 7, "m": [1]}]


def test_structs_grow_fields(tmp_path: Path) -> None:
    written = write(
        tmp_path, batch(row_id=[0], s=[{"a": 1}]), batch(row_id=[1], s=[{"b": "x"}]), batch(row_id=[2], s=[None])
    )
    assert [row["s"] for row in rows_of(written)] == [{"a": 1, "b": None}, {"a": None, "b": "x"}, None]


def test_leaves_are_encoded_by_their_type_and_read_by_both_engines(tmp_path: Path) -> None:
    rows = [
        {
            "row_id": i,
            "text": None if i % 3 == 0 else f"text é {i}",
            "kind": "abc"[i % 3],
            "turns": None if i % 7 == 0 else [{"content": f"turn {i}", "tokens": i, "tags": [str(i), None]}] * (i % 3),
            "a": {"b": i, "c.d": str(i)},
            "a.b": f"not {i}",  # the path of the field before, another type
            "raw": i.to_bytes(4, "little"),
            "share": i / 3,
        }
        for i in range(9_000)
    ]
    written = write(tmp_path, pa.RecordBatch.from_pylist(rows))
    assert rows_of(written) == rows
    assert duckdb.execute(f"SELECT * FROM '{written.files[0]}' ORDER BY row_id").fetchall() == [
        tuple(row.values()) for row in rows
    ]
    group = pq.read_metadata(written.files[0]).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    how = {column.path_in_schema: set(column.encodings) for column in columns if column.path_in_schema != "a.b"}
    texts, whole = "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BINARY_PACKED"
    assert all(texts in how[path] for path in ("text", "turns.list.element.content", "a.c.d", "raw"))
    assert all(whole in how[path] for path in ("row_id", "turns.list.element.tokens"))
    assert "RLE_DICTIONARY" in how["kind"] and how["share"] & {texts, whole} == set()


def test_an_error_of_the_writing_thread_reaches_the_caller(tmp_path: Path) -> None:
    (tmp_path / "rows-00000.parquet").mkdir()
    with pytest.raises(OSError), RowsWriter(tmp_path) as writer:
        writer.write(batch(row_id=[0]))
        writer.close()


def many(count: int, rows: int = 8_192) -> list[pa.RecordBatch]:
    return [
        batch(row_id=range(start, start + rows), text=[f"row {i}" for i in range(start, start + rows)])
        for start in range(0, count * rows, rows)
    ]


def test_files_that_are_compressed_at_once_hold_the_rows_in_order(tmp_path: Path) -> None:
    written = write(tmp_path, *many(12), file_bytes=300_000)
    assert len(written.files) > 3 and written.files == sorted(written.files)
    assert [row["row_id"] for row in rows_of(written)] == list(range(12 * 8_192)) and written.rows == 12 * 8_192
    groups = [
        pq.read_metadata(path).row_group(i).num_rows
        for path in written.files
        for i in range(pq.read_metadata(path).num_row_groups)
    ]
    assert set(groups) == {ROW_GROUP}


def test_a_column_that_comes_late_is_in_all_files(tmp_path: Path) -> None:
    late = batch(row_id=[8 * 8_192], text=["x"], more=[1.5])
    written = write(tmp_path, *many(8), late, file_bytes=300_000)
    rows = rows_of(written)
    assert len(written.files) > 3 and rows[-1] == {"row_id": 8 * 8_192, "text": "x", "more": 1.5}
    assert all(row["more"] is None for row in rows[:-1])


@pytest.mark.parametrize("number", [0, 2])
def test_an_error_in_one_of_several_files_reaches_the_caller(number: int, tmp_path: Path) -> None:
    (tmp_path / f"rows-{number:05}.parquet").mkdir()
    with pytest.raises(OSError):
        write(tmp_path, *many(30), file_bytes=300_000)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("write rows")]


def test_what_is_given_up_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RowsWriter(tmp_path, file_bytes=300_000) as writer:
        for part in many(6):
            writer.write(part)
        raise KeyError
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("write rows")]


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**62), 2**62), st.text(max_size=5), st.lists(st.integers(0, 9), max_size=3)
)


@settings(max_examples=40)
@given(columns=st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=5))
def test_any_order_of_types_keeps_every_row_and_every_null(
    tmp_path_factory: pytest.TempPathFactory, columns: list[list[object]]
) -> None:
    parts, expected = [], []
    for values in columns:
        kind = type(next((v for v in values if v is not None), None))
        same = [v if type(v) is kind else None for v in values]
        parts.append(batch(row_id=range(len(expected), len(expected) + len(same)), v=same))
        expected += same
    written = write(tmp_path_factory.mktemp("p"), *parts)
    read = [row["v"] for row in rows_of(written)]
    assert [v is None for v in read] == [v is None for v in expected]
    for got, put in zip(read, expected, strict=True):
        if isinstance(put, str):
            assert got == put  # text is never changed
        elif isinstance(put, int) and not isinstance(put, bool):
            assert str(got) == str(put)  # nor is any digit lost


@pytest.mark.parametrize("values", [({}, {"a": 1}), ([{}], [{"a": 1}]), ({"x": {}}, {"x": {"a": 1}}), (None, {"a": 1})])
def test_objects_without_fields_come_before_those_with_fields(tmp_path: Path, values: tuple[Any, Any]) -> None:
    later = batch(row_id=[2], meta=[values[1]])
    written = write(tmp_path, batch(row_id=[0, 1], meta=[values[0], None]), later, max_rows=1)
    rows = [row["meta"] for row in rows_of(written)]
    assert rows[1:] == [None, values[1]]
    assert json.dumps(rows[0]).replace('"a": null', "") == json.dumps(values[0])
