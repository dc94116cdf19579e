"""Changes a project without end, in a child process that a test kills at any moment.

``python -m tests.worker.drill_driver PROJECT``: imports everything once, then forks for each line on stdin (a seed and a
kind of change); prints the child's pid, and its exit when it is gone. So a drill costs a fork, not an interpreter's start.
What a child is doing is seen in the file ``doing`` beside the project; see `Doing`.
"""

from __future__ import annotations

import importlib
import json
import mmap
import os
import random
import struct
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmstudio.jobs.spec import Job, JobSpec
from fmstudio.plugin_manager import PluginManager
from fmstudio.project import Project
from fmstudio.worker.run import run_step

KINDS = ("import", "commit", "undo", "collect")
ROWS = 300
USED = (
    "duckdb", "numpy", "pyarrow.compute", "pyarrow.json", "pyarrow.parquet", "fmstudio.recipes.commit_run",
    "fmstudio.worker.tasks.import_dataset", "fmstudio.worker.tasks.transform",
)  # fmt: skip
"""Imported once, before the forks."""


class Doing:
    """Shared memory in which a child says what it does, so that its killer knows what was cut off.

    Attributes (all are 0 at first):
        is_busy: Whether the change that is drilled is under way.
        begun: How many of them were begun.
        operation: The newest entry of the operation log that the child was told is written.
    """

    _FORM = struct.Struct("qqq")

    def __init__(self, folder: Path) -> None:
        path = folder.parent / "doing"
        if not path.exists():
            path.write_bytes(bytes(self._FORM.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), self._FORM.size)

    def read(self) -> tuple[bool, int, int]:
        """Give `is_busy`, `begun` and `operation`."""
        is_busy, begun, operation = self._FORM.unpack_from(self._memory)
        return bool(is_busy), begun, operation

    def write(self, is_busy: bool, begun: int, operation: int) -> None:
        """Say it."""
        self._FORM.pack_into(self._memory, 0, is_busy, begun, operation)

    def note(self, project: Project) -> None:
        """Say that what was done until now is written."""
        is_busy, begun, _ = self.read()
        self.write(is_busy, begun, newest_operation(project))

    @contextmanager
    def busy(self) -> Iterator[None]:
        """The change that is drilled."""
        _, begun, operation = self.read()
        self.write(True, begun + 1, operation)
        yield
        self.write(False, begun + 1, operation)


def newest_operation(project: Project) -> int:
    """Id of the newest entry of the operation log, standing or undone."""
    return max((operation.id for operation in project.datasets.operations()), default=0)


def main() -> None:
    """Serve drills until stdin ends."""
    folder = Path(sys.argv[1])
    for name in USED:
        importlib.import_module(name)
    for importer in PluginManager().contributions("importer"):
        importer.load()
    for line in sys.stdin:
        seed, kind = line.split()
        pid = os.fork()
        if pid == 0:
            _drill(folder, int(seed), kind)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _drill(folder: Path, seed: int, kind: str) -> None:
    """Never returns. Stands on its own: no shared stdin or stdout."""
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(folder.parent / "drill.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdin = os.fdopen(null)
    try:
        change_for_ever(Project.open(folder), random.Random(seed), kind, Doing(folder))
    except BaseException:  # noqa: BLE001 - a forked child must not run its parent's cleaning up
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


def change_for_ever(project: Project, chance: random.Random, kind: str, doing: Doing) -> None:
    """Do one kind of change again and again, after what makes it possible."""
    while True:
        for other in ("import", *_BEFORE[kind]) if not project.datasets.all() else _BEFORE[kind]:
            change(project, other, chance)
            doing.note(project)
        with doing.busy():
            change(project, kind, chance)
        doing.note(project)


_BEFORE = {"import": (), "commit": ("edit",), "undo": ("edit",), "collect": ("edit", "commit", "edit", "commit")}


def change(project: Project, kind: str, chance: random.Random) -> None:
    """Make one change, in this process from end to end."""
    if kind == "import":
        file = project.folder.parent / f"rows-{chance.randrange(10**9)}.jsonl"
        file.write_text("".join(json.dumps({"text": f"row {i}", "n": i}) + "\n" for i in range(ROWS)), "utf-8")
        run_job(project, project.specs.import_files([file]))
        return
    dataset = project.datasets.all()[-1].id
    if kind == "edit":
        ids = [r["row_id"] for r in project.page(dataset, limit=5, offset=chance.randrange(50)).records()]
        project.edits.set_cells(dataset, {i: {"text": f"edited {chance.random()}"} for i in ids[:3]})
        project.edits.delete_rows(dataset, ids[3:])
        project.edits.add_rows(dataset, [{"text": "added"}])
    elif kind == "commit":
        run_job(project, project.specs.commit(dataset))
    elif kind == "undo":
        for _ in range(3):
            project.undo(dataset)
        for _ in range(chance.randrange(4)):
            project.redo(dataset)
    elif kind == "collect":
        project.disk.collect(project.disk.collectable(0), 0)


def run_job(project: Project, spec: JobSpec) -> Any:
    """Run a job's steps here and publish it."""
    folder = project.jobs_dir / spec.id
    spec.save(folder)
    for index in range(len(spec.steps)):
        assert run_step(str(folder), str(index)) == 0
    job = Job.load(folder)
    return project.publish(job)


if __name__ == "__main__":
    main()
