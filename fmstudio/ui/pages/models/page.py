"""`ModelsPage`: the library as a table, one entry's details beside it; files are added by drop or dialog."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QItemSelection, Qt, Slot
from PySide6.QtGui import QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHeaderView,
    QMenu,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
)

from fmstudio.api.page import Page
from fmstudio.ui.pages.models.actions import ModelActions, engine_facts
from fmstudio.ui.pages.models.adding import look, looks_like_model, register, related
from fmstudio.ui.pages.models.details import ModelDetails
from fmstudio.ui.pages.models.fit import FitReport, report_fit
from fmstudio.ui.pages.models.found_card import FoundCard, find_models
from fmstudio.ui.pages.models.table import ModelTable
from fmstudio.ui.palette import Command
from fmstudio.ui.theme import ROW_HEIGHT
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import PAGE_MARGIN, button, column, holder, label, row
from fmstudio.ui.widgets.words import plural

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.models.discovery import FoundModel
    from fmstudio.project import Changes, Project
    from fmstudio.project.models import CheckedModel, ModelEntry
    from fmstudio.ui.context import AppContext

ROOM_FOR_COLUMN = {4: 600, 5: 680, 6: 760}
"""Table column → page width beside the details from which it is shown."""


class ModelsPage(Page):
    """Base models and adapters of the project."""

    id = "models"
    title = "Models"
    icon = "models"

    context: AppContext

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.table = ModelTable(self)
        self.details = ModelDetails(self._precisions(), context)
        self.cards = QVBoxLayout()
        self.cards.setSpacing(8)
        self.found = FoundCard()
        self._wants_found = True
        self.doing = ModelActions(self)
        self._names: dict[str, str] = {}
        self._adding = 0
        self._hashing: set[str] = set()
        self._wanted = ""
        self._lay_out()
        context.data_changed.connect(self._on_data)
        context.project_changed.connect(self.refresh)

    # ---- building --------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self._count = label("", "muted")
        self._busy = label("", "muted")
        head = row(label(self.tr("Models"), "title"), self._count, None, self._busy, gap=12)
        head.addWidget(self._more_button())
        head.addWidget(button(self.tr("Add a file…"), self.ask_files, kind="primary", icon="plus"))
        self.found.wanted.connect(self._add_found)
        self.found.closed.connect(self._hide_found)
        self.view = self._make_view()
        self.empty = EmptyState(
            "models",
            self.tr("No models yet"),
            self.tr("Base models to chat with and to train on, and the adapters you make from them. Drop a GGUF file or "
                    "a Hugging Face folder here: it is linked where it lies, not copied."),
            (self.tr("Add a file…"), self.ask_files),
        )  # fmt: skip
        self._stack = QStackedWidget()
        self._stack.addWidget(self.view)
        self._stack.addWidget(self.empty)
        left = holder(column(head, self.found, self.cards, gap=12, margins=(PAGE_MARGIN, 20, 16, 20)))
        left.layout().addWidget(self._stack)  # type: ignore[union-attr]
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setHandleWidth(1)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(left)
        splitter.addWidget(self.details)
        splitter.setStretchFactor(0, 1)
        left.setMinimumWidth(420)
        self.details.setMinimumWidth(260)
        splitter.setSizes([900, 320])
        self.setLayout(column(splitter, gap=0))
        self.details.hide()
        self.details.chat_wanted.connect(self.chat_with)
        self.details.train_wanted.connect(self._train_on)
        self.details.remove_wanted.connect(self.remove)
        self.details.run_wanted.connect(self._show_run)
        self.details.convert_wanted.connect(self.doing.convert)
        self.details.template_kept.connect(self.doing.keep_template)
        self.details.base_chosen.connect(self.doing.choose_base)
        self.details.action_wanted.connect(self.doing.act)

    def _more_button(self) -> QPushButton:
        made = button(self.tr("More ways"), icon="plus")
        menu = QMenu(made)
        menu.addAction(self.tr("Add a model or adapter folder…"), self.ask_folder)
        menu.addAction(self.tr("Copy a file into the project…"), lambda: self.ask_files(copy=True))
        menu.addAction(self.tr("Add a server…"), self.doing.ask_endpoint)
        made.setMenu(menu)
        return made

    def _make_view(self) -> QTableView:
        view = QTableView()
        view.setModel(self.table)
        view.setAccessibleName(self.tr("Model library"))
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setShowGrid(False)
        view.setWordWrap(False)
        view.setTabKeyNavigation(False)
        view.verticalHeader().hide()
        view.verticalHeader().setDefaultSectionSize(ROW_HEIGHT + 4)
        header = view.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(64)
        view.selectionModel().selectionChanged.connect(self._on_selected)
        view.doubleClicked.connect(self._on_double_click)
        delete = QShortcut(QKeySequence("Del"), view)
        delete.setContext(Qt.ShortcutContext.WidgetShortcut)
        delete.activated.connect(self._remove_selected)
        return view

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Where the table is narrow, what the details say anyway makes room for the names."""
        super().resizeEvent(event)
        width = event.size().width() - self.details.width()
        for column_number, least in ROOM_FOR_COLUMN.items():
            self.view.setColumnHidden(column_number, width < least)

    # ---- page ------------------------------------------------------------------------------------------------------

    def page_shown(self, **args: Any) -> None:
        """Refresh; ``paths`` adds files, ``model_id`` selects an entry."""
        self._wanted = str(args.get("model_id") or self._wanted)
        self.refresh()
        if args.get("paths"):
            self.add_paths([Path(path) for path in args["paths"]])

    def accept_files(self, paths: list[str]) -> bool:
        """Take model files and folders; others find their own home."""
        models = [Path(path) for path in paths if looks_like_model(Path(path))]
        if not models or self.context.project is None:
            return False
        self.add_paths(models)
        return True

    def commands(self) -> list[Command]:
        """What the palette offers here."""
        found = [
            Command(self.tr("Add a model file…"), self.ask_files, "", "plus"),
            Command(self.tr("Add a model or adapter folder…"), self.ask_folder, "", "folder"),
        ]
        entry = self.details.entry
        if entry is not None:
            found.append(Command(self.tr("Remove {name} from the library").format(name=entry.name), self._remove_selected,
                                 "Del", "trash"))  # fmt: skip
            if entry.format == "gguf" and not entry.is_missing:
                chat = self.tr("Chat with {name}").format(name=entry.name)
                found.append(Command(chat, partial(self.chat_with, entry.id), "", "chat"))
        return found

    @Slot(object, object)
    def _on_data(self, changes: Changes, _: object) -> None:
        if changes.models or changes.datasets:
            self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Read the library again."""
        project = self.context.project
        if project is None:
            self._show([], {})
            return

        def read() -> tuple[list[ModelEntry], dict[str, str]]:
            entries = project.models.all()
            return entries, {d.id: d.name for d in project.datasets.all()} | {m.id: m.name for m in entries}

        self.context.run_query(read, lambda found: self._show(*found), key="models", owner=self)

    def _show(self, entries: list[ModelEntry], names: dict[str, str]) -> None:
        selected = self._wanted or (self.details.entry.id if self.details.entry else "")
        self._wanted = ""
        self._names = names
        self.table.set_entries(entries)
        self._stack.setCurrentIndex(0 if entries else 1)
        self._count.setText(plural(len(entries), "entry", "entries") if entries else "")
        place = next((i for i, entry in enumerate(entries) if entry.id == selected), 0 if entries else -1)
        if place >= 0:
            self.view.selectRow(place)
        self.details.setVisible(bool(entries))
        if self._wants_found and self.context.project is not None:
            known = {str(entry.path.resolve()) for entry in entries if entry.format != "endpoint"}
            self.context.run_query(
                partial(find_models, known), self.found.show_found, lambda _: None, key="found-models", owner=self
            )

    # ---- adding and removing ---------------------------------------------------------------------------------------

    def ask_files(self, *, copy: bool = False) -> None:
        """Choose GGUF files to add; `copy` puts copies into the project."""
        names, _ = QFileDialog.getOpenFileNames(self, self.tr("Add models"), "", self.tr("Models (*.gguf);;All (*)"))
        self.add_paths([Path(name) for name in names], copy=copy)

    def ask_folder(self) -> None:
        """Choose a Hugging Face or adapter folder to add."""
        name = QFileDialog.getExistingDirectory(self, self.tr("Add a model or adapter folder"))
        if name:
            self.add_paths([Path(name)])

    def add_paths(self, paths: list[Path], *, copy: bool = False, name: str = "") -> None:
        """Look at each and register it; a refusal is a card that names the file and the reason."""
        project = self.context.project
        if project is None:
            return
        for path in paths:
            self._adding += 1
            refused = partial(self._on_refused, path)

            def write(checked: CheckedModel, refused: Callable[[Problem], None] = refused) -> None:
                self.context.run_op(self, partial(register, project, checked, name), self._on_added, refused)

            self.context.run_query(partial(look, project, path, copy), write, refused, owner=self)
        self._show_busy()

    def _on_added(self, entry: ModelEntry) -> None:
        self._adding -= 1
        self._show_busy()
        self._wanted = entry.id
        self.refresh()
        self._fingerprint(entry)
        self.context.notify("positive", self.tr("{name} was added to the library.").format(name=entry.name))

    def _fingerprint(self, entry: ModelEntry) -> None:
        """Hash a model's file in the background; what it is called with may be used meanwhile."""
        project = self.context.project
        if project is None or entry.facts.get("fingerprint") or entry.id in self._hashing:
            return
        self._hashing.add(entry.id)

        def done(_: ModelEntry) -> None:
            self._hashing.discard(entry.id)
            self.refresh()

        is_over = partial(_is_over, self.context, project)
        self.context.run_query(
            partial(project.models.with_fingerprint, entry, is_over),
            done,
            lambda _: self._hashing.discard(entry.id),
            owner=self,
        )

    def _add_found(self, one: FoundModel) -> None:
        self.add_paths([one.path], name=one.name)

    def _hide_found(self) -> None:
        self._wants_found = False
        self.found.hide()

    def _on_refused(self, path: Path, problem: Problem) -> None:
        self._adding -= 1
        self._show_busy()
        again = (self.tr("Choose another file…"), self.ask_files)
        card = ProblemCard(problem, (again,), lambda: self._drop_card(card), stacked=True)
        card.setToolTip(str(path))
        self.cards.addWidget(card)

    def _drop_card(self, card: ProblemCard) -> None:
        card.hide()
        self.cards.removeWidget(card)
        card.deleteLater()

    def _show_busy(self) -> None:
        words = self.tr("Checking {files}…").format(files=plural(self._adding, "file"))
        self._busy.setText(words if self._adding else "")

    @Slot(str)
    def remove(self, model_id: str) -> None:
        """Take an entry out of the library, with an undo; its file stays."""
        project = self.context.project
        if project is None:
            return
        name = self._names.get(model_id, "")

        def undo() -> None:
            self.context.run_op(self, lambda: project.models.restore(model_id))

        def done(_: Any) -> None:
            text = self.tr("{name} was removed from the library; its file is untouched.").format(name=name)
            self.context.notify("info", text, (self.tr("Undo"), undo))

        self.details.entry = None
        self.context.run_op(self, lambda: project.models.remove(model_id), done)

    @Slot()
    def _remove_selected(self) -> None:
        if self.details.entry is not None:
            self.remove(self.details.entry.id)

    # ---- one entry -------------------------------------------------------------------------------------------------

    @Slot(QItemSelection, QItemSelection)
    def _on_selected(self, *_: QItemSelection) -> None:
        rows = self.view.selectionModel().selectedRows()
        if not rows:
            return
        entry = self.table.entries[rows[0].row()]
        lineage = {}
        if entry.base_id in self._names:
            lineage["base"] = self._names[entry.base_id]
        if entry.dataset_id in self._names:
            lineage["dataset"] = self._names[entry.dataset_id]
        if entry.facts.get("made_from") in self._names:
            lineage["made_from"] = self._names[entry.facts["made_from"]]
        self.details.show_entry(entry, lineage)
        self._fingerprint(entry)
        if entry.kind == "base" and entry.format == "gguf" and not entry.is_missing:
            self.context.run_query(
                partial(report_fit, entry.path, engine_facts(self.context.engine, entry.path)),
                partial(self._show_fit, entry.id),
                lambda _: None,
                key="model-fit",
                owner=self,
            )

        project = self.context.project
        if project is not None and not entry.is_missing and entry.kind in ("adapter", "base"):
            self.context.run_query(
                partial(related, project, entry),
                partial(self._show_related, entry),
                lambda _: None,
                key="model-related",
                owner=self,
            )

    def _show_related(self, entry: ModelEntry, found: list[tuple[str, str]]) -> None:
        if self.details.entry is None or self.details.entry.id != entry.id:
            return
        if entry.kind == "adapter":
            self.details.show_bases(found)
        else:
            self.details.show_adapters([name for _, name in found])

    def _show_fit(self, model_id: str, fit: FitReport) -> None:
        if self.details.entry is not None and self.details.entry.id == model_id:
            self.details.show_fit(fit)

    @Slot()
    def _on_double_click(self) -> None:
        if self.details.entry is not None and self.details.entry.format == "gguf":
            self.chat_with(self.details.entry.id)

    @Slot(str)
    def chat_with(self, model_id: str) -> None:
        """Begin a chat with that model, or with that adapter on its base."""
        entry = next((m for m in self.table.entries if m.id == model_id), None)
        if entry is None:
            return
        if entry.kind == "base":
            self.context.navigate("chat", model_id=model_id)
        else:
            self.context.navigate("chat", adapter_id=model_id, model_id=entry.base_id)

    @Slot(str)
    def _train_on(self, model_id: str) -> None:
        self.context.navigate("training", base_id=model_id)

    def _precisions(self) -> list[str]:
        found = [c for c in self.context.plugins.contributions("exporter") if c.id == "gguf_quantize"]
        return list(found[0].facts.get("precisions", [])) if found else []

    @Slot(str)
    def _show_run(self, job_id: str) -> None:
        entry = self.details.entry
        is_run = entry is not None and entry.kind == "adapter"
        self.context.navigate("training" if is_run else "jobs", job_id=job_id)


def _is_over(context: AppContext, project: Project) -> bool:
    """Whether the project was closed, so that nobody waits for an answer."""
    return context.project is not project
