"""Lineage both ways: files, versions, runs, models, chats, exports, branches, made datasets, and single rows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fmstudio.api.errors import UserError
from fmstudio.jobs.spec import JobSpec, StepSpec
from fmstudio.project import Project
from fmstudio.project.catalog import insert
from fmstudio.project.lineage import Graph
from tests.unit.edit_kit import commit, finish, make_dataset, recipe_job, shown, simple_table

FILE = {"path": "/home/u/faq.csv", "name": "faq.csv", "sha256": "ab" * 32, "bytes": 10}
OTHER = {"path": "/home/u/more.csv", "name": "more.csv", "sha256": "cd" * 32, "bytes": 20}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project.create(tmp_path / "project")
    yield made
    made.close()


def imported(project: Project, name: str, table: pa.Table, *files: dict[str, Any]) -> str:
    meta = {"dataset_id": f"d-{name}", "name": name}
    spec = JobSpec.new(f"Import {name}", "import", [StepSpec("import", "import_dataset")], meta=meta)
    project.publish(finish(project, spec, [table], sources=list(files)))
    return f"d-{name}"


def trained(project: Project, dataset: str, version: int, name: str = "adapter") -> str:
    """A run, its adapter and a base model, as publishing leaves them; gives the run's id."""
    job = f"j-{name}"
    now = time.time()
    common = {"facts": {}, "metrics": {}, "is_removed": False, "created": now, "bytes": 1, "format": "gguf"}
    with project._catalog.transaction() as connection:
        insert(
            connection,
            "models",
            {
                "id": "m-base",
                "name": "base",
                "kind": "base",
                "path": "/b",
                "job_id": "",
                "base_id": "",
                "dataset_id": "",
                **common,
            },
        )
        lineage = {"base_id": "m-base", "dataset_id": dataset, "dataset_version": version, "job_id": job}
        insert(
            connection,
            "models",
            {"id": f"m-{name}", "name": name, "kind": "adapter", "path": "/a", **lineage, **common},
        )
        insert(connection, "runs", {**lineage, "name": name, "run": {}, "metrics": {}, "created": now})
    return job


def exported(project: Project, dataset: str, version: int, name: str) -> str:
    row = {"id": f"x-{name}", "dataset_id": dataset, "version": version, "exporter": "jsonl", "path": f"/out/{name}"}
    with project._catalog.transaction() as connection:
        insert(
            connection, "exports", {**row, "rows": 3, "bytes": 9, "sha256": "ef", "job_id": "j", "created": time.time()}
        )
    return f"x-{name}"


def ids(graph: Graph, kind: str) -> set[str]:
    return {node.id.partition(":")[2] for node in graph.nodes if node.kind == kind}


def test_from_a_file_to_a_chat_and_back(project: Project) -> None:
    dataset = imported(project, "faq", simple_table(10), FILE)
    project.publish(recipe_job(project, dataset, simple_table(5)))
    run = trained(project, dataset, 2)
    export = exported(project, dataset, 2, "faq.jsonl")
    chat = project.chats.new_conversation("m-base", "talk")
    user = project.chats.add_message(chat.id, "user", "hi")
    facts = {"model": {"id": "m-base"}, "adapters": [{"id": "m-adapter", "scale": 1.0}]}
    project.chats.add_message(chat.id, "assistant", "hello", parent_id=user.id, facts=facts)
    forward = project.lineage_graph.of("file", FILE["sha256"])
    assert ids(forward, "version") == {f"{dataset}@1", f"{dataset}@2"}
    assert (ids(forward, "run"), ids(forward, "export")) == ({run}, {export})
    assert (ids(forward, "model"), ids(forward, "chat")) == ({"m-adapter"}, {chat.id})
    back = project.lineage_graph.of("chat", chat.id)
    assert ids(back, "file") == {FILE["sha256"]}
    assert ids(back, "version") == {f"{dataset}@1", f"{dataset}@2"}
    assert ids(back, "export") == set(), "an export of the version is no source of the chat"
    assert ids(back, "model") == {"m-adapter", "m-base"}
    assert [n.id for n in back.sources(f"version:{dataset}@1") if n.kind == "file"] == [f"file:{FILE['sha256']}"]
    assert {n.id for n in project.lineage_graph.of("export", export).sources(f"export:{export}")} == {
        f"version:{dataset}@2"
    }
    assert project.lineage_graph.of("run", "adapter").focus == f"run:{run}"
    assert ids(project.lineage_graph.of("dataset", "faq"), "chat") == {chat.id}
    first = project.lineage_graph.of("version", "faq@1")
    assert first.focus == f"version:{dataset}@1"
    assert {node.kind for node in project.lineage_graph.whole().nodes} == {
        "file",
        "dataset",
        "version",
        "run",
        "model",
        "chat",
        "export",
    }


def test_branches_and_datasets_made_from_others(project: Project) -> None:
    dataset = imported(project, "faq", simple_table(10), FILE)
    _, branch = project.datasets.branch(dataset, 1, "twig")
    made = imported(project, "sql", simple_table(3))
    with project._catalog.transaction() as connection:
        source = '{"sql": "SELECT 1", "datasets": [{"id": "d-faq", "version": 1}]}'
        connection.execute("UPDATE datasets SET source = ? WHERE id = ?", [source, made])
    graph = project.lineage_graph.of("dataset", dataset)
    assert ids(graph, "version") == {f"{dataset}@1", f"{branch}@1", f"{made}@1"}
    assert {n.id for n in graph.targets(f"version:{dataset}@1")} == {f"version:{branch}@1", f"version:{made}@1"}
    back = project.lineage_graph.of("dataset", "twig")
    assert ids(back, "file") == {FILE["sha256"]}
    assert ids(back, "version") == {f"{dataset}@1", f"{branch}@1"}, "what was made beside it is not its source"


def test_a_branch_of_a_later_version_came_from_that_version_alone(project: Project) -> None:
    dataset = imported(project, "faq", simple_table(10), FILE)
    project.edits.delete_rows(dataset, [3])
    commit(project, dataset)
    _, branch = project.datasets.branch(dataset, 2, "twig")
    graph = project.lineage_graph.of("dataset", branch)
    into = {edge.source for edge in graph.edges if edge.target == f"version:{branch}@1"}
    assert f"version:{dataset}@2" in into
    assert f"version:{dataset}@1" not in into


def test_a_row_from_its_file_to_where_it_was_dropped(project: Project) -> None:
    table = (
        simple_table(10)
        .append_column("source_file", [["faq.csv"] * 5 + ["more.csv"] * 5])
        .append_column("line", [list(range(2, 12))])
    )
    dataset = imported(project, "faq", table, FILE, OTHER)
    trained(project, dataset, 1, "first")
    project.edits.delete_rows(dataset, [7])
    commit(project, dataset)
    trained(project, dataset, 2, "second")
    exported(project, dataset, 2, "x.jsonl")
    gone = project.lineage_graph.of("row", f"{dataset}#7")
    row = gone.node(gone.focus)
    assert row.subtitle == "no longer in faq: deleted by hand"
    assert (row.facts["held_by"], row.facts["dropped_at"]) == ([f"{dataset}@1"], {f"{dataset}@2": "deleted by hand"})
    assert row.facts["line"] == 9
    assert [n.title for n in gone.sources(gone.focus)] == ["more.csv"]
    assert "read from line 9" in [edge.title for edge in gone.edges]
    assert (ids(gone, "run"), ids(gone, "model"), ids(gone, "export")) == ({"j-first"}, {"m-first"}, set())
    assert "dropped: deleted by hand" in [edge.title for edge in gone.edges]
    kept = project.lineage_graph.of_row(dataset, 2)
    assert kept.node(kept.focus).subtitle == "in the current version of faq"
    assert [n.title for n in kept.sources(kept.focus)] == ["faq.csv"]
    assert ids(kept, "run") == {"j-first", "j-second"}
    assert len(ids(kept, "export")) == 1


def test_a_row_of_several_files_without_a_name_may_be_of_any(project: Project) -> None:
    dataset = imported(project, "faq", simple_table(4), FILE, OTHER)
    graph = project.lineage_graph.of_row(dataset, 1)
    assert {n.title for n in graph.sources(graph.focus)} == {"faq.csv", "more.csv"}
    assert "read from one of these files" in [edge.title for edge in graph.edges]


def test_rows_made_by_hand_have_no_file(project: Project) -> None:
    dataset = imported(project, "faq", simple_table(4), FILE)
    _, (added,) = project.edits.add_rows(dataset, [{"text": "new"}])
    graph = project.lineage_graph.of_row(dataset, added)
    assert graph.node(graph.focus).facts["origin"] == "added by hand"
    commit(project, dataset)
    graph = project.lineage_graph.of_row(dataset, added)
    assert graph.sources(graph.focus) == []
    assert graph.node(graph.focus).facts["held_by"] == [f"{dataset}@2"]
    with pytest.raises(UserError, match="no row id 99"):
        project.lineage_graph.of_row(dataset, 99)


def test_after_a_branch_an_id_may_mean_another_row(project: Project) -> None:
    dataset = imported(project, "faq", simple_table(4), FILE)
    _, branch = project.datasets.branch(dataset, 1, "twig")
    for one in (dataset, branch):
        project.edits.add_rows(one, [{"text": f"only in {one}"}])
        commit(project, one)
    held = project.lineage_graph.of_row(branch, 4).node(f"row:{branch}#4").facts["held_by"]
    assert held == [f"{branch}@2"]
    assert f"{branch}@2" in project.lineage_graph.of_row(dataset, 1).node(f"row:{dataset}#1").facts["held_by"]


def made_from(project: Project, name: str, table: pa.Table, *origins: tuple[str, int]) -> str:
    """A dataset as a transform of these versions leaves it."""
    made = imported(project, name, table)
    source = {"transform": "t", "datasets": [{"id": dataset, "version": number} for dataset, number in origins]}
    with project._catalog.transaction() as connection:
        connection.execute("UPDATE datasets SET source = ? WHERE id = ?", [json.dumps(source), made])
    return made


def test_a_row_of_a_dataset_made_from_others_goes_back_to_their_files(project: Project) -> None:
    dataset, other = (imported(project, n, simple_table(4), f) for n, f in (("faq", FILE), ("more", OTHER)))
    backwards = simple_table(4).append_column("source_row_id", [[3, 2, 1, 0]])
    order = made_from(project, "sorted", backwards, (dataset, 1))
    graph = project.lineage_graph.of_row(order, 0)
    row = graph.node(graph.focus)
    assert row.facts["origin"] == "made from rows of other datasets"
    assert [n.id for n in graph.sources(graph.focus)] == [f"version:{dataset}@1"]
    assert "made from its row id 3" in [edge.title for edge in graph.edges]
    assert [n.title for n in graph.sources(f"version:{dataset}@1") if n.kind == "file"] == ["faq.csv"]
    merged = made_from(project, "merged", simple_table(4), (dataset, 1), (other, 1))
    graph = project.lineage_graph.of_row(merged, 1)
    assert {n.id for n in graph.sources(graph.focus)} == {f"version:{dataset}@1", f"version:{other}@1"}
    assert ids(graph, "file") == {FILE["sha256"], OTHER["sha256"]}
    named = made_from(
        project, "told", simple_table(4).append_column("source_dataset", [["more"] * 4]), (dataset, 1), (other, 1)
    )
    graph = project.lineage_graph.of_row(named, 1)
    assert ids(graph, "file") == {OTHER["sha256"]}


def test_a_row_goes_forward_to_the_datasets_made_of_it(project: Project) -> None:
    dataset = imported(project, "faq", simple_table(4), FILE)
    made = made_from(project, "sorted", simple_table(3), (dataset, 1))
    export = exported(project, made, 1, "sorted.jsonl")
    project.edits.delete_rows(dataset, [2])
    commit(project, dataset)
    late = made_from(project, "late", simple_table(3), (dataset, 2))
    graph = project.lineage_graph.of_row(dataset, 2)
    assert ids(graph, "version") == {f"{dataset}@1", f"{dataset}@2", f"{made}@1"}, "not what came without the row"
    assert ids(graph, "export") == {export}
    assert f"{late}@1" in ids(project.lineage_graph.of_row(dataset, 1), "version")


def test_a_row_keeps_its_file_when_versions_between_are_collected(project: Project) -> None:
    dataset = imported(project, "faq", simple_table(4), FILE)
    for n in range(4):
        project.edits.set_cells(dataset, {1: {"text": f"new {n}"}})
        if n == 1:
            project.edits.add_rows(dataset, [{"text": "late"}])
        commit(project, dataset)
    project.disk.collect([g for g in project.disk.collectable(0) if g.kind == "version"], 0)
    kept = [v.number for v in project.datasets.versions(dataset) if not v.is_collected]
    assert kept == [5], kept
    graph = project.lineage_graph.of_row(dataset, 1)
    row = graph.node(graph.focus)
    assert row.facts["origin"] == "file"
    assert row.facts["held_by"] == [f"{dataset}@5"]
    assert [n.title for n in graph.sources(graph.focus)] == ["faq.csv"]
    assert [n.id for n in graph.targets(graph.focus)] == [f"version:{dataset}@1"]
    assert ids(graph, "version") == {f"{dataset}@{n}" for n in range(1, 6)}
    project.edits.delete_rows(dataset, [2])
    commit(project, dataset)
    project.disk.collect([g for g in project.disk.collectable(0) if g.kind == "version"], 0)
    gone = project.lineage_graph.of_row(dataset, 2)
    assert gone.node(gone.focus).subtitle == "no longer in faq: deleted by hand"
    assert [n.title for n in gone.sources(gone.focus)] == ["faq.csv"]
    late = project.lineage_graph.of_row(dataset, 4)
    assert late.sources(late.focus) == [], "a row added by hand was in no file"
    assert [n.id for n in late.targets(late.focus)] == [f"version:{dataset}@3"]


def test_an_update_brings_its_own_file(project: Project) -> None:
    dataset = imported(project, "faq", simple_table(4), FILE)
    meta = {
        "dataset_id": dataset,
        "name": "faq",
        "update_of": dataset,
        "version": 1,
        "files": [OTHER["path"]],
        "key": "",
    }
    spec = JobSpec.new("Update faq", "import", [StepSpec("import", "import_dataset")], meta=meta)
    project.publish(finish(project, spec, [simple_table(5)], sources=[OTHER], update={"added": 1}))
    graph = project.lineage_graph.of("dataset", dataset)
    files = [(e.source, e.target) for e in graph.edges if e.source.startswith("file:")]
    assert files == [
        (f"file:{FILE['sha256']}", f"version:{dataset}@1"),
        (f"file:{OTHER['sha256']}", f"version:{dataset}@2"),
    ]
    row = project.lineage_graph.of_row(dataset, 1)
    assert [n.title for n in row.sources(row.focus)] == ["faq.csv"]
    project.undo(dataset)
    files = [(e.source, e.target) for e in project.lineage_graph.of("dataset", dataset).edges if "file:" in e.source]
    assert (f"file:{FILE['sha256']}", f"version:{dataset}@1") in files and len(files) == 2


def test_what_is_not_there_is_explained(project: Project) -> None:
    imported(project, "faq", simple_table(4), FILE)
    with pytest.raises(UserError, match="no run"):
        project.lineage_graph.of("run", "nothing")
    with pytest.raises(UserError, match="no file") as caught:
        project.lineage_graph.of("file", "nothing.csv")
    assert "faq.csv" in caught.value.remedy
    with pytest.raises(UserError, match="names no row"):
        project.lineage_graph.of("row", "faq#x")
    with pytest.raises(UserError, match="names no version") as caught:
        project.lineage_graph.of("version", "faq")
    assert caught.value.remedy == "Write DATASET@NUMBER."
    with pytest.raises(UserError, match="“faq” has no version 9") as caught:
        project.lineage_graph.of("version", "faq@9")
    assert caught.value.remedy == "There is: 1."


def test_a_dataset_that_was_deleted_is_still_told_of(project: Project) -> None:
    dataset = imported(project, "faq", simple_table(4), FILE)
    project.datasets.delete(dataset)
    graph = project.lineage_graph.of("file", "faq.csv")
    assert graph.node(f"dataset:{dataset}").subtitle == "deleted"
    assert project.lineage_graph.of("dataset", "faq").focus == f"dataset:{dataset}"
    assert project.lineage_graph.of("version", "faq@1").focus == f"version:{dataset}@1"
    assert ids(graph, "version") == {f"{dataset}@1"}
    make_dataset(project, "other", simple_table(1))
    assert shown(project, "other")
