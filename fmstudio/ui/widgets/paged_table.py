"""`PagedTable`: rows of any number in a table that only ever holds a few pages of them.

The model asks a `fetch` function for pages; it knows nothing of projects. Cells are shown in one line, messages as
``user: …  assistant: …``, numbers to the right.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from fmstudio.ui.theme import ROW_HEIGHT

PAGE_ROWS = 200
PAGES_KEPT = 24
CELL_CHARS = 300
TIP_CHARS = 1_500
MOST_ROWS = 2_000_000_000 // ROW_HEIGHT
"""More rows than this do not fit into Qt's scroll range (31 bits of pixels)."""

ROLE_WORDS = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}

_Index = QModelIndex | QPersistentModelIndex


class RowsPage(Protocol):
    """What a fetch delivers: column names, rows as tuples, position of the first one, number of all that match."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def rows(self) -> list[tuple[Any, ...]]: ...
    @property
    def offset(self) -> int: ...
    @property
    def total(self) -> int: ...


@dataclass(frozen=True, slots=True)
class FixedPage:
    """Rows that are all there already."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    offset: int
    total: int


Fetch = Callable[[int, int, Callable[[RowsPage], None]], None]
"""``fetch(offset, limit, deliver)``: gets rows in the background and calls `deliver` on the main thread."""


class PagedRows(QAbstractTableModel):
    """Table model over pages; a page is fetched when one of its rows is first looked at.

    Signals:
        total_known: (rows) how many rows match, after each fetch.
    """

    total_known = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fetch: Fetch | None = None
        self._columns: tuple[str, ...] = ()
        self._hidden: frozenset[str] = frozenset()
        self._shown: list[int] = []
        self._total = 0
        self._pages: OrderedDict[int, list[tuple[Any, ...]]] = OrderedDict()
        self._wanted: set[int] = set()
        self._asked: set[int] = set()
        self._generation = 0
        self._numeric: set[int] = set()
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self._request)

    def load(self, fetch: Fetch | None, hidden: frozenset[str] = frozenset()) -> None:
        """Show other rows (None = nothing); what comes late for the old ones is dropped."""
        self._fetch, self._hidden = fetch, hidden
        self._generation += 1
        self._pages.clear()
        self._wanted.clear()
        self._asked.clear()
        if fetch is None:
            self._reset((), 0, [])
        else:
            self._ask(0)

    def load_records(self, records: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
        """Show rows that are all there already."""
        names = tuple(columns)
        rows = [tuple(record.get(name) for name in names) for record in records]

        def fetch(offset: int, limit: int, deliver: Callable[[RowsPage], None]) -> None:
            deliver(FixedPage(names, rows[offset : offset + limit], offset, len(rows)))

        self.load(fetch)

    @property
    def total(self) -> int:
        """Number of rows that match."""
        return self._total

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, hidden ones too."""
        return self._columns

    def shown_column(self, section: int) -> str:
        """Name of the column shown at that place."""
        return self._columns[self._shown[section]]

    def record(self, row: int) -> dict[str, Any] | None:
        """One row as a mapping; None while it is being fetched."""
        cells = self._cells(row)
        return None if cells is None else dict(zip(self._columns, cells, strict=True))

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Qt: number of rows."""
        return 0 if parent.isValid() else min(self._total, MOST_ROWS)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Qt: number of shown columns."""
        return 0 if parent.isValid() else len(self._shown)

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
        """Qt: text, tooltip and alignment of a cell; "…" until its page is there."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(index.column())
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        cells = self._cells(index.row())
        if cells is None:
            return "…" if role == Qt.ItemDataRole.DisplayRole else None
        value = cells[self._shown[index.column()]]
        if role == Qt.ItemDataRole.DisplayRole:
            return cell_text(value)
        text = full_text(value)
        return text[:TIP_CHARS] if len(text) > 24 else None

    def _alignment(self, section: int) -> int:
        side = Qt.AlignmentFlag.AlignRight if section in self._numeric else Qt.AlignmentFlag.AlignLeft
        return int(side | Qt.AlignmentFlag.AlignVCenter)

    def _cells(self, row: int) -> tuple[Any, ...] | None:
        number, place = divmod(row, PAGE_ROWS)
        page = self._pages.get(number)
        if page is None:
            self._wanted.add(number)
            self._soon.start()
            return None
        self._pages.move_to_end(number)
        return page[place] if place < len(page) else None

    @Slot()
    def _request(self) -> None:
        wanted, self._wanted = sorted(self._wanted), set()
        for number in wanted[-4:]:  # while someone drags the scroll bar only the last places matter
            if number not in self._pages and number not in self._asked:
                self._ask(number)

    def _ask(self, number: int) -> None:
        if self._fetch is None:
            return
        generation = self._generation
        self._asked.add(number)

        def deliver(page: RowsPage) -> None:
            if generation == self._generation:
                self._take(number, page)

        self._fetch(number * PAGE_ROWS, PAGE_ROWS, deliver)

    def _take(self, number: int, page: RowsPage) -> None:
        self._asked.discard(number)
        self._pages[number] = page.rows
        while len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)
        if page.columns != self._columns or page.total != self._total:
            self._reset(page.columns, page.total, page.rows)
        elif page.rows:
            first = number * PAGE_ROWS
            self.dataChanged.emit(self.index(first, 0), self.index(first + len(page.rows) - 1, len(self._shown) - 1))
        self.total_known.emit(page.total)

    def _reset(self, columns: tuple[str, ...], total: int, sample: list[tuple[Any, ...]]) -> None:
        self.beginResetModel()
        self._columns, self._total = columns, total
        self._shown = [i for i, name in enumerate(columns) if name not in self._hidden]
        self._numeric = {place for place, i in enumerate(self._shown) if _is_numeric([row[i] for row in sample[:50]])}
        self.endResetModel()


class PagedTable(QTableView):
    """A table over `PagedRows`: 28-pixel rows, column widths from the first page, Ctrl+C copies rows as JSON Lines.

    Signals:
        row_chosen: (row number) the current row changed; -1 = none.
    """

    row_chosen = Signal(int)

    def __init__(self, name: str = "Rows") -> None:
        super().__init__()
        self.rows = PagedRows(self)
        self._is_fitted, self._is_fitting = True, False
        self.setModel(self.rows)
        self.setAccessibleName(name)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        style_header(self)
        self.rows.modelReset.connect(self._set_widths)
        self.horizontalHeader().sectionResized.connect(self._on_section_resized)
        self.selectionModel().currentRowChanged.connect(self._on_row)

    @Slot()
    def _set_widths(self) -> None:
        """Give each column what its first rows need; the widest takes what is left, or gives what is missing."""
        self._is_fitting = True
        wishes = [self._wish(section) for section in range(self.rows.columnCount())]
        digits = self.fontMetrics().horizontalAdvance(f"{self.rows.total:,}")
        self.verticalHeader().setFixedWidth(digits + 24)
        if wishes:
            widest = wishes.index(max(wishes))
            frame = 2 * self.frameWidth() + self.verticalScrollBar().sizeHint().width() + 2
            side = 0 if self.verticalHeader().isHidden() else digits + 24
            wishes[widest] = max(min(240, wishes[widest]), wishes[widest] + self.width() - frame - side - sum(wishes))
        for section, wish in enumerate(wishes):
            self.setColumnWidth(section, wish)
        self._is_fitting = False

    def _wish(self, section: int) -> int:
        name = self.rows.shown_column(section)
        records = [self.rows.record(row) for row in range(min(30, self.rows.total))]
        texts = [cell_text(record[name])[:120] for record in records if record]
        metrics = self.fontMetrics()
        return min(max([64, *(metrics.horizontalAdvance(text) + 26 for text in [*texts, f"{name} "])]), 480)

    @Slot(int, int, int)
    def _on_section_resized(self, section: int, old: int, new: int) -> None:
        if not self._is_fitting:
            self._is_fitted = False  # from now on the user's widths hold

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: keep the columns filling the width until the user has set one."""
        super().resizeEvent(event)
        if self._is_fitted and event.oldSize().width() != event.size().width():
            self._set_widths()

    @Slot(QModelIndex, QModelIndex)
    def _on_row(self, current: QModelIndex, previous: QModelIndex) -> None:
        self.row_chosen.emit(current.row() if current.isValid() else -1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Ctrl+C copies the selected rows."""
        if event.matches(QKeySequence.StandardKey.Copy):
            records = [self.rows.record(i.row()) for i in self.selectionModel().selectedRows()]
            lines = [json.dumps(r, ensure_ascii=False, default=str) for r in records if r is not None]
            QGuiApplication.clipboard().setText("\n".join(lines))
            return
        super().keyPressEvent(event)


def style_header(table: QTableView, *, numbered: bool = True) -> None:
    """Give a table the common row height and header."""
    vertical = table.verticalHeader()
    vertical.setDefaultSectionSize(ROW_HEIGHT)
    vertical.setMinimumSectionSize(ROW_HEIGHT)
    vertical.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    vertical.setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    vertical.setVisible(numbered)
    horizontal = table.horizontalHeader()
    horizontal.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    horizontal.setHighlightSections(False)
    horizontal.setStretchLastSection(not numbered)


def cell_text(value: Any) -> str:
    """One line for a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if is_messages(value):
        return "   ".join(f"{message['role']}: {message['content']}" for message in value)[:CELL_CHARS].replace(
            "\n", " "
        )
    if isinstance(value, list | tuple) and value and all(isinstance(item, float) for item in value):
        return f"{len(value):,} numbers"
    return full_text(value)[:CELL_CHARS].replace("\n", " ⏎ ")


def full_text(value: Any) -> str:
    """The whole of a value, for tooltips and the inspector."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if is_messages(value):
        return "\n".join(f"{ROLE_WORDS.get(m['role'], m['role'])}: {m['content']}" for m in value)
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str, indent=2)
    return str(value)


def is_messages(value: Any) -> bool:
    """Whether a value is a list of role and content pairs."""
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in value)
    )


def _is_numeric(values: list[Any]) -> bool:
    there = [value for value in values if value is not None]
    return bool(there) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in there)
