"""A dataset with a past: edits, commits, a recipe that dropped and changed rows, a name, an undo. Made without a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from fmstudio.core.settings import Settings
from fmstudio.project import Project
from fmstudio.ui.context import AppContext
from fmstudio.ui.process import QProcessLauncher
from tests.ui.data_kit import LONG
from tests.unit.edit_kit import commit, make_dataset, recipe_job

ANSWER = (
    "Please hold the power button for ten seconds until the lamp blinks, then let go. If the speaker stays silent, "
    "charge it for an hour and try again."
)


def conversation(number: int, answer: str = ANSWER) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": "You are a patient support agent for home audio."},
        {"role": "user", "content": f"My speaker number {number} is silent. What can I do?"},
        {"role": "assistant", "content": answer},
    ]


def table(count: int) -> pa.Table:
    ids = range(count)
    return pa.table(
        {
            "row_id": pa.array(ids, pa.int64()),
            "messages": [conversation(i) for i in ids],
            "topic": [("power", "sound", "pairing")[i % 3] for i in ids],
            "score": pa.array([i % 5 for i in ids], pa.int64()),
        }
    )


def with_past(folder: Path, count: int = 60) -> str:
    """Make a project whose dataset ``support`` has three versions and an edit that waits; give the dataset's id."""
    project = Project.create(folder)
    dataset = make_dataset(project, "support", table(count))
    project.datasets.name_version(dataset, 1, "as imported")
    shorter = ANSWER.replace("ten seconds until the lamp blinks", "five seconds until the lamp is green")
    project.edits.set_cells(dataset, {3: {"messages": conversation(3, shorter)}, 4: {"topic": "battery"}})
    project.edits.delete_rows(dataset, [5, 6])
    commit(project, dataset)
    kept = [i for i in range(count) if i % 4 and i not in (5, 6)]
    changed = table(count).to_pylist()
    rows = [
        {**changed[i], "messages": conversation(i, ANSWER.replace("Please hold", "Hold")), "score": 9} for i in kept
    ]
    project.publish(recipe_job(project, dataset, pa.Table.from_pylist(rows, schema=table(1).schema)))
    project.edits.rate(dataset, [1, 2], 1)
    project.edits.add_rows(dataset, [{"messages": conversation(900), "topic": "sound", "score": 1}])
    project.edits.set_cells(dataset, {7: {"topic": "wifi"}})
    project.undo(dataset)
    project.close()
    return dataset


class Contexts:
    """Opens contexts over projects and closes them at the end."""

    def __init__(self, qtbot: Any) -> None:
        self._qtbot = qtbot
        self._open: list[AppContext] = []
        self.said: list[str] = []
        self.problems: list[str] = []
        self.visited: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, folder: Path) -> AppContext:
        context = AppContext(Settings(), QProcessLauncher())
        self._open.append(context)
        context.notified.connect(lambda _, text, action: self.said.append(text))
        context.problem_shown.connect(lambda problem, _: self.problems.append(problem.message))
        context.navigated.connect(lambda page, args: self.visited.append((page, args)))
        context.open_project(folder)
        self._qtbot.waitUntil(lambda: context.project is not None, timeout=LONG)
        return context

    def close(self) -> None:
        for context in self._open:
            context.close()
