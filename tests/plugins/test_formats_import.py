"""The whole import: files in, numbered rows and rejects out, and the preview of it."""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmstudio.api import Cancelled, UserError
from fmstudio.api.testing import FakeContext
from fmstudio.core.parquet import read_batches
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.requests import inspect_file
from fmstudio.worker.tasks import import_dataset
from tests.helpers import write_jsonl


def run(ctx: FakeContext, *files: Path, **params: Any) -> dict[str, Any]:
    return import_dataset.run({"files": [str(f) for f in files], **params}, ctx, PluginManager())  # type: ignore[arg-type]


def rows_of(ctx: FakeContext, result: dict[str, Any]) -> list[dict[str, Any]]:
    files = [ctx.out_dir / name for name in result["files"]]
    return [row for batch in read_batches(files) for row in batch.to_pylist()]


def inspect(path: Path, **params: Any) -> dict[str, Any]:
    answer = inspect_file.handle({"path": str(path), **params}, {}, PluginManager(), FakeContext())
    json.dumps(answer, allow_nan=False)
    return answer


def tech_support() -> Path:
    spec = find_spec("chatterbot_corpus")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "data" / "english" / "tech_support.yml"


def test_tech_support_gives_1050_conversations(tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path)
    result = run(ctx, tech_support())
    assert (result["rows"], result["rejected"], result["kind"]) == (1_050, 0, "conversation")
    assert result["sources"][0]["sha256"] == hashlib.sha256(tech_support().read_bytes()).hexdigest()
    rows = rows_of(ctx, result)
    assert [row["row_id"] for row in rows] == list(range(1_050))
    assert [m["role"] for m in rows[0]["messages"]] == ["user", "assistant"]
    assert not (ctx.out_dir / "rejects.jsonl").exists()


def test_several_files_are_numbered_on(tmp_path: Path) -> None:
    a = write_jsonl(tmp_path / "a.jsonl", [{"text": "one"}, {"text": "two"}])
    b = tmp_path / "b.csv"
    b.write_text("text,score\nthree,1\n")
    ctx = FakeContext(tmp_path)
    rows = rows_of(ctx, run(ctx, a, b))
    assert [(r["row_id"], r["text"], r["score"]) for r in rows] == [(0, "one", None), (1, "two", None), (2, "three", 1)]
    assert ctx.progress_calls[-1][0] == ctx.progress_calls[-1][1] == a.stat().st_size + b.stat().st_size


def test_rejects_of_reading_and_of_mapping_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\nbroken\n{"prompt": "c"}\n')
    ctx = FakeContext(tmp_path)
    result = run(ctx, path)
    assert (result["rows"], result["rejected"]) == (1, 2)
    records = [json.loads(line) for line in (ctx.out_dir / "rejects.jsonl").read_text().splitlines()]
    assert [(r["file"], r["line"], r["row"]) for r in records] == [("x.jsonl", 2, None), ("x.jsonl", None, 2)]
    assert records[0]["raw"] == "broken" and json.loads(records[1]["raw"])["prompt"] == "c"


def test_a_mapping_of_the_user_is_used_and_checked(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"q": "a", "a": "b", "n": 1}])
    ctx = FakeContext(tmp_path)
    mapping = {"kind": "prompt_completion", "columns": {"prompt": "q", "completion": "a"}}
    assert rows_of(ctx, run(ctx, path, mapping=mapping)) == [{"row_id": 0, "prompt": "a", "completion": "b", "n": 1}]
    with pytest.raises(UserError, match="no column “z”"):
        run(ctx, path, mapping={"kind": "text", "columns": {"text": "z"}})


def test_names_that_clash_are_kept_apart(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"row_id": 7, "A": 1, "a": 2, "": 3}])
    ctx = FakeContext(tmp_path)
    result = run(ctx, path)
    assert rows_of(ctx, result) == [{"row_id": 0, "source_row_id": 7, "A": 1, "a_2": 2, "column_4": 3}]
    assert sum("is stored as" in note for note in result["notes"]) == 3


def test_columns_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    table = pa.table([pa.array([1, 2]), pa.array([3, 4]), pa.array([5, 6])], names=["a", "b", "a"])
    pq.write_table(table, tmp_path / "x.parquet")
    ctx = FakeContext(tmp_path)
    result = run(ctx, tmp_path / "x.parquet")
    assert rows_of(ctx, result)[0] == {"row_id": 0, "a": 1, "b": 3, "a_2": 5}
    assert "Column “a” is stored as “a_2”." in result["notes"]


def test_nothing_readable_is_an_error_with_the_first_reason(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("nothing\nhere\n")
    with pytest.raises(UserError, match="line 1: Not valid JSON"):
        run(FakeContext(tmp_path), path)


def test_a_missing_file_a_folder_and_an_unknown_importer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not there"):
        run(FakeContext(tmp_path), tmp_path / "no.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no file that can be imported"):
        run(FakeContext(tmp_path), tmp_path / "empty")
    path = write_jsonl(tmp_path / "x.jsonl", [{"a": 1}])
    with pytest.raises(UserError, match="no importer “xls”"):
        run(FakeContext(tmp_path), path, importer="xls")
    with pytest.raises(UserError, match="Did you mean “encoding”"):
        run(FakeContext(tmp_path), path, importer_params={"encodign": "utf-8"})


def test_cancel_stops_and_a_second_run_starts_clean(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"text": "x" * 1000, "n": i} for i in range(20_000)])
    with pytest.raises(Cancelled):
        run(FakeContext(tmp_path, cancel_after=1), path)
    assert run(FakeContext(tmp_path), path)["rows"] == 20_000


def test_inspect_shows_mapped_and_raw_rows(tmp_path: Path) -> None:
    answer = inspect(tech_support(), limit=3)
    assert (answer["importer"], answer["kind"], answer["estimated_rows"]) == ("yaml", "conversation", 1_050)
    assert len(answer["rows"]) == len(answer["raw_rows"]) == 3
    assert answer["raw_columns"] == ["conversations", "category"]
    assert answer["columns"][0]["name"] == "messages"


def test_inspect_reads_little_and_estimates_the_rest(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"text": "x" * 300, "n": i} for i in range(50_000)])
    answer = inspect(path)
    assert len(answer["rows"]) == 50
    assert answer["estimated_rows"] == pytest.approx(50_000, rel=0.1)


def test_inspect_with_another_mapping_and_with_rejects(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": "x", "b": "y"}\n{"a": null, "b": "z"}\nbroken\n')
    answer = inspect(path, mapping={"kind": "text", "columns": {"text": "a"}})
    assert (answer["rows"], answer["rejected"]) == ([{"text": "x", "b": "y"}], 2)


@pytest.mark.parametrize(
    ("content", "importer"), [('{"a": 1}\n{"a": 2}\n', "jsonl"), ('[{"a": 1}]', "json"), ("some words\n", "text")]
)
def test_a_file_without_a_suffix_is_known_by_its_content(content: str, importer: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text(content)
    assert inspect(path)["importer"] == importer
