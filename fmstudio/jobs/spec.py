"""What a job is: its specification, its folder and its state. Starts nothing."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fmstudio.core.jsonfile import read_json, read_lines, write_json
from fmstudio.jobs.outcome import Problem
from fmstudio.jobs.protocol import Error, Log, Metric, Progress, Wire, from_dict

State = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled", "interrupted"]
FINISHED: tuple[State, ...] = ("succeeded", "failed", "cancelled", "interrupted")
LOG_LINES_KEPT = 200
_JUDGED_S = 2.0
"""Seconds after which the pace of a step tells how long it will take."""


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One worker process's work.

    Attributes:
        name: Short name, unique in the job; other steps refer to it.
        task: Module in ``fmstudio.worker.tasks``.
        params: JSON. A value ``{"from_step": NAME, "key": K}`` stands for that step's result.
    """

    name: str
    task: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """All a job needs, as written to ``spec.json``.

    Attributes:
        kind: What publishing does with the result: import, recipe, transform, embed, train, dataset_export …
        slot: ``cpu`` or ``gpu``.
        meta: What the publisher needs: names and ids of datasets, versions, models.
    """

    id: str
    title: str
    kind: str
    steps: tuple[StepSpec, ...]
    slot: Literal["cpu", "gpu"] = "cpu"
    meta: dict[str, Any] = field(default_factory=dict)
    created: float = field(default_factory=time.time)

    @classmethod
    def new(cls, title: str, kind: str, steps: list[StepSpec], **more: Any) -> JobSpec:
        """Make a specification with a fresh id that sorts by time."""
        return cls(f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}", title, kind, tuple(steps), **more)

    @classmethod
    def load(cls, folder: Path) -> JobSpec:
        """Read ``spec.json`` of a job folder.

        Raises:
            ValueError: The file is missing or damaged.
        """
        value = read_json(folder / "spec.json")
        if not isinstance(value, dict):
            raise ValueError(f"{folder} is not a job folder")
        return cls(**{**value, "steps": tuple(StepSpec(**step) for step in value["steps"])})

    def save(self, folder: Path) -> None:
        """Write ``spec.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "spec.json", asdict(self))


@dataclass(slots=True)
class Job:
    """A job and what is known of it. Changed by the queue only.

    Attributes:
        progress: done, total (None = unknown) and text of the running step.
        metrics: name → list of (step, value), in order of arrival.
        results: step name → result of its ``done`` message.
        published: Whether its results are in the project.
        began: When the running step's first progress was seen (monotonic), and how much was done then.
    """

    spec: JobSpec
    folder: Path
    state: State = "queued"
    step_index: int = 0
    progress: Progress = field(default_factory=lambda: Progress(0))
    metrics: dict[str, list[tuple[int | None, float]]] = field(default_factory=lambda: defaultdict(list))
    log: list[str] = field(default_factory=list)
    error: Problem | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: float | None = None
    finished: float | None = None
    pid: int | None = None
    cancel_requested: float | None = None
    began: tuple[float, float] | None = None
    published: bool = False

    @property
    def id(self) -> str:
        """Id of the job."""
        return self.spec.id

    @property
    def title(self) -> str:
        """Title shown to the user."""
        return self.spec.title

    @property
    def kind(self) -> str:
        """Kind of job."""
        return self.spec.kind

    @property
    def is_finished(self) -> bool:
        """Whether it will not go on by itself."""
        return self.state in FINISHED

    @property
    def can_retry(self) -> bool:
        """Whether running it again may end otherwise.

        It may after a cancel, a fault, a kill or a full disk. The same file read in the same way is refused again.
        """
        if not self.is_finished or self.state == "succeeded":
            return False
        is_refused = self.error is not None and self.error.is_user_error and not self.error.can_retry
        return not (is_refused and self.kind == "import")

    @property
    def result(self) -> dict[str, Any]:
        """Results of all steps in one mapping; later steps win."""
        merged: dict[str, Any] = {}
        for step in self.spec.steps:
            merged.update(self.results.get(step.name, {}))
        return merged

    def step_folder(self, index: int) -> Path:
        """Working folder of a step; its checkpoints live here."""
        return self.folder / f"step-{index}-{self.spec.steps[index].name}"

    def out_folder(self, name: str) -> Path:
        """Where the step of that name leaves its results."""
        return self.folder / "out" / name

    def next_step(self) -> int | None:
        """Index of the first step without a DONE marker; None when all are done."""
        for index in range(len(self.spec.steps)):
            if not (self.step_folder(index) / "DONE").exists():
                return index
        return None

    def apply(self, message: Wire) -> None:
        """Take in what a worker said."""
        if isinstance(message, Progress):
            self.progress = message
            if self.began is None or message.done < self.began[1]:
                self.began = (time.monotonic(), message.done)
        elif isinstance(message, Metric):
            self.metrics[message.name].append((message.step, message.value))
        elif isinstance(message, Log):
            self.log.append(message.text if message.level == "info" else f"{message.level}: {message.text}")
            del self.log[:-LOG_LINES_KEPT]
        elif isinstance(message, Error):
            self.error = problem_from(message)

    def read_results(self) -> None:
        """Read the DONE markers, the truth about what is finished."""
        for index, step in enumerate(self.spec.steps):
            done = read_json(self.step_folder(index) / "DONE")
            if isinstance(done, dict):
                self.results[step.name] = done

    def read_events(self) -> None:
        """Rebuild progress, metrics and log from ``events.jsonl``."""
        self.metrics = defaultdict(list)
        self.log = []
        error = self.error
        for value in read_lines(self.folder / "events.jsonl"):
            message = from_dict(value)
            if message is not None:
                self.apply(message)
        self.error, self.began = error, None  # these came all at once now, not when they were written

    def seconds_left(self) -> float | None:
        """Estimate for the running step, by its pace so far; None while there is nothing to judge by."""
        if self.state != "running" or self.began is None or not self.progress.total:
            return None
        since, done = time.monotonic() - self.began[0], self.progress.done - self.began[1]
        if since < _JUDGED_S or done <= 0:
            return None
        return max(0.0, self.progress.total - self.progress.done) / done * since

    def last_step_ended(self) -> float | None:
        """When the last step was done: a job that ended while the app was away took only so long."""
        markers = [self.step_folder(index) / "DONE" for index in range(len(self.spec.steps))]
        return max((marker.stat().st_mtime for marker in markers if marker.exists()), default=None)

    def events_size(self) -> int:
        """Bytes in ``events.jsonl`` so far."""
        path = self.folder / "events.jsonl"
        return path.stat().st_size if path.exists() else 0

    def last_sign(self) -> float | None:
        """When the worker last wrote anything, in seconds since 1970; None when it never did."""
        signs = [p.stat().st_mtime for n in ("events.jsonl", "worker.log") if (p := self.folder / n).exists()]
        return max(signs, default=None)

    def save(self) -> None:
        """Write ``state.json``."""
        write_json(
            self.folder / "state.json",
            {
                "state": self.state,
                "step_index": self.step_index,
                "error": asdict(self.error) if self.error else None,
                "started": self.started,
                "finished": self.finished,
                "pid": self.pid,
                "published": self.published,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Job:
        """Read a job back from its folder.

        Raises:
            ValueError: It is not a job folder.
        """
        job = cls(JobSpec.load(folder), folder)
        state = read_json(folder / "state.json", {})
        for key in ("state", "step_index", "started", "finished", "pid", "published"):
            if key in state:
                setattr(job, key, state[key])
        if state.get("error"):
            job.error = Problem(**state["error"])
        job.read_results()
        job.read_events()
        return job


def problem_from(message: Error) -> Problem:
    """What a worker said of its failure, as the app shows it."""
    return Problem(
        message.message,
        message.remedy,
        message.details,
        message.is_user_error,
        message.can_retry,
        dict(message.remedy_action),
    )
