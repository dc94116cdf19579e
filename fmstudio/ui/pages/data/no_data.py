"""In place of a dataset while there is none: what can be dropped here, or that the first rows are on their way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QStackedWidget

from fmstudio.ui.widgets.empty_state import EmptyState

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job
    from fmstudio.ui.context import AppContext


class NoData(QStackedWidget):
    """Invites to an import, or says that one is running."""

    def __init__(self, context: AppContext, choose_files: Callable[[], None], use_sample: Callable[[], None]) -> None:
        super().__init__()
        self._ctx = context
        self.invitation = EmptyState(
            "data", self.tr("No data yet"),
            self.tr("Drop a file here: conversations, questions and answers, or plain texts, as JSONL, JSON, CSV, Parquet, "
            "YAML or text. You see what is in it before anything is imported."),
            (self.tr("Choose a file…"), choose_files), (self.tr("Try it with sample data"), use_sample),
        )  # fmt: skip
        self.arriving = EmptyState(
            "import", self.tr("An import is running"),
            self.tr("Its rows appear here when it is done. The status bar shows how far it is."),
            (self.tr("Show the job"), lambda: context.navigate("jobs")),
        )  # fmt: skip
        for widget in (self.invitation, self.arriving):
            self.addWidget(widget)
        context.job_changed.connect(self._on_job)

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: a job may have begun or ended while this was out of sight."""
        super().showEvent(event)
        self._look()

    @Slot(object)
    def _on_job(self, job: Job) -> None:
        if job.state != "succeeded":  # its rows are about to take this place
            self._look()

    def _look(self) -> None:
        queue = self._ctx.queue
        is_running = queue is not None and any(job.spec.kind == "import" for job in queue.active)
        self.setCurrentWidget(self.arriving if is_running else self.invitation)
