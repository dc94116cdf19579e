"""The Jobs page: the table and, beside it, the chosen job."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtWidgets import QSplitter, QStackedLayout, QWidget

from fmstudio.api.page import Page
from fmstudio.ui.mending import mending_actions
from fmstudio.ui.pages.jobs.details import JobDetails
from fmstudio.ui.pages.jobs.facts import result_place
from fmstudio.ui.pages.jobs.table import JobsTable
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.parts import PAGE_MARGIN, column, holder, label, row
from fmstudio.ui.widgets.words import plural

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job
    from fmstudio.ui.context import AppContext

CLOCK_MS = 1_000
FRAME_MS = 100


class JobsPage(Page):
    """Everything that runs or ran in this project."""

    id, title, icon = "jobs", "Jobs", "jobs"

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.ctx = context
        self._news: dict[str, Job] = {}
        self.table = JobsTable()
        self.details = JobDetails(partial(mending_actions, context))
        self.details.cancel_wanted.connect(self._cancel)
        self.details.retry_wanted.connect(context.retry)
        self.details.result_wanted.connect(self._show_result)
        self.table.chosen.connect(self._on_chosen)
        self.empty = EmptyState(
            "jobs", self.tr("No jobs yet"),
            self.tr("Imports, recipes, embeddings and training run here, each in a process of its own. They go on when "
                    "you close the window, and are here again when you come back."),
            (self.tr("Import a file…"), lambda: context.navigate("data", choose=True)),
        )  # fmt: skip
        self._split = self._build()
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self._split)
        self._clock = QTimer(self, interval=CLOCK_MS)
        self._clock.timeout.connect(self._on_clock)
        self._frame = QTimer(self, interval=FRAME_MS, singleShot=True)
        self._frame.timeout.connect(self._draw_news)
        context.job_changed.connect(self._on_job)
        context.project_changed.connect(self.refresh)
        self.refresh()

    def _build(self) -> QWidget:
        self.count = label("", "muted")
        head = row(label(self.tr("Jobs"), "display"), self.count, None, gap=12)
        left = holder(column(head, self.table, gap=14, margins=(PAGE_MARGIN, 20, 16, 20)))
        left.setMinimumWidth(400)
        self.details.setMinimumWidth(340)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setHandleWidth(1)
        split.setChildrenCollapsible(False)
        split.addWidget(left)
        split.addWidget(self.details)
        split.setStretchFactor(0, 1)
        split.setSizes([680, 420])
        return split

    def page_shown(self, job_id: str = "", **args: Any) -> None:
        """Look again, and choose a job when one is asked for."""
        self.refresh(job_id)
        self._clock.start()

    def page_hidden(self) -> None:
        """Stop the clock."""
        self._clock.stop()

    @Slot()
    def refresh(self, job_id: str = "") -> None:
        """Read the queue again."""
        jobs = self.ctx.queue.jobs() if self.ctx.queue else []
        current = job_id or (self.details.job.id if self.details.job else "")
        self._stack.setCurrentIndex(1 if jobs else 0)
        self.table.show_jobs(jobs, current)
        self._count_jobs()

    def _count_jobs(self) -> None:
        jobs = self.table.jobs.jobs
        running = sum(not job.is_finished for job in jobs)
        text = plural(len(jobs), "job")
        self.count.setText(self.tr("{jobs}, {count} active").format(jobs=text, count=running) if running else text)

    @Slot(object)
    def _on_job(self, job: Job) -> None:
        self._news[job.id] = job
        if self.isVisible() and not self._frame.isActive():
            self._frame.start()

    @Slot()
    def _draw_news(self) -> None:
        """Show what changed: many messages of a worker make one drawing."""
        news, self._news = self._news, {}
        if not all(self.table.jobs.refresh(job) for job in news.values()):  # one is new: read all again
            self.refresh()
        current = self.details.job
        if current is not None and current.id in news:
            self.details.show_job(news[current.id])
        self._count_jobs()

    @Slot(object)
    def _on_chosen(self, job: Job | None) -> None:
        self.details.setVisible(job is not None)
        if job is not None:
            self.details.show_job(job)

    @Slot()
    def _on_clock(self) -> None:
        """Durations grow while nothing else is said."""
        for job in self.ctx.queue.active if self.ctx.queue else []:
            self._on_job(job)

    @Slot(str)
    def _cancel(self, job_id: str) -> None:
        if self.ctx.queue is not None:
            self.ctx.queue.cancel(job_id)

    @Slot(str)
    def _show_result(self, job_id: str) -> None:
        job = self.details.job
        place = result_place(job) if job is not None and job.id == job_id else None
        if place is not None:
            self.ctx.navigate(place[0], **place[1])
