"""`ModelsPage`: the library as a table, one entry's details beside it; files are added by drop or dialog."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QItemSelection, Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QMenu, QPushButton, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from fmstudio.api.page import Page
from fmstudio.ui.pages.models.action_buttons import why_no_chat
from fmstudio.ui.pages.models.actions import ModelActions
from fmstudio.ui.pages.models.adding import Adding, looks_like_model
from fmstudio.ui.pages.models.details import ModelDetails
from fmstudio.ui.pages.models.endpoint_form import EndpointForm
from fmstudio.ui.pages.models.found_card import FoundCard, find_models
from fmstudio.ui.pages.models.hub_form import HubForm
from fmstudio.ui.pages.models.insight import Insight
from fmstudio.ui.pages.models.make_form import MakeForm
from fmstudio.ui.pages.models.servers import Servers
from fmstudio.ui.pages.models.table import ModelView
from fmstudio.ui.pages.models.work_cards import WorkCards
from fmstudio.ui.palette import Command
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import PAGE_MARGIN, button, column, holder, label, row
from fmstudio.ui.widgets.words import plural

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.models.discovery import FoundModel
    from fmstudio.project import Changes
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext

Form = EndpointForm | HubForm | MakeForm


class ModelsPage(Page):
    """Base models, adapters, embedding models and servers of the project."""

    id = "models"
    title = "Models"
    icon = "models"

    context: AppContext

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.view = ModelView()
        self.table = self.view.entries
        self.adding = Adding(context, self)
        self.doing = ModelActions(self)
        self.servers = Servers(self)
        self.details = ModelDetails(context, can_quantise=bool(self.doing.precisions()))
        self.insight = Insight(context, self.details)
        self.work = WorkCards(context)
        self.cards = QVBoxLayout()
        self.cards.setSpacing(8)
        self.found = FoundCard()
        self.form: Form | None = None
        self._wants_found = True
        self._names: dict[str, str] = {}
        self._shown: tuple[Any, ...] = ()
        self._wanted = ""
        self._lay_out()
        self._connect()

    # ---- building --------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self._count = label("", "muted")
        self._busy = label("", "muted")
        head = row(label(self.tr("Models"), "title"), self._count, None, self._busy, gap=12)
        head.addWidget(self._more_button())
        head.addWidget(
            button(
                self.tr("Add a file…"),
                self.adding.ask_files,
                kind="primary",
                icon="plus",
                tip=self.tr("Or drop it here"),
            )
        )
        self.empty = EmptyState(
            "models",
            self.tr("No models yet"),
            self.tr("Base models to chat with and to train on, and the adapters you make from them. Drop a GGUF file or "
                    "a Hugging Face folder here: it is linked where it lies, not copied."),
            (self.tr("Add a file…"), self.adding.ask_files),
            (self.tr("Download one…"), self.doing.ask_download),
        )  # fmt: skip
        self._stack = QStackedWidget()
        self._stack.addWidget(self.view)
        self._stack.addWidget(self.empty)
        left = holder(column(head, self.work, self.found, self.cards, gap=12, margins=(PAGE_MARGIN, 20, 16, 20)))
        left.layout().addWidget(self._stack)  # type: ignore[union-attr]
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setHandleWidth(1)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(left)
        splitter.addWidget(self.details)
        splitter.setStretchFactor(0, 1)
        left.setMinimumWidth(420)
        self.details.setMinimumWidth(260)
        splitter.setSizes([900, 340])
        self.setLayout(column(splitter, gap=0))
        self.details.hide()

    def _connect(self) -> None:
        self.context.data_changed.connect(self._on_data)
        self.context.project_changed.connect(self._on_project)
        self.found.wanted.connect(self._add_found)
        self.found.closed.connect(self._hide_found)
        self.adding.changed.connect(self._show_busy)
        self.adding.added.connect(self._on_added)
        self.adding.refused.connect(self._on_refused)
        self.adding.hashed.connect(self.refresh)
        self.view.selectionModel().selectionChanged.connect(self._on_selected)
        self.view.activated.connect(self._on_activated)
        self.details.run_wanted.connect(self._show_run)
        self.details.template_kept.connect(self.doing.keep_template)
        self.details.base_chosen.connect(self.doing.choose_base)
        self.details.renamed.connect(self.doing.rename)
        self.details.action_wanted.connect(self.doing.act)
        for keys, act, widget in (
            ("Del", self._remove_selected, self.view),
            ("F2", self.details.begin_renaming, self),
            ("Esc", self._on_escape, self),
        ):
            shortcut = QShortcut(QKeySequence(keys), widget)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)

    def _more_button(self) -> QPushButton:
        made = button(self.tr("More ways"), icon="plus", tip=self.tr("Folders, copies, downloads, servers"))
        menu = QMenu(made)
        menu.addAction(self.tr("Download a model…"), self.doing.ask_download)
        menu.addAction(self.tr("Add a model or adapter folder…"), self.adding.ask_folder)
        menu.addAction(self.tr("Copy a file into the project…"), lambda: self.adding.ask_files(copy=True))
        menu.addAction(self.tr("Add a server…"), self.servers.ask)
        made.setMenu(menu)
        return made

    # ---- page ------------------------------------------------------------------------------------------------------

    def page_shown(self, **args: Any) -> None:
        """Refresh; ``paths`` adds files, ``model_id`` selects an entry, ``address`` begins a download."""
        self._wanted = str(args.get("model_id") or self._wanted)
        self.refresh()
        self.insight.watch(True)
        if isinstance(self.form, HubForm):
            self.form.refresh()
        if args.get("paths"):
            self.add_paths([Path(path) for path in args["paths"]])
        if args.get("address"):
            self.doing.ask_download(str(args["address"]))

    def page_hidden(self) -> None:
        """Stop looking at the engine."""
        self.insight.watch(False)

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
            Command(self.tr("Add a model file…"), self.adding.ask_files, "", "plus"),
            Command(self.tr("Add a model or adapter folder…"), self.adding.ask_folder, "", "folder"),
            Command(self.tr("Download a model…"), self.doing.ask_download, "", "down"),
            Command(self.tr("Add a server…"), self.servers.ask, "", "link"),
        ]
        entry = self.details.entry
        if entry is not None:
            remove = self.tr("Remove {name} from the library").format(name=entry.name)
            found.append(
                Command(self.tr("Rename {name}").format(name=entry.name), self.details.begin_renaming, "F2", "edit")
            )
            found.append(Command(remove, self._remove_selected, "Del", "trash"))
            if not why_no_chat(entry):
                chat = self.tr("Chat with {name}").format(name=entry.name)
                found.append(Command(chat, partial(self.chat_with, entry.id), "", "chat"))
        return found

    @Slot(object, object)
    def _on_data(self, changes: Changes, _: object) -> None:
        if changes.models or changes.datasets:
            self.refresh()

    @Slot()
    def _on_project(self) -> None:
        self.close_form()
        self._wanted = ""
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
        self._names = names
        self.table.set_entries(entries)
        self._stack.setCurrentIndex(0 if entries else 1)
        self._count.setText(plural(len(entries), "entry", "entries") if entries else "")
        place = next((i for i, entry in enumerate(entries) if entry.id == selected), -1)
        if self._wanted and place >= 0:
            self._wanted = ""
        if entries:
            self.view.selectRow(max(0, place))
        self.details.setVisible(bool(entries))
        if self._wants_found and self.context.project is not None:
            known = {str(entry.path.resolve()) for entry in entries if entry.format != "endpoint"}
            self.context.run_query(
                partial(find_models, known), self.found.show_found, lambda _: None, key="found-models", owner=self
            )

    # ---- forms -----------------------------------------------------------------------------------------------------

    def show_form(self, form: Form) -> None:
        """Show a form above the library, in place of the one that is there."""
        self.close_form()
        self.form = form
        self.cards.addWidget(form)

    @Slot()
    def close_form(self) -> None:
        """Take the form away."""
        if self.form is not None:
            self._drop(self.form)
            self.form = None
            self.view.setFocus()

    @Slot()
    def _on_escape(self) -> None:
        if not self.details.give_up_renaming():
            self.close_form()

    def _drop(self, card: QWidget) -> None:
        card.hide()
        self.cards.removeWidget(card)
        card.deleteLater()

    # ---- adding and removing ---------------------------------------------------------------------------------------

    def add_paths(self, paths: list[Path], *, copy: bool = False, name: str = "") -> None:
        """Look at each and register it; a refusal is a card that names the file and the reason."""
        self.adding.add(paths, copy=copy, name=name)

    @Slot(object)
    def _on_added(self, entry: ModelEntry) -> None:
        self._wanted = entry.id
        self.refresh()
        self.context.notify("positive", self.tr("{name} was added to the library.").format(name=entry.name))

    def _add_found(self, one: FoundModel) -> None:
        self.add_paths([one.path], name=one.name)

    @Slot()
    def _hide_found(self) -> None:
        self._wants_found = False
        self.found.hide()

    @Slot(object, object)
    def _on_refused(self, path: Path, problem: Problem) -> None:
        again = (self.tr("Choose another file…"), self.adding.ask_files)
        card = ProblemCard(problem, (again,), lambda: self._drop(card), stacked=True)
        card.setToolTip(str(path))
        self.cards.addWidget(card)

    @Slot(int)
    def _show_busy(self, count: int) -> None:
        words = self.tr("Checking {files}…").format(files=plural(count, "file"))
        self._busy.setText(words if count else "")

    @Slot()
    def _remove_selected(self) -> None:
        if self.details.entry is not None:
            self.doing.remove(self.details.entry)

    # ---- one entry -------------------------------------------------------------------------------------------------

    @Slot(QItemSelection, QItemSelection)
    def _on_selected(self, *_: QItemSelection) -> None:
        rows = self.view.selectionModel().selectedRows()
        if not rows:
            return
        entry, shown = self.table.entries[rows[0].row()], self.details.entry
        lineage = self._lineage(entry)
        state = (entry, entry.is_missing, lineage)
        if shown is not None and shown.id == entry.id and (self.details.is_editing or state == self._shown):
            return
        self._shown = state
        self.details.show_entry(entry, lineage)
        self.adding.fingerprint(entry)
        self.insight.look(entry)

    def _lineage(self, entry: ModelEntry) -> dict[str, str]:
        ids = {"base": entry.base_id, "dataset": entry.dataset_id, "made_from": str(entry.facts.get("made_from") or "")}
        return {key: self._names[one] for key, one in ids.items() if one in self._names}

    @Slot()
    def _on_activated(self) -> None:
        entry = self.details.entry
        if entry is not None and not why_no_chat(entry):
            self.chat_with(entry.id)

    def chat_with(self, model_id: str) -> None:
        """Begin a chat with that model, or with that adapter on its base."""
        entry = next((m for m in self.table.entries if m.id == model_id), None)
        if entry is None:
            return
        if entry.kind == "adapter":
            self.context.navigate("chat", adapter_id=model_id, model_id=entry.base_id)
        else:
            self.context.navigate("chat", model_id=model_id)

    @Slot(str)
    def _show_run(self, job_id: str) -> None:
        entry = self.details.entry
        is_run = entry is not None and entry.kind == "adapter" and bool(entry.dataset_id)
        self.context.navigate("training" if is_run else "jobs", job_id=job_id)
