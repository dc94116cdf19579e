"""The rows of an export: edits in place, filter on what the user sees, columns, ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmstudio.api import UserError
from fmstudio.project.export_rows import ExportRows
from fmstudio.worker.export_extras import RowIds


def write(folder: Path, name: str, **columns: Any) -> Path:
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Ids 0, 2, … 10 in two files; the second has a column more."""
    first = write(tmp_path, "rows-00000", row_id=[0, 2, 4], text=["a", "b", "c"])
    return [first, write(tmp_path, "rows-00001", row_id=[6, 8, 10], text=["d", "e", "f"], n=[1, 2, 3])]


@pytest.fixture
def edits(tmp_path: Path) -> dict[str, Path]:
    """Row 4 edited, row 12 added, rows 0 and 8 deleted; a column of tags."""
    rows = write(tmp_path, "edited", row_id=[4, 12], text=["C!", "new"], n=[None, 9], tags=[["x"], None])
    return {"rows": rows, "deleted": write(tmp_path, "deleted", row_id=pa.array([0, 8], pa.int64()))}


def read(tmp_path: Path, files: list[Path], **more: Any) -> tuple[list[int], list[dict[str, Any]], int]:
    rows = ExportRows(files, folder=tmp_path, workdir=tmp_path, **more)
    ids: list[int] = []
    found: list[dict[str, Any]] = []
    for some, batch in rows.batches():
        assert batch.schema.equals(rows.schema) and batch.num_rows
        ids += some.to_pylist()
        found += batch.to_pylist()
    return ids, found, rows.count()


def test_all_rows_without_their_ids(tmp_path: Path, files: list[Path]) -> None:
    ids, rows, count = read(tmp_path, files)
    assert (ids, count) == ([0, 2, 4, 6, 8, 10], 6)
    assert rows[0] == {"text": "a", "n": None} and rows[3] == {"text": "d", "n": 1}


def test_edits_stand_in_their_places(tmp_path: Path, files: list[Path], edits: dict[str, Path]) -> None:
    ids, rows, count = read(tmp_path, files, **edits)
    assert (ids, count) == ([2, 4, 6, 10, 12], 5)
    assert rows[1] == {"text": "C!", "n": None, "tags": ["x"]}
    assert rows[-1] == {"text": "new", "n": 9, "tags": None}


def test_the_filter_sees_the_edits(tmp_path: Path, files: list[Path], edits: dict[str, Path]) -> None:
    assert read(tmp_path, files, where="text = 'c'", **edits)[0::2] == ([], 0)
    assert read(tmp_path, files, where="tags IS NOT NULL OR n > 2", **edits)[0::2] == ([4, 10, 12], 3)
    assert read(tmp_path, files, where="text IN ('a', 'f')")[0] == [0, 10]


def test_columns_are_chosen_in_order(tmp_path: Path, files: list[Path], edits: dict[str, Path]) -> None:
    _, rows, _ = read(tmp_path, files, columns=["tags", "text"], with_row_id=True, **edits)
    assert list(rows[0]) == ["row_id", "tags", "text"] and rows[0]["row_id"] == 2
    with pytest.raises(UserError, match="no column “texd”") as caught:
        read(tmp_path, files, columns=["texd"])
    assert "Did you mean “text”" in caught.value.remedy


@pytest.mark.parametrize(
    "where", ["text = ", "no_such = 1", "1=1; DROP TABLE x", "text = (SELECT content FROM read_text('/etc/hostname'))"]
)
def test_a_filter_that_is_wrong_or_reaches_out_is_refused(tmp_path: Path, files: list[Path], where: str) -> None:
    with pytest.raises(UserError):
        read(tmp_path, files, where=where)


def test_a_wrong_filter_is_told_with_the_columns_there_are(tmp_path: Path, files: list[Path]) -> None:
    with pytest.raises(UserError, match="This filter cannot be run: Referenced column") as caught:
        read(tmp_path, files, where="texd = 'a'")
    assert "Error:" not in caught.value.message and "Did you mean “text”" in caught.value.remedy


def test_types_stay_as_they_are_stored(tmp_path: Path) -> None:
    kinds = {"a": pa.int8(), "b": pa.timestamp("ns", "UTC"), "c": pa.list_(pa.int32()), "d": pa.decimal128(5, 2)}
    columns = {name: pa.nulls(2, kind) for name, kind in kinds.items()}
    path = write(tmp_path, "rows-00000", row_id=[0, 1], **columns)
    rows = ExportRows([path], where="a IS NULL", folder=tmp_path, workdir=tmp_path)
    assert {field.name: field.type for field in rows.schema} == kinds


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=9), max_size=6), st.sets(st.integers(0, 30)))
def test_ids_are_found_by_position_and_told_in_stretches(parts: list[list[int]], without: set[int]) -> None:
    import numpy as np

    ids, expected, first = RowIds(), [], 0
    for part in parts:
        step = sorted({first + value for value in part})
        ids.append(np.array(step, np.int64))
        expected += step
        first = step[-1] + 1
    assert [ids[i] for i in range(ids.count)] == expected
    kept = [value for place, value in enumerate(expected) if place not in without]
    assert [value for low, high in ids.runs(without) for value in range(low, high + 1)] == kept
