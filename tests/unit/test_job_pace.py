"""How far a job has come and how long it will take, in words; time it stood still is none it took."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fmstudio.cli.session import make_queue
from fmstudio.core.words import amount, time_left
from fmstudio.jobs.protocol import Progress
from fmstudio.jobs.spec import Job, JobSpec, StepSpec
from fmstudio.project import Project
from tests.helpers import write_slow_importer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Monotonic seconds, to be set."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def running(tmp_path: Path) -> Job:
    return Job(JobSpec.new("Import x", "import", [StepSpec("import", "import_dataset")]), tmp_path, "running")


def test_amounts() -> None:
    assert amount(2_588_226_032, 10_235_641_239, "bytes read") == "2.6 GB of 10.2 GB read"
    assert amount(412, 1_050, "rows") == "412 of 1,050 rows"
    assert amount(412, None, "rows embedded") == "412 rows embedded"
    assert amount(3, 4, "") == "3 of 4"
    assert amount(0, None, "looking at the rows") == "looking at the rows"
    assert amount(0, 50, "rows") == "0 of 50 rows"
    assert [time_left(s) for s in (0.2, 7.4, 59, 185)] == [
        "about 1 s left", "about 7 s left", "about 59 s left", "about 3 min 05 s left",
    ]  # fmt: skip


def test_the_pace_counts_from_where_a_job_went_on(tmp_path: Path, clock: list[float]) -> None:
    job = running(tmp_path)
    job.apply(Progress(600, 1_000, "bytes read"))
    assert job.seconds_left() is None
    clock[0] += 1
    job.apply(Progress(640, 1_000, "bytes read"))
    assert job.seconds_left() is None, "one second tells little"
    clock[0] += 3
    job.apply(Progress(700, 1_000, "bytes read"))
    assert job.seconds_left() == pytest.approx(300 / (100 / 4))
    job.apply(Progress(0, 50, "rows"))
    assert job.seconds_left() is None, "something else is counted now"
    job.state = "cancelled"
    clock[0] += 10
    assert job.seconds_left() is None


def test_progress_that_was_read_from_the_log_says_nothing_about_the_pace(tmp_path: Path, clock: list[float]) -> None:
    job = running(tmp_path)
    (tmp_path / "events.jsonl").write_text(
        '{"type": "progress", "t": 1, "done": 1, "total": 100, "text": "rows"}\n'
        '{"type": "progress", "t": 2, "done": 90, "total": 100, "text": "rows"}\n'
    )
    job.read_events()
    clock[0] += 5
    assert job.progress.done == 90 and job.seconds_left() is None


def test_a_pause_is_no_time_a_job_took(tmp_path: Path, own_home: Path) -> None:
    write_slow_importer(own_home)
    path = tmp_path / "rows.slow"
    path.write_text("30")
    project = Project.create(tmp_path / "project")
    try:
        queue = make_queue(project)
        job = queue.submit(project.specs.import_files([path]))
        queue.cancel(job.id)
        queue.wait(job.id)
        assert job.started and job.finished
        job.started, job.finished = job.started - 3_600, job.finished - 3_600  # an hour ago
        queue.retry(job.id)
        queue.wait(job.id)
        assert job.state == "succeeded" and job.finished - job.started < 600
    finally:
        project.close()
