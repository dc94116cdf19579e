"""Embedding and training work on what the user sees: pending edits are folded in first, by real workers; undo of both."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fmstudio.cli.session import make_queue
from fmstudio.jobs.spec import Job, JobSpec
from fmstudio.project import Project
from fmstudio.project.folding import FOLDED
from fmstudio.project.specs import TrainRun
from fmstudio.worker.embedding import read_vectors
from tests.helpers import write_jsonl, write_plugin
from tests.unit.edit_kit import leave_out_packaged_models

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")

CODE = """
import json
from fmstudio.api import Embedder, Exporter, Trainer, TrainResult

class Lengths(Embedder):
    def setup(self):
        pass

    def embed(self, texts):
        import numpy as np
        return np.array([[len(text), 1] for text in texts], np.float32)

class Noting(Trainer):
    def train(self, request, params, ctx):
        import pyarrow.parquet as pq
        rows = [row for file in request.train_files for row in pq.read_table(file).to_pylist()]
        folder = request.out_dir / "adapter"
        folder.mkdir(parents=True)
        (folder / "rows.json").write_text(json.dumps(rows))
        return TrainResult(adapter_dir=folder, metrics={"train_rows": len(rows)}, reference=None)

class Copying(Exporter):
    def export(self, source, base_model, out_dir, params, ctx):
        path = out_dir / "tuned.gguf"
        path.write_bytes(b"weights")
        return path
"""
MANIFEST = """
[[embedder]]
id = "lengths"
title = "Lengths"
class = "noting_code:Lengths"
dim = 2
contextual = false

[[trainer]]
id = "noting"
title = "Noting"
class = "noting_code:Noting"
method = "sft"
formats = ["gguf", "hf"]

[[exporter]]
id = "copying"
title = "Copying"
class = "noting_code:Copying"
source = "peft"
target = "gguf"
"""
BEFORE = ["one", "two", "three"]
SEEN = ["one", "edited by hand", "added"]
"""Row 1 edited, row 2 deleted, row 3 added."""


@pytest.fixture
def project(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with one dataset of three texts and three pending edits."""
    leave_out_packaged_models(monkeypatch)
    write_plugin(own_home, "noting", MANIFEST, CODE)
    project = Project.create(tmp_path / "project")
    run(project, project.specs.import_files([write_jsonl(tmp_path / "words.jsonl", [{"text": t} for t in BEFORE])]))
    dataset = project.datasets.get("words").id
    project.edits.set_cells(dataset, {1: {"text": SEEN[1]}})
    project.edits.delete_rows(dataset, [2])
    project.edits.add_rows(dataset, [{"text": SEEN[2]}])
    yield project
    project.close()


def run(project: Project, spec: JobSpec) -> Job:
    queue = make_queue(project)
    job = queue.wait(queue.submit(spec).id)
    assert job.state == "succeeded", job.error
    return job


def texts(project: Project) -> list[str]:
    return [row["text"] for row in project.page("words").records()]


def training(project: Project, tmp_path: Path, version: int | None = None) -> JobSpec:
    """A training run whose trainer notes the rows it got."""
    base = tmp_path / "base"
    base.mkdir(exist_ok=True)
    (base / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    (base / "model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    spec = project.specs.train(
        TrainRun(name="tuned", dataset="words", base=str(base), trainer="noting", version=version)
    )
    steps = [
        replace(step, params={**step.params, "exporter": "copying"}) if step.name == "export" else step
        for step in spec.steps
    ]
    return replace(spec, steps=tuple(steps))


def test_what_is_embedded_is_what_the_user_sees(project: Project) -> None:
    job = run(project, project.specs.embed("words", "lengths"))
    assert [step.name for step in job.spec.steps] == ["commit", "embed"]
    dataset = project.datasets.get("words")
    assert dataset.version == 2 and texts(project) == SEEN and not project.edits.pending(dataset.id)
    files = [Path(file) for file in project.search_params("words")["embedding_files"]]
    ids, vectors = read_vectors(files)
    assert ids.tolist() == [row["row_id"] for row in project.page("words").records()] == [0, 1, 3]
    assert vectors[:, 0].tolist() == [len(text) for text in SEEN]
    assert [op.kind for op in project.datasets.operations(dataset.id)][-2:] == ["commit", "embed"]
    assert (
        project.datasets.operations(dataset.id)[-2].title == "Commit edits (1 cell edited, 1 row added, 1 row deleted)"
    )


def test_undo_hides_an_embedding_and_redo_brings_it_back(project: Project) -> None:
    run(project, project.specs.embed("words", "lengths"))
    dataset = project.datasets.get("words").id

    def sides() -> list[str]:
        return [column.name for column in project.datasets.get(dataset).columns if column.is_side]

    assert sides() == ["embedding_lengths"]
    undone = project.undo(dataset)
    assert undone is not None and undone.title == "Embed words (lengths)"
    assert sides() == [] and project.datasets.get(dataset).version == 2
    with pytest.raises(Exception, match="no embedding yet"):
        project.search_params(dataset)
    _, branch = project.datasets.branch(dataset, 2, "branch")
    assert not [column for column in project.datasets.get(branch).columns if column.is_side]
    project.undo(dataset)  # the commit
    assert texts(project) == SEEN and project.edits.pending(dataset).operations == 3
    project.redo(dataset)
    project.redo(dataset)
    assert sides() == ["embedding_lengths"] and project.search_params(dataset)
    assert project.edits.row_history(dataset, 1)[-1].after == SEEN[1]
    entry = project.datasets.history(dataset)[-1]
    assert entry.operation.kind == "embed" and entry.is_current and entry.text == "Embed words (lengths)"


def test_an_embedding_that_was_undone_and_overtaken_is_garbage(project: Project) -> None:
    run(project, project.specs.embed("words", "lengths"))
    dataset = project.datasets.get("words").id
    assert not [one for one in project.disk.collectable() if one.kind == "column"]
    project.undo(dataset)
    assert not [one for one in project.disk.collectable() if one.kind == "column"], "it can still be redone"
    project.edits.set_cells(dataset, {0: {"text": "new work"}})
    found = [one for one in project.disk.collectable() if one.kind == "column"]
    assert [one.reason for one in found] == ["was undone, and new work has overtaken it"]
    project.disk.collect(found)
    assert not found[0].path.exists() and texts(project)[0] == "new work"


def test_what_is_trained_on_is_what_the_user_sees(project: Project, tmp_path: Path) -> None:
    job = run(project, training(project, tmp_path))
    dataset = project.datasets.get("words")
    assert dataset.version == 2 and texts(project) == SEEN
    adapter = next(model for model in project.models.all() if model.kind == "adapter" and model.format == "peft")
    assert [row["text"] for row in json.loads((adapter.path / "rows.json").read_text())] == SEEN
    assert adapter.dataset_version == 2
    stored = project.models.runs()[0]
    assert (stored["dataset_version"], stored["run"]["version"], stored["job_id"]) == (2, 2, job.id)
    project.undo(dataset.id)
    assert project.datasets.get(dataset.id).version == 1 and texts(project) == SEEN
    graph = project.lineage_graph.of("run", job.id)
    assert any(edge.source == f"version:{dataset.id}@2" and edge.target == f"run:{job.id}" for edge in graph.edges)


def test_a_training_on_an_older_version_takes_it_as_it_was_published(project: Project, tmp_path: Path) -> None:
    run(project, project.specs.commit("words"))
    project.edits.set_cells(project.datasets.get("words").id, {0: {"text": "pending"}})
    job = run(project, training(project, tmp_path, version=1))
    assert [step.name for step in job.spec.steps] == ["train", "export"]
    assert project.models.runs()[0]["dataset_version"] == 1 and texts(project)[0] == "pending"


def test_work_that_outlived_its_edits_is_kept_beside(project: Project, tmp_path: Path) -> None:
    spec = training(project, tmp_path)
    dataset = project.datasets.get("words").id
    project.edits.discard(dataset)
    job = run(project, spec)
    assert project.datasets.get(dataset).version == 1 and texts(project) == BEFORE
    assert [version.number for version in project.datasets.versions(dataset)] == [1, 2]
    assert project.models.runs()[0]["dataset_version"] == 2 and job.published
    files = project.datasets.files(dataset, 2)
    assert [row["text"] for file in files for row in pq.read_table(file).to_pylist()] == SEEN
    assert not [one for one in project.disk.collectable() if one.kind == "version"], "the run needs it"
    project.undo(dataset)
    assert texts(project) == SEEN


def test_edits_made_meanwhile_come_along(project: Project) -> None:
    spec = project.specs.embed("words", "lengths")
    dataset = project.datasets.get("words").id
    project.edits.set_cells(dataset, {0: {"text": "meanwhile"}})
    run(project, spec)
    assert texts(project) == ["meanwhile", *SEEN[1:]]
    assert project.edits.pending(dataset).cells == 1 and project.datasets.get(dataset).version == 2


def test_a_column_may_have_any_name(project: Project) -> None:
    spec = project.specs.embed("words", "lengths", column="folded")
    assert spec.steps[-1].params["column"] == "folded"
    assert spec.steps[-1].params["files"] not in (FOLDED, "folded")


def test_rows_deleted_by_hand_stay_told_when_a_transform_folds_the_edits_in(project: Project) -> None:
    run(project, project.specs.transform("words", "filter", {"where": "text <> 'one'"}))
    version = project.datasets.version(project.datasets.get("words").id)
    assert (version.rows, version.dropped) == (2, 2)
    reasons = {row["row_id"]: row["reason"] for row in project.dropped("words").records()}
    assert reasons == {0: "does not match: text <> 'one'", 2: "deleted by hand"}
    for before, after, taken_back in ((1, 2, False), (2, 1, True)):
        summary = project.diffs.summary("words", before, after)
        shares = [(s.operation, s.added, s.removed, s.changed, s.is_taken_back) for s in summary.by_operation]
        by_hand, filtered = ("commit", 1, 1, 1, taken_back), ("transform", 0, 1, 0, taken_back)
        if taken_back:
            filtered = ("transform", 1, 0, 0, taken_back)
        assert shares == ([filtered, by_hand] if taken_back else [by_hand, filtered])
    told = {row.row_id: (row.reason, row.operations) for row in project.diffs.page("words", 1, 2).rows}
    assert told[2] == ("deleted by hand", ("Commit edits (1 cell edited, 1 row added, 1 row deleted)",))
    assert told[0][1] == ("Keep rows where text <> 'one'",)
    assert [share.version for share in project.diffs.summary("words", 1, 2).by_operation] == [0, 2]
    lost = project.lineage_graph.of_row("words", 2)
    assert lost.node(lost.focus).subtitle == "no longer in words: deleted by hand"
