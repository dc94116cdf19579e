"""One dataset: its header, the ways to look at it, and the panels that change or export it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QMenu, QPushButton, QSplitter, QStackedWidget, QWidget

from fmstudio.ui.pages.data.dataset_actions import DatasetActions
from fmstudio.ui.pages.data.dataset_header import DatasetHeader
from fmstudio.ui.pages.data.inspector import RowInspector
from fmstudio.ui.pages.data.lost_rows import LostRows
from fmstudio.ui.pages.data.rows_view import RowsView
from fmstudio.ui.pages.data.search_view import SearchView
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.parts import button, column, holder, row

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.pages.data.disk_view import DiskView
    from fmstudio.ui.pages.data.export_panel import ExportPanel
    from fmstudio.ui.pages.data.lineage_view import LineageView
    from fmstudio.ui.pages.data.sql_view import SqlView
    from fmstudio.ui.pages.data.transform_panel import TransformPanel
    from fmstudio.ui.pages.data.versions_view import VersionsView

TABS = (
    ("rows", "Rows"),
    ("search", "Search"),
    ("sql", "SQL"),
    ("versions", "Versions"),
    ("dropped", "Dropped"),
    ("rejects", "Rejected"),
)
WHOLE_WIDTH = frozenset({"versions"})
"""Tabs that have no use for the inspector."""
INSPECTOR_FROM = 980
"""In the SQL tab the inspector is there from this width on: a query needs room, too."""


class DatasetView(QWidget):
    """Header, tabs, inspector and panels of the chosen dataset.

    SQL, versions, changes, export, lineage and disk use are built when first looked at: together they take 25 MB.

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
        self._tab = "rows"
        self.actions_for = DatasetActions(context, self)
        self.header = DatasetHeader()
        self.undo, self.redo = self.header.undo, self.header.redo
        self.rows, self.search = RowsView(context), SearchView(context)
        self.lost = LostRows(context)
        self.dropped, self.rejects = self.lost.dropped, self.lost.rejects
        self.inspector = RowInspector(context)
        self._panels: dict[QWidget, QWidget] = {}
        self._tabs: dict[str, QPushButton] = {}
        self._build()
        self._connect()

    def _build(self) -> None:
        tabs = row(gap=4)
        group = QButtonGroup(self)
        for number, (tab, title) in enumerate(TABS, 1):
            made = button(title, lambda tab=tab: self.show_tab(tab), tip=f"{title} (Alt+{number})")  # type: ignore[misc]
            made.setCheckable(True)
            made.setProperty("choice", "true")
            group.addButton(made)
            self._tabs[tab] = made
            tabs.addWidget(made)
        tabs.addStretch(1)
        self._tab_line = holder(tabs)
        self.stack = QStackedWidget()
        for widget in (self.rows, self.search, *self.lost.widgets):
            self.stack.addWidget(widget)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.stack)
        split.addWidget(self.inspector)
        split.setStretchFactor(0, 1)
        split.setSizes([700, 300])
        split.setChildrenCollapsible(True)
        self.body = QStackedWidget()
        self.body.addWidget(split)
        head = column(self.header, margins=(0, 0, 24, 0))
        layout = column(head, self._tab_line, self.body, gap=10, margins=(24, 18, 0, 0))
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self._fill_menus()
        self.show_tab("rows")

    def _connect(self) -> None:
        header, rows, actions = self.header, self.rows, self.actions_for
        header.undo.clicked.connect(self.undo_wanted)
        header.redo.clicked.connect(self.redo_wanted)
        header.clean.clicked.connect(lambda: self._go("recipes"))
        header.train.clicked.connect(lambda: self._go("training"))
        header.export.clicked.connect(self.open_export)
        header.transform_wanted.connect(self.open_transform)
        header.name.renamed.connect(lambda name: self._with(lambda dataset: actions.rename(dataset, name)))
        header.pending.commit_wanted.connect(self.commit)
        header.pending.discard_wanted.connect(lambda: self._with(actions.discard))
        actions.committing.connect(self._on_committing)
        self.ctx.job_changed.connect(self._on_job)
        rows.record_chosen.connect(
            lambda record, title: self.inspector.show_record(record, title, can_edit=rows.can_edit)
        )
        rows.terms_changed.connect(self.inspector.show_terms)
        rows.edit_wanted.connect(self._edit_row)
        self.inspector.step_wanted.connect(rows.step)
        self.inspector.row_wanted.connect(rows.show_row)
        self.inspector.saved.connect(rows.commands.set_values)
        for view in (self.search, self.lost):
            view.record_chosen.connect(self.inspector.show_record)
        self.search.embed_wanted.connect(lambda: self.embed_with(self._embedders()[0][0]))
        self.lost.counted.connect(self._on_counted)
        header.change_menu.aboutToShow.connect(lambda: self.transform.load())

    # ---- built when first looked at --------------------------------------------------------------------------------

    @cached_property
    def sql(self) -> SqlView:
        """The SQL console."""
        from fmstudio.ui.pages.data.sql_view import SqlView

        made = SqlView(self.ctx)
        made.record_chosen.connect(self.inspector.show_record)
        made.filter_wanted.connect(self.use_filter)
        made.submitted.connect(self.submitted)
        self._add_tab(made)
        return made

    @cached_property
    def versions(self) -> VersionsView:
        """History, versions and their differences."""
        from fmstudio.ui.pages.data.versions_view import VersionsView

        made = VersionsView(self.ctx)
        made.version_wanted.connect(self._look_at)
        made.job_wanted.connect(lambda job_id: self.ctx.navigate("jobs", job_id=job_id))
        made.lineage_wanted.connect(self.open_lineage)
        made.version_lineage_wanted.connect(self.open_lineage)
        self._add_tab(made)
        return made

    @cached_property
    def transform(self) -> TransformPanel:
        """The changes a job makes, with their preview."""
        from fmstudio.ui.pages.data.transform_forms import grouped
        from fmstudio.ui.pages.data.transform_panel import TransformPanel

        made = TransformPanel(self.ctx)
        made.loaded.connect(lambda: self.header.show_transforms(grouped(made.transforms)))
        made.closed.connect(self.close_panel)
        made.submitted.connect(self.submitted)
        self._add_panel(made)
        made.load()
        return made

    @cached_property
    def export(self) -> ExportPanel:
        """The export of the dataset."""
        from fmstudio.ui.pages.data.export_panel import ExportPanel

        made = ExportPanel(self.ctx)
        made.closed.connect(self.close_panel)
        self._add_panel(made)
        return made

    @cached_property
    def lineage(self) -> LineageView:
        """Where things came from and what used them."""
        from fmstudio.ui.pages.data.lineage_view import LineageView

        made = LineageView(self.ctx)
        made.closed.connect(self.close_panel)
        self._add_panel(made)
        return made

    @cached_property
    def disk(self) -> DiskView:
        """What takes space."""
        from fmstudio.ui.pages.data.disk_view import DiskView

        made = DiskView(self.ctx)
        made.closed.connect(self.close_panel)
        self._add_panel(made)
        return made

    def _add_tab(self, view: SqlView | VersionsView) -> None:
        self.stack.addWidget(view)
        if self.dataset is not None:
            view.show_dataset(self.dataset)

    def _add_panel(self, panel: QWidget) -> None:
        self._panels[panel] = holder(column(panel, margins=(0, 0, 24, 12)))
        self.body.addWidget(self._panels[panel])

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_dataset(self, dataset: Dataset) -> None:
        """Show a dataset as it is now."""
        if self.dataset is not None and self.dataset.id != dataset.id:
            self.close_panel()
        self.dataset = dataset
        self.header.show_dataset(dataset)
        self.inspector.show_dataset(dataset)
        for view in (self.rows, self.search, self.lost, *self._built("sql", "versions")):
            view.show_dataset(dataset)
        if self.panel is not None and self.panel in self._built("transform"):
            self.transform.show_dataset(dataset)
        self.show_pending()

    def _built(self, *names: str) -> list[Any]:
        return [self.__dict__[name] for name in names if name in self.__dict__]

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
        """Bring one of `TABS` to the front."""
        is_lost = tab in ("dropped", "rejects")
        widget: QWidget = self.lost.shown(tab) if is_lost else getattr(self, tab)
        self._tab = tab
        self.close_panel()
        self._tabs[tab].setChecked(True)
        self.stack.setCurrentWidget(widget)
        self._fit_inspector()
        if tab == "search":
            self.search.field.setFocus()
        elif tab == "sql":
            self.sql.open()

    def _fit_inspector(self) -> None:
        is_shown = self._tab not in WHOLE_WIDTH and (self._tab != "sql" or self.width() >= INSPECTOR_FROM)
        self.inspector.setVisible(is_shown)
        self.stack.setContentsMargins(0, 0, 4 if is_shown else 24, 12)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: room for the inspector comes and goes."""
        super().resizeEvent(event)
        self._fit_inspector()

    def _edit_row(self, row_id: int, name: str) -> None:
        """Edit a value where there is room for it."""
        if (self.inspector.record or {}).get("row_id") == row_id:
            self.inspector.edit(name)

    @Slot(str, int)
    def _on_counted(self, tab: str, total: int) -> None:
        title = dict(TABS)[tab]
        self._tabs[tab].setText(f"{title} {words.number(total)}" if total else title)
        if self._tab == tab:
            self.stack.setCurrentWidget(self.lost.shown(tab))

    def _look_at(self, number: int) -> None:
        self.rows.show_version(None if self.dataset and number == self.dataset.version else number)
        self.show_tab("rows")

    @Slot(str)
    def use_filter(self, where: str) -> None:
        """Show the rows that match a SQL condition."""
        self.show_tab("rows")
        self.rows.bar.use(where)
        if not self.rows.bar.is_sql:
            self.rows.bar.switch_mode()
        self.rows.filter.setFocus()

    # ---- panels ----------------------------------------------------------------------------------------------------

    def open_transform(self, transform: str = "", params: Mapping[str, Any] | None = None) -> None:
        """Open a transform with its preview; without one, the list of all."""
        if self.dataset is not None:
            self._show_panel(self.transform)
            self.transform.open_on(self.dataset, transform, params)

    @Slot()
    def open_export(self) -> None:
        """Open the export of this dataset; the filter of the table is offered."""
        if self.dataset is not None:
            self._show_panel(self.export)
            where = self.rows.bar.where() if self.rows.can_edit else ""
            self.export.open_on(self.dataset, where, self.rows.table.rows.total if where else -1)

    def open_lineage(self, version: int = 0) -> None:
        """Show where the dataset (or one version of it) came from and what used it."""
        if self.dataset is not None:
            self._show_panel(self.lineage)
            if version:
                self.lineage.show_version(self.dataset.id, version)
            else:
                self.lineage.show_dataset(self.dataset)
            self.lineage.list.setFocus()

    @Slot()
    def open_disk(self) -> None:
        """Show what takes space in the project, and what can be freed."""
        self._show_panel(self.disk)
        self.disk.refresh()
        self.disk.list.setFocus()

    def _show_panel(self, panel: QWidget) -> None:
        self._tab_line.hide()
        self.body.setCurrentWidget(self._panels[panel])

    @Slot()
    def close_panel(self) -> None:
        """Show the tabs again."""
        had_panel = self.panel is not None
        self._tab_line.show()
        self.body.setCurrentIndex(0)
        if had_panel and self._tab == "rows":
            self.rows.table.setFocus()

    @property
    def panel(self) -> QWidget | None:
        """The panel that lies over the tabs."""
        front = self.body.currentWidget()
        return next((panel for panel, around in self._panels.items() if around is front), None)

    def run(self) -> None:
        """Ctrl+Enter: run what is in front."""
        panel = self.panel
        if panel is not None and panel in self._built("transform"):
            self.transform.run()
        elif panel is not None and panel in self._built("export"):
            self.export.run()
        elif panel is None and self._tab == "sql":
            self.sql.run()

    def escape(self) -> None:
        """Esc: close the panel, or stop the query."""
        panel = self.panel
        if panel is not None and panel in self._built("transform"):
            self.transform.close_panel()
        elif panel is not None and panel in self._built("export"):
            self.export.close_panel()
        elif panel is not None:
            self.close_panel()
        elif self._tab == "sql":
            self.sql.stop()

    # ---- what can be done ------------------------------------------------------------------------------------------

    def _with(self, act: Callable[[Dataset], None]) -> None:
        if self.dataset is not None:
            act(self.dataset)

    def _go(self, page_id: str) -> None:
        self._with(lambda dataset: self.ctx.navigate(page_id, dataset_id=dataset.id))

    def _embedders(self) -> list[tuple[str, str]]:
        return [(c.id, c.title) for c in self.ctx.plugins.contributions("embedder")] or [("wordllama", "WordLlama")]

    def _fill_menus(self) -> None:
        embed, more = QMenu(self), QMenu(self)
        for embedder, title in self._embedders():
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
    def commit(self) -> None:
        """Make the pending edits the next version, as a job."""
        if self.header.pending.isVisibleTo(self) and not self._commit_job:
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
