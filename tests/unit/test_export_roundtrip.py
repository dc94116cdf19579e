"""Out and in again: any table that is exported and imported by the app's own importers is the table it was.

JSON Lines, Parquet and Arrow are exact. CSV and Excel are as documented: null and empty text are one, nested values are
JSON text, and what a cell cannot hold is refused.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fmstudio.api import UserError
from fmstudio.api.testing import FakeContext
from fmstudio.core.parquet import read_batches
from fmstudio.worker.tasks import import_dataset
from tests.plugins.export_kit import export, plugins

MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        "",
        " ",
        "NaN",
        "null",
        "007",
        "1e400",
        "=1+1",
        "\r",
        "\r\n",
        "\u2028",
        "a\x85b",
        "_x0041_",
        '"',
        ",",
        "\ufeff",
        "[]",
        "\x1a",
    ]
)
WHOLE = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, -1, 2**53 + 1, 10**15, 2**63 - 1, -(2**63)])
SHARE = st.floats(width=64)
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (pa.string(), TEXT),
    "whole": (pa.int64(), WHOLE),
    "share": (pa.float64(), SHARE),
    "yes": (pa.bool_(), st.booleans()),
    # Lists of several nulls and nothing else are left out: pyarrow 26.0.1 reads them from JSON as a broken array.
    "texts": (pa.list_(pa.string()), st.lists(st.none() | TEXT, max_size=3)),
    "wholes": (pa.list_(pa.list_(pa.int64())), st.lists(st.lists(WHOLE, max_size=2), max_size=2)),
    "struct": (
        pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]),
        st.fixed_dictionaries({"a": st.none() | WHOLE, "b": st.none() | st.lists(TEXT, max_size=2)}),
    ),
}


@st.composite
def tables(draw: st.DrawFn, *names: str, kinds: dict[str, Any] = COLUMNS) -> pa.RecordBatch:
    """One to six rows of some of these columns, with nulls."""
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
    rows = draw(st.integers(1, 6))
    arrays = []
    for name in chosen:
        kind, values = kinds[name]
        arrays.append(pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), kind))
    return pa.RecordBatch.from_arrays(arrays, names=[f"c_{name}" for name in chosen])


def there_and_back(
    exporter: str, batch: pa.RecordBatch, importer_params: dict[str, Any] | None = None, **params: Any
) -> Any:
    """Export a batch, import the file and give its columns (empty where no row was left)."""
    folder = Path(tempfile.mkdtemp())
    try:
        path, _ = export(folder, exporter, batch, **params)
        ctx = FakeContext(folder / "import")
        wanted = {"files": [str(path)], "mapping": {"kind": "table"}, "importer_params": importer_params or {}}
        result = import_dataset.run(wanted, ctx, plugins())  # type: ignore[arg-type]
        assert result["rejected"] == 0
        files = [ctx.out_dir / name for name in result["files"]]
        rows = [row for some in read_batches(files) for row in some.to_pylist()]
        return [{name: value for name, value in row.items() if name != "row_id"} for row in rows]
    finally:
        shutil.rmtree(folder)


def same(one: Any, other: Any) -> bool:
    """Equal, where NaN equals NaN; a whole float equals its integer, as JSON has one kind of number."""
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return all(same(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    return type(one) in (type(other), int, float) and bool(one == other)


@MANY
@given(tables(*COLUMNS))
@pytest.mark.parametrize("exporter", ["parquet", "arrow"])
def test_columnar_files_are_exact(exporter: str, batch: pa.RecordBatch) -> None:
    back = there_and_back(exporter, batch)
    assert same(back, batch.to_pylist()), back


@MANY
@given(tables(*COLUMNS))
def test_json_lines_are_exact(batch: pa.RecordBatch) -> None:
    back = there_and_back("jsonl", batch)
    assert same(back, batch.to_pylist()), back


def as_cell(value: Any) -> Any:
    """What a cell of CSV says of a value."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(repr(value), repr(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


@MANY
@given(tables(*COLUMNS))
@pytest.mark.parametrize("exporter", ["csv", "tsv"])
def test_cells_of_csv_come_back_letter_by_letter(exporter: str, batch: pa.RecordBatch) -> None:
    back = there_and_back(exporter, batch, {"types": "text"})
    expected = [{name: as_cell(value) for name, value in row.items()} for row in batch.to_pylist()]
    assert [{name: value or "" for name, value in row.items()} for row in back] == expected


@MANY
@given(tables("text", "whole", "yes"))
def test_excel_keeps_texts_and_numbers(batch: pa.RecordBatch) -> None:
    # A row without any value is none to a spreadsheet.
    full = [row for row in batch.to_pylist() if any(value not in (None, "") for value in row.values())]
    assume(full)
    back = there_and_back("xlsx", batch)
    assert [{n: str(v) if v not in (None, "") else "" for n, v in row.items()} for row in back] == [
        {n: str(v) if v not in (None, "") else "" for n, v in row.items()} for row in full
    ]


def test_a_text_longer_than_a_cell_is_refused() -> None:
    with pytest.raises(UserError, match="32,767"):
        there_and_back("xlsx", pa.RecordBatch.from_pydict({"c_text": ["x" * 32_768]}))
