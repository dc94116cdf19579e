"""Rows that cleaning dropped and pieces of files that could not be read: two tables, or what it means that there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.paged_table import FixedPage, PagedTable, RowsPage

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext

FIRST_DROPPED = ("reason", "step", "operator")
REJECT_COLUMNS = ("reason", "line", "byte", "row", "raw", "file")


class LostRows(QObject):
    """Fills the tabs *Dropped* and *Rejected*.

    Args:
        most_rejects: More rejected pieces than that are not listed.

    Signals:
        counted: (tab, number of rows).
        record_chosen: (mapping or None, title) the chosen one.
    """

    counted = Signal(str, int)
    record_chosen = Signal(object, str)

    def __init__(self, context: AppContext, most_rejects: int) -> None:
        super().__init__()
        self.ctx = context
        self._most = most_rejects
        self.dropped, self.rejects = PagedTable(self.tr("Dropped rows")), PagedTable(self.tr("Rejected pieces"))
        self._no_dropped = EmptyState(
            "clean", self.tr("No row was dropped"),
            self.tr("Rows that a recipe or a change drops are kept here, with the step and the reason."),
        )  # fmt: skip
        self._no_rejects = EmptyState(
            "import", self.tr("Everything could be read"),
            self.tr("Pieces of an imported file that cannot be read are kept here, with their place and the reason."),
        )  # fmt: skip
        for table, title in ((self.dropped, "Dropped row"), (self.rejects, "Rejected piece")):
            table.row_chosen.connect(
                lambda n, table=table, title=title: self.record_chosen.emit(
                    table.rows.record(n) if n >= 0 else None, f"{title} {n + 1:,}"
                )
            )

    @property
    def widgets(self) -> tuple[QWidget, ...]:
        """All widgets that may be in front."""
        return self.dropped, self.rejects, self._no_dropped, self._no_rejects

    def shown(self, tab: str) -> QWidget:
        """What stands in a tab now."""
        if tab == "dropped":
            return self.dropped if self.dropped.rows.total else self._no_dropped
        return self.rejects if self.rejects.rows.total else self._no_rejects

    def show_dataset(self, dataset: Dataset) -> None:
        """Load both for a dataset."""
        project = self.ctx.project
        if project is None:
            return

        def fetch(offset: int, limit: int, deliver: Callable[[RowsPage], None]) -> None:
            def take(page: RowsPage) -> None:
                deliver(page)
                self.counted.emit("dropped", page.total)

            self.ctx.run_query(
                lambda: _reasons_first(project.dropped(dataset.id, dataset.version, offset=offset, limit=limit)),
                take, owner=self,
            )  # fmt: skip

        def show(records: list[dict[str, Any]]) -> None:
            # A line and a byte for texts, a row for Parquet: what no piece of these files has is left out.
            names = [n for n in REJECT_COLUMNS if any(record.get(n) not in (None, "") for record in records)]
            is_one_import = len({record["version"] for record in records}) < 2
            self.rejects.rows.load_records(records, names if is_one_import else (*names, "version"))
            self.counted.emit("rejects", len(records))

        self.dropped.rows.load(fetch, frozenset({"row_id"}))
        self.ctx.run_query(lambda: project.rejects(dataset.id, self._most), show, key="rejects", owner=self)


def _reasons_first(page: Any) -> RowsPage:
    """Put why a row was dropped before what it was."""
    first = [i for name in FIRST_DROPPED for i, c in enumerate(page.columns) if c == name]
    order = [*first, *(i for i in range(len(page.columns)) if i not in first)]
    rows = [tuple(cells[i] for i in order) for cells in page.rows]
    return FixedPage(tuple(page.columns[i] for i in order), rows, page.offset, page.total)
