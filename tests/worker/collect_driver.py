"""Collects garbage in a child process that a test kills, now before, now while, now after it does.

``python -m tests.worker.collect_driver PROJECT``: imports everything once, then forks for each line on stdin (a seed);
prints the child's pid, and its exit when it is gone. The child leaves a file ``ready-SEED`` beside the project when it begins to collect.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from pathlib import Path

from fmstudio.project import Project


def main() -> None:
    """Serve until stdin ends."""
    folder = Path(sys.argv[1])
    for name in ("duckdb", "numpy", "pyarrow.compute", "pyarrow.parquet"):
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _child(folder, int(line))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _child(folder: Path, seed: int) -> None:
    """Never returns."""
    log = os.open(folder.parent / "collect.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdin = os.fdopen(0, closefd=False)
    try:
        _collect(Project.open(folder), folder.parent, seed)
    except BaseException:  # noqa: BLE001 - a forked child must not run its parent's cleaning up
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


def _collect(project: Project, beside: Path, seed: int) -> None:
    found = project.disk.collectable(0)
    (beside / f"ready-{seed}").touch()
    project.disk.collect(found, 0)
    signal.pause()


if __name__ == "__main__":
    main()
