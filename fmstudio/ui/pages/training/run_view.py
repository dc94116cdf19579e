"""`RunView`: one training run, live and afterwards: curve, speed, time left, results, answers before and after."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeGuard

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from fmstudio.ui.pages.training.answers import AnswersTable
from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets.line_plot import LinePlot, Series
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import button, card, clear, column, holder, label, row
from fmstudio.ui.widgets.words import duration, number

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job

FRAME_MS = 100
STATE_LEVELS = {"running": "accent", "succeeded": "positive", "failed": "danger", "interrupted": "warning"}
STATE_WORDS = {
    "queued": "waiting",
    "running": "running",
    "paused": "paused",
    "succeeded": "finished",
    "failed": "failed",
    "cancelled": "stopped",
    "interrupted": "interrupted",
}
STEP_WORDS = {
    "train": "Training",
    "export": "Writing the adapter for the engine",
    "evaluate": "Comparing the engine with the trainer",
}


class RunView(QScrollArea):
    """One run.

    Signals:
        cancel_wanted(str), retry_wanted(str), chat_wanted(str), jobs_wanted(str): Id of the job.
    """

    cancel_wanted = Signal(str)
    retry_wanted = Signal(str)
    chat_wanted = Signal(str)
    jobs_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.job: Job | None = None
        self._card: QWidget | None = None
        self._shown_names: tuple[str, ...] = ()
        self._tiles: list[QFrame] = []
        self._frame = QTimer(self, interval=FRAME_MS, singleShot=True)
        self._frame.timeout.connect(self._draw)
        self.plot = LinePlot(self.tr("Step"), self.tr("Loss (nats per token)"), self.tr("Training loss"))
        self.plot.set_placeholder(self.tr("The curve begins with the first training step."))
        self.plot.setMinimumHeight(260)
        self._title = label("", "title", wrap=True, selectable=True)
        self._state = label("", "pill")
        self._about = label("", "muted", wrap=True)
        self._progress_text = label("", "muted", wrap=True)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self.cancel = button(self.tr("Stop"), self._cancel, icon="stop", tip=self.tr("Stop; Resume goes on from here"))
        self.resume = button(self.tr("Resume"), self._retry, kind="primary", icon="retry")
        self.resume.setToolTip(self.tr("Goes on from the last checkpoint; finished steps are kept"))
        self.chat = button(self.tr("Chat with the adapter"), self._chat, kind="primary", icon="chat")
        self.log = button(self.tr("Log"), self._log, kind="quiet", icon="jobs")
        self._numbers = QHBoxLayout()
        self._numbers.setSpacing(12)
        self._problem_box = QVBoxLayout()
        self.answers = AnswersTable()
        self._answers_card = card(label(self.tr("Held-out answers"), "heading"), self.answers)
        self._lay_out()

    def _lay_out(self) -> None:
        head = row(self._title, self._state, None, self.log, self.cancel, self.resume, self.chat, gap=10)
        plot = card(self.plot, padding=8)
        self._progress = holder(column(self._progress_text, self._bar, gap=4))
        inner = QWidget()
        inner.setLayout(
            column(
                head,
                self._about,
                self._problem_box,
                self._progress,
                self._numbers,
                plot,
                self._answers_card,
                None,
                gap=12,
                margins=(28, 20, 28, 28),
            )
        )
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inner)

    # ---- showing ---------------------------------------------------------------------------------------------------

    def show_job(self, job: Job, about: str) -> None:
        """Show a run; `about` says what is trained on what."""
        if self.job is None or self.job.id != job.id:
            self.job = job
        self._title.setText(str(job.spec.meta.get("name") or job.title))
        self._about.setText(about)
        self._draw()

    def update_job(self) -> None:
        """Draw the job's news soon; many messages make one drawing."""
        if not self._frame.isActive():
            self._frame.start()

    @Slot()
    def _draw(self) -> None:
        job = self.job
        if job is None:
            return
        self._state.setText(self.tr(STATE_WORDS[job.state]))
        restyle(self._state, level=STATE_LEVELS.get(job.state, ""))
        is_live = not job.is_finished
        self.cancel.setVisible(is_live)
        self.cancel.setEnabled(job.cancel_requested is None)
        self.cancel.setText(self.tr("Stopping…") if is_live and job.cancel_requested is not None else self.tr("Stop"))
        self.resume.setVisible(job.state in ("failed", "cancelled", "interrupted"))
        self.chat.setVisible(job.state == "succeeded")
        has_engine = any(step.name == "evaluate" for step in job.spec.steps)
        self.chat.setEnabled(has_engine)
        self.chat.setToolTip("" if has_engine else self.tr("The base is a folder; the engine needs its GGUF file."))
        self._draw_progress(job)
        self._draw_problem(job)
        self.plot.set_series(series_of(job))
        self._draw_numbers(job)
        self._draw_answers(job)

    def _draw_progress(self, job: Job) -> None:
        self._progress.setVisible(not job.is_finished)
        if job.is_finished:
            return
        step = job.spec.steps[job.step_index]
        progress = job.progress
        parts = [
            self.tr("Part {number} of {count}: {what}").format(
                number=job.step_index + 1, count=len(job.spec.steps), what=self.tr(STEP_WORDS.get(step.name, step.name))
            )
            if job.state != "queued"
            else self.tr("Waiting for a free slot")
        ]
        if progress.text and job.state != "queued":
            parts.append(progress.text)
        if (left := job.seconds_left()) is not None:
            parts.append(self.tr("about {time} left (estimate)").format(time=duration(left)))
        self._progress_text.setText(" · ".join(parts))
        self._bar.setVisible(bool(progress.total))
        if progress.total:
            self._bar.setRange(0, 1000)
            self._bar.setValue(round(1000 * min(1.0, progress.done / progress.total)))

    def _draw_problem(self, job: Job) -> None:
        shown = self._card.problem if isinstance(self._card, ProblemCard) else None
        problem = job.error if job.is_finished else None
        if shown == problem:
            return
        clear(self._problem_box)
        self._card = None
        if problem is not None:
            actions = ((self.tr("Resume"), self._retry), (self.tr("Show the log"), self._log))
            self._card = ProblemCard(problem, actions, stacked=True)
            self._problem_box.addWidget(self._card)

    def _draw_numbers(self, job: Job) -> None:
        """Numbers change ten times a second while it trains: tiles are kept and their texts changed, so nothing flickers."""
        figures = figures_of(job)
        names = tuple(name for name, _, _ in figures)
        if names != self._shown_names:
            self._shown_names = names
            clear(self._numbers)
            self._tiles = [_tile(self.tr(name), value, self.tr(tip)) for name, value, tip in figures]
            for tile in self._tiles:
                self._numbers.addWidget(tile)
            self._numbers.addStretch(1)
        for tile, (name, value, tip) in zip(self._tiles, figures, strict=True):
            tile.findChildren(QLabel)[1].setText(value)
            tile.setToolTip(self.tr(tip))
            tile.setAccessibleName(f"{self.tr(name)}: {value}")

    def _draw_answers(self, job: Job) -> None:
        found = job.result.get("answers") if job.is_finished else None
        self._answers_card.setVisible(bool(found))
        if found:
            self.answers.show_answers(found)

    # ---- actions ---------------------------------------------------------------------------------------------------

    def _cancel(self) -> None:
        if self.job is not None:
            self.cancel_wanted.emit(self.job.id)

    def _retry(self) -> None:
        if self.job is not None:
            self.retry_wanted.emit(self.job.id)

    def _chat(self) -> None:
        if self.job is not None:
            self.chat_wanted.emit(self.job.id)

    def _log(self) -> None:
        if self.job is not None:
            self.jobs_wanted.emit(self.job.id)


def series_of(job: Job) -> list[Series]:
    """The loss curves: training at every step, held-out where it was measured."""
    found = []
    for key, name, is_marked in (("train_loss", "Training", False), ("eval_loss", "Held-out", True)):
        points = [
            (float(i if step is None else step), value) for i, (step, value) in enumerate(job.metrics.get(key, []))
        ]
        # A resumed run reports the steps after its checkpoint again: the later report counts.
        latest = dict(points)
        if latest:
            found.append(Series(name, sorted(latest.items()), is_marked))
    return found


AGREEMENT = (
    (
        "top1_agreement",
        "Top-1 agreement",
        "Share of held-out tokens where engine and trainer think the same token likeliest, on the trainer's weights.",
    ),
    (
        "greedy_parity",
        "Same greedy answers",
        "Share of held-out prompts the engine answers with exactly the trainer's words, on the trainer's weights.",
    ),
)


def figures_of(job: Job) -> list[tuple[str, str, str]]:
    """Measured numbers as (name, value, explanation): live ones while it runs, results when it is done."""
    result: dict[str, Any] = job.result
    figures = []
    before, after = result.get("eval_loss_before"), result.get("eval_loss_after")
    if _is_number(before) and _is_number(after):
        tip = "Mean loss over the held-out answers, before and after training; lower is better."
        figures.append(("Held-out loss", f"{before:.3f} → {after:.3f}", tip))
    for key, name, tip in AGREEMENT:
        if _is_number(result.get(key)):
            served = result.get(f"{key}_served")
            more = f" On the quantised file as served: {served:.1%}." if _is_number(served) else ""
            figures.append((name, f"{result[key]:.1%}", tip + more))
    if job.state != "succeeded":
        for key, name in (("train_loss", "Training loss"), ("eval_loss", "Held-out loss")):
            if (values := job.metrics.get(key)) and (key != "eval_loss" or not figures):
                figures.append((name, f"{values[-1][1]:.3f}", "Nats per token; lower is better."))
    speed = result.get("tokens_per_second")
    if not _is_number(speed) and (values := job.metrics.get("tokens_per_second")):
        speed = values[-1][1]
    if _is_number(speed):
        figures.append(("Speed", f"{number(float(speed))} tokens/s", "Tokens trained a second, padding not counted."))
    if _is_number(result.get("train_seconds")):
        figures.append(("Training time", duration(float(result["train_seconds"])), "Time of the training steps."))
    return figures


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _tile(name: str, value: str, tip: str) -> QFrame:
    tile = card(label(name, "caption"), label(value, "number", selectable=True), gap=2, padding=12)
    tile.setToolTip(tip)
    tile.setAccessibleName(f"{name}: {value}")
    return tile
