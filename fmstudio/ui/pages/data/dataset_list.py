"""The list of datasets at the left of the Data page: searched, sorted, and several chosen at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QItemSelectionModel, QObject, QPoint, Qt, Signal, Slot
from PySide6.QtGui import QActionGroup, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QLineEdit, QListWidget, QListWidgetItem, QMenu

from fmstudio.ui.palette import matches
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.parts import button, column, label, row, tool_button

if TYPE_CHECKING:
    from typing import Any

    from fmstudio.project.datasets import Dataset

ID = Qt.ItemDataRole.UserRole
WIDTH = 224
ORDERS: tuple[tuple[str, Callable[[Dataset], Any], bool], ...] = (
    ("Newest first", lambda dataset: dataset.created, True),
    ("Oldest first", lambda dataset: dataset.created, False),
    ("By name", lambda dataset: dataset.name.casefold(), False),
    ("Most rows first", lambda dataset: dataset.rows, True),
    ("Largest first", lambda dataset: dataset.bytes, True),
)
OLDEST = 1


class DatasetList(QFrame):
    """Names with their numbers of rows.

    Signals:
        chosen: (dataset id) one was chosen by the user.
        import_wanted: The user wants to import a file.
        other_wanted: (``folder``, ``paste`` or ``address``) the user wants to import from elsewhere.
        rename_wanted, duplicate_wanted, export_wanted: (dataset id).
        merge_wanted, delete_wanted: (list of dataset ids).
    """

    chosen = Signal(str)
    import_wanted = Signal()
    other_wanted = Signal(str)
    rename_wanted = Signal(str)
    duplicate_wanted = Signal(str)
    export_wanted = Signal(str)
    merge_wanted = Signal(object)
    delete_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._datasets: list[Dataset] = []
        self._current_id = ""
        self._order = OLDEST
        self.setProperty("panel", "left")
        self.setFixedWidth(WIDTH)
        self.list = QListWidget()
        self.list.setProperty("flat", "true")
        self.list.setAccessibleName(self.tr("Datasets"))
        self.list.setWordWrap(False)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._open_menu)
        self.list.currentItemChanged.connect(self._on_current)
        self.list.installEventFilter(self)
        self.import_button = button(
            self.tr("Import…"),
            self.import_wanted.emit,
            icon="import",
            tip=self.tr("Import a file as a dataset (Ctrl+I)"),
        )
        self.menu = self._import_menu()
        self.other_button = tool_button("chevron-down", self.tr("Import from elsewhere"))
        self.other_button.setPopupMode(self.other_button.ToolButtonPopupMode.InstantPopup)
        self.other_button.setMenu(self.menu)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Find a dataset"))
        self.search.setAccessibleName(self.tr("Find a dataset"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(lambda _: self._fill())
        self.search.installEventFilter(self)
        self.sort = tool_button("down", self.tr("Order of the datasets"))
        self.sort.setPopupMode(self.sort.ToolButtonPopupMode.InstantPopup)
        self.sort.setMenu(self._order_menu())
        self.none = label(self.tr("No dataset has this in its name."), "muted", wrap=True)
        self.none.hide()
        head = row(
            label(self.tr("Datasets"), "heading"),
            None,
            self.import_button,
            self.other_button,
            gap=2,
            margins=(8, 0, 0, 4),
        )
        find = row(self.search, self.sort, gap=2)
        self._find = (self.search, self.sort)
        layout = column(head, find, self.none, self.list, gap=4, margins=(8, 12, 8, 8))
        layout.setStretch(3, 1)
        self.setLayout(layout)

    def _import_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        for text, what in (
            (self.tr("A folder…"), "folder"),
            (f"{self.tr('The clipboard')}\tCtrl+V", "paste"),
            (self.tr("An address or hub id…"), "address"),
        ):
            action = menu.addAction(text)
            action.setData(what)
            action.triggered.connect(lambda _=False, what=what: self.other_wanted.emit(what))
        self.address = menu.actions()[-1]
        return menu

    def allow_network(self, is_allowed: bool) -> None:
        """Offer addresses, or say where the network is switched on."""
        off = self.tr("An address or hub id (network is off)")
        self.address.setText(self.tr("An address or hub id…") if is_allowed else off)
        self.address.setEnabled(is_allowed)
        tip = self.tr("A file on the web or a dataset of the Hugging Face hub")
        self.address.setToolTip(tip if is_allowed else self.tr("Switch the network on in Settings, Network"))

    def _order_menu(self) -> QMenu:
        menu, group = QMenu(self), QActionGroup(self)
        for place, (title, _, _) in enumerate(ORDERS):
            action = menu.addAction(title)
            action.setCheckable(True)
            action.setChecked(place == self._order)
            action.triggered.connect(lambda _=False, place=place: self.sort_by(place))
            group.addAction(action)
        return menu

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def sort_by(self, order: int) -> None:
        """Show the datasets in one of `ORDERS`."""
        self._order = order
        self._fill()

    def show_datasets(self, datasets: list[Dataset], current_id: str) -> None:
        """Show these, with one marked; does not emit `chosen`."""
        self._datasets, self._current_id = datasets, current_id
        for widget in self._find:
            widget.setVisible(len(datasets) > 1)
        self._fill()

    def mark(self, dataset_id: str) -> None:
        """Mark another one as the one in front; does not emit `chosen`."""
        if dataset_id != self._current_id:
            self._current_id = dataset_id
            self.list.clearSelection()
            self._fill()

    def _fill(self) -> None:
        chosen = set(self.selected())
        _, key, is_descending = ORDERS[self._order]
        shown = [d for d in self._datasets if matches(self.search.text(), d.name)]
        self.list.blockSignals(True)
        self.list.clear()
        for dataset in sorted(shown, key=key, reverse=is_descending):
            details = f"{words.plural(dataset.rows, 'row')} · version {dataset.version}"
            item = QListWidgetItem(f"{dataset.name}\n{details}")
            item.setData(ID, dataset.id)
            item.setToolTip(f"{dataset.name}\n{details}, {words.size(dataset.bytes)}")
            self.list.addItem(item)
            if dataset.id == self._current_id:
                self.list.setCurrentItem(item, QItemSelectionModel.SelectionFlag.Select)
            elif dataset.id in chosen and len(chosen) > 1:
                item.setSelected(True)
        self.list.blockSignals(False)
        self.none.setVisible(bool(self._datasets) and not shown)

    def selected(self) -> list[str]:
        """Ids of the chosen datasets, in the order shown."""
        items = [self.list.item(place) for place in range(self.list.count())]
        return [str(item.data(ID)) for item in items if item.isSelected()]

    @Slot(QListWidgetItem, QListWidgetItem)
    def _on_current(self, item: QListWidgetItem | None, _: QListWidgetItem | None) -> None:
        if item is not None:
            self._current_id = str(item.data(ID))
            self.chosen.emit(item.data(ID))

    # ---- what can be done ------------------------------------------------------------------------------------------

    def chosen_menu(self) -> QMenu:
        """What can be done with the chosen datasets."""
        ids = self.selected()
        menu = QMenu(self)
        if len(ids) > 1:
            entries: Sequence[tuple[str, Callable[[], None]]] = (
                (f"Merge {len(ids)} datasets…", lambda: self.merge_wanted.emit(ids)),
                (f"Delete {len(ids)} datasets\tDel", lambda: self.delete_wanted.emit(ids)),
            )
        else:
            one = ids[0] if ids else ""
            entries = (
                (f"{self.tr('Rename…')}\tF2", lambda: self.rename_wanted.emit(one)),
                (self.tr("Duplicate"), lambda: self.duplicate_wanted.emit(one)),
                (f"{self.tr('Export…')}\tCtrl+E", lambda: self.export_wanted.emit(one)),
                (self.tr("Merge with others…"), lambda: self.merge_wanted.emit([one])),
                (f"{self.tr('Delete')}\tDel", lambda: self.delete_wanted.emit([one])),
            )
        for text, act in entries:
            action = menu.addAction(text)
            action.setEnabled(bool(ids))
            action.triggered.connect(lambda _=False, act=act: act())
        return menu

    @Slot(QPoint)
    def _open_menu(self, place: QPoint) -> None:
        menu = self.chosen_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.list.viewport().mapToGlobal(place))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: Del deletes the chosen ones; Down leads from the field into the list, Esc empties the field."""
        if not isinstance(event, QKeyEvent):
            return super().eventFilter(watched, event)
        is_press, key = event.type() == QEvent.Type.KeyPress, event.key()
        if watched is self.list and is_press and key == Qt.Key.Key_Delete and self.selected():
            self.delete_wanted.emit(self.selected())
            return True
        if watched is self.search and key == Qt.Key.Key_Escape and self.search.text():
            if is_press:
                self.search.clear()
            event.accept()
            return True
        if watched is self.search and is_press and key in (Qt.Key.Key_Down, Qt.Key.Key_Return):
            self.list.setFocus()
            if not self.list.selectedItems() or key == Qt.Key.Key_Return:
                self.list.setCurrentRow(max(0, self.list.currentRow()))
            return True
        return super().eventFilter(watched, event)
