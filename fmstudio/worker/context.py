"""`StepContext`: the `TaskContext` of a real worker. Writes the job's event log and tells the app."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from fmstudio.api.context import LogLevel, TaskContext
from fmstudio.core.jsonfile import to_json
from fmstudio.jobs.protocol import Log, Metric, Progress, Wire
from fmstudio.worker.stdio import Channel

PROGRESS_INTERVAL_S = 0.1
CANCEL_FILE_INTERVAL_S = 0.5


class StepContext(TaskContext):
    """Context of one step of a job.

    Attributes:
        workdir: The step's own folder; checkpoints live here.
        out_dir: Where results go; the app publishes them after `done`.
    """

    def __init__(self, channel: Channel, job_folder: Path, workdir: Path, out_dir: Path) -> None:
        self.workdir = workdir
        self.out_dir = out_dir
        self._channel = channel
        self._job_folder = job_folder
        self._events = (job_folder / "events.jsonl").open("a", encoding="utf-8")
        self._is_cancelled = False
        self._last_progress = 0.0
        self._last_look = 0.0
        self._held: Progress | None = None

    def emit(self, message: Wire) -> None:
        """Write to the event log and to the app."""
        record = {"type": message.type, "t": round(time.time(), 3), **asdict(message)}
        self._events.write(to_json(record) + "\n")
        self._events.flush()
        self._channel.send(message)

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """See `TaskContext.progress`; the newest one held back is sent by `flush`."""
        self._held = Progress(done, total, text)
        if time.monotonic() - self._last_progress >= PROGRESS_INTERVAL_S:
            self.flush()

    def flush(self) -> None:
        """Send the progress that was held back."""
        if self._held is not None:
            self._last_progress = time.monotonic()
            held, self._held = self._held, None
            self.emit(held)

    def log(self, text: str, level: LogLevel = "info") -> None:
        """See `TaskContext.log`."""
        self.emit(Log(text, level))

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """See `TaskContext.metric`."""
        self.emit(Metric(name, float(value), step))

    def cancel(self) -> None:
        """Note that the app asked to stop."""
        self._is_cancelled = True

    @property
    def cancelled(self) -> bool:
        """Whether the app asked to stop, by message or (after the window was reopened) by the CANCEL file."""
        now = time.monotonic()
        if not self._is_cancelled and now - self._last_look > CANCEL_FILE_INTERVAL_S:
            self._last_look = now
            self._is_cancelled = (self._job_folder / "CANCEL").exists()
        return self._is_cancelled


class QuietContext(TaskContext):
    """Context of a session request: nobody watches its progress, and a request is ended with its process."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Nothing to report to."""

    def log(self, text: str, level: LogLevel = "info") -> None:
        """To stderr, which is the session's log file."""
        import sys

        print(f"{level}: {text}", file=sys.stderr)

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """Nothing to record in."""

    @property
    def cancelled(self) -> bool:
        """Never: the app ends the process instead."""
        return False
