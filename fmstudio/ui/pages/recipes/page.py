"""The Recipes page: steps at the left, what they would do at the right."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QFileDialog, QFrame, QLineEdit, QMenu, QScrollArea

from fmstudio.api.page import Page
from fmstudio.core.paths import home, resource
from fmstudio.jobs.outcome import Problem
from fmstudio.ui.pages.recipes.preview_pane import PreviewPane
from fmstudio.ui.pages.recipes.step_card import StepCard
from fmstudio.ui.palette import Command
from fmstudio.ui.schemas import load_schemas
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import button, clear, column, holder, label, row

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job, JobSpec
    from fmstudio.project import Changes
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext

PREVIEW_DELAY_MS = 300
FILES = "Recipes (*.yaml *.yml)"


class RecipesPage(Page):
    """A recipe in the making. It is previewed after every change, and run as a job on all rows."""

    id, title, icon = "recipes", "Recipes", "recipes"

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.ctx = context
        self.cards: list[StepCard] = []
        self._schemas: dict[str, dict[str, Any]] = {}
        self._errors: dict[str, str] = {}
        self._waiting: dict[str, Any] | None = None
        self._chosen = 0
        self._wanted_dataset = ""
        self._found: dict[str, Any] | None = None
        self.name = QLineEdit("New recipe")
        self.name.setAccessibleName(self.tr("Name of the recipe"))
        self.presets = button(
            self.tr("Presets"), icon="recipes", tip=self.tr("Start from a recipe that comes with the app")
        )
        self.add = button(self.tr("Add a step"), icon="plus", tip=self.tr("Add an operator at the end"))
        self.dataset = QComboBox()
        self.dataset.setAccessibleName(self.tr("Dataset to preview on"))
        self.dataset.setMinimumWidth(200)
        self.dataset.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.dataset.currentIndexChanged.connect(self._soon_preview)
        self.run_button = button(
            self.tr("Run on all rows"),
            self.run,
            kind="primary",
            icon="play",
            tip=self.tr("Make the next version of the dataset (Ctrl+Enter)"),
        )
        self._job_id = ""
        self.preview = PreviewPane()
        self._problem = column(gap=0)
        self._soon = QTimer(self, singleShot=True, interval=PREVIEW_DELAY_MS)
        self._soon.timeout.connect(self._ask_preview)
        self._build()
        context.data_changed.connect(self._on_changes)
        context.job_changed.connect(self._on_job)
        shortcut = QShortcut(QKeySequence("Ctrl+Return"), self)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(self.run)
        load_schemas(context, "operator", self._on_schemas, self)

    def _build(self) -> None:
        self._steps = column(gap=8)
        self._hint = label(self.tr("A recipe is a list of steps. Add one, or start from a preset."), "muted", wrap=True)
        files = row(
            self.presets, button(self.tr("Open…"), self.choose_file, tip=self.tr("Open a recipe file")),
            button(self.tr("Save…"), self.save_as, tip=self.tr("Save this recipe as YAML")), None, gap=6,
        )  # fmt: skip
        inner = holder(column(self._steps, self._hint, row(self.add, None), None, gap=10, margins=(16, 4, 16, 16)))
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(inner)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        left = QFrame()
        left.setProperty("panel", "left")
        left.setFixedWidth(400)
        head = column(self.name, files, gap=8, margins=(16, 16, 16, 8))
        left.setLayout(column(head, scroll, gap=0))
        bar = row(label(self.tr("Preview on"), "muted"), self.dataset, None, self.run_button, gap=10)
        right = column(bar, self._problem, self.preview, gap=12, margins=(24, 16, 24, 16))
        right.setStretch(2, 1)
        layout = row(left, holder(right), gap=0)
        layout.setStretch(1, 1)
        self.setLayout(layout)
        menu = QMenu(self)
        for title, path in _presets():
            menu.addAction(title).triggered.connect(lambda _=False, path=path: self.open_file(path))
        self.presets.setMenu(menu)
        self.run_button.setEnabled(False)

    def page_shown(self, dataset_id: str = "", path: str = "", **args: Any) -> None:
        """Look for datasets again; open a recipe file when one is given."""
        self._wanted_dataset = dataset_id or self._wanted_dataset
        self._refresh_datasets()
        if path:
            self.open_file(path)

    def commands(self) -> list[Command]:
        """What the palette offers here."""
        run = [Command(self.tr("Run the recipe on all rows"), self.run, "Ctrl+Enter", "play")] if self.cards else []
        steps = [
            Command(self.tr("Add the step {}").format(one.title), partial(self.add_step, one.id, {}), "", "plus")
            for one in self.ctx.plugins.contributions("operator")
            if one.id in self._schemas
        ]
        presets = [
            Command(self.tr("Start from {}").format(title), partial(self.open_file, path), "", "recipes")
            for title, path in _presets()
        ]
        return [
            *run,
            Command(self.tr("Open a recipe…"), self.choose_file, "", "folder"),
            Command(self.tr("Save the recipe…"), self.save_as, "", "save"),
            *presets,
            *steps,
        ]

    # ---- steps -------------------------------------------------------------------------------------------------------

    def _on_schemas(self, schemas: dict[str, dict[str, Any]], errors: dict[str, str]) -> None:
        self._schemas, self._errors = schemas, errors
        menu = QMenu(self)
        for contribution in self.ctx.plugins.contributions("operator"):
            action = menu.addAction(contribution.title)
            action.setEnabled(contribution.id in schemas)
            action.setToolTip(errors.get(contribution.id, ""))
            action.triggered.connect(lambda _=False, operator=contribution.id: self.add_step(operator, {}))
        menu.setToolTipsVisible(True)
        self.add.setMenu(menu)
        if self._waiting is not None:
            recipe, self._waiting = self._waiting, None
            self.show_recipe(recipe)

    def add_step(self, operator: str, params: dict[str, Any]) -> None:
        """Put a step at the end and open it."""
        titles = {c.id: c.title for c in self.ctx.plugins.contributions("operator")}
        card = StepCard(operator, titles.get(operator, operator), self._schemas.get(operator, {}), params)
        card.changed.connect(self._soon_preview)
        card.chosen.connect(lambda: self.choose(self.cards.index(card)))
        card.moved.connect(lambda by: self._move(card, by))
        card.removed.connect(lambda: self._remove(card))
        self.cards.append(card)
        self._arrange()
        self.choose(len(self.cards) - 1)

    def choose(self, index: int) -> None:
        """Show the examples of a step."""
        self._chosen = max(0, min(index, len(self.cards) - 1))
        for place, card in enumerate(self.cards):
            card.set_chosen(place == self._chosen)
        self.preview.show_step(self._chosen)

    def _move(self, card: StepCard, by: int) -> None:
        place = self.cards.index(card)
        if not 0 <= place + by < len(self.cards):
            return
        self.cards.insert(place + by, self.cards.pop(place))
        self._arrange()
        self.choose(place + by)
        card.setFocus()

    def _remove(self, card: StepCard) -> None:
        self.cards.remove(card)
        card.hide()
        card.deleteLater()
        self._arrange()
        self.choose(self._chosen)
        (self.cards[self._chosen] if self.cards else self.add).setFocus()

    def _arrange(self) -> None:
        for card in self.cards:
            self._steps.removeWidget(card)
        for number, card in enumerate(self.cards, 1):
            self._steps.addWidget(card)
            card.set_place(number, len(self.cards))
        self._hint.setVisible(not self.cards)
        self._soon_preview()

    def recipe(self) -> dict[str, Any]:
        """The recipe as data."""
        return {"name": self.name.text().strip() or "Recipe", "steps": [card.step() for card in self.cards]}

    def show_recipe(self, recipe: dict[str, Any]) -> None:
        """Replace the steps by those of a recipe."""
        if not self._schemas:
            self._waiting = recipe
            return
        for card in self.cards:
            card.hide()
            card.deleteLater()
        self.cards = []
        self.name.setText(recipe["name"])
        for step in recipe["steps"]:
            self.add_step(step["operator"], step.get("params", {}))
        self.choose(0)

    # ---- files -------------------------------------------------------------------------------------------------------

    def choose_file(self) -> None:
        """Ask for a recipe file."""
        path, _ = QFileDialog.getOpenFileName(self, self.tr("Open a recipe"), str(home()), FILES)
        if path:
            self.open_file(path)

    def open_file(self, path: str) -> None:
        """Read a recipe file, off the main thread."""

        def read() -> dict[str, Any]:
            from fmstudio.recipes import Recipe

            return Recipe.load(Path(path)).to_dict()

        self.ctx.run_query(read, self.show_recipe, owner=self)

    def save_as(self) -> None:
        """Ask where, and save the recipe as YAML."""
        start = str(home() / f"{self.name.text().strip() or 'recipe'}.yaml")
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Save the recipe"), start, FILES)
        if path:
            self.save(path)

    def save(self, path: str) -> None:
        """Save the recipe as YAML."""
        recipe = self.recipe()

        def write() -> None:
            from fmstudio.recipes import Recipe

            Recipe.of(recipe).save(Path(path))

        self.ctx.run_query(write, lambda _: self.ctx.notify("positive", f"Saved as {path}."), owner=self)

    # ---- preview and run ---------------------------------------------------------------------------------------------

    def _refresh_datasets(self) -> None:
        project = self.ctx.project
        if project is not None:
            self.ctx.run_query(project.datasets.all, self._show_datasets, key="recipe datasets", owner=self)

    def _show_datasets(self, datasets: list[Dataset]) -> None:
        wanted = self._wanted_dataset or self.dataset.currentData() or (datasets[-1].id if datasets else "")
        self._wanted_dataset = ""
        self.dataset.blockSignals(True)
        self.dataset.clear()
        for dataset in datasets:
            self.dataset.addItem(f"{dataset.name}, version {dataset.version}", dataset.id)
        self.dataset.setCurrentIndex(max(0, self.dataset.findData(wanted)))
        self.dataset.blockSignals(False)
        self._soon_preview()

    @Slot(object, object)
    def _on_changes(self, changes: Changes, origin: object) -> None:
        if changes.datasets and self.isVisible():
            self._refresh_datasets()

    @Slot()
    def _soon_preview(self) -> None:
        self._soon.start()

    @Slot()
    def _ask_preview(self) -> None:
        project, dataset = self.ctx.project, self.dataset.currentData()
        is_ready = bool(self.cards and dataset and all(card.form.is_valid() for card in self.cards))
        self.run_button.setEnabled(False)
        if project is None or not is_ready:
            self.preview.clear()
            clear(self._problem)
            return
        self.preview.set_busy()
        recipe = self.recipe()

        def ask(files: list[Path]) -> None:
            params = {"recipe": recipe, "files": [str(file) for file in files]}
            self.ctx.request("preview_recipe", params, self._show_preview, self._fail, key="preview", owner=self)

        self.ctx.run_query(lambda: project.datasets.files(dataset), ask, key="preview files", owner=self)

    def _fail(self, problem: Problem) -> None:
        self.preview.clear()
        clear(self._problem)
        self._problem.addWidget(ProblemCard(problem))

    def _show_preview(self, found: dict[str, Any]) -> None:
        clear(self._problem)
        self._found = found
        self.preview.show_preview(found, self._chosen)
        for card, counts in zip(self.cards, found["steps"], strict=False):
            card.show_result(counts)
        self.run_button.setEnabled(not self._job_id)

    @Slot()
    def run(self) -> None:
        """Run the recipe on all rows, as a job that makes the next version."""
        project, dataset, recipe = self.ctx.project, self.dataset.currentData(), self.recipe()
        if project is None or not self.run_button.isEnabled():
            return
        self.run_button.setEnabled(False)  # until there is another preview: a second click must not run it twice

        def start(spec: JobSpec) -> None:
            job = self.ctx.submit(spec)
            self._job_id = job.id
            self._on_started(job.title)

        def fail(problem: Problem) -> None:
            self._soon_preview()
            self.ctx.show_problem(problem)

        self.ctx.run_query(lambda: project.specs.recipe(dataset, recipe), start, fail, owner=self)

    @Slot(object)
    def _on_job(self, job: Job) -> None:
        if job.id == self._job_id and job.is_finished:
            self._job_id = ""
            self._soon_preview()

    def _on_started(self, title: str) -> None:
        dataset = self.dataset.currentData()
        show = ("Show the dataset", lambda: self.ctx.navigate("data", dataset_id=dataset))
        self.ctx.notify("info", f"{title} has started. It makes the next version; undo brings this one back.", show)


def _presets() -> list[tuple[str, str]]:
    """Title and path of every recipe that comes with the app."""
    return [
        (path.stem.replace("_", " ").capitalize(), str(path)) for path in sorted(resource("recipes").glob("*.yaml"))
    ]
