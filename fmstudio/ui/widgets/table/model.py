"""`PagedRows`: a table model that only ever holds a few pages of any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal, Slot
from PySide6.QtWidgets import QWidget

from fmstudio.ui.theme import ROW_HEIGHT
from fmstudio.ui.widgets.table.cache import PAGE_ROWS, PageCache
from fmstudio.ui.widgets.table.source import Fetch, FixedPage, RowsPage
from fmstudio.ui.widgets.table.values import (
    SAMPLE_ROWS,
    CellKind,
    cell_text,
    full_text,
    is_short,
    kind_of_values,
)

MOST_ASKED = 3
"""Pages on their way at once: as many as there are readers, so that what is looked at now never waits in a queue."""
TIP_CHARS = 1_500
MOST_ROWS = 2_000_000_000 // ROW_HEIGHT
"""More rows than this do not fit into Qt's scroll range (31 bits of pixels)."""
ROW_ID = "row_id"

_Index = QModelIndex | QPersistentModelIndex


class PagedRows(QAbstractTableModel):
    """Table model over pages; a page is fetched when one of its rows is first looked at.

    Signals:
        total_known: (rows) how many rows match, after each fetch.
        first_there: The first rows are there before it is known how many match.
        cell_edited: (row, column name, new value) the user typed another value; nothing is changed here yet.
    """

    total_known = Signal(int)
    first_there = Signal()
    _request_wanted = Signal()
    cell_edited = Signal(int, str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.types: dict[str, str] = {}
        """Types of the columns by name, where they are known."""
        self.amounts: frozenset[str] = frozenset()
        """Columns whose texts are amounts (a size with its unit, a change with its sign): at the right, as numbers are."""
        self.locked: frozenset[str] | None = None
        """Columns that cannot be edited; None = the whole table is only to be read."""
        self.marked: set[tuple[int, str]] = set()
        """Cells (row id, column) shown as edited."""
        self.keeps_place = False
        """Whether the reset now going on shows the same rows again, so that views keep their place."""
        self.is_counted = False
        """Whether `total` is the number of all that match what was asked last; else that is still being looked for."""
        self.version = 0
        """Grows with every change of what is shown; painters keep what they prepared under it."""
        self._fetch: Fetch | None = None
        self._columns: tuple[str, ...] = ()
        self._hidden: frozenset[str] = frozenset()
        self._shown: list[int] = []
        self._kinds: list[CellKind] = []
        self._total = 0
        self._id_place = -1
        self._pages = PageCache()
        self._stale: set[int] = set()
        self._seen: tuple[int, int, int] = (0, 0, 1)
        self._wanted: list[int] = []
        self._asked: set[int] = set()
        self._generation = 0
        self._is_new = True
        self._is_request_wanted = False
        self._request_wanted.connect(self._request, Qt.ConnectionType.QueuedConnection)

    # ---- what to show ----------------------------------------------------------------------------------------------

    def load(self, fetch: Fetch | None, hidden: frozenset[str] = frozenset()) -> None:
        """Show other rows (None = nothing); what comes late for the old ones is dropped.

        The rows before stay to be seen until the first page of the new ones is there.
        """
        self._fetch, self._hidden, self._is_new, self.is_counted = fetch, hidden, True, False
        self._forget_requests()
        if fetch is None:
            self._pages.clear()
            self._reset((), 0, [], keeps_place=False)
        else:
            self._ask(0)

    def load_records(self, records: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
        """Show rows that are all there already."""
        names = tuple(columns)
        rows = [tuple(record.get(name) for name in names) for record in records]

        def fetch(offset: int, limit: int, deliver: Callable[[RowsPage], None]) -> None:
            deliver(FixedPage(names, rows[offset : offset + limit], offset, len(rows)))

        self.load(fetch)

    def refresh(self) -> None:
        """Fetch again what is in sight, without losing the place; the old values stay until the new ones come."""
        if self._fetch is None:
            return
        self._forget_requests()
        if self._is_new:  # what is on its way was asked for before the rows changed
            self._ask(0)
            return
        first, last = self._seen[0] // PAGE_ROWS, self._seen[1] // PAGE_ROWS
        self._stale = self._pages.numbers()
        self._wanted = list(range(first, last + 1))
        self._request_soon()

    def patch(self, row_id: int, values: Mapping[str, Any]) -> None:
        """Show other values in a row at once, before the store has them; does nothing where the row is not held."""
        place = self.row_of(row_id)
        found = None if place is None else self._pages.row(place)
        if place is None or found is None:
            return
        cells = list(found)
        for name, value in values.items():
            if name in self._columns:
                cells[self._columns.index(name)] = value
                self.marked.add((row_id, name))
        self._pages.replace(place, tuple(cells))
        self.version += 1
        self.dataChanged.emit(self.index(place, 0), self.index(place, max(0, len(self._shown) - 1)))

    def look_at(self, first: int, last: int) -> None:
        """Say which rows are in sight; missing pages are asked for, and then the one the scrolling leads to."""
        forward = 1 if (first, last) >= self._seen[:2] else -1
        if first == self._seen[0]:
            forward = self._seen[2]
        self._seen = (first, last, forward)
        self._request_soon()

    # ---- what is there ---------------------------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Number of rows that match, as far as they were counted."""
        return self._total

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, hidden ones too."""
        return self._columns

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the columns the table shows, in the model's order."""
        return tuple(self._columns[i] for i in self._shown)

    def shown_column(self, section: int) -> str:
        """Name of the column shown at that place."""
        return self._columns[self._shown[section]]

    def kind(self, section: int) -> CellKind:
        """What the column shown at that place holds."""
        return self._kinds[section]

    def record(self, row: int) -> dict[str, Any] | None:
        """One row as a mapping; None while it is being fetched."""
        cells = self.cells(row)
        if cells is None:
            self._want(row)
            return None
        return dict(zip(self._columns, cells, strict=True))

    def cells(self, row: int) -> tuple[Any, ...] | None:
        """Values of a row in the order of `columns`; None while it is not there. Asks for nothing."""
        return self._pages.row(row)

    def read(self, first: int, count: int, deliver: Callable[[list[tuple[Any, ...]]], None]) -> None:
        """Fetch rows without holding them, as far as they are there; never delivers when others are shown meanwhile."""
        generation, is_there = self._generation, False

        def take(page: RowsPage) -> None:
            nonlocal is_there
            is_whole = page.is_counted or len(page.rows) >= count
            if generation == self._generation and is_whole and not is_there:
                is_there = True
                deliver(page.rows)

        if self._fetch is not None:
            self._fetch(first, count, take)

    def place(self, section: int) -> int:
        """Where the value of a shown column is among a row's `cells`."""
        return self._shown[section]

    def value(self, row: int, section: int) -> Any:
        """Value of a shown cell; None while its row is not there."""
        return None if (cells := self.cells(row)) is None else cells[self._shown[section]]

    def row_id(self, row: int) -> int | None:
        """The row's id; None while it is not there, or has none."""
        cells = self.cells(row)
        return None if cells is None or self._id_place < 0 else int(cells[self._id_place])

    def row_of(self, row_id: int) -> int | None:
        """Where a row is among those held; None when it is not."""
        return None if self._id_place < 0 else self._pages.place_of(self._id_place, row_id)

    def held(self) -> Iterable[tuple[Any, ...]]:
        """All rows held now, in no order."""
        return self._pages.rows()

    def can_edit(self, section: int) -> bool:
        """Whether cells of the column shown there can be edited."""
        return self.locked is not None and self.shown_column(section) not in self.locked

    # ---- Qt --------------------------------------------------------------------------------------------------------

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Qt: number of rows."""
        return 0 if parent.isValid() else min(self._total, MOST_ROWS)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Qt: number of shown columns."""
        return 0 if parent.isValid() else len(self._shown)

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Qt: short values of an editable table can be typed over."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren
        if index.isValid() and self.locked is not None and self.can_edit(index.column()):
            value, kind = self.value(index.row(), index.column()), self._kinds[index.column()]
            if self.cells(index.row()) is not None and is_short(value, kind):
                flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: column names, and row numbers from 1."""
        if orientation == Qt.Orientation.Vertical:
            return f"{section + 1:,}" if role == Qt.ItemDataRole.DisplayRole else None
        if section >= len(self._shown):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._columns[self._shown[section]]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(section)
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: text, tooltip, alignment and value of a cell; "…" until its page is there."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(index.column())
        roles = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.EditRole)
        if role not in roles:
            return None
        cells = self.cells(index.row())
        if cells is None:
            self._want(index.row())
            return "…" if role == Qt.ItemDataRole.DisplayRole else None
        value = cells[self._shown[index.column()]]
        if role == Qt.ItemDataRole.EditRole:
            return value
        if role == Qt.ItemDataRole.DisplayRole:
            return cell_text(value)
        text = full_text(value)
        return text[:TIP_CHARS] if len(text) > 24 else None

    def setData(self, index: _Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Qt: tell that the user typed another value; whoever owns the rows changes them."""
        if role != Qt.ItemDataRole.EditRole or not index.isValid():
            return False
        before = self.value(index.row(), index.column())
        if value != before or type(value) is not type(before):
            self.cell_edited.emit(index.row(), self.shown_column(index.column()), value)
        return True

    def _alignment(self, section: int) -> int:
        is_number = section < len(self._kinds) and self._kinds[section] == "number"
        side = Qt.AlignmentFlag.AlignRight if is_number else Qt.AlignmentFlag.AlignLeft
        return int(side | Qt.AlignmentFlag.AlignVCenter)

    # ---- fetching --------------------------------------------------------------------------------------------------

    def _want(self, row: int) -> None:
        if not 0 <= row < max(1, self._total):
            return
        number = row // PAGE_ROWS
        if number not in self._wanted and number not in self._asked:
            self._wanted.append(number)
            self._request_soon()

    def _request_soon(self) -> None:
        """Ask once for all that is wanted by now; before the rows are painted, so that a page is read meanwhile."""
        if not self._is_request_wanted:
            self._is_request_wanted = True
            self._request_wanted.emit()

    @Slot()
    def _request(self) -> None:
        """Ask for what is in sight now, then for what else was wanted, newest first, then ahead; never for a queue."""
        self._is_request_wanted = False
        if self._is_new:  # the first page is on its way; what is in sight belongs to the rows before
            return
        first, last = self._seen[0] // PAGE_ROWS, min(self._seen[1], max(0, self._total - 1)) // PAGE_ROWS
        in_sight = range(first, last + 1)
        ahead = [last + 1 if self._seen[2] > 0 else first - 1]
        if not all(number in self._pages for number in in_sight):
            ahead = []  # it would only slow down what is waited for
        self._wanted = self._wanted[-4:]  # while someone drags the scroll bar only the last places matter
        for number in [*in_sight, *reversed(self._wanted), *ahead]:
            if len(self._asked) >= MOST_ASKED:
                return
            is_there = number in self._pages and number not in self._stale
            if number < 0 or is_there or number in self._asked or (number and number * PAGE_ROWS >= self._total):
                continue
            self._ask(number)

    def _ask(self, number: int) -> None:
        if self._fetch is None:
            return
        generation = self._generation
        self._asked.add(number)
        if number in self._wanted:
            self._wanted.remove(number)

        def deliver(page: RowsPage) -> None:
            if generation == self._generation:
                self._take(number, page)

        self._fetch(number * PAGE_ROWS, PAGE_ROWS, deliver)

    def _forget_requests(self) -> None:
        self._generation += 1
        self._wanted.clear()
        self._asked.clear()
        self._stale.clear()

    def _take(self, number: int, page: RowsPage) -> None:
        self._asked.discard(number)
        if self._is_new or page.columns != self._columns:
            is_same = not self._is_new
            self._is_new = False
            self._pages.clear()
            self._keep(number, page.rows)
            self._reset(page.columns, page.total, page.rows, keeps_place=is_same)
        else:
            self._keep(number, page.rows)
            if page.is_counted:
                self._set_total(page.total)
            self._changed(number, len(page.rows))
        self.is_counted = page.is_counted
        if page.is_counted:
            self.total_known.emit(page.total)
        else:
            self.first_there.emit()
        self._request_soon()

    def _keep(self, number: int, rows: list[tuple[Any, ...]]) -> None:
        self._stale.discard(number)
        self._pages.keep(number, rows, range(self._seen[0] // PAGE_ROWS, self._seen[1] // PAGE_ROWS + 1))

    def _changed(self, number: int, count: int) -> None:
        self.version += 1
        if count and self._shown:
            first = number * PAGE_ROWS
            last = min(first + count, self.rowCount()) - 1
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(self._shown) - 1))

    def _set_total(self, total: int) -> None:
        before, now = min(self._total, MOST_ROWS), min(total, MOST_ROWS)
        if now > before:
            self.beginInsertRows(QModelIndex(), before, now - 1)
            self._total = total
            self.endInsertRows()
        elif now < before:
            self.beginRemoveRows(QModelIndex(), now, before - 1)
            self._total = total
            self.endRemoveRows()

    def _reset(self, columns: tuple[str, ...], total: int, sample: list[tuple[Any, ...]], *, keeps_place: bool) -> None:
        self.keeps_place = keeps_place
        self.version += 1
        self.beginResetModel()
        self._columns, self._total = columns, total
        self._id_place = columns.index(ROW_ID) if ROW_ID in columns else -1
        self._shown = [i for i, name in enumerate(columns) if name not in self._hidden]
        self._kinds = [
            "number"
            if columns[i] in self.amounts
            else kind_of_values([row[i] for row in sample[:SAMPLE_ROWS]], columns[i], self.types.get(columns[i], ""))
            for i in self._shown
        ]
        self.endResetModel()
        self.keeps_place = False
