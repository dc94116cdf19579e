"""A full disk at an edit, an undo and an open; two processes during a commit; a clock that goes backwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fmstudio.core.jsonfile import read_json
from fmstudio.project import Project
from tests.helpers import ROOT, fmstudio, wait_until
from tests.unit.edit_kit import commit, leave_out_packaged_models, make_dataset, recipe_job, shown, simple_table

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX limits and signals")

D = "d-data"

WHILE_FULL = """
import os, resource, sys
from pathlib import Path
from fmstudio.api import UserError
from fmstudio.project import Project
from fmstudio.project.models import ModelLibrary

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

def attempt(act):
    try:
        act()
    except UserError as error:
        print(error)
        return False
    return True

ModelLibrary.add_packaged = lambda self: None
project = Project.open(Path(sys.argv[1]))
what, size = sys.argv[2], int(sys.argv[3])
edit = lambda: project.edits.set_cells("d-data", {2: {"text": os.urandom(300).hex()}})
act = edit if what == "edit" else lambda: getattr(project, what)("d-data")
state = lambda: (project.page("data", offset=0, limit=99).records(), [(o.id, o.state) for o in project.datasets.operations()])
if what == "redo":
    project.undo("d-data")
log = Path(sys.argv[1]) / "catalog.duckdb.wal"
limit(size + (log.stat().st_size if log.exists() else 0))
before, done = state(), 0
while attempt(act):
    assert state() != before, "what succeeds shows"
    before, done = state(), done + 1
    if what != "edit":
        sys.exit(f"the disk was not full at all ({done})")
assert state() == before, "what fails changes nothing, not even in memory"
limit(resource.RLIM_INFINITY)
assert attempt(act), "with room again, the same process goes on"
project.close()
print("done", done)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A closed project with a dataset of twenty rows and two edits."""
    leave_out_packaged_models(monkeypatch)
    project = Project.create(tmp_path / "project")
    make_dataset(project, "data", simple_table(20))
    project.edits.set_cells(D, {1: {"text": "first"}})
    project.edits.set_cells(D, {1: {"text": "second"}})
    project.close()
    yield tmp_path / "project"


def under_limit(blocks: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line where no file may grow beyond so many KiB."""
    command = f'ulimit -f {blocks}; exec "{sys.executable}" -m fmstudio "$@"'
    return subprocess.run(
        ["bash", "-c", command, "fmstudio", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(("what", "size"), [("edit", 500), ("edit", 30_000), ("undo", 60), ("redo", 60)])
def test_a_full_disk_stops_one_change_and_the_process_goes_on(folder: Path, what: str, size: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHILE_FULL, str(folder), what, str(size)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said, end = done.stdout.splitlines()[0], done.stdout.splitlines()[-1]
    assert said == (
        "The change could not be written: the disk is full. Free some disk space, then try again. Nothing was changed."
    )
    assert end.startswith("done") and (size < 1_000 or int(end.split()[1]) > 3)
    project = Project.open(folder)
    try:
        texts = [row["text"] for row in shown(project, "data")]
        assert texts[1] == {"undo": "first"}.get(what, "second")
        assert len(texts[2]) == (600 if what == "edit" else len("text 2"))
    finally:
        project.close()


@pytest.mark.parametrize(
    ("blocks", "command"), [(1, ["edit", "data", "3", f"text={'x' * 3000}"]), (0, ["undo", "data"])]
)
def test_a_command_on_a_full_disk_says_one_sentence(folder: Path, blocks: int, command: list[str]) -> None:
    failed = under_limit(blocks, *command, "--project", str(folder))
    assert failed.returncode == 2 and "the disk is full" in failed.stderr, failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    project = Project.open(folder)
    assert shown(project, "data")[1]["text"] == "second" and project.edits.pending(D).operations == 2
    project.close()
    done = fmstudio(*command, "--project", str(folder))
    assert done.returncode == 0, done.stderr


def test_a_second_command_during_a_commit_is_told_the_first_ones_pid(folder: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-m", "fmstudio", "commit", "data", "--project", str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    state = wait_until(
        lambda: next((s for p in folder.glob("jobs/*/state.json") if (s := read_json(p, {})).get("pid")), None), 60
    )
    os.kill(state["pid"], signal.SIGSTOP)
    try:
        for command in (["commit", "data"], ["rows", "data"]):
            second = fmstudio(*command, "--project", str(folder))
            assert second.returncode == 2
            assert len(second.stderr.splitlines()) == 1, second.stderr
            assert f"already open in fmstudio commit (process {first.pid})" in second.stderr
        assert first.poll() is None
    finally:
        os.kill(state["pid"], signal.SIGCONT)
    said, complaint = first.communicate(timeout=120)
    assert first.returncode == 0, complaint
    assert "Version 2 of “data”" in said
    project = Project.open(folder)
    assert [row["text"] for row in shown(project, "data")][1] == "second"
    assert not project.edits.pending(D) and project.datasets.get("data").version == 2
    project.close()


def test_a_clock_that_goes_backwards_changes_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out_packaged_models(monkeypatch)
    now = [2e9]

    def backwards() -> float:
        now[0] -= 3600
        return now[0]

    project = Project.create(tmp_path / "backwards")
    monkeypatch.setattr(time, "time", backwards)
    make_dataset(project, "data", simple_table(5))
    make_dataset(project, "later", simple_table(2))
    done = [(D, 1, {0: {"text": "a"}}), (D, 1, {0: {"text": "b"}, 1: {"n": 7}}), (D, 1, {0: {"text": "c"}})]
    states = [shown(project, D)]
    for dataset, _, values in done:
        project.edits.set_cells(dataset, values)
        states.append(shown(project, D))
    commit(project, D)
    project.edits.delete_rows(D, [4])
    states += [states[-1], shown(project, D)]
    project.publish(recipe_job(project, D, simple_table(3)))
    states.append(shown(project, D))
    try:
        check_order(project, states)
        project.close()
        project = Project.open(tmp_path / "backwards")  # and again from the disk, with the clock further back
        check_order(project, states)
    finally:
        project.close()


def check_order(project: Project, states: list[list[dict[str, object]]]) -> None:
    """Undo and redo pass through all states in the order in which they were made; every list keeps it."""
    assert [dataset.name for dataset in project.datasets.all()] == ["data", "later"]
    operations = [op for op in project.datasets.operations(D) if op.state == "done"]
    assert [op.id for op in operations] == sorted(op.id for op in operations)
    assert [op.created for op in operations] == sorted((op.created for op in operations), reverse=True)
    assert [version.number for version in project.datasets.versions(D)] == [1, 2, 3]
    assert shown(project, D) == states[-1]
    made = [entry.text for entry in project.datasets.history(D)]
    kinds = [entry.operation.kind for entry in project.datasets.history(D)]
    assert kinds[:7] == ["import", "edit", "edit", "edit", "commit", "edit", "recipe"], made
    for state in states[-2::-1]:
        while shown(project, D) != state:
            assert project.undo(D) is not None
    for state in states[1:]:
        while shown(project, D) != state:
            assert project.redo(D) is not None
    while project.redo(D):
        pass
    assert shown(project, D) == states[-1]
    told = [change.after for change in project.edits.row_history(D, 0) if change.column == "text"]
    assert told[:3] == ["a", "b", "c"]
