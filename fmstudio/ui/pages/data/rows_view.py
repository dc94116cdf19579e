"""The rows of one dataset: a filter, the table, sorting by a click on a column."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QLineEdit, QWidget

from fmstudio.jobs.outcome import Problem
from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.paged_table import PagedTable, RowsPage
from fmstudio.ui.widgets.parts import button, column, icon_label, label, row

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext

HIDDEN = frozenset({"row_id"})
HINT = "Filter by a SQL condition, e.g.  length(text) > 100   (Ctrl+F)"


class RowsView(QWidget):
    """Filter bar and table.

    Signals:
        record_chosen: (mapping or None, title) the chosen row.
    """

    record_chosen = Signal(object, str)

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._dataset: Dataset | None = None
        self._version: int | None = None
        self._order = ""
        self._question = 0
        self.filter = QLineEdit()
        self.filter.setProperty("role", "mono")
        self.filter.setPlaceholderText(HINT)
        self.filter.setAccessibleName(self.tr("Filter"))
        self.filter.setClearButtonEnabled(True)
        self.filter.returnPressed.connect(self.apply_filter)
        self.filter.textChanged.connect(self._on_text)
        self.count = label("", "muted")
        self.error = label("", "danger", wrap=True, selectable=True)
        self.version_note = label("", "pill", level="warning")
        self.back = button(self.tr("Back to the current version"), lambda: self.show_version(None), kind="quiet")
        self.table = PagedTable(self.tr("Rows of the dataset"))
        self.table.horizontalHeader().setSectionsClickable(True)
        self.table.horizontalHeader().sectionClicked.connect(self._on_header)
        self.table.row_chosen.connect(self._on_row)
        self.table.rows.total_known.connect(self._on_total)
        bar = row(icon_label("filter", "muted", 16), self.filter, self.count, gap=8)
        bar.setStretch(1, 1)
        note = row(self.version_note, self.back, None, gap=8)
        layout = column(bar, self.error, note, self.table, gap=6)
        layout.setStretch(3, 1)
        self.setLayout(layout)
        self._show_note()
        self.error.hide()

    def show_dataset(self, dataset: Dataset) -> None:
        """Show the rows of a dataset; filter and order stay when it is the same one."""
        if self._dataset is None or self._dataset.id != dataset.id:
            self.filter.clear()
            self._order, self._version = "", None
        self._dataset = dataset
        self.reload()

    def show_version(self, number: int | None) -> None:
        """Look at an earlier version; None = the current one."""
        self._version = number
        self.reload()

    @property
    def hint_columns(self) -> tuple[str, ...]:
        """Columns one can filter by."""
        return self.table.rows.columns

    @Slot()
    def apply_filter(self) -> None:
        """Run the condition now in the field."""
        self.reload()

    @Slot()
    def reload(self) -> None:
        """Fetch again from the top."""
        self._question += 1
        self._show_note()
        self.error.hide()
        restyle(self.filter, state="")
        self.record_chosen.emit(None, "")
        if self._dataset is not None:
            self.table.rows.load(self._fetcher(self._dataset.id), HIDDEN)

    def _fetcher(self, dataset_id: str) -> Callable[[int, int, Callable[[RowsPage], None]], None]:
        project, where, order, version = self.ctx.project, self.filter.text().strip(), self._order, self._version
        question = self._question

        def fail(problem: Problem) -> None:
            if question == self._question:  # an older question's failure is no news
                self._fail(problem)

        def fetch(offset: int, limit: int, deliver: Callable[[RowsPage], None]) -> None:
            if project is None:
                return
            self.ctx.run_query(
                lambda: project.page(
                    dataset_id, offset=offset, limit=limit, where=where, order_by=order, version=version
                ),
                deliver, fail, owner=self,
            )  # fmt: skip

        return fetch

    def _fail(self, problem: Problem) -> None:
        self.error.setText(f"{problem.message} {problem.remedy}" if problem.is_user_error else problem.message)
        self.error.show()
        self.count.setText("")
        self.table.rows.load(None)
        restyle(self.filter, state="danger")

    @Slot(str)
    def _on_text(self, text: str) -> None:
        if not text:
            self.reload()

    @Slot(int)
    def _on_total(self, total: int) -> None:
        of = f" of {words.number(self._dataset.rows)}" if self._dataset and self.filter.text().strip() else ""
        self.count.setText(f"{words.number(total)}{of} {'row' if total == 1 and not of else 'rows'}")

    @Slot(int)
    def _on_header(self, section: int) -> None:
        name = str(self.table.rows.headerData(section, Qt.Orientation.Horizontal))
        quoted = '"' + name.replace('"', '""') + '"'
        header = self.table.horizontalHeader()
        if self._order == quoted:
            self._order = f"{quoted} DESC"
        elif self._order == f"{quoted} DESC":
            self._order = ""
        else:
            self._order = quoted
        is_up = not self._order.endswith("DESC")
        header.setSortIndicatorShown(bool(self._order))
        header.setSortIndicator(section, Qt.SortOrder.AscendingOrder if is_up else Qt.SortOrder.DescendingOrder)
        self.reload()

    @Slot(int)
    def _on_row(self, number: int) -> None:
        record: dict[str, Any] | None = self.table.rows.record(number) if number >= 0 else None
        self.record_chosen.emit(record, f"Row {number + 1:,}" if record else "")

    def _show_note(self) -> None:
        is_old = self._version is not None
        self.version_note.setVisible(is_old)
        self.back.setVisible(is_old)
        self.version_note.setText(f"Looking at version {self._version}")
