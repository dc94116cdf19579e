"""The Home page: the welcome without a project, the loop and the next step with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtWidgets import QFileDialog, QScrollArea, QStackedLayout, QWidget

from fmstudio.api.errors import UserError
from fmstudio.api.page import Page
from fmstudio.ui.context import problem_of
from fmstudio.ui.pages.home.loop import LoopView
from fmstudio.ui.pages.home.standing import (
    SAMPLE_TITLE,
    NextAction,
    Standing,
    measure,
    next_action,
    sample_file,
    sample_folder,
)
from fmstudio.ui.pages.home.welcome import Welcome
from fmstudio.ui.palette import Command
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.job_line import JobLine
from fmstudio.ui.widgets.parts import PAGE_MARGIN, button, card, clear, column, holder, label, row

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.dropped import Home

RECENT_JOBS = 6
STAGE_PAGES = {"data": "data", "recipes": "recipes", "embed": "data", "training": "training", "chat": "chat"}


class HomePage(Page):
    """Where one starts, and where one sees how far one is."""

    id, title, icon = "home", "Home", "home"

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.ctx = context
        self._dropped: Home | None = None
        self._next: NextAction | None = None
        self._lines: list[JobLine] = []
        self.welcome = Welcome(context.settings)
        self.welcome.sample_wanted.connect(self.open_sample)
        self.welcome.new_wanted.connect(self.new_project)
        self.welcome.open_wanted.connect(self.choose_project)
        self.welcome.folder_chosen.connect(lambda folder: context.open_project(Path(folder)))
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.welcome)
        self._overview = self._build_overview()
        self._stack.addWidget(self._overview)
        self._soon = QTimer(self, singleShot=True, interval=150)
        self._soon.timeout.connect(self.refresh)
        self._jobs_soon = QTimer(self, singleShot=True, interval=300)
        self._jobs_soon.timeout.connect(self._show_jobs)
        context.data_changed.connect(self._soon.start)
        context.job_changed.connect(self._on_job)
        context.project_changed.connect(self._on_project)
        context.project_opening.connect(self.welcome.set_opening)
        self._on_project()

    def _build_overview(self) -> QWidget:
        self._heading = label("", "display")
        self._folder = label("", "muted", selectable=True)
        self.loop = LoopView()
        self.loop.chosen.connect(self._on_stage)
        self._next_title, self._next_text = label("", "heading"), label("", "muted", wrap=True)
        self.next_button = button("", self._do_next, kind="primary", name=self.tr("Next step"))
        middle = row(column(self._next_title, self._next_text, gap=4), self.next_button, gap=16)
        middle.setStretch(0, 1)
        next_card = card(label(self.tr("Next"), "caption"), middle, gap=4)
        self._jobs = column(gap=0)
        jobs_card = card(label(self.tr("Recent work"), "heading"), holder(self._jobs), gap=6)
        content = column(
            self._heading, self._folder, 16, self.loop, 4, next_card, 8, jobs_card, None,
            gap=6, margins=(PAGE_MARGIN, 24, PAGE_MARGIN, PAGE_MARGIN),
        )  # fmt: skip
        inner = holder(content)
        inner.setMaximumWidth(1120)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(inner)
        scroll.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        return scroll

    def page_shown(self, dropped: Home | None = None, **args: Any) -> None:
        """Look again; `dropped`: files that wait for a project."""
        if dropped is not None:
            self._dropped = dropped
            self.welcome.set_waiting(True)
            self.ctx.notify("info", self.tr("Make or open a project; then the dropped file is shown for import."))
        if self.ctx.project is not None:
            self.refresh()
        else:
            self.welcome.refresh()

    def commands(self) -> list[Command]:
        """What the palette offers here."""
        return [
            Command(self.tr("Open the sample project"), self.open_sample, "", "play"),
            Command(self.tr("New project…"), self.new_project, "", "plus"),
            Command(self.tr("Open a project…"), self.choose_project, "", "folder"),
        ]

    # ---- a project ---------------------------------------------------------------------------------------------------

    @Slot()
    def _on_project(self) -> None:
        project = self.ctx.project
        self._stack.setCurrentWidget(self._overview if project else self.welcome)
        if project is None:
            self.welcome.refresh()
            return
        self._heading.setText(project.name)
        self._folder.setText(str(project.folder))
        self.refresh()
        if self._dropped is not None:
            home, self._dropped = self._dropped, None
            self.welcome.set_waiting(False)
            QTimer.singleShot(0, self, lambda: self.ctx.navigate(home.page_id, **home.args))

    @Slot()
    def refresh(self) -> None:
        """Count again, off the main thread."""
        project = self.ctx.project
        if project is not None:
            self.ctx.run_query(lambda: measure(project), self._show, key="home", owner=self)
            self._show_jobs()

    def _show(self, standing: Standing) -> None:
        cards = self.loop.cards
        cards["data"].set_state(words.number(standing.rows), _rows_in(standing))
        cards["recipes"].set_state(words.number(standing.dropped), "rows dropped by recipes, each with its reason")
        cards["embed"].set_state(words.number(standing.embedded), "datasets searchable by meaning"
                                 if standing.embedded != 1 else "dataset searchable by meaning")  # fmt: skip
        cards["training"].set_state(
            words.number(standing.adapters), "adapters" if standing.adapters != 1 else "adapter"
        )
        cards["chat"].set_state(words.number(standing.conversations), _chat_words(standing))
        action = self._next = next_action(standing)
        self._next_title.setText(action.title)
        self._next_text.setText(action.text)
        self.next_button.setText(action.button)
        self.next_button.setAccessibleName(action.button)

    @Slot(object)
    def _on_job(self, job: Any) -> None:
        if self.isVisible() and not self._jobs_soon.isActive():  # one that is started anew at every message never ends
            self._jobs_soon.start()

    @Slot()
    def _show_jobs(self) -> None:
        focused = next((place for place, line in enumerate(self._lines) if line.hasFocus()), -1)
        clear(self._jobs)
        self._lines = []
        jobs = self.ctx.queue.jobs()[:RECENT_JOBS] if self.ctx.queue else []
        for job in jobs:
            line = JobLine(job)
            line.chosen.connect(lambda job_id: self.ctx.navigate("jobs", job_id=job_id))
            self._jobs.addWidget(line)
            self._lines.append(line)
        if 0 <= focused < len(self._lines):
            self._lines[focused].setFocus()
        if not jobs:
            self._jobs.addWidget(label(self.tr("Nothing yet. Everything you run is listed here."), "muted"))

    @Slot(str)
    def _on_stage(self, stage: str) -> None:
        self.ctx.navigate(STAGE_PAGES[stage])

    def _do_next(self) -> None:
        if self._next is not None:
            self.ctx.navigate(self._next.page_id, **self._next.args)

    # ---- opening -----------------------------------------------------------------------------------------------------

    @Slot()
    def open_sample(self) -> None:
        """Open the sample project; the first time it is made and its data imported by a real job."""
        folder = sample_folder()
        if (folder / "project.toml").exists():
            self.ctx.open_project(folder)
            return
        try:
            source = sample_file()
        except UserError as error:
            self.ctx.show_problem(problem_of(error))
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.ctx.open_project(folder, create=True, name=SAMPLE_TITLE, then=lambda project: self._import_sample(source))

    def _import_sample(self, source: Path) -> None:
        project = self.ctx.project
        if project is not None:
            self.ctx.build_and_submit(lambda: project.specs.import_files([source]))

    @Slot()
    def new_project(self) -> None:
        """Ask where, then make a project there."""
        text, _ = QFileDialog.getSaveFileName(
            self, self.tr("New project"), str(Path.home() / "my-model"), "Project folder (*)"
        )
        if text:
            self.ctx.open_project(Path(text), create=True)

    @Slot()
    def choose_project(self) -> None:
        """Ask for a project folder and open it."""
        text = QFileDialog.getExistingDirectory(self, self.tr("Open a project"), str(Path.home()))
        if text:
            self.ctx.open_project(Path(text))


def _rows_in(standing: Standing) -> str:
    rows = "row" if standing.rows == 1 else "rows"
    return f"{rows} in {words.plural(standing.datasets, 'dataset')}"


def _chat_words(standing: Standing) -> str:
    noun = "conversation" if standing.conversations == 1 else "conversations"
    return f"{noun}, {words.plural(standing.ratings, 'rated answer')}"
