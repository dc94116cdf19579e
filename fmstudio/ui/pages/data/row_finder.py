"""`RowFinder`: goes to a row of the table by its id; one that the table does not show is shown beside it, and said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from fmstudio.project.filters import order_by

if TYPE_CHECKING:
    from fmstudio.ui.pages.data.rows_view import RowsView


class RowFinder(QObject):
    """Finds rows for a `RowsView`."""

    def __init__(self, view: RowsView) -> None:
        super().__init__(view)
        self._view = view
        self._found: tuple[tuple[Any, ...], int] | None = None

    def show(self, row_id: int) -> None:
        """Go to a row, wherever the filter and the order put it."""
        view = self._view
        project, dataset, asked = view.ctx.project, view.dataset, self._asked()
        held = view.table.rows.row_of(row_id) if view.table.rows.is_counted else None
        if held is not None:
            view.table.go_to(held)
        elif project is not None and dataset is not None:
            where, order, version = view.bar.where(), order_by(view.sorts), view.version

            def find() -> tuple[int | None, list[dict[str, Any]]]:
                place = project.place(dataset.id, row_id, where, order, version)
                return place, project.rows_by_id(dataset.id, [row_id]).records() if place is None else []

            def go(found: tuple[int | None, list[dict[str, Any]]]) -> None:
                if asked != self._asked():
                    return
                if found[0] is None:
                    self._say_hidden(row_id, found[1])
                else:
                    self._found = asked, found[0]
                    if view.table.rows.is_counted:
                        self.on_total()

            view.ctx.run_query(find, go, key="row", owner=self)

    def on_total(self) -> None:
        """The rows are all known: go to the one that was found among them meanwhile."""
        if self._found is not None:
            (asked, place), self._found = self._found, None
            if asked == self._asked():
                self._view.table.go_to(place)

    def _asked(self) -> tuple[Any, ...]:
        """What the table shows; a place holds for that alone."""
        view = self._view
        return view.dataset and view.dataset.id, view.bar.where(), order_by(view.sorts), view.version

    def _say_hidden(self, row_id: int, records: list[dict[str, Any]]) -> None:
        view, name = self._view, f"Row id {row_id:,}"
        for record in records:
            view.record_chosen.emit({"row_id": row_id, **record}, self.tr("{} (hidden)").format(name))
        if view.bar.where():
            said = self.tr("{} is not among the rows shown: the filter hides it.").format(name)
            view.ctx.notify("info", said, (self.tr("Clear the filter"), lambda: self._show_all(row_id)))
        else:
            view.ctx.notify("info", self.tr("{} is not in the version shown.").format(name))

    def _show_all(self, row_id: int) -> None:
        self._view.bar.clear_all()
        self.show(row_id)
