"""The Data page: list, import preview and dataset, and which of them is in front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QStackedWidget

from fmstudio.api.page import Page
from fmstudio.ui.history import step_history
from fmstudio.ui.pages.data.dataset_list import DatasetList
from fmstudio.ui.pages.data.dataset_view import DatasetView
from fmstudio.ui.pages.data.import_paste import pasted_files
from fmstudio.ui.pages.data.import_view import ImportView
from fmstudio.ui.palette import Command
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.parts import row

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job
    from fmstudio.project import Changes
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext

ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst")


class DataPage(Page):
    """Datasets at the left; the chosen one, or an import, beside them."""

    id, title, icon = "data", "Data", "data"

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.ctx = context
        self._datasets: list[Dataset] = []
        self._chosen_id = ""
        self._awaited: set[str] = set()
        self.list = DatasetList()
        self.view = DatasetView(context)
        self.importing = ImportView(context)
        self.empty = EmptyState(
            "data", self.tr("No data yet"),
            self.tr("Drop a file here: conversations, questions and answers, or plain texts, as JSONL, JSON, CSV, Parquet, "
            "YAML or text. You see what is in it before anything is imported."),
            (self.tr("Choose a file…"), self.choose_files),
        )  # fmt: skip
        self.stack = QStackedWidget()
        for widget in (self.empty, self.view, self.importing):
            self.stack.addWidget(widget)
        layout = row(self.list, self.stack, gap=0)
        layout.setStretch(1, 1)
        self.setLayout(layout)
        self._connect()

    def _connect(self) -> None:
        self.list.chosen.connect(self.choose)
        self.list.import_wanted.connect(self.choose_files)
        self.importing.submitted.connect(self._on_submitted)
        self.importing.closed.connect(self._show_front)
        self.importing.dataset_wanted.connect(self.choose)
        self.view.undo_wanted.connect(lambda: self._step("undo"))
        self.view.redo_wanted.connect(lambda: self._step("redo"))
        self.ctx.data_changed.connect(self._on_changes)
        for keys, act in (
            ("Ctrl+F", self._focus_filter),
            ("Ctrl+I", self.choose_files),
            ("F2", self.view.rename),
            ("Ctrl+Return", self.importing.submit),
            ("Esc", self._on_escape),
            ("Ctrl+V", self.paste),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)

    def page_shown(
        self,
        files: list[str] | None = None,
        dataset_id: str = "",
        choose: bool = False,
        embed: bool = False,
        **args: Any,
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
        ]
        if self.view.dataset is not None:
            name = self.view.dataset.name
            found += [
                Command(f"Filter the rows of {name}", self._focus_filter, "Ctrl+F", "filter"),
                Command(f"Search {name} by meaning", lambda: self.view.show_tab("search"), "", "search"),
                Command(f"Versions of {name}", lambda: self.view.show_tab("versions"), "", "history"),
                Command(f"Rename {name}…", self.view.rename, "F2", "edit"),
                Command(f"Delete {name}", self.view.delete, "", "trash"),
            ]
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
        if self.stack.currentWidget() is not self.importing:
            self._show_front()

    @Slot()
    def _show_front(self) -> None:
        self.stack.setCurrentWidget(self.view if self._datasets else self.empty)

    @Slot(str)
    def choose(self, dataset_id: str) -> None:
        """Show a dataset."""
        self._chosen_id = dataset_id
        for dataset in self._datasets:
            if dataset.id == dataset_id:
                self.view.show_dataset(dataset)
                self._show_front()

    @Slot(object, object)
    def _on_changes(self, changes: Changes, origin: object) -> None:
        if changes.datasets:
            arrived = self._awaited & changes.datasets
            if arrived:
                self._chosen_id = next(iter(arrived))
                self._awaited -= arrived
            self.refresh()

    def _step(self, direction: Literal["undo", "redo"]) -> None:
        if self.view.dataset is not None:
            step_history(self.ctx, direction, self.view.dataset.id)

    # ---- import ------------------------------------------------------------------------------------------------------

    @Slot()
    def choose_files(self) -> None:
        """Ask for files and preview them."""
        files, _ = QFileDialog.getOpenFileNames(self, self.tr("Import"), "", self._file_filter())
        if files:
            self.preview(files)

    def _file_filter(self) -> str:
        """What the file dialog shows: the suffixes of all importers, and archives."""
        importers = self.ctx.plugins.contributions("importer")
        suffixes = {str(suffix) for importer in importers for suffix in importer.facts.get("suffixes", [])}
        names = " ".join(f"*{suffix}" for suffix in sorted(suffixes | set(ARCHIVES)))
        return f"{self.tr('Data')} ({names});;{self.tr('All files')} (*)"

    @Slot()
    def choose_folder(self) -> None:
        """Ask for a folder and preview what is in it."""
        folder = QFileDialog.getExistingDirectory(self, self.tr("Import a folder"))
        if folder:
            self.preview([folder])

    @Slot()
    def paste(self) -> None:
        """Preview what the clipboard holds: copied files, or text that becomes one."""
        files = pasted_files()
        if files:
            self.preview(files)
        else:
            self.ctx.notify("info", self.tr("The clipboard holds no text and no files."))

    def preview(self, files: list[str]) -> None:
        """Show how these files would be imported."""
        self.importing.open_files(files)
        self.stack.setCurrentWidget(self.importing)

    @Slot(object)
    def _on_submitted(self, job: Job) -> None:
        self._awaited.add(str(job.spec.meta.get("dataset_id", "")))
        self.ctx.notify("info", f"{job.title} has started. Its rows appear here when it is done.")
        self._show_front()

    # ---- keyboard ----------------------------------------------------------------------------------------------------

    @Slot()
    def _focus_filter(self) -> None:
        self.view.show_tab("rows")
        self.view.rows.filter.setFocus()

    @Slot()
    def _on_escape(self) -> None:
        if self.stack.currentWidget() is self.importing:
            self._show_front()
