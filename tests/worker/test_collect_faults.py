"""``kill -9`` during garbage collection, at random moments and at every single step of it: the project stays readable."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fmstudio.core.parquet import count_rows
from fmstudio.project import Project
from fmstudio.project.needed import job_states, needed_versions
from tests.helpers import ROOT, wait_until
from tests.unit.edit_kit import make_dataset, recipe_job, simple_table

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks and kills")

KILLS = 20
VERSIONS = 3


@contextmanager
def driver(folder: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "tests.worker.collect_driver", str(folder)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def grow(folder: Path) -> int:
    """Make versions of which all but the last are garbage; give how many were collected before."""
    project = Project.open(folder)
    try:
        for _ in range(VERSIONS):
            project.publish(recipe_job(project, "d-data", simple_table(50)))
        return sum(version.is_collected for version in project.datasets.versions("d-data"))
    finally:
        project.close()


def verify(folder: Path) -> tuple[int, int]:
    """Open the project: all versions that were not collected are whole, the trash is empty; give both numbers."""
    project = Project.open(folder)
    try:
        kept = gone = 0
        for version in project.datasets.versions("d-data") if project.datasets.all() else ():
            place = project.datasets.version_folder("d-data", version.number)
            files = sorted(place.glob("rows-*.parquet"))
            if version.is_collected:
                assert not version.name
                gone += 1
            else:
                assert count_rows(files) == version.rows
                kept += 1
        needed = needed_versions(project._catalog, job_states(project._catalog, project.jobs_dir), 0)
        assert not any(project.datasets.version(*place).is_collected for place in needed)
        trash = folder / "trash"
        assert not trash.exists() or list(trash.iterdir()) == []
        for dataset in project.datasets.all():
            assert len(project.page(dataset.id, limit=1000).rows) == dataset.rows
        return kept, gone
    finally:
        project.close()


def test_a_kill_at_a_random_moment(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    project = Project.create(folder)
    make_dataset(project, "data", simple_table(200))
    project.close()
    chance, outcomes, longest = random.Random(1), [], 0.1
    with driver(folder) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for seed in range(KILLS):
            before = grow(folder)
            process.stdin.write(f"{seed}\n")
            process.stdin.flush()
            pid = int(process.stdout.readline())
            wait_until((tmp_path / f"ready-{seed}").exists)
            time.sleep(chance.uniform(0.0, longest))
            os.kill(pid, signal.SIGKILL)
            code = int(process.stdout.readline())
            assert code == -signal.SIGKILL, (tmp_path / "collect.log").read_text("utf-8")[-3_000:]
            outcomes.append(verify(folder)[1] > before)
            longest *= 0.7 if outcomes[-1] else 1.5  # however quick the machine is, some fall before and some after
    assert set(outcomes) == {True, False}, "kills must fall both before and after the catalogue was told"


def die_at(step: int) -> None:
    """Kill this process at the n-th change of the disk or catalogue that it makes from now on."""
    left = [step]

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **more)

        return call

    from fmstudio.project import disk, trash

    Path.rename = counted(Path.rename)  # type: ignore[method-assign]
    Path.mkdir = counted(Path.mkdir)  # type: ignore[method-assign]
    trash.write_json = counted(trash.write_json)
    trash.fsync_folder = counted(trash.fsync_folder)
    disk.insert = counted(disk.insert)
    disk.Disk._note = counted(disk.Disk._note)  # type: ignore[method-assign]
    shutil.rmtree = counted(shutil.rmtree)  # type: ignore[assignment]
    os.unlink = counted(os.unlink)


def test_a_kill_at_every_step(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    project = Project.create(folder)
    make_dataset(project, "data", simple_table(100))
    project.close()
    step, outcomes = 0, set()
    while True:
        step += 1
        project = Project.open(folder)
        project.disk.collect(project.disk.collectable(0), 0)
        project.close()
        before = grow(folder)
        pid = os.fork()
        if pid == 0:
            try:
                child = Project.open(folder)
                garbage = child.disk.collectable(0)
                die_at(step)
                child.disk.collect(garbage, 0)
            finally:
                os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _, gone = verify(folder)
        assert gone in (before, before + VERSIONS), "all or nothing"
        outcomes.add(gone > before)
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert step > 10
    assert outcomes == {True, False}
