"""Workers and the app itself die at bad moments: earlier data stays, the user is told, the way on works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fmstudio.cli.session import make_queue
from fmstudio.jobs.queue import JobQueue
from fmstudio.jobs.spec import Job
from fmstudio.project import Project
from tests.helpers import ROOT, fmstudio, fmstudio_json, wait_until, write_jsonl, write_slow_importer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")


@pytest.fixture
def project(tmp_path: Path, own_home: Path) -> Iterator[Project]:
    """A project with one dataset of 50 rows."""
    write_slow_importer(own_home)
    project = Project.create(tmp_path / "project")
    source = write_jsonl(tmp_path / "kept.jsonl", [{"text": f"kept {i}"} for i in range(50)])
    run(project, make_queue(project), source)
    yield project
    project.close()


def run(project: Project, queue: JobQueue, source: Path) -> Job:
    job = queue.submit(project.specs.import_files([source]))
    return queue.wait(job.id)


def slow_file(tmp_path: Path, rows: int) -> Path:
    path = tmp_path / "crawl.slow"
    path.write_text(str(rows).ljust(1000), "utf-8")
    return path


def started(queue: JobQueue, job: Job) -> int:
    """Wait until the worker has read a few rows; give its pid."""
    wait_until(lambda: job.progress.done >= 3)
    assert job.pid is not None
    return job.pid


def test_a_killed_worker_is_explained_and_retry_works(project: Project, tmp_path: Path) -> None:
    queue = make_queue(project)
    job = queue.submit(project.specs.import_files([slow_file(tmp_path, 40)]))
    os.kill(started(queue, job), signal.SIGKILL)
    queue.wait(job.id)
    assert job.state == "failed"
    assert job.error is not None
    assert "SIGKILL" in job.error.message
    assert "memory" in job.error.message
    assert project.count("kept") == 50
    queue.retry(job.id)
    assert queue.wait(job.id).state == "succeeded"
    assert project.count("crawl") == 40


def test_cancel_ends_the_worker_and_leaves_nothing(project: Project, tmp_path: Path) -> None:
    queue = make_queue(project)
    job = queue.submit(project.specs.import_files([slow_file(tmp_path, 5000)]))
    pid = started(queue, job)
    queue.cancel(job.id)
    assert queue.wait(job.id).state == "cancelled"
    assert job.error is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert [d.name for d in project.datasets.all()] == ["kept"]


def test_a_job_outlives_the_app_and_is_found_again(project: Project, tmp_path: Path) -> None:
    folder = project.folder
    project.close()
    app = subprocess.Popen(
        [sys.executable, "-m", "fmstudio", "import", str(slow_file(tmp_path, 100)), "--project", str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: any("crawl" in p.read_text() for p in folder.glob("jobs/*/spec.json")))
    job_folder = next(p.parent for p in folder.glob("jobs/*/spec.json") if "crawl" in p.read_text())
    events = job_folder / "events.jsonl"
    wait_until(lambda: events.exists() and '"progress"' in events.read_text())
    os.kill(app.pid, signal.SIGKILL)
    app.wait()
    again = Project.open(folder)
    try:
        queue = make_queue(again)
        job = next(j for j in queue.jobs() if j.title == "Import crawl")
        assert job.state == "running", "the worker goes on by itself and is followed again"
        assert queue.wait(job.id).state == "succeeded"
        assert again.count("crawl") == 100
        assert again.count("kept") == 50
    finally:
        again.close()


KILL_IN_COMMIT = """
import os, signal, sys
from pathlib import Path
from fmstudio.cli.session import make_queue, run_job
from fmstudio.project import Project, placing, publish

point, folder, source = sys.argv[1:]
project = Project.open(Path(folder))

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

if point == "before rename":
    placing.write_json = die
elif point == "after rename":
    placing.fsync_folder = die
elif point == "in transaction":
    publish.log_operation = die
run_job(project, project.specs.import_files([Path(source)]))
"""


@pytest.mark.parametrize("point", ["before rename", "after rename", "in transaction"])
def test_the_app_killed_in_mid_commit_loses_nothing(project: Project, tmp_path: Path, point: str) -> None:
    folder = project.folder
    project.close()
    source = write_jsonl(tmp_path / "fresh.jsonl", [{"text": f"fresh {i}"} for i in range(30)])
    died = subprocess.run(
        [sys.executable, "-c", KILL_IN_COMMIT, point, str(folder), str(source)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    again = Project.open(folder)
    try:
        queue = make_queue(again)
        job = next(j for j in queue.jobs() if j.title == "Import fresh")
        assert queue.wait(job.id).state == "succeeded"
        assert again.count("fresh") == 30
        assert again.page("kept", limit=50).rows[-1][-1] == "kept 49"
    finally:
        again.close()


def test_a_second_command_is_told_who_holds_the_project(project: Project) -> None:
    other = fmstudio("datasets", "--project", str(project.folder))
    assert other.returncode == 2
    assert f"process {os.getpid()}" in other.stderr
    assert other.stderr.count("\n") == 1
    assert other.stdout == ""


def test_a_full_disk_is_said_and_earlier_data_stays(project: Project, tmp_path: Path) -> None:
    folder = project.folder
    project.close()
    source = write_jsonl(tmp_path / "big.jsonl", [{"text": os.urandom(400).hex()} for _ in range(20_000)])
    command = f'ulimit -f 2000; exec "{sys.executable}" -m fmstudio import "{source}" --project "{folder}"'
    full = subprocess.run(
        ["bash", "-c", command], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert full.returncode == 2, full.stderr
    assert "disk is full" in full.stderr
    shown = fmstudio_json("rows", "kept", "--project", str(folder), "--limit", "50")
    assert shown["total"] == 50
    again = fmstudio_json("import", str(source), "--project", str(folder))
    assert again["rows"] == 20_000


def test_an_interrupted_job_is_marked_and_can_be_retried(project: Project, tmp_path: Path) -> None:
    queue = make_queue(project)
    job = queue.submit(project.specs.import_files([slow_file(tmp_path, 60)]))
    pid = started(queue, job)
    later = make_queue(project)
    os.kill(pid, signal.SIGKILL)
    followed = later.wait(job.id)
    assert followed.state in ("interrupted", "failed")
    assert followed.error is not None
    time.sleep(0.1)
    later.retry(job.id)
    assert later.wait(job.id).state == "succeeded"
