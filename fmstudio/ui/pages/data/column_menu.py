"""The menu of a column: sort, filter by a condition of its own, hide, hold in place, fit, statistics."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt, Signal, Slot
from PySide6.QtWidgets import QLineEdit, QListWidget, QListWidgetItem, QMenu, QWidget

from fmstudio.project.filter_moments import period
from fmstudio.project.filters import ColumnFilter, FilterColumn
from fmstudio.project.statistics_moments import is_clock, is_length
from fmstudio.ui.widgets.floating import Floating
from fmstudio.ui.widgets.parts import ElidedLabel, button, column, label, row

if TYPE_CHECKING:
    from fmstudio.ui.pages.data.rows_view import RowsView

WIDTH = 280
MOST_VALUES = 60


class ConditionPopup(Floating):
    """Asks for a condition on one column: a text, a range, or some of its values.

    Signals:
        chosen: (ColumnFilter)
    """

    chosen = Signal(object)

    def __init__(self, filter_column: FilterColumn, values: Sequence[str], parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Filter by {}").format(filter_column.name))
        self._column = filter_column
        self._is_number = filter_column.kind == "number"
        self._is_moment = filter_column.kind == "time" and not is_length(filter_column.type)
        example = "09:30" if is_clock(filter_column.type) else "2024-03-01"
        if self._is_moment:
            hints = self.tr("from, e.g. {}").format(example), self.tr("to, e.g. {}").format(example)
        elif self._is_number:
            hints = self.tr("at least"), self.tr("at most")
        else:
            hints = self.tr("contains"), self.tr("equals exactly")
        self.first, self.second = self._line(hints[0]), self._line(hints[1])
        self._wanted = self.tr("Give a number, e.g. 0.5 or 1200.")
        if self._is_moment:
            self._wanted = self.tr("Give a time, e.g. 09:30.")
            if not is_clock(filter_column.type):
                self._wanted = self.tr("Give a day, e.g. 2024-03-01, a month, e.g. 2024-03, or a year.")
        self.error = label("", "danger", wrap=True)
        self.error.hide()
        self.list = QListWidget()
        self.list.setProperty("flat", "true")
        self.list.setAccessibleName(self.tr("Values"))
        for value in values[:MOST_VALUES]:
            item = QListWidgetItem(value)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable)
            item.setCheckState(Qt.CheckState.Unchecked)
            self.list.addItem(item)
        done = button(self.tr("Filter"), self.accept, kind="primary", tip=self.tr("Filter (Enter)"))
        title = ElidedLabel(self.tr("Rows where {}").format(filter_column.name), "strong")
        some = label(self.tr("is one of"), "caption")
        layout = column(
            title, self.first, self.second, some, self.list, self.error, row(None, done), gap=8, margins=(10,) * 4
        )
        self.setLayout(layout)
        for part in (some, self.list):  # only now: shown before, each would open a window of its own
            part.setVisible(bool(values))
        self.setFixedWidth(WIDTH)

    def _line(self, hint: str) -> QLineEdit:
        made = QLineEdit()
        made.setPlaceholderText(hint)
        made.setAccessibleName(hint)
        made.returnPressed.connect(self.accept)
        return made

    def open_at(self, place: QPoint) -> None:
        """Show it there, ready to type."""
        self.adjustSize()
        super().open_at(place)
        self.first.setFocus()

    @Slot()
    def accept(self) -> None:
        """Tell the condition and close; says what cannot be read."""
        try:
            condition = self._condition()
        except ValueError:
            self.error.setText(self._wanted)
            self.error.show()
            self.adjustSize()
            return
        if condition is not None:
            self.chosen.emit(condition)
        self.close_panel()

    def _condition(self) -> ColumnFilter | None:
        name, first, second = self._column.name, self.first.text().strip(), self.second.text().strip()
        items = [self.list.item(i) for i in range(self.list.count())]
        ticked = [item.text() for item in items if item.checkState() == Qt.CheckState.Checked]
        if ticked:
            return ColumnFilter(name, "one_of", tuple(self._value(text) for text in ticked))
        if self._is_number:
            bounds = (_number(first), _number(second))
            return ColumnFilter(name, "range", bounds) if bounds != (None, None) else None
        if self._is_moment:
            kind = self._column.type
            ends = (period(first, kind)[0] if first else None, period(second, kind)[1] if second else None)
            return ColumnFilter(name, "range", ends) if ends != (None, None) else None
        if second:
            return ColumnFilter(name, "equals", (second,))
        return ColumnFilter(name, "contains", (first,)) if first else None

    def _value(self, text: str) -> object:
        return _number(text) if self._is_number else text


def _number(text: str) -> float | int | Decimal | None:
    """The number typed, with all of its digits; None = nothing was.

    Raises:
        ValueError: It is none.
    """
    plain = text.replace(",", "")
    if not plain:
        return None
    try:
        return int(plain)
    except ValueError:
        value, exact = float(plain), Decimal(plain)
    return exact if exact.is_finite() and "e" not in plain.lower() else value


class ColumnMenu:
    """Builds the menu of a column of a `RowsView`."""

    def __init__(self, view: RowsView) -> None:
        self._view = view
        self.popup: ConditionPopup | None = None

    def open(self, section: int, place: QPoint) -> None:
        """Show the menu."""
        menu = self.menu(section, place)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(place)

    def menu(self, section: int, place: QPoint) -> QMenu:
        """All that can be done with a column."""
        menu = QMenu(self._view)
        self.fill(menu, section, place)
        return menu

    def fill(self, menu: QMenu, section: int, place: QPoint | None = None) -> None:
        """Put all that can be done with a column into a menu. Keys are shown, not bound: the table answers them."""
        for one in self._view.column_commands.of(section, place):
            if not one.title:
                menu.addSeparator()
                continue
            action = menu.addAction(f"{one.title}\t{one.keys}" if one.keys else one.title)
            action.setEnabled(one.can)
            if one.is_on is not None:
                action.setCheckable(True)
                action.setChecked(one.is_on)
            action.triggered.connect(lambda _=False, run=one.run: run())

    def open_condition(self, name: str, place: QPoint) -> None:
        """Ask for a condition on a column."""
        view = self._view
        asked = FilterColumn(name, view.table.rows.types.get(name, ""))
        if self.popup is not None:
            self.popup.deleteLater()
        self.popup = ConditionPopup(asked, view.known_values(name), view)
        self.popup.chosen.connect(view.bar.add_condition)
        self.popup.open_at(place)
