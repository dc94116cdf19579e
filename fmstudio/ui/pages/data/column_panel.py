"""The list of columns: which are shown, found by a few letters; how many are held in place."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal, Slot
from PySide6.QtWidgets import QLineEdit, QListWidget, QListWidgetItem, QWidget

from fmstudio.ui.widgets.floating import Floating
from fmstudio.ui.widgets.paged_table import PagedTable
from fmstudio.ui.widgets.parts import button, column, label, row, spin_box

WIDTH, HEIGHT = 280, 380
LONG = 28
"""Characters from which a name may be cut."""


class ColumnPanel(Floating):
    """Opens below its button and works on one table.

    Signals:
        hidden_changed: Columns were shown or hidden here.
    """

    hidden_changed = Signal()

    def __init__(self, table: PagedTable, parent: QWidget) -> None:
        super().__init__(parent)
        self._table = table
        self.setAccessibleName(self.tr("Columns"))
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Find a column"))
        self.search.setAccessibleName(self.tr("Find a column"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.list = QListWidget()
        self.list.setProperty("flat", "true")
        self.list.setAccessibleName(self.tr("Shown columns"))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # a long name is cut instead
        self.list.itemChanged.connect(self._on_item)
        self.frozen = spin_box(self)
        self.frozen.setRange(0, 12)
        self.frozen.setAccessibleName(self.tr("Columns held in place"))
        self.frozen.setToolTip(self.tr("So many columns at the left stay in sight while the others scroll sideways"))
        self.frozen.valueChanged.connect(self._table.freeze)
        every = button(self.tr("Show all"), lambda: self._set_all(True), kind="quiet")
        none = button(self.tr("Hide all but one"), lambda: self._set_all(False), kind="quiet")
        hold = row(label(self.tr("Held in place at the left"), "muted"), None, self.frozen)
        layout = column(self.search, self.list, row(every, none, None, gap=4), hold, gap=8, margins=(10, 10, 10, 10))
        layout.setStretch(1, 1)
        self.setLayout(layout)
        self.resize(WIDTH, HEIGHT)

    def open_below(self, widget: QWidget) -> None:
        """Show the panel below a widget, its right edge at that one's."""
        self.refresh()
        corner = widget.mapToGlobal(QPoint(widget.width() - self.width(), widget.height() + 4))
        self.open_at(corner)
        self.search.setFocus()

    def refresh(self) -> None:
        """List the table's columns as they are now, in their order."""
        layout = self._table.layout_now()
        self.list.blockSignals(True)
        self.list.clear()
        for name in layout.order:
            item = QListWidgetItem(name)
            item.setToolTip(name if len(name) > LONG else "")
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable)
            item.setCheckState(Qt.CheckState.Unchecked if name in layout.hidden else Qt.CheckState.Checked)
            self.list.addItem(item)
        self.list.blockSignals(False)
        self.frozen.blockSignals(True)
        self.frozen.setValue(layout.frozen)
        self.frozen.blockSignals(False)
        self._filter(self.search.text())

    @Slot(QListWidgetItem)
    def _on_item(self, item: QListWidgetItem) -> None:
        self._table.hide_column(item.text(), item.checkState() == Qt.CheckState.Unchecked)
        self.hidden_changed.emit()
        self.refresh()

    @Slot(str)
    def _filter(self, text: str) -> None:
        for place in range(self.list.count()):
            item = self.list.item(place)
            item.setHidden(text.lower() not in item.text().lower())

    def _set_all(self, is_shown: bool) -> None:
        self._table.hide_columns(frozenset() if is_shown else frozenset(self._table.layout_now().order[1:]))
        self.hidden_changed.emit()
        self.refresh()
