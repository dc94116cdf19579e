"""Whether a plugin's code can be loaded: tried in a child process, which may die of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.jobs.launcher import Launcher, Process, worker_argv
from fmstudio.jobs.outcome import Problem, ProcessOutcome
from fmstudio.jobs.protocol import Done, Error, Wire


@dataclass(frozen=True, slots=True)
class Health:
    """Result of a check: a problem, or the JSON schemas of the contributions' parameters (``"kind/id"`` → schema)."""

    plugin_id: str
    problem: Problem | None
    schemas: dict[str, Any]


def check_plugin(
    launcher: Launcher, plugin_id: str, on_health: Callable[[Health], None], *, python: str, log_path: Path
) -> Process:
    """Load everything a plugin contributes in a child and report once, on the launcher's thread.

    Returns:
        The child, for a caller that will not wait for ever.
    """
    said: list[Done | Error] = []

    def on_message(message: Wire) -> None:
        if isinstance(message, Done | Error):
            said.append(message)

    def on_exit(outcome: ProcessOutcome) -> None:
        word = said[-1] if said else None
        if isinstance(word, Done) and outcome.is_clean:
            on_health(Health(plugin_id, None, word.result["schemas"]))
        elif isinstance(word, Error):
            on_health(Health(plugin_id, Problem(word.message, word.remedy, word.details, True), {}))
        else:
            problem = outcome.problem(f"The process that loaded the plugin “{plugin_id}”")
            remedy = "Switch the plugin off or tell its author; everything else works."
            on_health(Health(plugin_id, Problem(problem.message, remedy, problem.details), {}))

    argv = worker_argv(python, "check", plugin_id)
    return launcher.start(argv, on_message=on_message, on_exit=on_exit, log_path=log_path)
