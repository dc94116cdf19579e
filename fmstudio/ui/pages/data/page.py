"""The Data page: list, import preview and dataset, and which of them is in front."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QStackedWidget, QWidget

from fmstudio.api.page import Page
from fmstudio.core.addresses import is_remote
from fmstudio.ui.history import step_history
from fmstudio.ui.pages.data.awaited import Awaited
from fmstudio.ui.pages.data.dataset_commands import dataset_commands
from fmstudio.ui.pages.data.dataset_list import DatasetList
from fmstudio.ui.pages.data.dataset_tabs import TABS
from fmstudio.ui.pages.data.dataset_view import DatasetView
from fmstudio.ui.pages.data.file_choice import ask_files, ask_folder
from fmstudio.ui.pages.data.import_paste import pasted_files
from fmstudio.ui.pages.data.no_data import NoData
from fmstudio.ui.palette import Command
from fmstudio.ui.widgets.parts import row

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmstudio.jobs.spec import Job
    from fmstudio.project import Changes
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.pages.data.import_address import AddressPanel
    from fmstudio.ui.pages.data.import_view import ImportView


class DataPage(Page):
    """Datasets at the left; the chosen one, or an import, beside them."""

    id, title, icon = "data", "Data", "data"

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.ctx = context
        self._datasets: list[Dataset] = []
        self._chosen_id = ""
        self._awaited = Awaited(context, self.choose)
        self._has_arrived = False
        self.list = DatasetList()
        self.view = DatasetView(context)
        self.empty = NoData(context, self.choose_files, self.use_sample)
        self.stack = QStackedWidget()
        for widget in (self.empty, self.view):
            self.stack.addWidget(widget)
        layout = row(self.list, self.stack, gap=0)
        layout.setStretch(1, 1)
        self.setLayout(layout)
        self.setFocusProxy(self.list.list)
        self._connect()

    def _connect(self) -> None:
        self.list.chosen.connect(self.choose)
        self.list.import_wanted.connect(self.choose_files)
        others = {"folder": self.choose_folder, "paste": self.paste, "address": self.open_address}
        self.list.other_wanted.connect(lambda what: others[what]())
        self.list.menu.aboutToShow.connect(lambda: self.list.allow_network(self.ctx.settings.allow_network))
        self.view.undo_wanted.connect(lambda: self._step("undo"))
        self.view.redo_wanted.connect(lambda: self._step("redo"))
        self.ctx.data_changed.connect(self._on_changes)
        self._connect_list()
        self.view.submitted.connect(self._on_work)
        self.view.actions_for.made.connect(lambda dataset_id: self.page_shown(dataset_id=dataset_id))
        for keys, act in (
            ("Ctrl+F", self.focus_filter),
            ("Ctrl+I", self.choose_files),
            ("F2", self.view.rename),
            ("Ctrl+Return", self._on_run),
            ("Ctrl+V", self.paste),
            ("Ctrl+H", lambda: self.open_transform("replace")),
            ("Ctrl+T", self.open_transform),
            ("Ctrl+E", self.open_export),
            ("Ctrl+S", self.view.commit),
            ("F6", lambda: self._next_pane(1)),
            ("Shift+F6", lambda: self._next_pane(-1)),
            *((f"Alt+{n}", partial(self.show_tab, tab)) for n, (tab, _) in enumerate(TABS, 1)),
        ):
            # Of the window: while this page is in sight its keys work wherever the keyboard is.
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    @cached_property
    def importing(self) -> ImportView:
        """The import preview; built at the first import, for it takes megabytes."""
        from fmstudio.ui.pages.data.import_view import ImportView

        made = ImportView(self.ctx)
        made.submitted.connect(self._on_submitted)
        made.closed.connect(self._show_front)
        made.dataset_wanted.connect(self.choose)
        self.stack.addWidget(made)
        return made

    @cached_property
    def address(self) -> AddressPanel:
        """Where an address or hub id is typed; built when it is first wanted."""
        from fmstudio.ui.pages.data.import_address import AddressPanel

        made = AddressPanel(self.ctx)
        made.fetched.connect(self._on_fetched)
        made.closed.connect(self._show_front)
        self.stack.addWidget(made)
        return made

    @property
    def is_importing(self) -> bool:
        """Whether an import is in front."""
        return self.stack.currentWidget() not in (self.empty, self.view)

    def _is_in_front(self, name: Literal["importing", "address"]) -> bool:
        """Asked without building what is not there yet."""
        return name in self.__dict__ and self.stack.currentWidget() is self.__dict__[name]

    def _connect_list(self) -> None:
        found, actions = self.list, self.view.actions_for
        found.rename_wanted.connect(lambda one: self._on_one(one, lambda _: self.view.rename()))
        found.duplicate_wanted.connect(lambda one: self._on_one(one, actions.duplicate))
        found.export_wanted.connect(lambda one: self._on_one(one, lambda _: self.open_export()))
        found.merge_wanted.connect(self.merge)
        found.delete_wanted.connect(lambda ids: actions.delete([d for d in self._datasets if d.id in ids]))

    def page_shown(
        self, files: list[str] | None = None, dataset_id: str = "", choose: bool = False, embed: bool = False, **_: Any
    ) -> None:
        """Show a dataset, or the import preview of files."""
        if dataset_id:
            self._chosen_id = dataset_id
        self.refresh()
        if files:
            self.preview(files)
        elif choose:
            self.choose_files()
        elif embed:
            self.view.show_tab("search")

    def commands(self) -> list[Command]:
        """What the palette offers here."""
        found = [
            Command(self.tr("Import a file…"), self.choose_files, "Ctrl+I", "import"),
            Command(self.tr("Import a folder…"), self.choose_folder, "", "folder"),
            Command(self.tr("Import from the clipboard"), self.paste, "Ctrl+V", "import"),
            Command(self.tr("Import from an address or hub id…"), self.open_address, "", "link"),
        ]
        if self.view.dataset is not None:
            found += dataset_commands(self, self.view.dataset)
        return found

    # ---- datasets ----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the list of datasets again."""
        project = self.ctx.project
        if project is not None:
            self.ctx.run_query(project.datasets.all, self._show_datasets, key="datasets", owner=self)

    def _show_datasets(self, datasets: list[Dataset]) -> None:
        before = self.view.dataset
        self._datasets = datasets
        ids = [dataset.id for dataset in datasets]
        if self._chosen_id not in ids:
            self._chosen_id = ids[-1] if ids else ""
        self.list.show_datasets(datasets, self._chosen_id)
        for dataset in datasets:
            if dataset.id == self._chosen_id and dataset != before:
                self.view.show_dataset(dataset)
            elif dataset.id == self._chosen_id:
                self.view.show_pending()
        if not self.is_importing:
            self._show_front()
        if self._has_arrived:
            self._has_arrived = False
            self.view.welcome()
        self._awaited.tell(datasets)

    @Slot()
    def _show_front(self) -> None:
        self.stack.setCurrentWidget(self.view if self._datasets else self.empty)

    @Slot(str)
    def choose(self, dataset_id: str) -> None:
        """Show a dataset."""
        self._chosen_id = dataset_id
        self.list.mark(dataset_id)
        for dataset in self._datasets:
            if dataset.id == dataset_id:
                self.view.show_dataset(dataset)
                self._show_front()

    @Slot(object, object)
    def _on_changes(self, changes: Changes, origin: object) -> None:
        if changes.datasets:
            if shown := self._awaited.arrived(changes.datasets, self._chosen_id):
                self._chosen_id, self._has_arrived = shown, True
            self.refresh()

    def _on_one(self, dataset_id: str, act: Callable[[Dataset], object]) -> None:
        """Bring a dataset to the front and do something to it."""
        if self._chosen_id != dataset_id or self.stack.currentWidget() is not self.view:
            self.choose(dataset_id)
        if self.view.dataset is not None:
            act(self.view.dataset)

    @Slot(object, str)
    def _on_work(self, job: Job, sentence: str) -> None:
        """A job was started on a dataset: say so, and show what it makes when that is there."""
        made = job.spec.meta.get("datasets") or []
        for one in made[:1]:
            self._awaited.add(str(one["dataset_id"]), self._chosen_id)
        self.ctx.notify("info", sentence)

    @Slot(object)
    def merge(self, dataset_ids: list[str]) -> None:
        """Open the merge of the first of these datasets with the others."""
        chosen = [d for d in self._datasets if d.id in dataset_ids]
        others = {"datasets": [d.name for d in chosen[1:]]}
        if chosen:
            self._on_one(chosen[0].id, lambda _: self.view.open_transform("merge", others))

    @Slot()
    def open_transform(self, transform: str = "") -> None:
        """Open a transform of the dataset in front, or the list of all."""
        if self.stack.currentWidget() is self.view:
            self.view.open_transform(transform)

    @Slot()
    def open_export(self) -> None:
        """Open the export of the dataset in front."""
        if self.stack.currentWidget() is self.view:
            self.view.open_export()

    def show_tab(self, tab: str) -> None:
        """Bring a tab of the dataset in front to the front."""
        if self.stack.currentWidget() is self.view:
            self.view.show_tab(tab)

    def _step(self, direction: Literal["undo", "redo"]) -> None:
        if self.view.dataset is not None:
            step_history(self.ctx, direction, self.view.dataset.id)

    # ---- import ------------------------------------------------------------------------------------------------------

    @Slot()
    def choose_files(self) -> None:
        """Ask for files and preview them."""
        files = ask_files(self, self.ctx.plugins.contributions("importer"))
        if files:
            self.preview(files)

    @Slot()
    def use_sample(self) -> None:
        """Preview conversations that came with the app."""
        from fmstudio.project.sample import sample_files

        self.ctx.run_query(sample_files, lambda found: self.preview([str(path) for path in found]), owner=self)

    @Slot()
    def choose_folder(self) -> None:
        """Ask for a folder and preview what is in it."""
        folder = ask_folder(self)
        if folder:
            self.preview(folder)

    @Slot()
    def paste(self) -> None:
        """Preview what the clipboard holds: copied files, or text that becomes one."""
        files = pasted_files()
        if files:
            self.preview(files)
        else:
            self.ctx.notify("info", self.tr("The clipboard holds no text and no files."))

    def preview(self, files: list[str]) -> None:
        """Show how these files would be imported; what lies behind an address is fetched first."""
        if is_remote(files[0]):
            self.open_address(files[0])
            return
        self.importing.open_files(files)
        self.stack.setCurrentWidget(self.importing)

    def open_address(self, address: str = "") -> None:
        """Ask for an address, or fetch this one, and preview what lies there."""
        self.stack.setCurrentWidget(self.address)
        self.address.open(address)

    @Slot(str, str)
    def _on_fetched(self, address: str, unseen: str) -> None:
        if not self._is_in_front("address"):
            return
        self.importing.open_files([address], unseen)
        self.stack.setCurrentWidget(self.importing)

    @Slot(object)
    def _on_submitted(self, job: Job) -> None:
        self._awaited.add(str(job.spec.meta.get("dataset_id", "")), self._chosen_id)
        self.ctx.notify("info", f"{job.title} has started. Its rows appear here when it is done.")
        self._show_front()
        self.list.list.setFocus()  # the button that was pressed is gone, and the next one would take a key of it

    # ---- keyboard ----------------------------------------------------------------------------------------------------

    @Slot()
    def focus_filter(self) -> None:
        """Let the user write a filter."""
        self.view.show_tab("rows")
        self.view.rows.filter.setFocus()

    def _next_pane(self, by: int) -> None:
        """Bring the keyboard to the next of: list of datasets, what is in front, inspector."""
        focused, front, tabs = self.window().focusWidget(), self.stack.currentWidget(), self.view.tabs
        panes: list[tuple[QWidget, Callable[[], object]]] = [(self.list, self.list.list.setFocus)]
        if front is not None and front is not self.view:
            panes.append((front, front.setFocus))
        elif front is not None:
            panes.append((self.view, tabs.focus))
            if tabs.inspector.isVisible() and tabs.inspector.record is not None:
                panes.append((tabs.inspector, tabs.inspector.next.setFocus))
        inside = [place for place, (pane, _) in enumerate(panes) if focused is not None and pane.isAncestorOf(focused)]
        here = inside[-1] if inside else -1 if by > 0 else 0
        panes[(here + by) % len(panes)][1]()

    @Slot()
    def _on_run(self) -> None:
        if self._is_in_front("importing"):
            self.importing.submit()
        elif self.stack.currentWidget() is self.view:
            self.view.run()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Esc that nothing inside has taken. No shortcut: those inside, of a field or a view, go before this one."""
        if event.key() == Qt.Key.Key_Escape and not event.modifiers():
            self._on_escape()
        else:
            super().keyPressEvent(event)

    def _on_escape(self) -> None:
        if self._is_in_front("address"):
            self.address.give_up()
        elif self._is_in_front("importing"):
            self._show_front()
        else:
            self.view.escape()
