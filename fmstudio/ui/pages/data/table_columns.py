"""What is known of the columns of a `RowsView`: heads and statistics, read in the background; their shape, remembered."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Slot

from fmstudio.project.filters import FilterColumn
from fmstudio.ui.pages.data.column_heads import head_of, plain_head
from fmstudio.ui.pages.data.table_memory import TableMemory, read_memory, write_memory
from fmstudio.ui.widgets.table.header import ColumnHead

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project.statistics import ColumnStatistics, ColumnSummary
    from fmstudio.ui.pages.data.column_statistics import StatisticsPanel
    from fmstudio.ui.pages.data.rows_view import RowsView

REMEMBER_MS = 600
TRUTH = ("true", "false")


class TableColumns(QObject):
    """Fills the header of the table and opens statistics."""

    def __init__(self, view: RowsView) -> None:
        super().__init__(view)
        self._view = view
        self._remember = QTimer(self, singleShot=True, interval=REMEMBER_MS)
        self._remember.timeout.connect(self.write_memory)
        view.table.layout_changed.connect(self._remember.start)
        view.bar.remembered.connect(self._remember.start)

    @cached_property
    def statistics(self) -> StatisticsPanel:
        """The panel of one column; built when first wanted."""
        from fmstudio.ui.pages.data.column_statistics import StatisticsPanel

        made = StatisticsPanel(self._view)
        made.condition_wanted.connect(self._view.bar.add_condition)
        made.row_wanted.connect(self._view.show_row)
        return made

    def load(self) -> None:
        """Read the heads of the columns, and which cells wait to be committed."""
        view = self._view
        dataset, project, version = view.dataset, view.ctx.project, view.version
        if dataset is None or project is None:
            return
        if not view.table.header.head(0).type_word:
            view.table.show_heads({c.name: plain_head(c.type) for c in dataset.columns})
        view.ctx.run_query(
            lambda: project.statistics.columns(dataset.id, version), self._show, self._fail, key="heads", owner=self
        )
        if view.can_edit:
            view.ctx.run_query(
                lambda: project.edits.overlay(dataset.id).cells, self._mark_edited, key="edited", owner=self
            )

    def _show(self, summaries: list[ColumnSummary]) -> None:
        bar = self._view.bar
        self._view.table.show_heads({s.name: head_of(s) for s in summaries})
        bar.set_columns(bar.columns, {**bar.values, **{s.name: TRUTH for s in summaries if s.kind == "boolean"}})

    def _fail(self, problem: Problem) -> None:
        """Rows are still of use without charts: the header's tooltip says what went wrong."""
        heads = {name: plain_head(type_name) for name, type_name in self._view.table.rows.types.items()}
        tip = f"{problem.message} {problem.remedy}".strip()
        self._view.table.show_heads({n: ColumnHead(h.type_word, tip=f"{h.tip}\n{tip}") for n, h in heads.items()})

    def _mark_edited(self, cells: Mapping[int, Mapping[str, Any]]) -> None:
        table = self._view.table
        table.rows.marked = {(row_id, name) for row_id, values in cells.items() for name in values}
        table.viewport().update()

    @Slot(int)
    def open_statistics(self, section: int) -> None:
        """Show everything about a column's values."""
        view = self._view
        dataset, project, version = view.dataset, view.ctx.project, view.version
        if dataset is None or project is None:
            return
        name, place = view.table.rows.shown_column(section), view.table.header_position(section)
        self.statistics.open_for(FilterColumn(name, view.table.rows.types.get(name, "")), place)

        def show(found: ColumnStatistics) -> None:
            self.statistics.show_statistics(found)
            values = [str(value) for value, _ in found.top if isinstance(value, str | int | float)]
            if values:
                view.bar.values[name] = values

        view.ctx.run_query(
            lambda: project.statistics.column(dataset.id, name, version), show, self.statistics.show_problem,
            key="column", owner=self,
        )  # fmt: skip

    def read_memory(self) -> None:
        """Bring the columns into the shape they had when this dataset was last looked at."""
        project, dataset = self._view.ctx.project, self._view.dataset
        if project is not None and dataset is not None:
            memory = read_memory(project.folder, dataset.id)
            self._view.bar.recent = list(memory.recent)
            self._view.table.use_layout(memory.layout)

    @Slot()
    def write_memory(self) -> None:
        """Remember the shape of the columns and the filters used."""
        view = self._view
        project, dataset = view.ctx.project, view.dataset
        if project is not None and dataset is not None and view.table.rows.columnCount():
            memory = TableMemory(view.table.layout_now(), tuple(view.bar.recent))
            view.ctx.run_op(view, lambda: write_memory(project.folder, dataset.id, memory))
