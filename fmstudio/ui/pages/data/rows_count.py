"""`RowsCount`: says how many rows match and how many there are, and that they are still being looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from fmstudio.ui.widgets import words

if TYPE_CHECKING:
    from fmstudio.ui.pages.data.rows_view import RowsView

BUSY_MS = 250


class RowsCount(QObject):
    """Fills the label at the right of the filter."""

    def __init__(self, view: RowsView) -> None:
        super().__init__(view)
        self._view = view
        self._every: int | None = None
        self._busy = QTimer(self, singleShot=True, interval=BUSY_MS)
        self._busy.timeout.connect(lambda: view.bar.count.setText(self.tr("Looking…")))

    def ask(self) -> None:
        """Rows are being looked for; when that takes long, say so."""
        self._busy.start()
        self._count_every()

    def forget(self) -> None:
        """Other rows are there now: what was counted of all of them no longer holds."""
        self._every = None

    def recount(self) -> None:
        """Count all rows again, quietly."""
        self.forget()
        self._count_every()

    def fail(self) -> None:
        """They could not be looked for."""
        self._busy.stop()
        self._view.bar.count.setText("")

    def show(self, total: int) -> None:
        """So many match."""
        view = self._view
        self._busy.stop()
        if not view.bar.where():
            self._every = total
            view.bar.count.setText(words.plural(total, "row"))
            return
        every = self._every if self._every is not None else view.dataset.rows if view.dataset else total
        view.bar.count.setText(f"{words.number(total)} of {words.plural(max(every, total), 'row')}")

    def _count_every(self) -> None:
        """How many there are without the filter, where one is on."""
        view = self._view
        project, dataset, version = view.ctx.project, view.dataset, view.version
        if project is not None and dataset is not None and view.bar.where():
            view.ctx.run_query(
                lambda: project.count(dataset.id, version=version), self._on_every, key="count", owner=self
            )

    def _on_every(self, total: int) -> None:
        self._every = total
        rows = self._view.table.rows
        if rows.is_counted:
            self.show(rows.total)
