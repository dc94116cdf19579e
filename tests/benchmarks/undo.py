"""Undo and redo of every kind of operation at 1 M rows, each with the page that is shown then, on real jobs.

Each is measured right after it was done, and again in a project that was opened afresh, where nothing is in memory.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fmstudio.jobs.spec import JobSpec
from fmstudio.project import Project
from tests.benchmarks import Figure
from tests.benchmarks._big_project import DATASET, big_project
from tests.benchmarks.store import timed
from tests.worker.drill_driver import run_job

ROWS = 1_000_000
CELLS = 100_000
GOAL_MS = 200.0
RECIPE = {"name": "short texts", "steps": [{"operator": "length_filter", "params": {"min_characters": 180}}]}
REPLACE = {"find": "says", "replacement": "said", "column": "text"}


def run() -> list[Figure]:
    """The slowest undo and redo of each kind."""
    with tempfile.TemporaryDirectory(prefix="fmstudio-undo-") as place:
        folder = Path(place) / "project"
        big_project(folder, ROWS).close()
        worst: dict[str, float] = {}
        for name, act in operations(Path(place)).items():
            project = Project.open(folder)
            act(project)
            worst[name] = there_and_back(project)
            project.close()
            project = Project.open(folder)
            worst[name] = max(worst[name], there_and_back(project))
            project.close()
    return [
        Figure(f"undo or redo of {name}, 1 M rows", ms, None, "ms", f"≤ {GOAL_MS:.0f} ms", ms <= GOAL_MS)
        for name, ms in worst.items()
    ]


def operations(place: Path) -> dict[str, Callable[[Project], object]]:
    """What can be done to a dataset, in an order in which each makes sense."""
    edited = random.Random(1).sample(range(ROWS - 1), CELLS // 2)
    return {
        f"an edit of {CELLS:,} cells": lambda p: p.edits.set_cells(
            DATASET, {row: {"text": f"edited {row}", "label": row % 97 + 100} for row in edited}
        ),
        f"a commit of {CELLS:,} cells": lambda p: _run(p, p.specs.commit(DATASET)),
        "one more cell": lambda p: p.edits.set_cells(DATASET, {77: {"text": "once more"}}),
        "a discard": lambda p: p.edits.discard(DATASET),
        "50,000 deleted rows": lambda p: p.edits.delete_rows(DATASET, edited),
        "a commit of deletions": lambda p: _run(p, p.specs.commit(DATASET)),
        "20,000 added rows": lambda p: p.edits.add_rows(DATASET, [{"text": f"row {i}"} for i in range(20_000)]),
        "a recipe run": lambda p: _run(p, p.specs.recipe(DATASET, RECIPE)),
        "a transform": lambda p: _run(p, p.specs.transform(DATASET, "replace", REPLACE)),
        "a restore": lambda p: p.datasets.restore(DATASET, 1),
        "an import": lambda p: _run(p, p.specs.import_files([_jsonl(place / "fresh.jsonl")])),
    }


def _run(project: Project, spec: JobSpec) -> None:
    """Run a job in this process; what its worker would tell the app goes nowhere."""
    out, python_out = os.dup(1), sys.stdout
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        run_job(project, spec)
    finally:
        os.dup2(out, 1)
        sys.stdout = python_out
        os.close(out)
        os.close(null)


def there_and_back(project: Project) -> float:
    """Undo the newest operation and do it again, each with a page of what is seen then; the slower, in ms."""
    names = {operation.dataset_id for operation in project.datasets.operations()}

    def seen(step: Callable[[], object]) -> None:
        step()
        for dataset in project.datasets.all():
            if dataset.id in names:
                project.page(dataset.id, offset=dataset.rows // 2, limit=200)

    return max(timed(lambda: seen(project.undo)), timed(lambda: seen(project.redo)))


def _jsonl(path: Path) -> Path:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT 'row ' || i AS text, i AS n FROM range({ROWS}) t(i)) TO '{path}' (FORMAT json)"
        )
    return path
