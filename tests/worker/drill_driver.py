"""Changes a project without end, in a child process that a test kills at any moment.

``python -m tests.worker.drill_driver PROJECT``: imports everything once, then forks for each line on stdin (a seed);
prints the child's pid, and its exit when it is gone. So a drill costs a fork, not an interpreter's start.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import traceback
from pathlib import Path
from typing import Any

from fmstudio.jobs.spec import Job, JobSpec
from fmstudio.plugin_manager import PluginManager
from fmstudio.project import Project
from fmstudio.worker.run import run_step

ROWS = 300
USED = (
    "duckdb", "numpy", "pyarrow.compute", "pyarrow.json", "pyarrow.parquet", "fmstudio.recipes.commit_run",
    "fmstudio.worker.tasks.import_dataset", "fmstudio.worker.tasks.transform",
)  # fmt: skip
"""Imported once, before the forks."""


def main() -> None:
    """Serve drills until stdin ends."""
    folder = Path(sys.argv[1])
    for name in USED:
        importlib.import_module(name)
    for importer in PluginManager().contributions("importer"):
        importer.load()
    for line in sys.stdin:
        seed = int(line)
        pid = os.fork()
        if pid == 0:
            _drill(folder, seed)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _drill(folder: Path, seed: int) -> None:
    """Never returns. Stands on its own: no shared stdin or stdout."""
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(folder.parent / "drill.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdin = os.fdopen(null)
    try:
        change_for_ever(Project.open(folder), random.Random(seed))
    except BaseException:  # noqa: BLE001 - a forked child must not run its parent's cleaning up
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


def change_for_ever(project: Project, chance: random.Random) -> None:
    """Import, edit, commit, undo, redo, collect garbage, in any order."""
    while True:
        kind = chance.choice(["import", "edit", "edit", "commit", "undo", "redo", "collect"])
        change(project, kind, chance)


def change(project: Project, kind: str, chance: random.Random) -> None:
    """Make one change, in this process from end to end."""
    datasets = project.datasets.all()
    if kind == "import" or not datasets:
        file = project.folder.parent / f"rows-{chance.randrange(10**9)}.jsonl"
        file.write_text("".join(json.dumps({"text": f"row {i}", "n": i}) + "\n" for i in range(ROWS)), "utf-8")
        run_job(project, project.specs.import_files([file]))
    elif kind == "edit":
        dataset = chance.choice(datasets)
        ids = [r["row_id"] for r in project.page(dataset.id, limit=5, offset=chance.randrange(50)).records()]
        project.edits.set_cells(dataset.id, {i: {"text": f"edited {chance.random()}"} for i in ids[:3]})
        project.edits.delete_rows(dataset.id, ids[3:])
        project.edits.add_rows(dataset.id, [{"text": "added"}])
    elif kind == "commit":
        dataset = chance.choice(datasets)
        if project.edits.pending(dataset.id).operations:
            run_job(project, project.specs.commit(dataset.id))
    elif kind == "collect":
        project.disk.collect(project.disk.collectable())
    else:
        getattr(project, kind)()


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
