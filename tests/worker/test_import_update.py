"""A newer file makes a dataset's next version: rows keep their ids; what changes is told before and kept after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeContext
from fmstudio.cli.session import run_job
from fmstudio.core.parquet import read_batches
from fmstudio.plugin_manager import PluginManager
from fmstudio.project import Project
from fmstudio.worker.requests import count_tokens, identify_file, inspect_file, preview_update
from fmstudio.worker.tasks import import_dataset
from tests.helpers import fmstudio, fmstudio_json, write_jsonl


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for batch in read_batches(sorted(folder.glob("rows-*.parquet"))) for row in batch.to_pylist()]


def run(folder: Path, **params: Any) -> tuple[FakeContext, dict[str, Any]]:
    ctx = FakeContext(folder)
    return ctx, import_dataset.run(params, ctx, PluginManager())  # type: ignore[arg-type]


def first(tmp_path: Path, rows: list[dict[str, Any]]) -> list[str]:
    path = write_jsonl(tmp_path / "first.jsonl", rows)
    ctx, _ = run(tmp_path / "v1", files=[str(path)])
    return [str(file) for file in sorted(ctx.out_dir.glob("rows-*.parquet"))]


def update(
    tmp_path: Path, old: list[str], rows: list[dict[str, Any]], key: str = ""
) -> tuple[FakeContext, dict[str, Any]]:
    path = write_jsonl(tmp_path / "newer.jsonl", rows)
    return run(tmp_path / "v2", files=[str(path)], update={"files": old, "taken": old, "key": key})


def test_by_content_rows_keep_their_ids_and_new_ones_get_fresh(tmp_path: Path) -> None:
    old = first(tmp_path, [{"text": t} for t in ("a", "b", "b", "c")])
    ctx, result = update(tmp_path, old, [{"text": t} for t in ("new", "b", "c", "b", "b")])
    assert [(r["row_id"], r["text"]) for r in rows_of(ctx.out_dir)] == [
        (1, "b"),
        (2, "b"),
        (3, "c"),
        (4, "new"),
        (5, "b"),
    ]
    assert result["update"] == {"added": 2, "removed": 1, "changed": 0, "unchanged": 3, "repeated_keys": 2}
    gone = rows_of(ctx.out_dir / "dropped")
    assert [(r["row_id"], r["text"], r["reason"]) for r in gone] == [(0, "a", "no longer in the file")]
    assert (result["rows"], result["dropped"]) == (5, 1)


def test_by_a_key_changed_rows_are_told_from_new_ones(tmp_path: Path) -> None:
    old = first(tmp_path, [{"id": i, "text": f"t{i}"} for i in range(4)])
    newer = [{"id": 9, "text": "t9"}, {"id": 2, "text": "changed"}, {"id": 1, "text": "t1"}]
    ctx, result = update(tmp_path, old, newer, key="id")
    assert result["update"] == {"added": 1, "removed": 2, "changed": 1, "unchanged": 1, "repeated_keys": 0}
    assert [(r["row_id"], r["id"], r["text"]) for r in rows_of(ctx.out_dir)] == [
        (1, 1, "t1"),
        (2, 2, "changed"),
        (4, 9, "t9"),
    ]


def test_a_column_that_gets_another_type_is_named(tmp_path: Path) -> None:
    old = first(tmp_path, [{"id": i, "text": "t"} for i in range(2)])
    newer = [{"id": "0", "text": "t"}, {"id": "x2", "text": "t"}]
    _, result = update(tmp_path, old, newer, key="id")
    told = "The column “id” held BIGINT and holds VARCHAR from this version on."
    assert told in result["notes"]
    work = {"files": [str(tmp_path / "newer.jsonl")], "update": {"files": old, "taken": old, "key": "id"}}
    assert preview_update.handle(work, {}, PluginManager(), FakeContext(tmp_path / "s"))["notes"] == [told]
    _, same = update(tmp_path, old, [{"id": 0, "text": "t"}], key="id")
    assert not any("holds" in note for note in same["notes"])


def test_columns_that_only_the_dataset_has_stay_with_their_rows(tmp_path: Path) -> None:
    old = first(tmp_path, [{"id": i, "text": f"t{i}", "tags": [f"tag{i}"]} for i in range(3)])
    ctx, _ = update(tmp_path, old, [{"id": 2, "text": "t2"}, {"id": 7, "text": "t7"}], key="id")
    assert [(r["row_id"], r["tags"]) for r in rows_of(ctx.out_dir)] == [(2, ["tag2"]), (3, None)]


def test_values_agree_whatever_their_type(tmp_path: Path) -> None:
    old = first(tmp_path, [{"id": 1, "n": 1, "m": {"k": ["x"]}}])
    newer = [{"id": 1, "n": 1.0, "m": {"k": ["x"]}}, {"id": 2, "n": 0.5, "m": None}]
    _, result = update(tmp_path, old, newer, key="id")
    assert (result["update"]["unchanged"], result["update"]["changed"], result["update"]["added"]) == (1, 0, 1)


def test_a_key_that_is_not_there_and_a_file_of_another_kind_are_refused(tmp_path: Path) -> None:
    old = first(tmp_path, [{"text": "a"}])
    with pytest.raises(UserError, match="not a column of both"):
        update(tmp_path, old, [{"text": "a", "id": 1}], key="id")
    with pytest.raises(UserError, match="no column of the dataset"):
        update(tmp_path, old, [{"other": 1}])


def test_the_preview_counts_what_the_update_does(tmp_path: Path) -> None:
    old = first(tmp_path, [{"text": t} for t in "abc"])
    path = write_jsonl(tmp_path / "newer.jsonl", [{"text": t} for t in "bcde"])
    params = {"files": [str(path)], "update": {"files": old, "taken": old, "key": ""}}
    ctx = FakeContext(tmp_path / "session")
    counts = preview_update.handle(params, {}, PluginManager(), ctx)
    assert (counts["added"], counts["removed"], counts["unchanged"], counts["rejected"]) == (2, 1, 2, 0)
    assert not list(ctx.workdir.glob("update-*"))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    opened = Project.create(tmp_path / "p")
    yield opened
    opened.close()


def test_a_project_knows_its_files_updates_a_dataset_and_takes_it_back(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "faq.csv"
    path.write_text("id,q,a\n1,x,y\n2,v,w\n")
    mapping = {"kind": "prompt_completion", "columns": {"prompt": "q", "completion": "a"}}
    run_job(project, project.specs.import_files([path], mapping=mapping, is_corrected=True))
    assert [dataset.name for dataset in project.known_file(path)] == ["faq"]
    (remembered,) = project.imports.remembered()
    assert remembered.mapping["columns"] == mapping["columns"] and remembered.importer == "csv"
    faq = project.datasets.get("faq")
    project.edits.tag(faq.id, [0], add=["kept"])
    path.write_text("id,q,a\n1,x,Y\n3,m,n\n")
    assert project.known_file(path) == []
    spec = project.specs.import_files([path], update_of="faq", update_key="id")
    assert spec.steps[0].params["mapping"]["columns"] == mapping["columns"]  # read as the dataset was read
    run_job(project, spec)
    rows = project.page("faq").records()
    assert [(r["row_id"], r["completion"], r["tags"]) for r in rows] == [(0, "Y", ["kept"]), (2, "n", None)]
    version = project.datasets.version(faq.id)
    assert (version.number, version.dropped) == (2, 1) and version.statistics["update"]["changed"] == 1
    assert [dataset.name for dataset in project.known_file(path)] == ["faq"]
    while project.datasets.get("faq").version == 2:
        project.undo(faq.id)
    assert [r["completion"] for r in project.page("faq").records()] == ["y", "w"]
    assert project.known_file(path) == []  # the file of the update that was taken back is not what it is made of
    project.imports.forget(remembered.shape_key)
    assert project.imports.mappings() == {}


def test_each_file_becomes_a_dataset_of_its_own(project: Project, tmp_path: Path) -> None:
    files = [
        write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}]),
        write_jsonl(tmp_path / "b.jsonl", [{"n": 1}, {"n": 2}]),
    ]
    run_job(project, project.specs.import_files(files, each_its_own=True))
    assert [(d.name, d.rows, d.kind) for d in project.datasets.all()] == [("a", 1, "text"), ("b", 2, "table")]


def test_the_command_line_inspects(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"question": "q", "answer": "a"}])
    (found,) = fmstudio_json("inspect", str(path))["files"]
    assert found["kind"] == "prompt_completion" and found["imported_as"] == []
    done = fmstudio("inspect", str(path), "--map", "text=nothing")
    assert done.returncode == 2 and "no column “nothing”" in done.stderr


def test_inspect_tells_shape_conflicts_keys_lengths_and_others(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,price,note\n" + "".join(f"{i},{i}.5,some words here\n" for i in range(30)) + "99,n/a,x\n")
    other = tmp_path / "q.csv"
    other.write_text("colour\nred\n")
    request = {"path": str(path), "others": [str(other)], "mapping": {"kind": "text", "columns": {"text": "note"}}}
    found = inspect_file.handle(request, {}, PluginManager(), FakeContext(tmp_path / "s"))
    json.dumps(found, allow_nan=False)
    (conflict,) = found["type_conflicts"]
    assert (conflict["column"], conflict["types"], conflict["examples"][0]["row"]) == (
        "price",
        {"number": 30, "text": 1},
        31,
    )
    assert "id" in found["update_keys"] and found["measured_rows"] == 31
    assert sum(b["count"] for b in found["length_histogram"]["bins"]) == 31
    assert found["token_stats"]["is_estimate"] and found["token_stats"]["max"] >= 4
    assert not found["others"][0]["agrees"] and "no column “note”" in found["others"][0]["reason"]
    again = inspect_file.handle({**request, "others": []}, {}, PluginManager(), FakeContext(tmp_path / "s"))
    assert again["shape_key"] == found["shape_key"]


def test_a_shape_is_known_again_with_other_rows_but_not_with_other_columns(tmp_path: Path) -> None:
    def key(rows: list[dict[str, Any]]) -> str:
        path = write_jsonl(tmp_path / "x.jsonl", rows)
        found = inspect_file.handle({"path": str(path)}, {}, PluginManager(), FakeContext(tmp_path / "s"))
        return str(found["shape_key"])

    assert key([{"a": 1, "b": "x"}]) == key([{"a": 2.5, "b": "y"}, {"a": 1, "b": "z"}]) == key([{"b": "x", "a": 3}])
    assert key([{"a": 1, "b": "x"}]) != key([{"a": 1, "c": "x"}])
    assert key([{"a": 1, "b": "x"}]) != key([{"a": "1", "b": "x"}])


def test_a_remembered_mapping_is_used_and_said(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"a": "one two", "b": "three"}])
    plugins, ctx = PluginManager(), FakeContext(tmp_path / "s")
    found = inspect_file.handle({"path": str(path)}, {}, plugins, ctx)
    assert found["kind"] == "table" and not found["remembered"]
    known = {found["shape_key"]: {"kind": "prompt_completion", "columns": {"prompt": "a", "completion": "b"}}}
    found = inspect_file.handle({"path": str(path), "known_shapes": known}, {}, plugins, ctx)
    assert found["remembered"] and found["rows"] == [{"prompt": "one two", "completion": "three"}]
    _, result = run(tmp_path / "v", files=[str(path)], known_shapes=known)
    assert result["kind"] == "prompt_completion" and result["remembered"]
    assert "Read as last time, as prompt completion, prompt=a completion=b." in result["notes"]


def test_a_role_alone_is_put_into_the_detected_reading_and_a_remembered_one_can_be_forgotten(tmp_path: Path) -> None:
    talks = [[{"from": "human", "value": "h"}, {"from": who, "value": "x"}] for who in ("bing", "gpt")]
    path, project = write_jsonl(tmp_path / "sg.jsonl", [{"conversations": talk} for talk in talks]), str(tmp_path / "p")
    assert fmstudio("project", "new", project).returncode == 0
    assert fmstudio_json("import", str(path), "--project", project)["rejected"] == 1
    made = fmstudio_json("import", str(path), "--project", project, "--map", "role.bing=assistant")
    assert (made["kind"], made["rows"], made["rejected"]) == ("conversation", 2, 0)
    told = fmstudio("import", str(path), "--project", project).stdout
    assert "Read as last time, as conversation, messages=conversations role.bing=assistant." in told
    assert "--forget" in told
    for options in (["--forget"], []):
        again = fmstudio_json("import", str(path), "--project", project, *options)
        assert again["rejected"] == 1 and not again["remembered"]
    updated = fmstudio_json("import", str(path), "--project", project, "--update", "sg", "--map", "role.bing=assistant")
    assert updated["update"]["added"] == 1 and not any("not known" in note for note in updated["notes"])


def test_identify_and_count(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"text": "Hello world"}])
    plugins, ctx = PluginManager(), FakeContext(tmp_path / "s")
    assert identify_file.handle({"path": str(path)}, {}, plugins, ctx)["bytes"] == path.stat().st_size
    with pytest.raises(UserError, match="cannot be read"):
        identify_file.handle({"path": str(tmp_path / "no")}, {}, plugins, ctx)
    with pytest.raises(UserError, match="No engine counts"):
        count_tokens.handle({"model": "x.safetensors", "texts": []}, {}, plugins, ctx)


def reasons(project: Project, dataset: str, version: int | None = None) -> list[tuple[int, str]]:
    return [(reject["version"], reject["raw"][:6]) for reject in project.rejects(dataset, version=version)]


def test_rejects_are_those_of_every_import_a_version_came_from(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "faq.jsonl"
    path.write_text('{"id": 1, "text": "x"}\n{first\n')
    run_job(project, project.specs.import_files([path]))
    faq = project.datasets.get("faq").id
    project.edits.set_cells(faq, {0: {"text": "y"}})
    run_job(project, project.specs.commit(faq))
    assert reasons(project, faq) == [(1, "{first")]
    path.write_text('{"id": 1, "text": "x"}\n{"id": 2, "text": "z"}\n{later\n')
    run_job(project, project.specs.import_files([path], update_of="faq", update_key="id"))
    assert reasons(project, faq) == [(3, "{later"), (1, "{first")], "the newest import first"
    assert reasons(project, faq, version=2) == [(1, "{first")]
    assert len(project.rejects(faq, limit=1)) == 1
    result = project.console.run('SELECT count(*) FROM "faq.rejects"')
    assert result.rows[0][0] == 2
    for number, expected in ((1, [(1, "{first")]), (2, [(1, "{first")]), (3, [(1, "{later"), (1, "{first")])):
        _, branch = project.datasets.branch(faq, number, f"branch {number}")
        assert reasons(project, branch) == expected, "what a branch has a copy of is listed once"
        spec = project.specs.export_dataset(branch, "jsonl", tmp_path / f"out-{number}.jsonl")
        assert len(spec.steps[0].params["rejects"]) == len(expected)
        assert spec.steps[0].params["facts"]["rejected"] == len(expected)
        assert project.console.run(f'SELECT count(*) FROM "branch {number}.rejects"').rows[0][0] == len(expected)
    project.undo(faq)
    assert reasons(project, faq) == [(1, "{first")]
