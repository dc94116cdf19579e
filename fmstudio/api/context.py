"""`TaskContext`: all that a plugin may ask of the app while it works."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal

from fmstudio.api.errors import Cancelled

LogLevel = Literal["debug", "info", "warning", "error"]


class TaskContext(ABC):
    """Handed to every long-running plugin method, in a worker process, on its main thread.

    Attributes:
        workdir: A folder owned by this task; it survives cancel and crash, so checkpoints go here.
    """

    workdir: Path

    @abstractmethod
    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Report how far the task is. Call as often as you like: at most ten a second are sent.

        Args:
            done: Units finished so far.
            total: Units in all, or None when unknown (the app then shows a count, never a fake bar).
            text: What is being done, with its unit: ``"rows read"``, ``"step 12, loss 2.31"``.
        """

    @abstractmethod
    def log(self, text: str, level: LogLevel = "info") -> None:
        """Add a line to the job's log."""

    @abstractmethod
    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """Record a measured number, e.g. ``("train_loss", 2.31, 12)``; every one is kept and plotted live."""

    @property
    @abstractmethod
    def cancelled(self) -> bool:
        """Whether the user asked to stop. Cheap: ask once a batch."""

    def check_cancelled(self) -> None:
        """Raise `Cancelled` when the user asked to stop.

        Raises:
            Cancelled: The task should stop now; nothing needs to be tidied.
        """
        if self.cancelled:
            raise Cancelled
