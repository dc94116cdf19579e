"""`PagedTable`: rows of any number in a table that only ever holds a few pages of them.

The model asks a `fetch` function for pages; it knows nothing of projects. Cells are drawn as what they are: messages as
roles and texts, tags as chips, pictures small, numbers to the right, what is missing as *null*.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from PySide6.QtCore import (
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import (
    QContextMenuEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QTableView

from fmstudio.ui.widgets.table.cache import PAGES_KEPT
from fmstudio.ui.widgets.table.copying import RowsCopier, selected_count, selected_rows
from fmstudio.ui.widgets.table.editor import CellEditor
from fmstudio.ui.widgets.table.frozen import FrozenColumns
from fmstudio.ui.widgets.table.header import ColumnHead, ColumnHeader, style_header
from fmstudio.ui.widgets.table.hover import RowHover
from fmstudio.ui.widgets.table.layout import TableLayout, arrange, shape_of
from fmstudio.ui.widgets.table.model import PagedRows
from fmstudio.ui.widgets.table.place import Place
from fmstudio.ui.widgets.table.rows_painter import RowsPainter
from fmstudio.ui.widgets.table.source import Fetch, FixedPage, RowsPage
from fmstudio.ui.widgets.table.values import ROLE_WORDS, cell_text, full_text, is_messages
from fmstudio.ui.widgets.table.widths import shared_widths, wanted_width

__all__ = [
    "PAGES_KEPT",
    "ROLE_WORDS",
    "Fetch",
    "FixedPage",
    "PagedRows",
    "PagedTable",
    "RowsPage",
    "cell_text",
    "full_text",
    "is_messages",
    "style_header",
]


class PagedTable(QTableView):
    """A table over `PagedRows`.

    Ctrl+C copies the selected rows, to spreadsheets as cells and to all else as JSON; Ctrl+Shift+C copies JSON Lines.

    Signals:
        row_chosen: (row number) the current row changed; -1 = none.
        editor_wanted: (row, column name) a value is to be edited that is too long for its cell.
        layout_changed: The user moved, resized, hid or froze columns.
    """

    row_chosen = Signal(int)
    editor_wanted = Signal(int, str)
    layout_changed = Signal()

    def __init__(self, name: str = "Rows") -> None:
        super().__init__()
        self.rows = PagedRows(self)
        self.header = ColumnHeader(self)
        self.commands: dict[str, Callable[[], object]] = {}
        """Keys of this table (as ``"Ctrl+D"``) and what they do."""
        self._frozen_count = 0
        self._is_fitted, self._is_fitting = True, False
        self._wanted_layout = TableLayout()
        self._place = Place()
        self.setHorizontalHeader(self.header)
        self.setModel(self.rows)
        self.setAccessibleName(name)
        self._set_behaviour()
        style_header(self)
        self.painter = RowsPainter(self.rows, self)
        self.frozen = FrozenColumns(self, self.painter)
        RowHover(self.painter, self, self.frozen)
        self.copier = RowsCopier(self.rows)
        self.cell_editor = CellEditor(self)
        self.setItemDelegate(self.cell_editor)
        self._connect()

    def _set_behaviour(self) -> None:
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        self.header.setSectionsMovable(True)
        self.header.setSectionsClickable(True)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def _connect(self) -> None:
        self.rows.modelAboutToBeReset.connect(self._keep_place)
        self.rows.modelReset.connect(self._on_reset)
        self.rows.rowsInserted.connect(self._on_more)
        self.rows.rowsRemoved.connect(lambda *_: self._fit_row_numbers())
        for header in (self.header, self.frozen.header):
            header.fit_wanted.connect(self.fit_column)
        self.header.sectionResized.connect(self._on_section_resized)
        self.header.sectionMoved.connect(lambda *_: self._on_layout())
        self.header.geometriesChanged.connect(self._place_frozen)
        self.selectionModel().currentRowChanged.connect(self._on_row)
        self.selectionModel().currentChanged.connect(lambda *_: self.viewport().update())
        self.verticalScrollBar().valueChanged.connect(lambda _: self._look())
        self.painter.ready.connect(self._repaint)
        self.activated.connect(self._on_activated)

    # ---- columns ---------------------------------------------------------------------------------------------------

    def show_heads(self, heads: Mapping[str, ColumnHead]) -> None:
        """Say more of columns in the header than their names."""
        had = bool(self.header.head(0).type_word) if self.rows.columnCount() else True
        self.header.show_heads(heads)
        self.frozen.header.show_heads(heads)
        if heads and not had and self._is_fitted:
            self._set_widths()
        self.updateGeometries()
        self._place_frozen()

    def show_order(self, order: Sequence[tuple[str, bool]]) -> None:
        """Mark what the rows are sorted by."""
        self.header.show_order(order)
        self.frozen.header.show_order(order)

    def layout_now(self) -> TableLayout:
        """Order, widths, hidden and frozen columns as they are."""
        return shape_of(self, self._frozen_count, with_widths=not self._is_fitted)

    def use_layout(self, layout: TableLayout) -> None:
        """Bring the columns into that shape, now and whenever the columns change."""
        self._wanted_layout = layout
        self._is_fitted = not layout.widths
        self._apply_layout()

    def _apply_layout(self) -> None:
        layout, names = self._wanted_layout, self.rows.shown
        if not names:
            return
        self._is_fitting = True
        arrange(self, layout)
        self._is_fitting = False
        self._set_widths()
        self._is_fitting = True
        for section, name in enumerate(names):
            if name in layout.widths:
                self.setColumnWidth(section, layout.widths[name])
        self._frozen_count = layout.frozen
        self._is_fitting = False
        self._place_frozen()

    def hide_column(self, name: str, is_hidden: bool) -> None:
        """Hide or show a column; the last one stays."""
        if name in self.rows.shown:
            others = [n for i, n in enumerate(self.rows.shown) if n != name and not self.isColumnHidden(i)]
            self.setColumnHidden(self.rows.shown.index(name), is_hidden and bool(others))
            self._on_layout()

    def hide_columns(self, names: Collection[str]) -> None:
        """Hide these columns and show all others, unless that would hide all."""
        if not set(self.rows.shown) <= set(names):
            self._is_fitting = True
            for section, name in enumerate(self.rows.shown):
                self.setColumnHidden(section, name in names)
            self._is_fitting = False
            self._on_layout()

    def freeze(self, count: int) -> None:
        """Hold the first `count` columns in place; 0 = none."""
        self._frozen_count = count
        self._on_layout()

    @property
    def frozen_count(self) -> int:
        """How many columns are held in place."""
        return self._frozen_count

    @Slot(int)
    def fit_column(self, section: int) -> None:
        """Make a column as wide as what is in sight needs."""
        self.setColumnWidth(section, wanted_width(self, section, widest=900))

    def _on_layout(self) -> None:
        if not self._is_fitting:
            self._place_frozen()
            self.layout_changed.emit()
            self._wanted_layout = self.layout_now()

    @Slot()
    def _place_frozen(self) -> None:
        self.frozen.follow(self._frozen_count if self.rows.columnCount() > 1 else 0)

    def _set_widths(self) -> None:
        """Give each column what its first rows need; see `shared_widths`."""
        if self._is_fitting:
            return  # the numbers at the left grew, and with them came a resize
        self._is_fitting = True
        side = self._fit_row_numbers()
        room = self.width() - 2 * self.frameWidth() - self.verticalScrollBar().sizeHint().width() - 2 - side
        for section, wish in shared_widths(self, room).items():
            self.setColumnWidth(section, wish)
        self._is_fitting = False
        self._place_frozen()

    def _fit_row_numbers(self) -> int:
        width = self.fontMetrics().horizontalAdvance(f"{self.rows.total:,}") + 24
        if self.verticalHeader().width() != width:
            self.verticalHeader().setFixedWidth(width)
        return 0 if self.verticalHeader().isHidden() else width

    @Slot(int, int, int)
    def _on_section_resized(self, section: int, old: int, new: int) -> None:
        if not self._is_fitting and old != new and new:
            self._is_fitted = False  # from now on the user's widths hold
            self._on_layout()

    # ---- rows ------------------------------------------------------------------------------------------------------

    def selected_rows(self) -> list[int]:
        """Numbers of the selected rows in order, a hundred thousand at most."""
        return selected_rows(self.selectionModel())

    def selected_count(self) -> int:
        """How many rows are selected, without listing them."""
        return selected_count(self.selectionModel())

    def selectAll(self) -> None:
        """Qt: select all rows; Qt's own way asks each row and takes minutes at ten million."""
        last = self.rows.index(self.rows.rowCount() - 1, self.rows.columnCount() - 1)
        everything = QItemSelection(self.rows.index(0, 0), last)
        self.selectionModel().select(everything, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    @Slot(QModelIndex, int)
    def _on_more(self, _: QModelIndex, first: int) -> None:
        self._fit_row_numbers()
        if not self.rows.is_counted and 0 < first == self.selected_count():  # all were chosen, so all are
            self.selectAll()

    def go_to(self, row: int) -> None:
        """Make a row the current one and bring it into sight."""
        if 0 <= row < self.rows.rowCount():
            column = max(0, self.currentIndex().column())
            self.setCurrentIndex(self.rows.index(row, column))
            self.scrollTo(self.rows.index(row, column))

    def scrollTo(
        self,
        index: QModelIndex | QPersistentModelIndex,
        hint: QAbstractItemView.ScrollHint = QAbstractItemView.ScrollHint.EnsureVisible,
    ) -> None:
        """Qt: bring a cell into sight, also from behind the columns held in place."""
        bar = self.horizontalScrollBar()
        before = bar.value()
        super().scrollTo(index, hint)
        if self.frozen.holds(index.column()):
            bar.setValue(before)
        else:
            bar.setValue(bar.value() - max(0, self.frozen.covered - self.visualRect(index).x()))

    @Slot()
    def _keep_place(self) -> None:
        self._place = Place.of(self)

    @Slot()
    def _on_reset(self) -> None:
        self._apply_layout()
        if self.rows.keeps_place:
            self._place.restore(self)
        else:
            self._place.begin(self)
        self._look()

    def _look(self) -> None:
        if self.rows.rowCount():
            first = max(0, self.rowAt(0))
            self.rows.look_at(first, first + self.viewport().height() // max(1, self.rowHeight(first)) + 1)

    @Slot(QModelIndex, QModelIndex)
    def _on_row(self, current: QModelIndex, previous: QModelIndex) -> None:
        self.row_chosen.emit(current.row() if current.isValid() else -1)

    # ---- editing and copying ---------------------------------------------------------------------------------------

    def edit_current(self) -> None:
        """Edit the current value: in its cell when it is short, else where there is more room."""
        index = self.currentIndex()
        if not index.isValid() or not self.rows.can_edit(index.column()):
            return
        if self.rows.flags(index) & Qt.ItemFlag.ItemIsEditable:
            self.scrollTo(index)
            self.edit(index)
        else:
            self.editor_wanted.emit(index.row(), self.rows.shown_column(index.column()))

    @Slot(QModelIndex)
    def _on_activated(self, index: QModelIndex) -> None:
        self.setCurrentIndex(index)
        self.edit_current()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Qt: edit the value under the mouse."""
        index = self.indexAt(event.position().toPoint())
        if index.isValid() and event.button() == Qt.MouseButton.LeftButton:
            self.setCurrentIndex(index)
            self.edit_current()

    def copy_rows(self, *, as_json: bool) -> None:
        """Copy the selected rows: cells for spreadsheets (and JSON beside them), or JSON Lines alone; see `copier`."""
        layout = self.layout_now()
        names = [name for name in layout.order if name not in layout.hidden]
        self.copier.copy(self.selected_rows(), self.selected_count(), names, as_json=as_json)

    # ---- Qt --------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw the rows in sight."""
        self.painter.paint(self, event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: keep the columns filling the width until the user has set one."""
        super().resizeEvent(event)
        if self._is_fitted and event.oldSize().width() != event.size().width():
            self._set_widths()
        self._place_frozen()
        self._look()

    @Slot()
    def _repaint(self) -> None:
        self.viewport().update()
        self.frozen.viewport().update()

    def event(self, event: QEvent) -> bool:
        """Qt: keys of this table go before those of the page around it; the menu key means the current cell."""
        if isinstance(event, QContextMenuEvent) and event.reason() == QContextMenuEvent.Reason.Keyboard:
            self.open_menu()
            return True
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._command(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: run the command of a key; Ctrl+C copies, Ctrl+A selects all, the rest moves about."""
        command = self._command(event)
        if command is not None:
            command()
        elif event.matches(QKeySequence.StandardKey.Copy):
            self.copy_rows(as_json=False)
        else:
            super().keyPressEvent(event)

    def _command(self, event: QKeyEvent) -> Callable[[], object] | None:
        if self.state() == QAbstractItemView.State.EditingState:
            return None
        keys = QKeySequence(event.keyCombination()).toString(QKeySequence.SequenceFormat.PortableText)
        if keys in ("Ctrl+Shift+C", "Shift+F10"):
            return self.open_menu if keys == "Shift+F10" else lambda: self.copy_rows(as_json=True)
        return self.commands.get(keys.replace("Num+", ""))

    def open_menu(self) -> None:
        """Ask for the menu at the current cell."""
        index = self.currentIndex()
        if index.isValid():
            self.scrollTo(index)
        self.customContextMenuRequested.emit(self.visualRect(index).bottomLeft())

    def header_position(self, section: int) -> QPoint:
        """Where the space below a column's header begins on the screen, to put something there."""
        header = self.header
        return header.viewport().mapToGlobal(QPoint(header.sectionViewportPosition(section), header.height() + 2))

    def cell_position(self, row: int, column: int) -> QPoint:
        """Where a cell begins on the screen, to put something beside it."""
        rect = self.visualRect(self.rows.index(row, column))
        return self.viewport().mapToGlobal(rect.bottomLeft())
