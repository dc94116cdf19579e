"""The rows of one dataset: a filter bar and the table, sorted, filtered and edited where they stand."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint, QTimer, Signal, Slot
from PySide6.QtWidgets import QStackedWidget, QWidget

from fmstudio.jobs.outcome import Problem
from fmstudio.project.filters import FilterColumn, Sort, order_by
from fmstudio.ui.pages.data.column_commands import ColumnCommands
from fmstudio.ui.pages.data.column_menu import ColumnMenu
from fmstudio.ui.pages.data.filter_bar import LIVE_ROWS, FilterBar, problem_words
from fmstudio.ui.pages.data.row_commands import RowCommands
from fmstudio.ui.pages.data.row_finder import RowFinder
from fmstudio.ui.pages.data.rows_count import RowsCount
from fmstudio.ui.pages.data.table_columns import TableColumns
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.paged_table import PagedTable, RowsPage
from fmstudio.ui.widgets.parts import button, column, label, row, tool_button

if TYPE_CHECKING:
    from fmstudio.project import Changes
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.pages.data.column_panel import ColumnPanel

HIDDEN = frozenset({"row_id"})


class RowsView(QWidget):
    """Filter bar and table.

    Signals:
        record_chosen: (mapping or None, title) the chosen row.
        edit_wanted: (row id, column) a value is to be edited in the inspector.
        terms_changed: (list of `Term`) what is looked for.
    """

    record_chosen = Signal(object, str)
    edit_wanted = Signal(int, str)
    terms_changed = Signal(object)

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self.dataset: Dataset | None = None
        self.sorts: list[Sort] = []
        self.version: int | None = None
        self._question = 0
        self._new_id: int | None = None
        self._end_wanted = False
        self.bar = FilterBar()
        self.filter, self.count, self.error = self.bar.field, self.bar.count, self.bar.error
        self.columns_button = tool_button("inspector", self.tr("Columns"), self.open_columns)
        self.bar.line.addWidget(self.columns_button)
        self.version_note = label("", "pill", level="warning")
        self.back = button(self.tr("Back to the current version"), lambda: self.show_version(None), kind="quiet")
        self.table = PagedTable(self.tr("Rows of the dataset"))
        self.table.header.can_sort = self.table.frozen.header.can_sort = True
        self.column_menu, self.commands, self.heads = ColumnMenu(self), RowCommands(self), TableColumns(self)
        self.column_commands, self.counter, self.finder = ColumnCommands(self), RowsCount(self), RowFinder(self)
        self._build()
        self._connect()
        self._show_note()

    def _build(self) -> None:
        self._none_match = EmptyState(
            "filter", self.tr("No row matches"), self.tr("Try fewer or other words, or another condition."),
            (self.tr("Clear the filter"), self.bar.clear_all),
        )  # fmt: skip
        self._none_there = EmptyState(
            "data", self.tr("No rows"), self.tr("This version of the dataset holds no rows."),
            (self.tr("Add a row"), self.commands.insert),
        )  # fmt: skip
        self._failed = EmptyState(
            "warning", self.tr("This filter cannot be run"), self.tr("What is wrong stands below the field."),
            (self.tr("Clear the filter"), self.bar.clear_all), (self.tr("Read it as words"), self.bar.switch_mode),
        )  # fmt: skip
        self._stack = QStackedWidget()
        for widget in (self.table, self._none_match, self._none_there, self._failed):
            self._stack.addWidget(widget)
        note = row(self.version_note, self.back, None, gap=8)
        layout = column(self.bar, note, self._stack, gap=6)
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self._again = QTimer(self, singleShot=True, interval=0)
        self._again.timeout.connect(self._refresh)

    def _connect(self) -> None:
        table = self.table
        self.bar.changed.connect(self.reload)
        self.bar.left.connect(self.focus_rows)
        for header in (table.header, table.frozen.header):
            header.sort_wanted.connect(self.column_commands.sort)
            header.menu_wanted.connect(self.column_menu.open)
            header.chart_clicked.connect(self.heads.open_statistics)
        table.row_chosen.connect(self._on_row)
        table.editor_wanted.connect(self._on_editor)
        table.customContextMenuRequested.connect(self._on_menu)
        table.setContextMenuPolicy(table.contextMenuPolicy().CustomContextMenu)
        table.cell_editor.said.connect(self.ctx.notify)
        table.rows.total_known.connect(self._on_total)
        table.rows.first_there.connect(lambda: self._stack.setCurrentWidget(self.table))
        table.rows.dataChanged.connect(self._on_data)
        self.ctx.data_changed.connect(self._on_changes)

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_dataset(self, dataset: Dataset) -> None:
        """Show the rows of a dataset; filter, order and place stay when it is the same one."""
        before, self.dataset = self.dataset, dataset
        self._tell_columns(dataset)
        if before is not None and before.id == dataset.id:
            if before.version != dataset.version:
                self.table.rows.marked.clear()
            if self._forget_gone_columns(dataset):
                self.reload()
            else:
                self._again.start()
            return
        self.bar.clear()
        self.sorts, self.version = [], None
        self.counter.forget()
        self.table.rows.marked.clear()
        self.table.rows.load(None)
        self.bar.is_live = dataset.rows <= LIVE_ROWS
        self.heads.read_memory()
        self.reload()

    def show_version(self, number: int | None) -> None:
        """Look at an earlier version; None = the current one."""
        self.version = number
        self.counter.forget()
        self.table.rows.marked.clear()
        self.reload()

    def _tell_columns(self, dataset: Dataset) -> None:
        found = [FilterColumn(c.name, c.type) for c in dataset.columns if not c.is_side]
        self.bar.set_columns(found)
        self.table.rows.types = {c.name: c.type for c in found}

    def _forget_gone_columns(self, dataset: Dataset) -> bool:
        """No longer ask for, or sort by, columns that are there no more (an undo took them); whether there were any."""
        there = {column.name for column in dataset.columns}
        gone = {c.column for c in self.bar.conditions} - there
        sorts = [sort for sort in self.sorts if sort.column in there]
        is_any = bool(gone) or len(sorts) < len(self.sorts)
        self.sorts = sorts
        self.bar.forget_columns(gone)
        return is_any

    @property
    def can_edit(self) -> bool:
        """Whether the rows shown can be changed: those of the current version."""
        return self.dataset is not None and self.version is None

    @property
    def is_plain(self) -> bool:
        """Whether all rows are shown in their own order."""
        return not self.bar.where() and not self.sorts

    def known_values(self, name: str) -> list[str]:
        """Values of a column to choose from, most frequent first, as far as they are known."""
        return list(self.bar.values.get(name, ()))

    def focus_rows(self) -> None:
        """Put the keyboard into the rows, or into the filter where none is shown."""
        if self.table.isVisible() and self.table.rows.total:
            if not self.table.currentIndex().isValid():
                self.table.setCurrentIndex(self.table.rows.index(max(0, self.table.rowAt(0)), 0))
            self.table.setFocus()
        else:
            self.filter.setFocus()

    def apply_filter(self) -> None:
        """Run the filter now in the field."""
        self.bar.apply()

    @Slot()
    def reload(self) -> None:
        """Ask the question anew and show its rows from the top."""
        self._question += 1
        self._show_note()
        self.bar.show_error("")
        rows = self.table.rows
        rows.locked = HIDDEN | self._side_columns() if self.can_edit else None
        terms = self.bar.terms()
        by_column: dict[str, list[str]] = {}
        for term in terms:
            if term.column:
                by_column.setdefault(term.column, []).append(term.text)
        self.table.painter.mark([t.text for t in terms if not t.column], by_column)
        filtered = frozenset(c.column for c in self.bar.conditions)
        for header in (self.table.header, self.table.frozen.header):
            header.show_filtered(filtered)
        self.table.show_order([(s.column, s.is_descending) for s in self.sorts])
        self.terms_changed.emit(terms)
        if self.dataset is not None:
            self.counter.ask()
            rows.load(self._fetcher(self.dataset.id), HIDDEN)
            self.heads.load()

    def _side_columns(self) -> frozenset[str]:
        return frozenset(c.name for c in self.dataset.columns if c.is_side) if self.dataset else frozenset()

    def _fetcher(self, dataset_id: str) -> Callable[[int, int, Callable[[RowsPage], None]], None]:
        project, where, order, version = self.ctx.project, self.bar.where(), order_by(self.sorts), self.version
        question = self._question

        def fail(problem: Problem) -> None:
            if question == self._question:  # an older question's failure is no news
                self._fail(problem)

        def fetch(offset: int, limit: int, deliver: Callable[[RowsPage], None], *, first_will_do: bool = True) -> None:
            if project is None:
                return

            def take(page: RowsPage) -> None:
                deliver(page)
                if not page.is_counted and question == self._question:
                    fetch(offset, limit, deliver, first_will_do=False)

            self.ctx.run_query(
                lambda: project.page(
                    dataset_id, offset=offset, limit=limit, where=where, order_by=order, version=version,
                    first_will_do=first_will_do,
                ),
                take, fail, owner=self,
            )  # fmt: skip

        return fetch

    def _fail(self, problem: Problem) -> None:
        self.counter.fail()
        self.bar.show_error(problem_words(problem))
        self.table.rows.load(None)
        self.record_chosen.emit(None, "")
        self._stack.setCurrentWidget(self._failed if self.bar.where() else self.table)

    # ---- counts and columns ----------------------------------------------------------------------------------------

    @Slot(int)
    def _on_total(self, total: int) -> None:
        self.counter.show(total)
        empty = self._none_match if self.bar.where() else self._none_there
        self._stack.setCurrentWidget(self.table if total else empty)
        if not total:
            self.record_chosen.emit(None, "")
        if self._end_wanted and total:
            self._end_wanted = False
            self.table.go_to(total - 1)
        self._open_new_now()
        self.finder.on_total()

    @cached_property
    def columns(self) -> ColumnPanel:
        """The list of columns; built when first wanted."""
        from fmstudio.ui.pages.data.column_panel import ColumnPanel

        return ColumnPanel(self.table, self)

    @Slot()
    def open_columns(self) -> None:
        """Show the list of columns."""
        self.columns.open_below(self.columns_button)

    # ---- order -----------------------------------------------------------------------------------------------------

    def sort_by(self, sorts: list[Sort]) -> None:
        """Show the rows in this order; none = their own."""
        self.sorts = sorts
        self.reload()

    # ---- rows ------------------------------------------------------------------------------------------------------

    @Slot(int)
    def _on_row(self, number: int) -> None:
        record: dict[str, Any] | None = self.table.rows.record(number) if number >= 0 else None
        if record is not None:
            self.record_chosen.emit(record, f"Row {number + 1:,}")

    @Slot()
    def _on_data(self) -> None:
        self._on_row(self.table.currentIndex().row())

    def step(self, by: int) -> None:
        """Go to the next or the previous row."""
        self.table.go_to(max(0, self.table.currentIndex().row() + by))

    def show_row(self, row_id: int) -> None:
        """Go to a row by its id; one that is not in the table is shown in the inspector."""
        self.finder.show(row_id)

    @Slot(int, str)
    def _on_editor(self, number: int, name: str) -> None:
        row_id = self.table.rows.row_id(number)
        if row_id is not None:
            self.edit_wanted.emit(row_id, name)

    def open_new(self, row_id: int) -> None:
        """Edit a row that was just added, as soon as it is there."""
        self._new_id = row_id
        self._open_new_now()

    def go_to_end_when_there(self, count: int) -> None:
        """Bring rows that were added at the end into sight when they arrive."""
        self._end_wanted = self.is_plain

    def _open_new_now(self) -> None:
        if self._new_id is None:
            return
        place = self.table.rows.row_of(self._new_id)
        if place is not None:
            row_id, self._new_id = self._new_id, None
            self.table.go_to(place)
            self.edit_wanted.emit(row_id, "")

    @Slot(QPoint)
    def _on_menu(self, place: QPoint) -> None:
        self.commands.open_menu(self.table.viewport().mapToGlobal(place))

    # ---- changes from elsewhere ------------------------------------------------------------------------------------

    @Slot(object, object)
    def _on_changes(self, changes: Changes, origin: object) -> None:
        if self.dataset is not None and self.dataset.id in changes.datasets:
            if origin is not self:  # an undo may have taken back what is marked
                self.table.rows.marked.clear()
            self._again.start()

    @Slot()
    def _refresh(self) -> None:
        self.counter.recount()
        if self.table.rows.total:
            self.table.rows.refresh()
        else:
            self.reload()
        self.heads.load()

    def _show_note(self) -> None:
        is_old = self.version is not None
        self.version_note.setVisible(is_old)
        self.back.setVisible(is_old)
        self.version_note.setText(f"Looking at version {self.version}: to read only")
