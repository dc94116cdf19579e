"""Exports as jobs: real worker processes, real files, and nothing left behind when they end badly."""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeContext
from fmstudio.cli.main import main
from fmstudio.cli.session import make_queue
from fmstudio.core.jsonfile import write_json
from fmstudio.jobs.queue import JobQueue
from fmstudio.jobs.spec import Job, JobSpec
from fmstudio.plugin_manager import PluginManager
from fmstudio.project import Project
from fmstudio.project.exports import ExportInclude
from fmstudio.worker.staging import Staging
from tests.helpers import fmstudio_json, wait_until, write_jsonl, write_plugin

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")

ROWS = [{"text": f"row {i}", "n": i} for i in range(50)]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with 50 rows; one line of the file was broken, and a recipe dropped nothing yet."""
    project = Project.create(tmp_path / "project")
    source = write_jsonl(tmp_path / "data.jsonl", ROWS)
    source.write_text(source.read_text() + "{broken\n")
    here(project, project.specs.import_files([source]))
    yield project
    project.close()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def run(project: Project, spec: JobSpec) -> Job:
    queue = make_queue(project)
    return queue.wait(queue.submit(spec).id)


def here(project: Project, spec: JobSpec) -> dict[str, Any]:
    """Do a job's one step in this process, as its worker would, and publish it."""
    job = Job(spec, project.jobs_dir / spec.id)
    spec.save(job.folder)
    ctx = FakeContext(job.step_folder(0))
    ctx.out_dir = job.out_folder(spec.steps[0].name)
    ctx.out_dir.mkdir(parents=True, exist_ok=True)
    task = importlib.import_module(f"fmstudio.worker.tasks.{spec.steps[0].task}")
    result: dict[str, Any] = task.run(spec.steps[0].params, ctx, PluginManager())
    write_json(job.step_folder(0) / "DONE", result)
    job.read_results()
    project.publish(job)
    return result


def export(project: Project, dataset: str, exporter: str, target: Path, **more: Any) -> dict[str, Any]:
    return here(project, project.specs.export_dataset(dataset, exporter, target, **more))


def write_slow_exporter(home: Path) -> None:
    """An exporter that takes 20 ms a row, so that it can be disturbed."""
    write_plugin(
        home,
        "slow_out",
        '[[dataset_exporter]]\nid = "slow"\ntitle = "Slow"\nclass = "slow_out_code:Slow"\nsuffix = ".slow"\n',
        """
import time
from fmstudio.api import DatasetExporter

class Slow(DatasetExporter):
    def write(self, batches, schema, target, params, facts, report, ctx):
        target.mkdir()
        files = []
        for batch in batches:
            for i, row in enumerate(batch.to_pylist()):
                ctx.check_cancelled()
                time.sleep(0.02)
                ctx.progress(i + 1, batch.num_rows, "rows written")
                files.append(target / f"{i}.txt")
                files[-1].write_text(row["text"])
        return files
""",
    )


def test_an_export_is_written_recorded_and_told(project: Project, out: Path) -> None:
    job = run(project, project.specs.export_dataset("data", "jsonl", out / "data.jsonl"))
    assert job.state == "succeeded", job.error
    assert [json.loads(line) for line in (out / "data.jsonl").read_text().splitlines()] == ROWS
    assert [p.name for p in out.iterdir()] == ["data.jsonl"]
    record = project.exports.all(project.datasets.get("data").id)[0]
    assert (record.rows, record.version, record.exporter, record.job_id) == (50, 1, "jsonl", job.id)
    assert record.bytes == (out / "data.jsonl").stat().st_size
    import hashlib

    assert record.sha256 == hashlib.sha256((out / "data.jsonl").read_bytes()).hexdigest()
    assert not record.is_missing
    assert not project.publish(job)
    assert len(project.exports.all()) == 1
    assert project.undo() is not None and project.datasets.all() == []  # an export is nothing to undo: the import is


def test_pending_edits_the_filter_and_the_extra_files(project: Project, out: Path) -> None:
    dataset = project.datasets.get("data").id
    project.edits.set_cells(dataset, {3: {"text": "edited"}})
    project.edits.delete_rows(dataset, [4])
    project.edits.rate(dataset, [5], 1)
    include = ExportInclude("n < 7", ("n", "text", "rating"), rejected=True, dropped=True, provenance=True)
    result = export(project, "data", "csv", out / "some.csv", include=include, license="mit")
    assert (out / "some.csv").read_text().splitlines() == [
        "row_id,n,text,rating", "0,0,row 0,", "1,1,row 1,", "2,2,row 2,", "3,3,edited,", "5,5,row 5,1", "6,6,row 6,",
    ]  # fmt: skip
    assert sorted(p.name for p in out.iterdir()) == ["some.csv", "some.provenance.json", "some.rejected.jsonl"]
    assert json.loads((out / "some.rejected.jsonl").read_text())["raw"] == "{broken"
    story = json.loads((out / "some.provenance.json").read_text())
    assert story["row_ids"] == [[0, 3], [5, 6]]
    assert (story["license"], story["where"], story["edits"]) == (
        "mit",
        "n < 7",
        {"cells": 2, "added": 0, "deleted": 1},
    )
    assert len(story["sources"][0]["sha256"]) == 64 and story["operations"][0]["operation"].startswith("Import")
    assert any("no file of dropped rows" in note for note in result["notes"])


def test_an_older_version_comes_without_edits_and_with_what_was_dropped(project: Project, out: Path) -> None:
    recipe = {"name": "Short", "steps": [{"operator": "length_filter", "params": {"min_characters": 6}}]}
    here(project, project.specs.recipe("data", recipe))
    dataset = project.datasets.get("data")
    project.edits.delete_rows(dataset.id, [10])
    include = ExportInclude(dropped=True)
    export(project, "data", "hf_dataset", out / "hub", include=include)
    dropped = [json.loads(line) for line in (out / "hub" / "dropped.jsonl").read_text().splitlines()]
    assert len(dropped) == 10 and all(row["reason"] and row["dropped_by_version"] == 2 for row in dropped)
    card = (out / "hub" / "README.md").read_text("utf-8")
    assert "1 row deleted" in card and "39 rows, version 2" in card
    assert "`length_filter` (`min_characters = 6`): 10 dropped" in card
    export(project, "data", "parquet", out / "old.parquet", version=1)
    assert pq.read_metadata(out / "old.parquet").num_rows == 50


def test_what_does_not_fit_is_listed_beside(project: Project, out: Path, tmp_path: Path) -> None:
    long = [{"role": ("user", "assistant")[i % 2], "content": str(i)} for i in range(4)]
    source = write_jsonl(tmp_path / "chat.jsonl", [{"messages": long[:2]}, {"messages": long}, {"messages": long[:2]}])
    here(project, project.specs.import_files([source]))
    result = export(project, "chat", "alpaca", out / "chat.json")
    assert (result["rows"], sum(result["left_out"].values())) == (2, 1)
    assert any(note.startswith("1 row is left out: ") for note in result["notes"])
    assert [json.loads(line)["row_id"] for line in (out / "chat.left-out.jsonl").read_text().splitlines()] == [1]
    assert len(json.loads((out / "chat.json").read_text())) == 2
    assert project.exports.all()[0].rows == 2


def test_a_format_that_does_not_fit_leaves_nothing(project: Project, out: Path) -> None:
    with pytest.raises(UserError, match="chosen"):
        export(project, "data", "dpo", out / "data.jsonl")
    assert list(out.iterdir()) == []


def test_a_name_that_belongs_to_another_format_is_told(project: Project, out: Path) -> None:
    said = export(project, "data", "xlsx", out / "rows.csv")["notes"]
    assert said == [
        "“rows.csv” is named as CSV but is written as Excel workbook. Name it rows.xlsx for programs that go by the name."
    ]
    assert any(
        "named as JSON Lines" in note for note in export(project, "data", "hf_dataset", out / "rows.jsonl")["notes"]
    )
    for exporter, name in (
        ("csv", "a.csv"),
        ("jsonl", "a.jsonl.gz"),
        ("csv", "a.dat"),
        ("parquet", "a"),
        ("tsv", "a.TSV"),
    ):
        assert not any("named as" in note for note in export(project, "data", exporter, out / name)["notes"])


def test_a_target_that_is_there_is_refused_until_overwriting_is_allowed(project: Project, out: Path) -> None:
    (out / "data.json").write_text("mine")
    with pytest.raises(UserError, match="already there"):
        project.specs.export_dataset("data", "json", out / "data.json")
    spec = project.specs.export_dataset("data", "json", out / "late.json")
    (out / "late.json").write_text("mine")
    with pytest.raises(UserError, match="already there"):
        here(project, spec)
    assert (out / "late.json").read_text() == "mine"
    export(project, "data", "json", out / "data.json", overwrite=True)
    assert len(json.loads((out / "data.json").read_text())) == 50
    assert sorted(p.name for p in out.iterdir()) == ["data.json", "late.json"]


def test_a_folder_is_replaced_only_when_all_in_it_is_ours(project: Project, out: Path) -> None:
    export(project, "data", "hf_dataset", out / "hub", overwrite=True)
    first = (out / "hub" / "README.md").read_text()
    export(project, "data", "hf_dataset", out / "hub", overwrite=True, license="mit")
    assert (out / "hub" / "README.md").read_text() == first.replace("license: unknown", "license: mit")
    (out / "hub" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt"):
        export(project, "data", "hf_dataset", out / "hub", overwrite=True)
    assert (out / "hub" / "notes.txt").read_text() == "mine" and [p.name for p in out.iterdir()] == ["hub"]
    (out / "mine").mkdir()
    (out / "mine" / "thesis.doc").write_text("x")
    with pytest.raises(UserError, match=r"thesis\.doc"):
        export(project, "data", "hf_dataset", out / "mine", overwrite=True)
    assert (out / "mine" / "thesis.doc").exists()


def test_a_worker_that_died_while_it_renamed_goes_on(
    project: Project, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next try finds the whole export beside its place and only renames."""
    spec = project.specs.export_dataset("data", "json", out / "a.json", include=ExportInclude(provenance=True))
    real, moved = Staging._move, []

    def dying(self: Staging, path: Path, goal: Path) -> None:
        real(self, path, goal)
        moved.append(goal.name)
        raise SystemExit("killed")

    monkeypatch.setattr(Staging, "_move", dying)
    monkeypatch.setattr(Staging, "_discard", lambda self: None)
    with pytest.raises(SystemExit):
        here(project, spec)
    assert moved == ["a.provenance.json"] and not (out / "a.json").exists()
    monkeypatch.undo()
    result = here(project, spec)
    assert sorted(p.name for p in out.iterdir()) == ["a.json", "a.provenance.json"]
    assert here(project, spec) == result  # killed after the last rename, before it could say so


def test_places_that_cannot_be_are_refused_at_once(project: Project, out: Path) -> None:
    for target, message in (
        (out / "no" / "x.csv", "There is no folder"),
        (project.folder / "datasets" / "x.csv", "keeps for itself"),
        (Path("/"), "names no file"),
    ):
        with pytest.raises(UserError, match=message):
            project.specs.export_dataset("data", "csv", target)


def slow_job(project: Project, queue: JobQueue, out: Path) -> Job:
    job = queue.submit(project.specs.export_dataset("data", "slow", out / "crawl"))
    wait_until(lambda: job.progress.done >= 3 or job.is_finished)
    assert job.error is None, job.error
    return job


def test_cancel_leaves_nothing(project: Project, out: Path, own_home: Path) -> None:
    write_slow_exporter(own_home)
    queue = make_queue(project)
    job = slow_job(project, queue, out)
    queue.cancel(job.id)
    assert queue.wait(job.id).state == "cancelled"
    assert list(out.iterdir()) == [] and project.exports.all() == []


def test_a_killed_worker_leaves_no_target_and_retry_makes_it(project: Project, out: Path, own_home: Path) -> None:
    write_slow_exporter(own_home)
    queue = make_queue(project)
    job = slow_job(project, queue, out)
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    assert queue.wait(job.id).state == "failed"
    assert not (out / "crawl").exists()
    queue.retry(job.id)
    assert queue.wait(job.id).state == "succeeded"
    assert len(list((out / "crawl").glob("*.txt"))) == 50
    assert [p.name for p in out.iterdir()] == ["crawl"]


def test_a_full_disk_is_said_and_nothing_is_left(project: Project, out: Path, tmp_path: Path) -> None:
    noise = [{"text": os.urandom(2_000).hex()} for _ in range(1_000)]
    here(project, project.specs.import_files([write_jsonl(tmp_path / "noise.jsonl", noise)]))
    for exporter in ("hf_dataset", "xlsx"):
        queue = make_queue(project)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # the worker inherits it
        try:
            job = queue.submit(project.specs.export_dataset("noise", exporter, out / exporter))
            wait_until(lambda job=job: job.pid is not None or job.is_finished)  # type: ignore[misc]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        queue.wait(job.id)
        assert job.state == "failed" and job.error is not None, exporter
        assert "did not fit on the disk" in job.error.message, (exporter, job.error)
        assert job.error.remedy and list(out.iterdir()) == []


def test_the_command_guesses_the_format_and_says_what_it_did(
    project: Project, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(project.folder)
    project.close()
    made = fmstudio_json(
        "export", "data", "--to", str(out / "x.csv"), "--set", "delimiter=semicolon", "--project", folder
    )
    assert (made["exporter"], made["rows"]) == ("csv", 50)
    assert (out / "x.csv").read_text().startswith("text;n\n")
    command = ["--to", str(out / "hub"), "--where", "n > 40", "--with", "provenance", "--project", folder]
    assert main(["export", "data", *command]) == 0
    told = capsys.readouterr().out
    assert "Wrote 9 rows" in told and "hf_dataset" in told
    assert (out / "hub" / "provenance.json").exists()
    for wrong, said in (
        (["--to", str(out / "x.doc")], "No format goes with"),
        (["--to", str(out / "x.csv")], "already there"),
        (["--to", str(out / "y.csv"), "--set", "delimiter=colon"], "delimiter"),
        (["--to", str(out / "y.csv"), "--with", "all"], "rejected, dropped, provenance"),
        (["--to", str(out / "y.csv"), "--format", "word"], "no dataset exporter “word”"),
    ):
        assert main(["export", "data", *wrong, "--project", folder]) == 2
        assert said in capsys.readouterr().err
    assert sorted(p.name for p in out.iterdir()) == ["hub", "x.csv"]


def test_a_dataset_made_from_another_tells_of_it(project: Project, out: Path) -> None:
    first = project.datasets.get("data").id
    _, branch = project.datasets.branch(first, 1, "twig")
    export(project, branch, "hf_dataset", out / "twig")
    card = (out / "twig" / "README.md").read_text("utf-8")
    assert "- data, version 1, Import" in card and "- version 1, Branch" in card and "data.jsonl" in card
