"""Jobs about models while they run, and those that were stopped: a line each above the library.

How one ended otherwise is told by the window's message bar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QFrame, QProgressBar, QVBoxLayout, QWidget

from fmstudio.ui.widgets.job_tray import progress_text
from fmstudio.ui.widgets.parts import ElidedLabel, button, column, label, row

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job
    from fmstudio.ui.context import AppContext

KINDS = ("model_fetch", "convert", "merge", "model_quality", "model_export")
FRAME_MS = 100


class WorkCards(QWidget):
    """Hidden while there is nothing to show."""

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self._context = context
        self.cards: dict[str, QWidget] = {}
        self._news: dict[str, Job] = {}
        self._dismissed: set[str] = set()
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(8)
        self._frame = QTimer(self, interval=FRAME_MS, singleShot=True)
        self._frame.timeout.connect(self._draw)
        context.job_changed.connect(self._on_job)
        context.project_changed.connect(self._start_anew)
        self._start_anew()

    @Slot()
    def _start_anew(self) -> None:
        for job_id in list(self.cards):
            self._drop(job_id)
        self._dismissed.clear()
        queue = self._context.queue
        for job in queue.active if queue is not None else ():
            self._on_job(job)
        self.setVisible(bool(self.cards))

    @Slot(object)
    def _on_job(self, job: Job) -> None:
        if job.kind in KINDS:
            self._news[job.id] = job
            if not self._frame.isActive():
                self._frame.start()

    @Slot()
    def _draw(self) -> None:
        news, self._news = self._news, {}
        for job in news.values():
            self._show(job)
        self.setVisible(bool(self.cards))

    def _show(self, job: Job) -> None:
        held = self.cards.get(job.id)
        if not job.is_finished:
            self._dismissed.discard(job.id)
            if not isinstance(held, WorkLine):
                self._put(job.id, held := WorkLine(job, self._context))
            held.show_job(job)
        else:
            self._drop(job.id)
            if job.state in ("cancelled", "interrupted") and job.id not in self._dismissed:
                self._put(job.id, self._stopped(job))

    def _stopped(self, job: Job) -> QFrame:
        text = self.tr("“{title}” was stopped; what has come so far is kept.").format(title=job.title)
        frame = _card(text)
        go_on = button(self.tr("Go on"), lambda: self._context.retry(job.id), icon="retry")
        close = button(self.tr("Dismiss"), lambda: self._dismiss(job.id), kind="quiet")
        frame.setLayout(row(label(text, wrap=True), go_on, close, gap=8, margins=(16, 8, 12, 8)))
        return frame

    def _dismiss(self, job_id: str) -> None:
        self._dismissed.add(job_id)
        self._drop(job_id)
        self.setVisible(bool(self.cards))

    def _put(self, job_id: str, made: QWidget) -> None:
        self._drop(job_id)
        self.cards[job_id] = made
        self._box.addWidget(made)

    def _drop(self, job_id: str) -> None:
        held = self.cards.pop(job_id, None)
        if held is not None:
            held.hide()
            self._box.removeWidget(held)
            held.deleteLater()


class WorkLine(QFrame):
    """A running job: title, how far it is, *Stop*."""

    def __init__(self, job: Job, context: AppContext) -> None:
        super().__init__()
        self._context, self._job_id = context, job.id
        self.setProperty("card", "true")
        self.setAccessibleName(job.title)
        self.said = label("", "muted")
        self.stop = button(self.tr("Stop"), self._cancel, kind="quiet", icon="stop")
        self.stop.setAccessibleName(self.tr("Stop: {title}").format(title=job.title))
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(self.tr("Progress of {title}").format(title=job.title))
        head = row(title := ElidedLabel(job.title, "strong"), self.said, self.stop, gap=12)
        head.setStretchFactor(title, 1)
        self.setLayout(column(head, self.bar, gap=4, margins=(16, 8, 12, 10)))

    def show_job(self, job: Job) -> None:
        """Show how far it is."""
        is_stopping = job.cancel_requested is not None
        self.stop.setEnabled(not is_stopping)
        self.said.setText(self.tr("stopping…") if is_stopping else self._words(job))
        total = job.progress.total
        self.bar.setVisible(bool(total))
        if total:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * min(1.0, job.progress.done / total)))

    def _words(self, job: Job) -> str:
        words = progress_text(job)
        count = len(job.spec.steps)
        if count < 2 or job.state == "queued":
            return words
        return self.tr("part {number} of {count} · {words}").format(number=job.step_index + 1, count=count, words=words)

    def _cancel(self) -> None:
        if self._context.queue is not None:
            self._context.queue.cancel(self._job_id)


def _card(name: str) -> QFrame:
    made = QFrame()
    made.setProperty("card", "true")
    made.setAccessibleName(name)
    return made
