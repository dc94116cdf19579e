"""The SQL tab: tables at the left, a query, and what it gives as a table or a chart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QButtonGroup, QPushButton, QSplitter, QStackedWidget, QWidget

from fmstudio.project.console_csv import csv_text
from fmstudio.ui.pages.data.sql_chart import SqlChart, plain_rows
from fmstudio.ui.pages.data.sql_editor import SqlEditor
from fmstudio.ui.pages.data.sql_filter import plain_where
from fmstudio.ui.pages.data.sql_history import HistoryButton, seconds_text, unique_names
from fmstudio.ui.pages.data.sql_save import SaveLine
from fmstudio.ui.pages.data.sql_tables import SqlTables, sql_name
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.paged_table import FixedPage, PagedTable, RowsPage
from fmstudio.ui.widgets.parts import button, column, holder, label, row

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmstudio.jobs.outcome import Problem
    from fmstudio.jobs.spec import JobSpec
    from fmstudio.project import Changes
    from fmstudio.project.console import ConsoleEntry, ConsoleResult, ConsoleTable
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext

MOST_ROWS = 10_000
TICK_MS = 100
TABLES_WIDTH = 150


class SqlView(QWidget):
    """Read-only SQL over the datasets of the project.

    Signals:
        record_chosen: (mapping or None, title) the chosen row of the result.
        filter_wanted: (condition) the query is a filter of the dataset in front and shall be used as one.
        submitted: (Job, sentence) a query is being saved as a dataset.
    """

    record_chosen = Signal(object, str)
    filter_wanted = Signal(str)
    submitted = Signal(object, str)

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self.dataset: Dataset | None = None
        self.result: ConsoleResult | None = None
        self._ran = ""
        self._asked_at = 0.0
        self._question = 0
        self._is_running = self._is_stale = False
        self.editor, self.tables = SqlEditor(), SqlTables()
        self.error = label("", "danger", wrap=True, selectable=True)
        self.error.setAccessibleName(self.tr("What is wrong with the query"))
        self.run_button = button(
            self.tr("Run"), self.run, kind="primary", icon="play", tip=self.tr("Run the query, or its selected part (Ctrl+Enter)")
        )  # fmt: skip
        self.stop_button = button(self.tr("Stop"), self.stop, icon="stop", tip=self.tr("Stop the query (Esc)"))
        self.history = HistoryButton()
        self.status = label("", "muted")
        self.cut = label("", "pill", level="warning")
        self.table, self.chart = PagedTable(self.tr("Result of the query")), SqlChart()
        self.save_button = button(
            self.tr("Save as dataset…"), self._open_save, tip=self.tr("All rows of the query, as a job")
        )
        self.copy_button = button(self.tr("Copy as CSV"), self.copy_csv)
        self.filter_button = button(self.tr("Use as filter"), self._use_as_filter)
        self.filter_button.setToolTip(self.tr("Show these rows in the Rows tab"))
        self.save_line = SaveLine(self._save)
        self._clock = QTimer(self, interval=TICK_MS)
        self._clock.timeout.connect(self._tick)
        self._build()
        self._connect()

    def _build(self) -> None:
        self._shape: dict[str, QPushButton] = {}
        group, shapes = QButtonGroup(self), row(gap=2)
        for shape, title in (("table", self.tr("Table")), ("chart", self.tr("Chart"))):
            made = button(title, lambda shape=shape: self.show_shape(shape), kind="choice")  # type: ignore[misc]
            group.addButton(made)
            shapes.addWidget(made)
            self._shape[shape] = made
        run_line = row(self.run_button, self.stop_button, self.history, self.status, self.cut, None, gap=8)
        self._tools = holder(row(shapes, None, self.filter_button, self.copy_button, self.save_button, gap=6))
        self._hint = EmptyState(
            "search", self.tr("Ask with SQL"),
            self.tr("Queries read and never change anything. Every dataset is a table; its versions and dropped rows are, too."),
            (self.tr("Show me the first rows"), self._example),
        )  # fmt: skip
        self._none = EmptyState("filter", self.tr("No rows"), self.tr("The query ran and gave nothing."))
        self._failed = EmptyState("warning", self.tr("No result"), self.tr("What is wrong stands below the query."))
        self._stack = QStackedWidget()
        for widget in (self._hint, self.table, self.chart, self._none, self._failed):
            self._stack.addWidget(widget)
        upper = column(self.editor, self.error, run_line, gap=6)
        upper.setStretch(0, 1)
        lower = column(self._tools, self.save_line, self._stack, gap=6)
        lower.setStretch(2, 1)
        right = QSplitter(Qt.Orientation.Vertical)
        right.addWidget(holder(upper))
        right.addWidget(holder(lower))
        right.setSizes([170, 400])
        right.setChildrenCollapsible(False)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.tables)
        split.addWidget(right)
        split.setSizes([180, 600])
        split.setStretchFactor(1, 1)
        self.editor.setMinimumHeight(64)
        self.tables.setMinimumWidth(TABLES_WIDTH)
        layout = column(split)
        self.setLayout(layout)
        self.error.hide()
        self.cut.hide()
        self.stop_button.hide()
        self._tools.hide()
        self._shape["table"].setChecked(True)

    def _connect(self) -> None:
        self.editor.run_wanted.connect(self.run)
        self.editor.stop_wanted.connect(self.stop)
        self.editor.completion_wanted.connect(self._complete)
        self.history.chosen.connect(self.editor.set_query)
        self.history.forget_wanted.connect(self._forget)
        self.tables.name_wanted.connect(self.editor.insert)
        self.table.row_chosen.connect(self._on_row)
        self.ctx.data_changed.connect(self._on_changes)

    # ---- what can be asked -----------------------------------------------------------------------------------------

    def show_dataset(self, dataset: Dataset) -> None:
        """Begin with this dataset: its columns are in sight."""
        is_other = self.dataset is None or dataset.id != self.dataset.id
        self.dataset = dataset
        self._show_filter_button()
        self._is_stale = True
        if self.isVisible() or is_other:
            self.refresh()

    def open(self) -> None:
        """The tab came to the front."""
        self.editor.setFocus()
        if self._is_stale:
            self.refresh()

    def refresh(self) -> None:
        """Read the tables and the old queries again."""
        project = self.ctx.project
        if project is None:
            return
        self._is_stale = False
        console = project.console
        self.ctx.run_query(console.tables, self._show_tables, key="sql tables", owner=self)
        self.ctx.run_query(console.history, self._show_history, key="sql history", owner=self)

    def _show_tables(self, tables: list[ConsoleTable]) -> None:
        self.tables.show_tables(tables, self.dataset.name if self.dataset is not None else "")

    def _show_history(self, entries: list[ConsoleEntry]) -> None:
        self.history.show_entries(entries)
        self.editor.history = [entry.sql for entry in entries]

    @Slot(object, object)
    def _on_changes(self, changes: Changes, origin: object) -> None:
        if changes.datasets:
            self._is_stale = True
            if self.isVisible():
                self.refresh()

    @Slot(str, int)
    def _complete(self, text: str, position: int) -> None:
        project = self.ctx.project
        if project is not None:
            self.ctx.run_query(
                lambda: project.console.complete(text, position), self.editor.show_offers, key="sql offers", owner=self
            )

    def _example(self) -> None:
        name = sql_name(self.dataset.name) if self.dataset is not None else "…"
        self.editor.set_query(f"SELECT * FROM {name} LIMIT 100")
        self.editor.setFocus()
        self.run()

    # ---- running ---------------------------------------------------------------------------------------------------

    @Slot()
    def run(self) -> None:
        """Run the query, or its selected part; a running one is stopped first."""
        project, sql = self.ctx.project, self.editor.query()
        if project is None or not sql.strip():
            return
        if self._is_running:
            project.console.interrupt()
        self._question += 1
        question = self._question
        self._show_error("")
        self._set_running(True)

        def done(result: ConsoleResult) -> None:
            if question == self._question:
                self._on_result(sql, result)

        def failed(problem: Problem) -> None:
            if question == self._question:
                self._on_problem(problem)

        self.ctx.run_query(lambda: project.console.run(sql, MOST_ROWS), done, failed, owner=self)

    @Slot()
    def stop(self) -> None:
        """Stop the running query."""
        project = self.ctx.project
        if project is not None and self._is_running:
            project.console.interrupt()

    def _set_running(self, is_running: bool) -> None:
        self._is_running = is_running
        self.run_button.setVisible(not is_running)
        self.stop_button.setVisible(is_running)
        if is_running:
            self._asked_at = time.monotonic()
            self.cut.hide()
            self._clock.start()
        else:
            self._clock.stop()

    @Slot()
    def _tick(self) -> None:
        passed = time.monotonic() - self._asked_at
        if passed > 2 * TICK_MS / 1_000:
            self.status.setText(f"Running… {words.duration(passed)}")

    def _on_result(self, sql: str, result: ConsoleResult) -> None:
        self._set_running(False)
        self._ran, self.result = sql, result
        self.status.setText(f"{words.plural(result.total_shown, 'row')} in {seconds_text(result.seconds)}")
        self.cut.setText(f"cut at {words.number(MOST_ROWS)} rows")
        self.cut.setToolTip(self.tr("There are more. Saving as a dataset takes them all."))
        self.cut.setVisible(result.is_cut)
        self.save_line.close_line()
        self._tools.show()
        self._show_filter_button()
        self._load(result)
        self.chart.show_result(result)
        self.show_shape("chart" if self._shape["chart"].isChecked() else "table")
        self._reload_history()

    def _load(self, result: ConsoleResult) -> None:
        names, rows = unique_names(result.columns), plain_rows(result)

        def fetch(offset: int, limit: int, deliver: Callable[[RowsPage], None]) -> None:
            deliver(FixedPage(names, rows[offset : offset + limit], offset, len(rows)))

        self.table.rows.types = dict(zip(names, result.types, strict=True))
        self.table.rows.load(fetch)

    def _on_problem(self, problem: Problem) -> None:
        self._set_running(False)
        self.status.setText("")
        found = f"{problem.message} {problem.remedy}".strip()
        self._show_error(found if problem.is_user_error else problem.message)
        self.editor.show_error(problem.details)
        self._ran, self.result = "", None  # rows of an older query are no answer to this one
        self.save_line.close_line()
        self._tools.hide()
        self._stack.setCurrentWidget(self._failed)
        self.record_chosen.emit(None, "")
        self._reload_history()

    def _show_error(self, text: str) -> None:
        self.error.setText(text)
        self.error.setVisible(bool(text))
        self.editor.clear_error()

    def show_shape(self, shape: str) -> None:
        """Show the result as ``table`` or ``chart``."""
        self._shape[shape].setChecked(True)
        if self.result is None:
            return
        shown: QWidget = self.chart if shape == "chart" else self.table
        self._stack.setCurrentWidget(shown if self.result.rows else self._none)

    @Slot(int)
    def _on_row(self, number: int) -> None:
        record: dict[str, Any] | None = self.table.rows.record(number) if number >= 0 else None
        self.record_chosen.emit(record, f"Row {number + 1:,} of the result" if record is not None else "")

    # ---- what is done with a result ----------------------------------------------------------------------------------

    def copy_csv(self) -> None:
        """Put the result on the clipboard as CSV."""
        if self.result is None:
            return
        QGuiApplication.clipboard().setText(csv_text(self.result.columns, self.result.rows))
        self.ctx.notify("positive", f"Copied {words.plural(self.result.total_shown, 'row')} as CSV.")

    def _show_filter_button(self) -> None:
        name = self.dataset.name if self.dataset is not None else ""
        self._where = plain_where(self._ran, name) or "" if name else ""
        self.filter_button.setVisible(bool(self._where))

    def _use_as_filter(self) -> None:
        if self._where:
            self.filter_wanted.emit(self._where)

    @Slot()
    def _open_save(self) -> None:
        self.save_line.open_line(f"{self.dataset.name} query" if self.dataset is not None else "Query")

    def _save(self, name: str) -> None:
        project, sql = self.ctx.project, self._ran
        if project is None or not self.save_line.isEnabled():
            return
        self.save_line.setEnabled(False)

        def start(spec: JobSpec) -> None:
            self.save_line.setEnabled(True)
            self.save_line.close_line()
            self.editor.setFocus()  # the field lost it when it was switched off
            said = f"Saving the query as {name}. The dataset appears here when it is done."
            self.submitted.emit(self.ctx.submit(spec), said)

        def fail(problem: Problem) -> None:
            self.save_line.setEnabled(True)
            self.save_line.field.setFocus()
            self.ctx.show_problem(problem)

        self.ctx.run_query(lambda: project.specs.sql_dataset(sql, name), start, fail, owner=self)

    # ---- old queries -----------------------------------------------------------------------------------------------

    def _reload_history(self) -> None:
        project = self.ctx.project
        if project is not None:
            self.ctx.run_query(project.console.history, self._show_history, key="sql history", owner=self)

    def _forget(self) -> None:
        project = self.ctx.project
        if project is not None:
            self.ctx.run_op(self, project.console.forget, lambda _: self._reload_history())
