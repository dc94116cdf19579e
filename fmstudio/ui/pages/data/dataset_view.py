"""One dataset: its header, the ways to look at it, and the panels that change or export it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QMenu, QWidget

from fmstudio.ui.pages.data.dataset_actions import DatasetActions
from fmstudio.ui.pages.data.dataset_header import DatasetHeader
from fmstudio.ui.pages.data.dataset_panels import DatasetPanels
from fmstudio.ui.pages.data.dataset_tabs import DatasetTabs
from fmstudio.ui.widgets.front_stack import FrontStack
from fmstudio.ui.widgets.parts import column

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext


ASKED = "asked"
"""In place of the commit's job while that is being made: a second key or click must not start another."""


class DatasetView(QWidget):
    """Header, tabs and panels of the chosen dataset.

    Signals:
        undo_wanted, redo_wanted: The user wants to step through this dataset's changes.
        submitted: (Job, sentence) a job was started whose result shall be shown.
    """

    undo_wanted = Signal()
    redo_wanted = Signal()
    submitted = Signal(object, str)

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self.dataset: Dataset | None = None
        self._commit_job = ""
        self.actions_for = DatasetActions(context, self)
        self.header = DatasetHeader()
        self.undo, self.redo = self.header.undo, self.header.redo
        self.tabs = DatasetTabs(context)
        self.rows, self.inspector = self.tabs.rows, self.tabs.inspector
        self.body = FrontStack()
        self.body.addWidget(self.tabs)
        self.panels = DatasetPanels(context, self.body)
        head = column(self.header, margins=(0, 0, 24, 0))
        layout = column(head, self.tabs.line, self.body, gap=10, margins=(24, 18, 0, 0))
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self._fill_menus()
        self._connect()

    def _connect(self) -> None:
        header, tabs, panels, actions = self.header, self.tabs, self.panels, self.actions_for
        header.undo.clicked.connect(self.undo_wanted)
        header.redo.clicked.connect(self.redo_wanted)
        header.clean.clicked.connect(lambda: self._go("recipes"))
        header.train.clicked.connect(lambda: self._go("training"))
        header.export.clicked.connect(self.open_export)
        header.transform_wanted.connect(self.open_transform)
        header.name.renamed.connect(lambda name: self._with(lambda dataset: actions.rename(dataset, name)))
        header.pending.commit_wanted.connect(self.commit)
        header.pending.discard_wanted.connect(self.discard)
        header.change_menu.aboutToShow.connect(lambda: panels.transform.load())
        actions.committing.connect(self._on_committing)
        self.ctx.job_changed.connect(self._on_job)
        tabs.shown.connect(lambda _: panels.close())
        tabs.embed_wanted.connect(lambda: self.embed_with(self.embedders()[0][0]))
        tabs.lineage_wanted.connect(self.open_lineage)
        self.inspector.lineage_wanted.connect(self.open_row_lineage)
        tabs.submitted.connect(self.submitted)
        panels.submitted.connect(self.submitted)
        panels.opened.connect(tabs.line.hide)
        panels.closed.connect(self._on_panel_closed)
        panels.transforms_known.connect(self._show_transforms)

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_dataset(self, dataset: Dataset) -> None:
        """Show a dataset as it is now."""
        if self.dataset is not None and self.dataset.id != dataset.id:
            self.panels.close()
        self.dataset = dataset
        self.header.show_dataset(dataset)
        self.tabs.show_dataset(dataset)
        if self.panels.is_front("transform"):
            self.panels.transform.show_dataset(dataset)
        self.show_pending()

    def show_pending(self) -> None:
        """Look up what waits for a commit, and what undo and redo would do."""
        project, dataset = self.ctx.project, self.dataset
        if project is None or dataset is None:
            return

        def show(found: tuple[Any, Any]) -> None:
            pending, entries = found
            self.header.pending.show_pending(pending, is_committing=bool(self._commit_job))
            self.header.show_history(entries)

        self.ctx.run_query(
            lambda: (project.edits.pending(dataset.id), project.datasets.history(dataset.id)),
            show, key="pending", owner=self,
        )  # fmt: skip

    def show_tab(self, tab: str) -> None:
        """Bring a tab to the front."""
        self.tabs.show_tab(tab)

    def welcome(self) -> None:
        """What was awaited is there: show its rows, and put the keyboard into them; a panel in use stays."""
        if self.panels.front is None:
            self.show_tab("rows")
            if self.isVisible():
                self.rows.table.setFocus()

    # ---- panels ----------------------------------------------------------------------------------------------------

    def open_transform(self, transform: str = "", params: Mapping[str, Any] | None = None) -> None:
        """Open a transform with its preview; without one, the list of all."""
        self._with(lambda dataset: self.panels.open_transform(dataset, transform, params))

    @Slot()
    def open_export(self) -> None:
        """Open the export of this dataset; the filter of the table is offered."""
        where = self.rows.bar.where() if self.rows.can_edit else ""
        rows = self.rows.table.rows
        matching = rows.total if where and rows.is_counted else -1
        self._with(lambda dataset: self.panels.open_export(dataset, where, matching))

    def open_lineage(self, version: int = 0) -> None:
        """Show where the dataset (or one version of it) came from and what used it."""
        self._with(lambda dataset: self.panels.open_lineage(dataset, version))

    @Slot(int)
    def open_row_lineage(self, row_id: int) -> None:
        """Show where a row came from and what used it."""
        self._with(lambda dataset: self.panels.open_lineage(dataset, row_id=row_id))

    @Slot()
    def open_disk(self) -> None:
        """Show what takes space in the project, and what can be freed."""
        self.panels.open_disk()

    @Slot()
    def _on_panel_closed(self) -> None:
        self.tabs.line.show()
        self.tabs.focus()

    def _show_transforms(self) -> None:
        from fmstudio.ui.pages.data.transform_forms import grouped

        self.header.show_transforms(grouped(self.panels.transform.transforms))

    def run(self) -> None:
        """Ctrl+Enter: run what is in front."""
        if self.panels.front is not None:
            self.panels.run()
        elif self.tabs.current == "sql":
            self.tabs.sql.run()

    def escape(self) -> None:
        """Esc: close the panel, or stop the query."""
        if self.panels.front is not None:
            self.panels.escape()
        elif self.tabs.current == "sql":
            self.tabs.sql.stop()

    # ---- what can be done ------------------------------------------------------------------------------------------

    def _with(self, act: Callable[[Dataset], None]) -> None:
        if self.dataset is not None:
            act(self.dataset)

    def _go(self, page_id: str) -> None:
        self._with(lambda dataset: self.ctx.navigate(page_id, dataset_id=dataset.id))

    def embedders(self) -> list[tuple[str, str]]:
        """Id and title of every embedder there is."""
        return [(c.id, c.title) for c in self.ctx.plugins.contributions("embedder")] or [("wordllama", "WordLlama")]

    def _fill_menus(self) -> None:
        embed, more = QMenu(self), QMenu(self)
        for embedder, title in self.embedders():
            embed.addAction(title).triggered.connect(lambda _=False, name=embedder: self.embed_with(name))
        self.header.embed.setMenu(embed)
        entries: tuple[tuple[str, Callable[[], object]] | None, ...] = (
            (f"{self.tr('Rename…')}\tF2", self.rename),
            (self.tr("Duplicate"), lambda: self._with(self.actions_for.duplicate)),
            (self.tr("Commit the edits") + "\tCtrl+S", self.commit),
            None,
            (self.tr("Lineage…"), self.open_lineage),
            (self.tr("Disk use…"), self.open_disk),
            None,
            (self.tr("Delete"), self.delete),
        )
        for entry in entries:
            if entry is None:
                more.addSeparator()
            else:
                more.addAction(entry[0]).triggered.connect(lambda _=False, act=entry[1]: act())
        self.header.more.setMenu(more)

    def embed_with(self, embedder: str) -> None:
        """Embed the current version as a job."""
        self._with(lambda dataset: self.actions_for.embed(dataset, embedder))

    @Slot()
    def rename(self) -> None:
        """Let the user write another name."""
        self._with(lambda _: self.header.name.edit())

    @Slot()
    def delete(self) -> None:
        """Delete the dataset; the message bar offers to bring it back."""
        self._with(lambda dataset: self.actions_for.delete([dataset]))

    @Slot()
    def discard(self) -> None:
        """Take the pending edits back; the message bar offers to bring them back."""
        self._with(self.actions_for.discard)

    @Slot()
    def commit(self) -> None:
        """Make the pending edits the next version, as a job."""
        if self.header.pending.isVisibleTo(self) and not self._commit_job:
            self._commit_job = ASKED
            self._with(self.actions_for.commit)
        elif not self._commit_job:
            self.ctx.notify("info", self.tr("No edit waits for a commit."))

    @Slot(str)
    def _on_committing(self, job_id: str) -> None:
        self._commit_job = job_id
        self.show_pending()

    @Slot(object)
    def _on_job(self, job: Job) -> None:
        if self._commit_job and job.id == self._commit_job and job.is_finished:
            self._commit_job = ""
            self.show_pending()
