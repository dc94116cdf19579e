"""`DatasetTabs`: the ways to look at a dataset, each built when first looked at, with the inspector beside them."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QPushButton, QSplitter, QWidget

from fmstudio.ui.pages.data.inspector import RowInspector
from fmstudio.ui.pages.data.rows_view import RowsView
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.front_stack import FrontStack
from fmstudio.ui.widgets.paged_table import PagedTable
from fmstudio.ui.widgets.parts import button, holder, row

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.pages.data.lost_rows import LostRows
    from fmstudio.ui.pages.data.search_view import SearchView
    from fmstudio.ui.pages.data.sql_view import SqlView
    from fmstudio.ui.pages.data.versions_view import VersionsView

TABS = (
    ("rows", "Rows"),
    ("search", "Search"),
    ("sql", "SQL"),
    ("versions", "Versions"),
    ("dropped", "Dropped"),
    ("rejects", "Rejected"),
)
LOST = ("dropped", "rejects")
MOST_REJECTS = 10_000
"""More pieces that could not be read are neither listed nor counted."""
WHOLE_WIDTH = frozenset({"versions"})
"""Tabs that have no use for the inspector."""
CALM_MS = 80
"""So long a row must be the chosen one before the next is shown whole."""
INSPECTOR_FROM = 980
"""In the SQL tab the inspector is there from this width on: a query needs room, too."""


class DatasetTabs(QSplitter):
    """A stack of views and the inspector; `line` holds the buttons that switch.

    Signals:
        shown: (tab) another tab came to the front.
        embed_wanted: The dataset has no embedding and the user wants one.
        submitted: (Job, sentence) a job was started whose result shall be shown.
        lineage_wanted: (version; 0 = the dataset) the user wants to see where it came from.
    """

    shown = Signal(str)
    embed_wanted = Signal()
    submitted = Signal(object, str)
    lineage_wanted = Signal(int)

    def __init__(self, context: AppContext) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.ctx = context
        self.dataset: Dataset | None = None
        self.current = "rows"
        self.buttons: dict[str, QPushButton] = {}
        self._sizes: list[int] = []
        self._record: tuple[dict[str, Any] | None, str] | None = None
        self._calm = QTimer(self, singleShot=True, interval=CALM_MS)
        self._calm.timeout.connect(self._show_record)
        self.rows = RowsView(context)
        self.inspector = RowInspector(context)
        self.stack = FrontStack()
        self.stack.addWidget(self.rows)
        self.addWidget(self.stack)
        self.addWidget(self.inspector)
        self.setStretchFactor(0, 1)
        self.setSizes([700, 300])
        self.setChildrenCollapsible(True)
        self.line = self._build_line()
        self._connect()
        self.buttons["rows"].setChecked(True)
        self._fit_inspector()

    def _build_line(self) -> QWidget:
        line, group = row(gap=4), QButtonGroup(self)
        for number, (tab, title) in enumerate(TABS, 1):
            made = button(title, lambda tab=tab: self.show_tab(tab), tip=f"{title} (Alt+{number})", kind="choice")  # type: ignore[misc]
            group.addButton(made)
            self.buttons[tab] = made
            line.addWidget(made)
        line.addStretch(1)
        return holder(line)

    def _connect(self) -> None:
        rows, inspector = self.rows, self.inspector
        rows.record_chosen.connect(self._on_record)
        rows.terms_changed.connect(inspector.show_terms)
        rows.edit_wanted.connect(self._edit_row)
        inspector.step_wanted.connect(rows.step)
        inspector.row_wanted.connect(rows.show_row)
        inspector.saved.connect(self._on_saved)

    @Slot(int, object)
    def _on_saved(self, row_id: int, values: dict[str, Any]) -> None:
        """Hand what was typed in the inspector to the store; what it does not take stays there to be corrected."""
        again = partial(self.inspector.reopen, row_id, values)
        self.rows.commands.set_values(row_id, values, refused=again)

    @Slot(object, str)
    def _on_record(self, record: dict[str, Any] | None, title: str) -> None:
        """Show a row; while the user runs through rows, only the one where they stop: each takes a frame to build."""
        is_running = self._calm.isActive()
        self._calm.start()
        self._record = record, title
        if not is_running:
            self._show_record()

    @Slot()
    def _show_record(self) -> None:
        if self._record is not None:
            (record, title), self._record = self._record, None
            self.inspector.show_record(record, title, can_edit=self.rows.can_edit)

    # ---- built when first looked at --------------------------------------------------------------------------------

    @cached_property
    def search(self) -> SearchView:
        """Search by meaning."""
        from fmstudio.ui.pages.data.search_view import SearchView

        made = SearchView(self.ctx)
        made.record_chosen.connect(self.inspector.show_record)
        made.embed_wanted.connect(self.embed_wanted)
        self._add(made)
        return made

    @cached_property
    def sql(self) -> SqlView:
        """The SQL console."""
        from fmstudio.ui.pages.data.sql_view import SqlView

        made = SqlView(self.ctx)
        made.record_chosen.connect(self.inspector.show_record)
        made.filter_wanted.connect(self.use_filter)
        made.submitted.connect(self.submitted)
        self._add(made)
        return made

    @cached_property
    def versions(self) -> VersionsView:
        """History, versions and their differences."""
        from fmstudio.ui.pages.data.versions_view import VersionsView

        made = VersionsView(self.ctx)
        made.version_wanted.connect(self._look_at)
        made.job_wanted.connect(lambda job_id: self.ctx.navigate("jobs", job_id=job_id))
        made.lineage_wanted.connect(lambda: self.lineage_wanted.emit(0))
        made.version_lineage_wanted.connect(self.lineage_wanted)
        self._add(made)
        return made

    @cached_property
    def lost(self) -> LostRows:
        """Dropped rows and rejected pieces."""
        from fmstudio.ui.pages.data.lost_rows import LostRows

        made = LostRows(self.ctx, MOST_REJECTS)
        made.record_chosen.connect(self.inspector.show_record)
        made.counted.connect(self._on_counted)
        for widget in made.widgets:
            self.stack.addWidget(widget)
        if self.dataset is not None:
            made.show_dataset(self.dataset)
        return made

    def _add(self, view: SearchView | SqlView | VersionsView) -> None:
        self.stack.addWidget(view)
        if self.dataset is not None:
            view.show_dataset(self.dataset)

    def _built(self) -> list[Any]:
        return [self.__dict__[name] for name in ("search", "sql", "versions", "lost") if name in self.__dict__]

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_dataset(self, dataset: Dataset) -> None:
        """Show a dataset as it is now, in every view there is."""
        self.dataset = dataset
        self.inspector.show_dataset(dataset)
        for view in (self.rows, *self._built()):
            view.show_dataset(dataset)
        self._count_lost(dataset)

    def _count_lost(self, dataset: Dataset) -> None:
        """Say on their tabs how many rows were dropped and rejected, without building the tables."""
        project = self.ctx.project
        if project is None or "lost" in self.__dict__:
            return

        def count() -> tuple[int, int]:
            return project.dropped(dataset.id, dataset.version, limit=1).total, len(
                project.rejects(dataset.id, MOST_REJECTS)
            )

        def show(counts: tuple[int, int]) -> None:
            for tab, total in zip(LOST, counts, strict=True):
                self._on_counted(tab, total)

        self.ctx.run_query(count, show, key="lost", owner=self)

    @Slot(str, int)
    def _on_counted(self, tab: str, total: int) -> None:
        title = dict(TABS)[tab]
        self.buttons[tab].setText(f"{title} {words.number(total)}" if total else title)
        if self.current == tab:
            self.stack.setCurrentWidget(self.lost.shown(tab))

    def show_tab(self, tab: str) -> None:
        """Bring one of `TABS` to the front."""
        self.current = tab
        self.buttons[tab].setChecked(True)
        self.stack.setCurrentWidget(self.lost.shown(tab) if tab in LOST else getattr(self, tab))
        self._fit_inspector()
        self._inspect()
        self.shown.emit(tab)
        if self.isVisible():
            self.focus()

    def show_past(self, part: str) -> None:
        """Bring ``history``, ``versions`` or ``compare`` to the front."""
        self.show_tab("versions")
        self.versions.show_part(part)
        self.versions.focus()

    def focus(self) -> None:
        """Put the keyboard into the view in front."""
        if self.current == "rows":
            self.rows.focus_rows()
        elif self.current == "search":
            self.search.field.setFocus()
        elif self.current == "sql":
            self.sql.open()
        elif self.current == "versions":
            self.versions.focus()
        else:
            shown = self.lost.shown(self.current)
            (shown if isinstance(shown, PagedTable) else self.buttons[self.current]).setFocus()

    def _inspect(self) -> None:
        """Show in the inspector what is chosen in the tab in front, and nothing else."""
        table = self._table()
        number = table.currentIndex().row() if table is not None else -1
        self._record = None
        if table is None or number < 0:
            self.inspector.show_record(None)
        else:
            table.row_chosen.emit(number)

    def _table(self) -> PagedTable | None:
        if self.current in LOST:
            shown = self.lost.shown(self.current)
            return shown if isinstance(shown, PagedTable) else None
        view = getattr(self, self.current)
        return None if self.current in WHOLE_WIDTH else view.table

    def _fit_inspector(self) -> None:
        is_shown = self.current not in WHOLE_WIDTH and (self.current != "sql" or self.width() >= INSPECTOR_FROM)
        if is_shown == self.inspector.isHidden():
            self._sizes = self.sizes() if not is_shown else self._sizes
            self.inspector.setVisible(is_shown)
            if is_shown and all(self._sizes):
                self.setSizes(self._sizes)
        self.stack.setContentsMargins(0, 0, 4 if is_shown else 24, 12)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: room for the inspector comes and goes."""
        super().resizeEvent(event)
        self._fit_inspector()

    def _edit_row(self, row_id: int, name: str) -> None:
        """Edit a value where there is room for it."""
        self._show_record()
        if (self.inspector.record or {}).get("row_id") == row_id:
            self.inspector.edit(name)

    @Slot(int)
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
