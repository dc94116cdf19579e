"""Arrow, Feather, Parquet folders and datasets saved to disk: whole, of many types, cut and damaged."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeReport
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.importing import candidates
from tests.plugins.reading import file, parts, read

TABLE = pa.table({"n": list(range(10_000)), "t": [f"row {i}" * 5 for i in range(10_000)]})


def write_ipc(path: Path, table: pa.Table, *, stream: bool, rows: int = 1_000) -> Path:
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with path.open("wb") as out, make(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


@pytest.mark.parametrize("stream", [False, True])
def test_arrow_of_both_kinds(stream: bool, tmp_path: Path) -> None:
    path = write_ipc(tmp_path / "x.arrow", TABLE, stream=stream)
    assert candidates(path, PluginManager())[0].id == "arrow"
    assert read("arrow", path) == TABLE.to_pylist()


@pytest.mark.parametrize("compression", ["zstd", "lz4", "uncompressed"])
def test_feather(compression: str, tmp_path: Path) -> None:
    pyarrow.feather.write_feather(TABLE, tmp_path / "x.feather", compression=compression)
    assert read("arrow", tmp_path / "x.feather") == TABLE.to_pylist()


@pytest.mark.parametrize("stream", [False, True])
def test_arrow_that_is_cut_gives_its_whole_batches(stream: bool, tmp_path: Path) -> None:
    content = write_ipc(tmp_path / "x.arrow", TABLE, stream=stream).read_bytes()
    report = FakeReport()
    rows = read("arrow", file(tmp_path / "y.arrow", content[: len(content) * 6 // 10]), report)
    assert 1_000 <= len(rows) < 10_000 and rows == TABLE.to_pylist()[: len(rows)]
    assert f"After row {len(rows)}" in report.rejects[0].reason and report.rejects[0].byte


def test_arrow_with_offsets_that_lie_costs_its_batch(tmp_path: Path) -> None:
    content = bytearray(write_ipc(tmp_path / "x.arrow", TABLE, stream=False).read_bytes())
    place = content.index(b"row 3000row 3000") - 40
    content[place - 2_000 : place] = b"\xff" * 2_000
    report = FakeReport()
    rows = read("arrow", file(tmp_path / "y.arrow", bytes(content)), report)
    assert len(rows) in (9_000, 10_000) and len(rows) + 1_000 * len(report.rejects) == 10_000


@pytest.mark.parametrize("content", [b"ARROW1\0\0", b"ARROW1\0\0" + b"\xff" * 500, b"nothing of the kind" * 9])
def test_what_is_no_arrow_file_is_a_plain_error(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no Arrow file"):
        read("arrow", file(tmp_path / "x.arrow", content))


def test_types_of_other_programs_become_plain_ones(tmp_path: Path) -> None:
    seconds = datetime.timedelta(seconds=90)
    table = pa.table(
        {
            "dictionary": pa.array(["a", "b"]).dictionary_encode(),
            "large": pa.array(["x", None], pa.large_string()),
            "view": pa.array(["x", "y"], pa.string_view()),
            "fixed": pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
            "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
            "half": pa.array([1.5, None], pa.float16()),
            "duration": pa.array([seconds, None], pa.duration("s")),
            "nested": pa.array([[{"d": seconds}], None], pa.list_(pa.struct([("d", pa.duration("s"))]))),
            "views": pa.array([["a"], ["b", "c"]], pa.list_view(pa.string())),
            "nothing": pa.nulls(2),
        }
    )
    rows = read("arrow", write_ipc(tmp_path / "x.arrow", table, stream=False))
    assert rows[0] == {
        "dictionary": "a", "large": "x", "view": "x", "fixed": [1, 2], "map": [{"key": "k", "value": 1}], "half": 1.5,
        "duration": "00:01:30", "nested": [{"d": "00:01:30"}], "views": ["a"], "nothing": None,
    }  # fmt: skip
    assert rows[1]["views"] == ["b", "c"] and rows[1]["fixed"] is None and rows[1]["nested"] is None


def test_two_fields_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    pair = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    path = write_ipc(tmp_path / "x.arrow", pa.table({"s": pair}), stream=False)
    assert read("arrow", path) == [{"s": {"x": 1, "x_2": 2}}]


def test_intervals_are_written_as_sql_does(tmp_path: Path) -> None:
    moments = [(0, 1, 7_200_000_000_000), (14, -3, 0), (0, 0, -90_500_000_000), (-13, 2, 1), (0, 0, 0), None]
    table = pa.table({"i": pa.array(moments, pa.month_day_nano_interval())})
    assert [row["i"] for row in read("arrow", write_ipc(tmp_path / "x.arrow", table, stream=False))] == [
        "1 day 02:00:00",
        "1 year 2 months -3 days",
        "-00:01:30.5",
        "-1 year -1 month 2 days 00:00:00.000000001",
        "00:00:00",
        None,
    ]


def test_a_folder_of_parquet_files_is_one_table(tmp_path: Path) -> None:
    for year in ("2023", "2024"):
        folder = tmp_path / "data" / f"year={year}"
        folder.mkdir(parents=True)
        for number in range(2):
            pq.write_table(TABLE.slice(number * 10, 10), folder / f"part-{number}.parquet")
    file(tmp_path / "data" / "_SUCCESS", "")
    assert candidates(tmp_path / "data", PluginManager())[0].id == "parquet"
    rows = read("parquet", tmp_path / "data")
    assert [row["year"] for row in rows] == ["2023"] * 20 + ["2024"] * 20 and rows[0]["n"] == 0


def test_a_damaged_part_file_costs_itself(tmp_path: Path) -> None:
    for number in range(3):
        pq.write_table(TABLE.slice(number * 10, 10), tmp_path / f"part-{number}.parquet")
    path = tmp_path / "part-1.parquet"
    path.write_bytes(path.read_bytes()[:100])
    report = FakeReport()
    assert [row["n"] for row in read("parquet", tmp_path, report)] == [*range(10), *range(20, 30)]
    assert "part-1.parquet" in report.rejects[0].reason
    with pytest.raises(UserError, match="no Parquet file"):
        (tmp_path / "empty").mkdir()
        read("parquet", tmp_path / "empty")


def test_a_damaged_row_group_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(TABLE, path, row_group_size=1_000, compression="zstd", use_dictionary=False)
    at = pq.read_metadata(path).row_group(4).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[at : at + 300] = b"\xff" * 300
    report = FakeReport()
    rows = read("parquet", file(tmp_path / "y.parquet", bytes(content)), report)
    assert [row["n"] for row in rows] == [*range(4_000), *range(5_000, 10_000)]
    assert "Rows 4001 to 5000" in report.rejects[0].reason


# Datasets saved to disk


FEATURES = {
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["bad", "good"], "_type": "ClassLabel"},
    "tags": {"feature": {"names": ["x", "y"], "_type": "ClassLabel"}, "_type": "List"},
}


def saved(folder: Path, rows: int, features: dict[str, Any] | None = None) -> Path:
    """A dataset as save_to_disk writes it."""
    folder.mkdir(parents=True)
    table = pa.table(
        {"text": [f"t{i}" for i in range(rows)], "label": [i % 3 - 1 for i in range(rows)], "tags": [[0, 1]] * rows}
    )
    write_ipc(folder / "data-00000-of-00001.arrow", table, stream=True)
    file(folder / "state.json", json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    info = {"features": features or FEATURES, "splits": {folder.name: {"num_examples": rows}}}
    file(folder / "dataset_info.json", json.dumps(info))
    return folder


def test_a_saved_dataset_has_names_for_its_classes(tmp_path: Path) -> None:
    path = saved(tmp_path / "train", 4)
    assert candidates(path, PluginManager())[0].id == "hf_dataset"
    rows = read("hf_dataset", path)
    assert [row["label"] for row in rows] == [None, "bad", "good", None]
    assert rows[0]["tags"] == ["x", "y"] and "split" not in rows[0]


def test_a_dataset_dict_has_its_splits_as_parts(tmp_path: Path) -> None:
    saved(tmp_path / "train", 4)
    saved(tmp_path / "test", 2)
    file(tmp_path / "dataset_dict.json", json.dumps({"splits": ["train", "test"]}))
    assert candidates(tmp_path, PluginManager())[0].id == "hf_dataset"
    assert [(part.id, part.rows) for part in parts("hf_dataset", tmp_path)] == [("train", 4), ("test", 2)]
    assert [row["split"] for row in read("hf_dataset", tmp_path)] == ["train"] * 4 + ["test"] * 2
    assert len(read("hf_dataset", tmp_path, part="test")) == 2
    with pytest.raises(UserError, match="no split “dev”"):
        read("hf_dataset", tmp_path, part="dev")


def test_a_saved_dataset_cannot_point_out_of_its_folder(tmp_path: Path) -> None:
    secret = write_ipc(tmp_path / "secret.arrow", TABLE, stream=True)
    path = saved(tmp_path / "train", 1)
    file(path / "state.json", json.dumps({"_data_files": [{"filename": "../secret.arrow"}, {"filename": str(secret)}]}))
    with pytest.raises(UserError, match="names no Arrow files"):
        read("hf_dataset", path)
    (path / "state.json").unlink()
    (path / "data-00000-of-00001.arrow").unlink()
    (path / "link.arrow").symlink_to(secret)
    with pytest.raises(UserError, match="names no Arrow files"):
        read("hf_dataset", path)


def test_a_real_saved_dataset(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "a": datasets.Value("int64"),
            "c": datasets.ClassLabel(names=["no", "yes"]),
            "m": [{"role": datasets.Value("string")}],
        }
    )
    rows = {"a": [1, 2], "c": [0, 1], "m": [[{"role": "user"}], []]}
    dataset = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": dataset, "test": dataset}).save_to_disk(str(tmp_path / "d"))
    assert [part.id for part in parts("hf_dataset", tmp_path / "d")] == ["train", "test"]
    assert read("hf_dataset", tmp_path / "d", part="train") == [
        {"a": 1, "c": "no", "m": [{"role": "user"}]},
        {"a": 2, "c": "yes", "m": []},
    ]


def test_lengths_of_time_are_written_as_intervals_in_every_unit() -> None:
    from fmstudio_formats.arrow_plain import plain_array

    for unit, factor in (("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000)):
        counts = [93_784 * factor, -5 * factor, -90_000 * factor, 0, None]
        texts = plain_array(pa.array(counts, pa.duration(unit))).to_pylist()
        assert texts == ["1 day 02:03:04", "-00:00:05", "-1 day -01:00:00", "00:00:00", None]
    assert plain_array(pa.array([1_500_000_001], pa.duration("ns"))).to_pylist() == ["00:00:01.500000001"]


def test_values_of_a_union_are_written_as_json() -> None:
    from fmstudio_formats.arrow_plain import plain_array

    kinds = pa.array([0, 1, 2, 0], pa.int8())
    children = [pa.array(["a", None, None, "b"]), pa.array([None, True, None, None]), pa.array([{}, {}, {"x": 1}, {}])]
    assert plain_array(pa.UnionArray.from_sparse(kinds, children)).to_pylist() == ["a", "true", '{"x": 1}', "b"]


def test_files_of_several_splits_say_which_a_row_is_of(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        pq.write_table(pa.table({"a": [1]}), folder / f"{name}.parquet")
    assert [row["split"] for row in read("parquet", tmp_path)] == ["test", "train", "train"]
    (folder / "test-00000-of-00001.parquet").unlink()
    assert read("parquet", tmp_path) == [{"a": 1}, {"a": 1}], "of one split nothing has to be said"


def test_folders_of_splits_say_which_a_row_is_of_and_other_names_say_nothing(tmp_path: Path) -> None:
    for name in ("default/train/0000", "default/validation/0000", "trainer/0000"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"a": [1]}), tmp_path / f"{name}.parquet")
    assert [row.get("split") for row in read("parquet", tmp_path)] == ["train", "validation", None]


def test_class_numbers_of_hugging_face_become_their_names(tmp_path: Path) -> None:
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}, "n": {"dtype": "int64", "_type": "Value"}}
    written = json.dumps({"info": {"features": features}})
    table = pa.table({"label": [0, 1, -1], "n": [0, 1, 2]})
    pq.write_table(table.replace_schema_metadata({"huggingface": written}), tmp_path / "x.parquet")
    assert [row["label"] for row in read("parquet", tmp_path / "x.parquet")] == ["neg", "pos", None]
    pq.write_table(table.replace_schema_metadata({"huggingface": "ClassLabel {"}), tmp_path / "y.parquet")
    assert [row["label"] for row in read("parquet", tmp_path / "y.parquet")] == [0, 1, -1]
