"""Commits, edits and undo under fire: workers and the app killed at random moments, a disk that is full."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from fmstudio.cli.session import make_queue
from fmstudio.project import Project
from fmstudio.project.models import ModelLibrary
from tests.helpers import ROOT, fmstudio, wait_until
from tests.unit.edit_kit import make_dataset, shown, simple_table

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")

ROWS = 20
KILLS = 3
WORK = """
import sys
from pathlib import Path
from fmstudio.project import Project
from fmstudio.project.models import ModelLibrary
from tests.unit.edit_kit import commit

ModelLibrary.add_packaged = lambda self: None
project = Project.open(Path(sys.argv[1]))
done = int(sys.argv[2])
while True:
    done += 1
    if done % 7 == 0:
        commit(project, "data")
    elif done % 5 == 0:
        project.undo("d-data")
        project.redo("d-data")
    else:
        project.edits.set_cells("d-data", {done % 20: {"text": f"value {done}"}})
    print(done, flush=True)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with a small dataset."""
    monkeypatch.setattr(ModelLibrary, "add_packaged", lambda self: None)
    project = Project.create(tmp_path / "project")
    make_dataset(project, "data", simple_table(ROWS))
    yield project
    project.close()


def texts_after(done: int) -> list[str]:
    """What the rows hold after so many operations of `WORK`."""
    texts = [f"text {i}" for i in range(ROWS)]
    for number in range(1, done + 1):
        if number % 7 and number % 5:
            texts[number % ROWS] = f"value {number}"
    return texts


def test_the_app_killed_at_random_moments_loses_no_edit(project: Project) -> None:
    folder = project.folder
    project.close()
    chance = random.Random(3)
    done = 0
    for _ in range(KILLS):
        app = subprocess.Popen(
            [sys.executable, "-c", WORK, str(folder), str(done)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert app.stdout is not None and app.stderr is not None
        app.stdout.readline()
        time.sleep(chance.random() * 0.5)
        os.kill(app.pid, signal.SIGKILL)
        said, errors = app.communicate()
        assert app.returncode == -signal.SIGKILL, errors
        told = [int(line) for line in said.splitlines() if line]
        done = max([done + 1, *told])
        again = Project.open(folder)
        try:
            make_queue(again)
            texts = [row["text"] for row in shown(again, "data")]
            again.redo("d-data")  # it may have died between its undo and its redo
            redone = [row["text"] for row in shown(again, "data")]
            wanted = {count: texts_after(count) for count in (done, done + 1)}
            fits = [count for count, state in wanted.items() if redone == state]
            assert fits, (done, texts)
            done = fits[0]
        finally:
            again.close()
    assert done >= KILLS


def test_a_commit_worker_killed_at_random_moments_ends_well(project: Project) -> None:
    text = pa.array([os.urandom(60).hex() for _ in range(60_000)])
    table = pa.table({"row_id": pa.array(range(60_000), pa.int64()), "text": text})
    make_dataset(project, "big", table)
    project.edits.set_cells("d-big", {i: {"text": "edited", "mark": i} for i in range(0, 60_000, 30)})
    project.edits.delete_rows("d-big", [1, 2, 59_999])
    queue = make_queue(project)
    job = queue.submit(project.specs.commit("big"))
    chance = random.Random(5)
    for _ in range(3):
        wait_until(lambda: job.pid is not None or job.is_finished)
        time.sleep(chance.random() * 0.6)
        if job.pid is None:
            break
        os.kill(job.pid, signal.SIGKILL)
        queue.wait(job.id)
        assert project.count("big") == 59_997
        assert project.datasets.get("big").version in (1, 2)
        if job.state == "succeeded":
            break
        queue.retry(job.id)
    assert queue.wait(job.id).state == "succeeded"
    assert project.datasets.get("big").version == 2
    assert not project.edits.pending("d-big")
    assert project.count("big", "text = 'edited' AND mark = row_id") == 2_000
    assert project.dropped("big").total == 3


def test_a_full_disk_stops_a_commit_and_keeps_the_edits(project: Project, tmp_path: Path) -> None:
    text = pa.array([os.urandom(400).hex() for _ in range(9_000)])
    make_dataset(project, "big", pa.table({"row_id": pa.array(range(9_000), pa.int64()), "text": text}))
    project.edits.set_cells("d-big", {5: {"text": "edited"}})
    folder = project.folder
    project.close()
    command = f'ulimit -f 3000; exec "{sys.executable}" -m fmstudio commit big --project "{folder}"'
    full = subprocess.run(
        ["bash", "-c", command], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert full.returncode == 2, full.stderr
    assert "disk is full" in full.stderr
    done = fmstudio("commit", "big", "--project", str(folder))
    assert done.returncode == 0, done.stderr
    assert "Version 2 of “big”: 9,000 rows. Commit edits (1 cell edited)." in done.stdout
