"""The status bar: the project, the running job with its progress and a stop button, and the window's memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QFrame, QProgressBar

from fmstudio.ui.mending import mending_actions
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.parts import ElidedLabel, icon_label, label, row, tool_button

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job
    from fmstudio.ui.context import AppContext

MEMORY_INTERVAL_MS = 3_000


class JobTray(QFrame):
    """Shows the oldest job that runs; a click leads to the Jobs page."""

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self._context = context
        self._job_id = ""
        self._told: set[str] = set()
        self.setObjectName("statusbar")
        self.setAccessibleName(self.tr("Status"))
        self.setFixedHeight(30)
        self.project = ElidedLabel()
        self.project.setMinimumWidth(120)
        self.title = ElidedLabel()
        self.title.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.bar = QProgressBar()
        self.bar.setFixedWidth(140)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(self.tr("Progress of the running job"))
        self.text = label()
        self.stop = tool_button("stop", self.tr("Stop this job"), self._cancel)
        self.stop.setFixedSize(24, 24)
        self.memory = label()
        self.memory.setToolTip(self.tr("Memory of this window, and free memory of the computer"))
        layout = row(icon_label("folder", "muted", 14), gap=8, margins=(12, 0, 12, 0))
        layout.addWidget(self.project, 2)
        layout.addWidget(self.title, 3)
        for widget in (self.bar, self.text, self.stop, icon_label("memory", "muted", 14), self.memory):
            layout.addWidget(widget)
        self.setLayout(layout)
        context.job_changed.connect(self._on_job)
        context.project_changed.connect(self._on_project)
        self._timer = QTimer(self, interval=MEMORY_INTERVAL_MS)
        self._timer.timeout.connect(self._measure)
        self._timer.start()
        QTimer.singleShot(500, self, self._measure)
        self._on_project()

    @Slot()
    def _on_project(self) -> None:
        project = self._context.project
        self.project.setText(f"{project.name}  —  {project.folder}" if project else "No project open")
        self._show(self._current())

    @Slot(object)
    def _on_job(self, job: Job) -> None:
        self._show(self._current())
        if not job.is_finished:
            self._told.discard(job.id)
        elif job.id not in self._told:
            self._told.add(job.id)
            self._tell(job)

    def _tell(self, job: Job) -> None:
        """Say how a job ended, once."""
        context = self._context
        show = ("Show job", lambda: context.navigate("jobs", job_id=job.id))
        if job.error is not None:
            context.show_problem(job.error, (*mending_actions(context, job), show))
        elif job.state == "succeeded":
            context.notify("positive", f"{job.title}: done in {words.duration(seconds_of(job))}.", show)

    def _current(self) -> Job | None:
        queue = self._context.queue
        active = [] if queue is None else queue.active
        running = [job for job in active if job.state == "running"] or active
        return running[-1] if running else None

    def _show(self, job: Job | None) -> None:
        for widget in (self.title, self.bar, self.text, self.stop):
            widget.setVisible(job is not None)
        if job is None:
            return
        self._job_id = job.id
        queue = self._context.queue
        others = len(queue.active) - 1 if queue else 0
        self.title.setText(f"{job.title}  (+{others} more)" if others else job.title)
        progress = job.progress
        self.bar.setRange(0, 1000 if progress.total else 0)
        if progress.total:
            self.bar.setValue(round(1000 * progress.done / progress.total))
        self.text.setText(progress_text(job))
        self.stop.setEnabled(job.cancel_requested is None)

    @Slot()
    def _measure(self) -> None:
        import psutil

        own = psutil.Process().memory_info().rss
        free = psutil.virtual_memory().available
        self.memory.setText(f"{words.size(own)} used, {words.size(free)} free")

    def _cancel(self) -> None:
        if self._context.queue is not None and self._job_id:
            self._context.queue.cancel(self._job_id)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Qt: a click on a running job shows it."""
        if self.title.isVisible() and event.position().x() > self.title.x():
            self._context.navigate("jobs", job_id=self._job_id)


def seconds_of(job: Job) -> float:
    """Seconds a job has run, or ran."""
    return (job.finished or time.time()) - (job.started or job.finished or time.time())


def progress_text(job: Job) -> str:
    """``412 of 1,050 rows, 12 s, about 20 s left``, or how it stands."""
    if job.cancel_requested is not None and not job.is_finished:
        return "stopping…"
    if job.state == "queued":
        return "waiting for a free slot"
    progress, parts = job.progress, []
    if progress.text.startswith("step "):  # it counts by itself
        parts.append(progress.text)
    elif progress.text:
        parts.append(words.amount(progress.done, progress.total, progress.text))
    if job.started:
        parts.append(words.duration(seconds_of(job)))
    is_last = job.step_index == len(job.spec.steps) - 1
    if is_last and (left := job.seconds_left()) is not None:
        parts.append(words.time_left(left))
    return ", ".join(parts)
