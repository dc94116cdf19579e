"""`TrainingPage`: the list of runs beside the form of a new one or the run that is chosen."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QListWidget, QListWidgetItem, QSplitter, QStackedWidget

from fmstudio.api.page import Page
from fmstudio.ui.icons import icon
from fmstudio.ui.pages.training.form import RunForm
from fmstudio.ui.pages.training.run_view import STATE_WORDS, RunView
from fmstudio.ui.palette import Command
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.job_line import STATES
from fmstudio.ui.widgets.parts import button, column, label
from fmstudio.ui.widgets.words import ago

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.jobs.spec import Job
    from fmstudio.project import Changes
    from fmstudio.project.datasets import Dataset
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext

_ID = Qt.ItemDataRole.UserRole


class TrainingPage(Page):
    """Train adapters."""

    id = "training"
    title = "Training"
    icon = "training"

    context: AppContext

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.form = RunForm(context)
        self.run_view = RunView()
        self.runs = QListWidget()
        self.runs.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._names: dict[str, str] = {}
        self._args: dict[str, Any] = {}
        self._has_trainers = False
        self._is_filling = False
        self._lay_out()
        context.job_changed.connect(self._on_job)
        context.data_changed.connect(self._on_data)
        context.project_changed.connect(self._on_project)

    def _lay_out(self) -> None:
        self.new = button(self.tr("New run"), self.show_form, icon="plus", tip=self.tr("New run (Ctrl+N)"))
        self.runs.setProperty("flat", "true")
        self.runs.setAccessibleName(self.tr("Training runs"))
        self.runs.currentItemChanged.connect(self._on_chosen)
        self._no_runs = label(self.tr("Runs appear here."), "muted", wrap=True)
        left = QFrame()
        left.setProperty("panel", "left")
        left.setLayout(column(self.new, self._no_runs, self.runs, gap=8, margins=(12, 16, 12, 12)))
        self._empty = EmptyState(
            "training",
            self.tr("Nothing to train on yet"),
            self.tr("Training teaches a base model with your own rows: questions and the answers you want. Bring a dataset "
                    "in first; this page then shows what a run will do before it starts."),
            (self.tr("Import data"), partial(self.context.navigate, "data")),
            (self.tr("See the sample project"), partial(self.context.navigate, "home")),
        )  # fmt: skip
        self.stack = QStackedWidget()
        for widget in (self.form, self.run_view, self._empty):
            self.stack.addWidget(widget)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setHandleWidth(1)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(left)
        splitter.addWidget(self.stack)
        splitter.setStretchFactor(1, 1)
        left.setMinimumWidth(180)
        splitter.setSizes([220, 900])
        self.setLayout(column(splitter, gap=0))
        self.form.start_wanted.connect(self.start)
        self.run_view.cancel_wanted.connect(self._cancel)
        self.run_view.retry_wanted.connect(self.context.retry)
        self.run_view.chat_wanted.connect(self._chat)
        self.run_view.jobs_wanted.connect(self._show_job_log)
        for keys, slot in (("Ctrl+Return", self._start_by_key), ("Ctrl+N", self.show_form)):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)

    # ---- page ------------------------------------------------------------------------------------------------------

    def page_shown(self, **args: Any) -> None:
        """Refresh; ``base_id`` and ``dataset_id`` begin a new run with them, ``job_id`` shows a run."""
        self._args = dict(args)
        self._read()
        self._fill_runs()
        if not self._has_trainers:
            self.context.request(
                "describe", {"kinds": ["trainer"]}, self._show_trainers, self._on_no_trainers, owner=self
            )

    def commands(self) -> list[Command]:
        """What the palette offers here."""
        found = [Command(self.tr("New training run"), self.show_form, "Ctrl+N", "plus")]
        job = self.run_view.job
        if self.stack.currentWidget() is self.form and self.form.start.isEnabled():
            found.insert(0, Command(self.tr("Start training"), self.form.start.click, "Ctrl+Enter", "play"))
        elif job is not None and not job.is_finished:
            found.insert(0, Command(self.tr("Stop this run"), partial(self._cancel, job.id), "", "stop"))
        elif job is not None and job.state != "succeeded":
            found.insert(0, Command(self.tr("Resume this run"), partial(self.context.retry, job.id), "", "retry"))
        return found

    @Slot()
    def _on_project(self) -> None:
        self._read()
        self._fill_runs()
        self.show_form()

    @Slot(object, object)
    def _on_data(self, changes: Changes, _: object) -> None:
        if changes.datasets or changes.models:
            self._read()

    def _read(self) -> None:
        project = self.context.project
        if project is not None:
            self.context.run_query(
                lambda: (project.datasets.all(), project.models.all()),
                lambda found: self._show_choices(*found),
                key="training",
                owner=self,
            )

    def _show_choices(self, datasets: list[Dataset], models: list[ModelEntry]) -> None:
        self._names = {d.id: d.name for d in datasets} | {m.id: m.name for m in models}
        self.form.show_choices(datasets, models)
        args, self._args = self._args, {}
        self.form.choose(base_id=str(args.get("base_id") or ""), dataset_id=str(args.get("dataset_id") or ""))
        if args.get("job_id"):
            self.show_run(str(args["job_id"]))
        elif args or self.stack.currentWidget() is not self.run_view:
            self.show_form()
        elif self.run_view.job is not None:
            self.run_view.show_job(self.run_view.job, self._about(self.run_view.job))

    def _show_trainers(self, described: dict[str, Any]) -> None:
        titles = {c.id: c.title for c in self.context.plugins.contributions("trainer")}
        self._has_trainers = bool(described["schemas"])
        if self._has_trainers:
            self.form.show_trainers(described["schemas"], titles)
        else:
            errors = " ".join(described["errors"].values())
            self.form.show_trainer_problem(errors or self.tr("No plugin contributes a trainer."))

    def _on_no_trainers(self, problem: Problem) -> None:
        self.form.show_trainer_problem(str(problem))

    # ---- runs ------------------------------------------------------------------------------------------------------

    def _jobs(self) -> list[Job]:
        queue = self.context.queue
        return [job for job in queue.jobs() if job.kind == "train"] if queue is not None else []

    def _fill_runs(self) -> None:
        jobs = self._jobs()
        shown = self.run_view.job.id if self.run_view.job and self.stack.currentWidget() is self.run_view else ""
        self._is_filling = True
        if [self.runs.item(i).data(_ID) for i in range(self.runs.count())] != [job.id for job in jobs]:
            self.runs.clear()
            for job in jobs:
                item = QListWidgetItem()
                item.setData(_ID, job.id)
                self.runs.addItem(item)
        for place, job in enumerate(jobs):
            item = self.runs.item(place)
            picture, token, _ = STATES[job.state]
            text = f"{job.spec.meta.get('name', job.title)}\n{self.tr(STATE_WORDS[job.state])}, {ago(job.spec.created)}"
            if item.text() != text:
                item.setText(text)
                item.setIcon(icon(picture, token))
            if job.id == shown:
                self.runs.setCurrentItem(item)
        self._no_runs.setVisible(not jobs)
        self._is_filling = False

    @Slot(object)
    def _on_job(self, job: Job) -> None:
        if job.kind != "train":
            return
        if self.run_view.job is not None and job.id == self.run_view.job.id:
            self.run_view.update_job()
        self._fill_runs()

    @Slot()
    def _on_chosen(self) -> None:
        item = self.runs.currentItem()
        if item is not None and not self._is_filling:
            self.show_run(str(item.data(_ID)))

    def show_run(self, job_id: str) -> None:
        """Show a run; a job that is no longer there shows the form."""
        job = next((job for job in self._jobs() if job.id == job_id), None)
        if job is None:
            self.show_form()
            return
        self.stack.setCurrentWidget(self.run_view)
        self.run_view.show_job(job, self._about(job))
        self._fill_runs()

    def _about(self, job: Job) -> str:
        meta = job.spec.meta
        words = self.tr("{base} on {dataset}, version {version}")
        gone = self.tr("a removed entry")
        return words.format(
            base=self._names.get(str(meta.get("base_id")), gone),
            dataset=self._names.get(str(meta.get("dataset_id")), gone),
            version=meta.get("version"),
        )

    @Slot()
    def show_form(self) -> None:
        """Show the form of a new run."""
        self.runs.setCurrentItem(None)  # type: ignore[call-overload]
        has_data = self.form.dataset.count() > 0
        self.stack.setCurrentWidget(self.form if has_data else self._empty)

    # ---- actions ---------------------------------------------------------------------------------------------------

    @Slot()
    def _start_by_key(self) -> None:
        if self.stack.currentWidget() is self.form and self.form.start.isEnabled():
            self.form.start.click()

    @Slot(object)
    def start(self, run: dict[str, Any]) -> None:
        """Make the job and show it."""
        project = self.context.project
        if project is None:
            return

        def build() -> Any:
            from fmstudio.project.specs import TrainRun

            return project.specs.train(TrainRun.parse(run))

        self.context.build_and_submit(build, lambda job: self.show_run(job.id))

    @Slot(str)
    def _cancel(self, job_id: str) -> None:
        if self.context.queue is not None:
            self.context.queue.cancel(job_id)

    @Slot(str)
    def _chat(self, job_id: str) -> None:
        job = next((job for job in self._jobs() if job.id == job_id), None)
        if job is not None:
            self.context.navigate("chat", adapter_id=f"{job_id}-gguf", model_id=job.spec.meta["base_id"])

    @Slot(str)
    def _show_job_log(self, job_id: str) -> None:
        self.context.navigate("jobs", job_id=job_id)
