"""`RowCommands`: what can be done with the chosen rows: edit, add, duplicate, drop, tag, rate, copy; by key and menu.

Every change goes to the overlay through `project.edits`, shows at once, and can be undone from the message bar.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QPoint, Qt, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu

from fmstudio.project.filters import ColumnFilter, FilterColumn, is_free_text, kind_of, order_by
from fmstudio.ui.history import step_history
from fmstudio.ui.pages.data.tag_popup import TagPopup
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.table.values import CellKind, one_line

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.ui.pages.data.rows_view import RowsView

MOST_ROWS = 50_000
"""More rows are changed by a transform job: the overlay is for work by hand (FACADE: `MOST_OVERLAY_ROWS`)."""
TAGS, RATING = "tags", "rating"
EMPTY_VALUES: dict[CellKind, Any] = {"messages": [{"role": "user", "content": ""}], "text": "", "tags": []}


class RowCommands(QObject):
    """Acts on the table of a `RowsView`."""

    def __init__(self, view: RowsView) -> None:
        super().__init__(view)
        self._view = view
        self._known_tags: dict[str, None] = {}
        self.tag_popup: TagPopup | None = None
        self._tagged: list[int] = []
        table = view.table
        table.commands = {
            "F2": table.edit_current, "Return": self.read_or_edit, "Enter": self.read_or_edit,
            "Del": self.drop, "Ctrl+D": self.duplicate, "Ins": self.insert, "T": self.tag,
            "+": lambda: self.rate(1), "Shift++": lambda: self.rate(1), "=": lambda: self.rate(1),
            "-": lambda: self.rate(-1), "0": lambda: self.rate(None), "Ctrl+0": self.set_null,
            "Alt+Up": lambda: view.step(-1), "Alt+Down": lambda: view.step(1),
        }  # fmt: skip
        table.rows.cell_edited.connect(self._on_cell_edited)
        table.copier.copied.connect(self._on_copied)

    # ---- what is chosen --------------------------------------------------------------------------------------------

    def with_ids(self, then: Callable[[list[int]], None]) -> None:
        """Call `then` with the ids of the chosen rows; those not held are looked up first."""
        table, view = self._view.table, self._view
        count = table.selected_count()
        if not count or not view.can_edit:
            return
        if count > MOST_ROWS:
            view.ctx.notify(
                "warning",
                f"{words.number(count)} rows are chosen; by hand at most {words.number(MOST_ROWS)} are changed at once. "
                "Filter to fewer, or use a transform.",
            )
            return
        numbers = table.selected_rows()
        found = [table.rows.row_id(number) for number in numbers]
        if None not in found:
            then([one for one in found if one is not None])
            return
        self._read_ids(numbers, then)

    def _read_ids(self, numbers: Sequence[int], then: Callable[[list[int]], None]) -> None:
        """Look up the ids of rows by their places in the order shown."""
        view = self._view
        project, dataset = view.ctx.project, view.dataset
        if project is None or dataset is None:
            return
        where, order, first = view.bar.where(), order_by(view.sorts), numbers[0]
        limit, wanted = numbers[-1] - first + 1, set(numbers)

        def read() -> list[int]:
            page = project.page(dataset.id, offset=first, limit=limit, where=where, order_by=order, columns=("row_id",))
            return [int(cells[0]) for place, cells in enumerate(page.rows, first) if place in wanted]

        view.ctx.run_query(read, then, owner=self)

    # ---- changes ---------------------------------------------------------------------------------------------------

    @Slot(int, str, object)
    def _on_cell_edited(self, row: int, name: str, value: Any) -> None:
        row_id = self._view.table.rows.row_id(row)
        if row_id is not None:
            table = self._view.table
            again = partial(table.cell_editor.reopen, table, row_id, name, value)
            self.set_values(row_id, {name: value}, refused=again)

    def set_values(
        self,
        row_id: int,
        values: Mapping[str, Any],
        done: Callable[[], None] | None = None,
        *,
        refused: Callable[[str], bool] | None = None,
    ) -> None:
        """Change cells of one row; the table shows it at once, and the truth when the store could not.

        Args:
            done: Called when the store has them.
            refused: Called with the reason when it does not take them; gives whether it said so to the user.
        """
        view = self._view
        project, dataset = view.ctx.project, view.dataset
        if project is None or dataset is None or not values:
            return
        fresh = {(row_id, name) for name in values} - view.table.rows.marked
        view.table.rows.patch(row_id, values)

        def succeeded(_: object) -> None:
            if done is not None:
                done()

        def failed(problem: Problem) -> None:
            view.table.rows.marked.difference_update(fresh)
            view.table.rows.refresh()
            if refused is None or not refused(problem.message):
                view.ctx.show_problem(problem)

        view.ctx.run_op(view, lambda: project.edits.set_cells(dataset.id, {row_id: dict(values)}), succeeded, failed)

    @Slot(int, int, bool)
    def _on_copied(self, count: int, chosen: int, has_read: bool) -> None:
        """Say what was copied where it took a moment, or where it is not all that was chosen."""
        if count < chosen:
            said = (
                f"The first {words.number(count)} of {words.plural(chosen, 'row')} were copied: more do not fit on the "
                "clipboard. Export… writes all of them to a file."
            )
            self._view.ctx.notify("warning", said)
        elif has_read:
            self._view.ctx.notify("info", f"{words.plural(count, 'row')} copied.")

    @Slot()
    def set_null(self) -> None:
        """Take the value out of the current cell."""
        table = self._view.table
        index = table.currentIndex()
        row_id = table.rows.row_id(index.row()) if index.isValid() else None
        if row_id is not None and self._view.can_edit and table.rows.can_edit(index.column()):
            self.set_values(row_id, {table.rows.shown_column(index.column()): None})

    @Slot()
    def drop(self) -> None:
        """Drop the chosen rows; the message bar offers to bring them back."""
        self.with_ids(self._drop)

    def _drop(self, ids: list[int]) -> None:
        view = self._view
        project, dataset = view.ctx.project, view.dataset
        if project is not None and dataset is not None:
            said = f"{words.plural(len(ids), 'row')} dropped."
            view.ctx.run_op(view, lambda: project.edits.delete_rows(dataset.id, ids), lambda _: self._offer_undo(said))

    @Slot()
    def duplicate(self) -> None:
        """Add copies of the chosen rows at the end."""
        self.with_ids(self._duplicate)

    def _duplicate(self, ids: list[int]) -> None:
        view = self._view
        project, dataset = view.ctx.project, view.dataset
        if project is not None and dataset is not None:
            view.ctx.run_op(view, lambda: project.edits.duplicate_rows(dataset.id, ids), self._on_added)

    @Slot()
    def insert(self) -> None:
        """Add an empty row at the end and open it for editing."""
        view = self._view
        project, dataset = view.ctx.project, view.dataset
        if project is None or dataset is None or not view.can_edit:
            return
        rows = view.table.rows
        record = {
            name: EMPTY_VALUES[rows.kind(i)]
            for i, name in enumerate(rows.shown)
            if rows.kind(i) in EMPTY_VALUES
            and rows.can_edit(i)
            and name not in (TAGS, "note")
            # A column of keys or of known words looks like text, yet holds no empty one.
            and (rows.kind(i) != "text" or is_free_text(rows.types.get(name, "")))
        }

        def added(ids: list[int]) -> None:
            self._on_added(ids)
            view.open_new(ids[0])

        view.ctx.run_op(view, lambda: project.edits.add_rows(dataset.id, [record]), added)

    def _on_added(self, ids: Sequence[int]) -> None:
        they = "It" if len(ids) == 1 else "They"
        where = "" if self._view.is_plain else f" {they} may be out of sight with this filter or order."
        self._offer_undo(f"{words.plural(len(ids), 'row')} added at the end.{where}")
        self._view.go_to_end_when_there(len(ids))

    def rate(self, rating: int | None) -> None:
        """Rate the chosen rows up (1), down (-1) or not at all (None)."""

        def act(ids: list[int]) -> None:
            view = self._view
            project, dataset = view.ctx.project, view.dataset
            if project is not None and dataset is not None:
                for row_id in ids[:200]:
                    view.table.rows.patch(row_id, {RATING: rating})
                view.ctx.run_op(view, lambda: project.edits.rate(dataset.id, ids, rating))

        self.with_ids(act)

    @Slot()
    def tag(self) -> None:
        """Open the tags of the chosen rows; say why not when the column of that name holds something else."""
        name, kind = self._tags_column()
        if kind == "texts":
            self.with_ids(self._open_tags)
        elif self._view.can_edit:
            self._view.ctx.notify(
                "warning",
                f"The column “{name}” holds no lists of tags, so rows cannot be tagged in it. Give it another name with "
                "Change… → Rename columns: tags then get a column of their own.",
            )

    def _tags_column(self) -> tuple[str, str]:
        """Name and kind of the column that tags are kept in; the first tag makes it."""
        types = self._view.table.rows.types
        name = next((known for known in types if known.casefold() == TAGS), TAGS)
        return name, kind_of(types[name]) if name in types else "texts"

    def _open_tags(self, ids: list[int]) -> None:
        table, (name, _) = self._view.table, self._tags_column()
        self._tagged = ids
        for cells in table.rows.held():
            if name in table.rows.columns:
                self._known_tags.update(dict.fromkeys(cells[table.rows.columns.index(name)] or ()))
        held = [table.rows.record(place) for i in ids if (place := table.rows.row_of(i)) is not None]
        tags = [list((record or {}).get(name) or ()) for record in held]
        tags += [[] for _ in range(len(ids) - len(tags))]
        if self.tag_popup is None:
            self.tag_popup = TagPopup(self._view)
            self.tag_popup.chosen.connect(self._on_tags)
        index = table.currentIndex()
        where = table.cell_position(max(0, index.row()), max(0, index.column()))
        known = [*self._known_tags, *(tag for tag in self._view.known_values(name) if tag not in self._known_tags)]
        self.tag_popup.open_tags(where, known, tags)

    @Slot(object, object)
    def _on_tags(self, add: list[str], remove: list[str]) -> None:
        view = self._view
        project, dataset, ids = view.ctx.project, view.dataset, self._tagged
        self._known_tags.update(dict.fromkeys(add))
        view.table.setFocus()
        if project is not None and dataset is not None:
            said = f"{words.plural(len(ids), 'row')} tagged."
            view.ctx.run_op(
                view, lambda: project.edits.tag(dataset.id, ids, add, remove), lambda _: self._offer_undo(said)
            )

    @Slot()
    def read_or_edit(self) -> None:
        """Enter: edit the cell."""
        self._view.table.edit_current()

    def _offer_undo(self, said: str) -> None:
        view, dataset = self._view, self._view.dataset
        if dataset is not None:
            view.ctx.notify("info", said, ("Undo", lambda: step_history(view.ctx, "undo", dataset.id)))

    # ---- menu ------------------------------------------------------------------------------------------------------

    def open_menu(self, place: QPoint) -> None:
        """Show what can be done, with its keys."""
        menu = self.menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(place)

    def menu(self) -> QMenu:
        """Everything that can be done with the chosen rows and the current cell."""
        table, view = self._view.table, self._view
        menu = QMenu(table)
        index = table.currentIndex()
        is_there = index.isValid() and view.can_edit
        can_cell = is_there and table.rows.can_edit(index.column())
        count = table.selected_count()
        rows = "rows" if count != 1 else "row"
        self._add(menu, self.tr("Edit cell"), "F2", table.edit_current, can_cell)
        self._add(menu, self.tr("Set to null"), "Ctrl+0", self.set_null, can_cell)
        menu.addSeparator()
        self._add(menu, self.tr("Copy cells"), "Ctrl+C", lambda: table.copy_rows(as_json=False), count > 0)
        self._add(menu, self.tr("Copy as JSON"), "Ctrl+Shift+C", lambda: table.copy_rows(as_json=True), count > 0)
        if index.isValid():
            self._add_filters(menu, index.row(), table.rows.shown_column(index.column()))
        menu.addSeparator()
        self._add(menu, self.tr("Tag…"), "T", self.tag, is_there)
        self._add(menu, self.tr("Rate up"), "+", lambda: self.rate(1), is_there)
        self._add(menu, self.tr("Rate down"), "-", lambda: self.rate(-1), is_there)
        self._add(menu, self.tr("No rating"), "0", lambda: self.rate(None), is_there)
        menu.addSeparator()
        self._add(menu, self.tr("New row"), "Ins", self.insert, view.can_edit)
        self._add(menu, f"Duplicate {rows}", "Ctrl+D", self.duplicate, is_there)
        self._add(menu, f"Drop {rows}", "Del", self.drop, is_there)
        if index.isValid():
            menu.addSeparator()
            name = words.short(one_line(table.rows.shown_column(index.column())), 40).replace("&", "&&")
            view.column_menu.fill(menu.addMenu(self.tr("Column {}").format(name)), index.column())
        return menu

    def _add_filters(self, menu: QMenu, row: int, name: str) -> None:
        table, view = self._view.table, self._view
        value = (table.rows.record(row) or {}).get(name)
        column = FilterColumn(name, table.rows.types.get(name, ""))
        menu.addSeparator()
        if value is None:
            only = ColumnFilter(name, "empty")
        elif column.kind in ("text", "number", "boolean", "time"):
            only = ColumnFilter(name, "equals", (value,))
        else:
            return
        shown = words.short(one_line(only.in_words())).replace("&", "&&")
        self._add(menu, f"Only rows where {shown}", "", lambda: view.bar.add_condition(only), True)

    def _add(self, menu: QMenu, text: str, keys: str, act: Callable[[], object], can: bool) -> QAction:
        # Shown, not bound: the table itself answers the keys, and a bound one would be ambiguous.
        action = menu.addAction(f"{text}\t{keys}" if keys else text)
        action.setEnabled(can)
        action.triggered.connect(lambda: act())
        return action
