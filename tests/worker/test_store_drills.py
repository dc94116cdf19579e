"""``kill -9`` at random points inside import, commit, undo and garbage collection: no published row is ever lost."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fmstudio.core.parquet import count_rows
from fmstudio.project import Project
from tests.helpers import ROOT, fmstudio_json, wait_until, write_jsonl
from tests.worker.drill_driver import KINDS, Doing, newest_operation

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks and kills")

KILLS = 13
"""Of each kind, that hit it while it was under way: 52 together."""
MOST = 40

Seen = dict[tuple[str, int], str]
"""(dataset, version) → fingerprint of its rows."""


@contextmanager
def driver(folder: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "tests.worker.drill_driver", str(folder)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def drill(process: subprocess.Popen[str], doing: Doing, seed: int, kind: str, seconds: float) -> tuple[int, bool]:
    """One child does one kind of change and dies so long after it began; gives its exit code and whether it was at it."""
    assert process.stdin is not None
    assert process.stdout is not None
    doing.write(False, 0, 0)
    process.stdin.write(f"{seed} {kind}\n")
    process.stdin.flush()
    pid = int(process.stdout.readline())
    wait_until(lambda: doing.read()[1] > 0, pause=0.0005)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    code = int(process.stdout.readline())
    return code, doing.read()[:2] == (True, 1)


def fingerprint(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches():
            digest.update(repr(batch.to_pydict()).encode())
    return digest.hexdigest()


def verify(project: Project, seen: Seen) -> int:
    """Every version the catalogue knows reads back whole, and as it always did; gives how many there are."""
    found = 0
    for dataset_id, number, rows, folder in versions(project):
        files = sorted(folder.glob("rows-*.parquet"))
        assert files, f"{dataset_id} v{number} has lost its files"
        assert count_rows(files) == rows
        key, print_ = (dataset_id, number), fingerprint(files)
        assert seen.setdefault(key, print_) == print_
        found += 1
    for dataset in project.datasets.all():
        page = project.page(dataset.id, limit=10_000)
        assert page.total == len(page.rows) == dataset.rows
        ids = [record["row_id"] for record in page.records()]
        assert ids == sorted(set(ids))
    return found


def versions(project: Project) -> list[tuple[str, int, int, Path]]:
    """Versions whose files were not collected as garbage."""
    rows = project._catalog.query("SELECT dataset_id, number, rows, statistics::VARCHAR FROM versions")
    gone = [r for r in rows if "collected" in (r[3] or "")]
    return [
        (d, n, count, project.datasets.version_folder(d, n))
        for d, n, count, _ in rows
        if (d, n) not in [g[:2] for g in gone]
    ]


def test_a_kill_at_any_point_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    Project.create(folder).close()
    chance, seen, doing = random.Random(4), Seen(), Doing(folder)
    hits, longest = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0.1)
    with driver(folder) as process:
        for seed in range(MOST * len(KINDS)):
            kind = KINDS[seed % len(KINDS)]
            if hits[kind] >= KILLS:
                continue
            code, is_hit = drill(process, doing, seed, kind, chance.uniform(0.0, longest[kind]))
            assert code == -signal.SIGKILL, (tmp_path / "drill.log").read_text("utf-8")[-3_000:]
            hits[kind] += is_hit
            longest[kind] *= 1.2 if is_hit else 0.7  # however quick the machine is, kills fall early and late
            project = Project.open(folder)
            try:
                verify(project, seen)
                assert newest_operation(project) >= doing.read()[2], "what was said to be written is there"
            finally:
                project.close()
    assert set(hits.values()) == {KILLS}
    assert len(seen) >= 10, "the drills must have published something to lose"


def test_after_all_kills_the_project_still_works(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    Project.create(folder).close()
    with driver(folder) as process:
        for seed, kind in enumerate(KINDS):
            drill(process, Doing(folder), seed, kind, 0.05)
    fmstudio_json(
        "import", str(write_jsonl(tmp_path / "after.jsonl", [{"text": "after"}] * 5)), "--project", str(folder)
    )
    project = Project.open(folder)
    try:
        dataset = project.datasets.all()[-1]
        project.edits.delete_rows(dataset.id, [0, 1])
        assert project.datasets.get(dataset.id).rows == dataset.rows - 2
        project.undo(dataset.id)
        assert project.datasets.get(dataset.id).rows == dataset.rows
    finally:
        project.close()
