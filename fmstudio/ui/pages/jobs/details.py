"""One job in full: what it does, how far it is, its curves, its log, and what to do when it failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QProgressBar, QScrollArea

from fmstudio.ui.pages.jobs import facts
from fmstudio.ui.pages.jobs.table import share_done
from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.job_line import STATES
from fmstudio.ui.widgets.job_tray import progress_text, seconds_of
from fmstudio.ui.widgets.line_plot import LinePlot, Series
from fmstudio.ui.widgets.message_bar import Action, ProblemCard
from fmstudio.ui.widgets.parts import button, clear, column, holder, icon_label, label, row

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job

LEVELS = {"succeeded": "positive", "failed": "danger", "interrupted": "warning", "running": "accent"}
FIRST_PLOTS = ("train_loss", "eval_loss", "tokens_per_second")
MOST_PLOTS = 3
PLOT_HEIGHT = 190


class JobDetails(QFrame):
    """The chosen job.

    Args:
        actions: What can be done about a job that ended badly.

    Signals:
        cancel_wanted, retry_wanted: (job id) what the user wants of it.
        result_wanted: (job id) its result shall be shown where it is.
    """

    result_wanted = Signal(str)
    cancel_wanted = Signal(str)
    retry_wanted = Signal(str)

    def __init__(self, actions: Callable[[Job], tuple[Action, ...]]) -> None:
        super().__init__()
        self._actions = actions
        self.job: Job | None = None
        self.problem_card: ProblemCard | None = None
        self.plots: dict[str, LinePlot] = {}
        self._shape: tuple[Any, ...] = ()
        self.setProperty("panel", "right")
        self.setAccessibleName(self.tr("The chosen job"))
        self.title = label("", "title", wrap=True, selectable=True)
        self.state = label("", "pill")
        self.progress = label("", "muted", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(self.tr("Progress"))
        self._make_buttons()
        self._problem, self._steps, self._results, self._metrics = (column(gap=8) for _ in range(4))
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setProperty("role", "mono")
        self.log.setAccessibleName(self.tr("Log"))
        self.log.setPlaceholderText(self.tr("The worker has said nothing."))
        self.log.setTabChangesFocus(True)
        self.log.setMinimumHeight(150)
        self.log.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._lay_out()

    def _make_buttons(self) -> None:
        self.cancel = button(self.tr("Cancel"), lambda: self.cancel_wanted.emit(self._id()), icon="stop")
        self.cancel.setToolTip(self.tr("Ends the worker; earlier data stays as it is"))
        self.retry = button(self.tr("Retry"), lambda: self.retry_wanted.emit(self._id()), icon="retry", kind="primary")
        self.retry.setToolTip(
            self.tr(
                "Goes on: steps that are done are kept; an import and a training run go on from their last checkpoint"
            )
        )
        self.result = button(
            self.tr("Show the result"), lambda: self.result_wanted.emit(self._id()), icon="arrow-right"
        )
        self.folder = button(self.tr("Open folder"), self._open_folder, icon="folder")
        self.copy = button(self.tr("Copy report"), self.copy_details, kind="quiet", icon="copy")
        self.copy.setToolTip(self.tr("All that is known of this job, as text"))

    def _lay_out(self) -> None:
        head = row(self.title, self.state, gap=12)
        head.setStretch(0, 1)
        head.setAlignment(self.state, Qt.AlignmentFlag.AlignTop)
        content = column(
            head, self.progress, self.bar, row(self.cancel, self.retry, self.result, self.folder, self.copy, None, gap=8),
            self._problem, self._steps, self._results, self._metrics, label(self.tr("Log"), "heading"), self.log,
            gap=12, margins=(20, 20, 20, 20),
        )  # fmt: skip
        content.setStretch(content.count() - 1, 1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(holder(content))
        self.setLayout(column(scroll))

    def show_job(self, job: Job) -> None:
        """Show a job; called again whenever it changed."""
        self.job = job
        self.title.setText(job.title)
        self.state.setText(STATES[job.state][2])
        restyle(self.state, level=LEVELS.get(job.state, ""))
        self._show_progress(job)
        self.cancel.setVisible(not job.is_finished)
        self.cancel.setEnabled(job.cancel_requested is None)
        self.retry.setVisible(job.can_retry)
        self.result.setVisible(facts.result_place(job) is not None)
        shape = (job.id, job.state, job.step_index, id(job.error), tuple(job.results), tuple(sorted(job.metrics)))
        if shape != self._shape:
            self._shape = shape
            self._rebuild(job)
        for name, plot in self.plots.items():
            plot.set_series([_series(name, job.metrics[name])])
        self._show_log(job)

    def _show_progress(self, job: Job) -> None:
        if job.is_finished:
            text = self.tr("ended {ago}, took {time}")
            self.progress.setText(text.format(ago=words.ago(job.finished or 0), time=words.duration(seconds_of(job))))
        else:
            self.progress.setText(progress_text(job))
        share = share_done(job)
        self.bar.setVisible(not job.is_finished)
        self.bar.setRange(0, 0 if share is None and job.state == "running" else 1000)
        self.bar.setValue(round(1000 * (share or 0)))

    def _rebuild(self, job: Job) -> None:
        for layout in (self._problem, self._steps, self._results, self._metrics):
            clear(layout)
        self.problem_card = None
        if job.error is not None and job.is_finished:
            problem = replace(job.error, details=job.error.details or facts.details_text(job))
            others = () if job.can_retry else self._actions(job)
            self.problem_card = ProblemCard(problem, others, stacked=True)
            self._problem.addWidget(self.problem_card)
        self._steps.addWidget(label(self.tr("Steps"), "heading"))
        for index, step in enumerate(job.spec.steps):
            self._steps.addLayout(self._step_line(job, index, step.name))
        self._show_results(job)
        self.plots = {}
        names = sorted(job.metrics, key=lambda n: (FIRST_PLOTS.index(n) if n in FIRST_PLOTS else len(FIRST_PLOTS), n))
        for name in names[:MOST_PLOTS]:
            title, unit = facts.metric_words(name)
            plot = LinePlot(self.tr("Step"), unit or title, title)
            plot.setFixedHeight(PLOT_HEIGHT)
            self.plots[name] = plot
            self._metrics.addWidget(plot)

    def _show_results(self, job: Job) -> None:
        lines, remarks = facts.result_lines(job), facts.notes(job)
        if lines or remarks:
            self._results.addWidget(label(self.tr("Result"), "heading"))
        for name, value in lines:
            line = row(label(name, "muted", wrap=True), label(value, selectable=True), gap=12)
            line.setStretch(0, 1)
            self._results.addLayout(line)
        for remark in remarks:
            self._results.addWidget(label(remark, "caption", wrap=True, selectable=True))

    def _step_line(self, job: Job, index: int, name: str) -> QHBoxLayout:
        if name in job.results:
            state = "succeeded"
        elif index == job.step_index and job.state != "queued":
            state = job.state
        else:
            state = "queued"
        icon, token, word = STATES[state]
        if state == "queued":
            word = self.tr("not begun") if job.is_finished else self.tr("next")
        return row(
            icon_label(icon, token, 16), label(facts.step_words(name, job.kind)), None, label(word, "caption"), gap=8
        )

    def _show_log(self, job: Job) -> None:
        text = facts.log_text(job)
        if text != self.log.toPlainText():
            bar = self.log.verticalScrollBar()
            is_at_end = bar.value() >= bar.maximum() - 1
            self.log.setPlainText(text)
            if is_at_end:
                bar.setValue(bar.maximum())

    def _id(self) -> str:
        return self.job.id if self.job else ""

    def _open_folder(self) -> None:
        if self.job is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.job.folder)))

    def copy_details(self) -> None:
        """Put all that is known of the job on the clipboard."""
        if self.job is not None:
            QGuiApplication.clipboard().setText(facts.details_text(self.job))
            self.copy.setText(self.tr("Copied"))
            QTimer.singleShot(1500, self.copy, lambda: self.copy.setText(self.tr("Copy report")))


def _series(name: str, points: list[tuple[int | None, float]]) -> Series:
    pairs = [(float(i if step is None else step), value) for i, (step, value) in enumerate(points)]
    return Series(facts.metric_words(name)[0], sorted(pairs))
