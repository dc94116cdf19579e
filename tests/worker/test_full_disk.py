"""The disk is full during import, commit, undo, recipe, export and garbage collection: said in words, and nothing is lost.

On a small disk of its own (tmpfs) where one can be mounted, elsewhere under a limit on the size of files.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.project import Project
from fmstudio.project.models import ModelLibrary
from tests.helpers import ROOT, write_jsonl
from tests.unit.edit_kit import make_dataset, recipe_job, shown

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX limits and mounts")

MB, KB = 1 << 20, 1 << 10
ROWS = 6_000
COMMANDS = {
    "import": ["import", "{beside}/fresh.jsonl", "--name", "fresh"],
    "commit": ["commit", "data"],
    "undo": ["undo", "data"],
    "recipe": ["recipe", "run", "{beside}/recipe.yaml", "--dataset", "data"],
    "export": ["export", "data", "--to", "{disk}/out.jsonl"],
    "collect": ["gc", "--keep-undo", "0"],
}
RECIPE = "name: short\nsteps:\n  - operator: length_filter\n    params: {min_characters: 5}\n"
FREE = (0, 60 * KB, 700 * KB)
"""Bytes left on the disk: not enough to begin, to write results down, or to write them."""


def noise(chance: random.Random) -> str:
    """Text that hardly compresses."""
    return chance.randbytes(150).hex()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a closed project (two versions nobody needs, one edit) and the files that the commands read."""
    import pyarrow as pa

    chance = random.Random(7)
    beside = tmp_path_factory.mktemp("full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelLibrary, "add_packaged", lambda self: None)
        project = Project.create(beside / "project")
        table = pa.table({"row_id": pa.array(range(ROWS), pa.int64()), "text": [noise(chance) for _ in range(ROWS)]})
        make_dataset(project, "data", table)
        for _ in range(2):
            project.publish(recipe_job(project, "d-data", table))
        project.edits.set_cells("d-data", {3: {"text": "edited"}})
        project.close()
    write_jsonl(beside / "fresh.jsonl", [{"text": noise(chance)} for _ in range(ROWS)])
    (beside / "recipe.yaml").write_text(RECIPE, "utf-8")
    yield beside


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """A disk of 24 MB; None where none can be mounted."""
    place = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    is_mounted = shutil.which("mount") is not None and not subprocess.run(mount, capture_output=True).returncode
    yield place if is_mounted else None
    if is_mounted:
        subprocess.run(["umount", str(place)], check=True)


def run(command: str, beside: Path, folder: Path, blocks: int | None = None) -> subprocess.CompletedProcess[str]:
    """A command on the project, where no file may grow beyond so many KiB (None: any size)."""
    words = [word.format(beside=beside, disk=folder.parent) for word in COMMANDS[command]]
    limit = f"ulimit -f {blocks}; " if blocks is not None else ""
    return subprocess.run(
        [
            "bash",
            "-c",
            f'{limit}exec "{sys.executable}" -m fmstudio "$@"',
            "fmstudio",
            *words,
            "--project",
            str(folder),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def state(folder: Path) -> dict[str, Any]:
    """What a user has: rows of every dataset, versions that are there, what was done."""
    project = Project.open(folder)
    try:
        names = [dataset.name for dataset in project.datasets.all()]
        versions = [(v.number, v.rows, v.is_collected) for v in project.datasets.versions("d-data")]
        for number, rows, is_gone in versions:
            assert is_gone or len(project.page("data", limit=ROWS, version=number).rows) == rows
        done = [(operation.kind, operation.state) for operation in project.datasets.operations()]
        return {"names": names, "rows": shown(project, "data"), "versions": versions, "done": done}
    finally:
        project.close()


def check_said(failed: subprocess.CompletedProcess[str]) -> None:
    """One sentence that says what happened and a way on; no trace."""
    assert failed.returncode == 2, failed.stderr
    said = [line for line in failed.stderr.splitlines() if line.startswith("fmstudio: ")]
    assert len(said) == 1, failed.stderr
    assert "disk" in said[0] and "Free some" in said[0], said
    assert "Traceback" not in failed.stderr and failed.stdout == ""


def check_done(command: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    """With room again the same command does what it always does."""
    if command == "undo":
        assert after["rows"][3]["text"] != "edited" and after["rows"][4:] == before["rows"][4:]
    else:
        assert after["rows"] == before["rows"]
    assert ("fresh" in after["names"]) == (command == "import")
    assert any(is_gone for *_, is_gone in after["versions"]) == (command == "collect")
    assert len(after["versions"]) == len(before["versions"]) + (command in ("commit", "recipe"))


@pytest.fixture
def beside(template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ModelLibrary, "add_packaged", lambda self: None)
    return template


@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_without_room(command: str, beside: Path, small_disk: Path | None, tmp_path: Path) -> None:
    disk = small_disk or tmp_path
    folder, made = disk / "project", disk / "out.jsonl"
    shutil.rmtree(folder, ignore_errors=True)
    made.unlink(missing_ok=True)
    shutil.copytree(beside / "project", folder)
    before, failures = state(folder), 0
    for free in FREE:
        done = run_full(command, beside, folder, free, small_disk)
        if done.returncode == 0:
            break
        failures += 1
        check_said(done)
        assert state(folder) == before
        assert not made.exists()
    else:
        done = run(command, beside, folder)
    assert done.returncode == 0, done.stderr
    assert failures >= 1
    check_done(command, before, state(folder))


def run_full(
    command: str, beside: Path, folder: Path, free: int, small_disk: Path | None
) -> subprocess.CompletedProcess[str]:
    """A command on a disk with so many bytes left, or where files may grow so far."""
    if small_disk is None:
        return run(command, beside, folder, free // KB)
    ballast = small_disk / "ballast"
    room = shutil.disk_usage(small_disk).free - free
    with ballast.open("wb") as file:
        for _ in range(room // (4 * KB)):
            file.write(bytes(4 * KB))
    try:
        return run(command, beside, folder)
    finally:
        ballast.unlink()
