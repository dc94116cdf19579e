"""A simple chart of a query's result: which columns, and as bars, a line or points."""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

from PySide6.QtWidgets import QMenu, QStackedWidget, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.line_plot import Series
from fmstudio.ui.widgets.narrow_combo import NarrowCombo
from fmstudio.ui.widgets.parts import button, column, label, row
from fmstudio.ui.widgets.result_plot import MOST_BARS, PlotKind, ResultPlot
from fmstudio.ui.widgets.table.values import named_text
from fmstudio.ui.widgets.time_axis import moment_number, moment_words, read_moment

if TYPE_CHECKING:
    from fmstudio.project.console import ConsoleResult

TITLES: dict[PlotKind, str] = {"bars": "Bars", "line": "Line", "points": "Points"}
MOST_POINTS = 5_000
_NO_END = (datetime.datetime(9999, 12, 31, 23, 59, 59) - datetime.datetime(1970, 1, 1)).total_seconds()


class SqlChart(QWidget):
    """Chart kind, x and y beside each other over the chart."""

    def __init__(self) -> None:
        super().__init__()
        self._result: ConsoleResult | None = None
        self.kind, self.across, self.up = NarrowCombo(8), NarrowCombo(8), NarrowCombo(8)
        for box, name in ((self.kind, "Kind of chart"), (self.across, "Column across"), (self.up, "Column up")):
            box.setAccessibleName(name)
        for kind in get_args(PlotKind):
            self.kind.addItem(TITLES[kind], kind)
        self.plot = ResultPlot(self.tr("Result of the query"))
        self.note = label("", "caption", wrap=True)
        self.save_button = button(self.tr("Save…"), icon="save", tip=self.tr("Copy or save the chart or its values"))
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.save_button.setMenu(self._menu)
        names = (label(self.tr("Across"), "muted"), label(self.tr("Up"), "muted"))
        bar = row(self.kind, names[0], self.across, names[1], self.up, None, self.save_button, gap=8)
        for box in (self.kind, self.across, self.up):
            box.currentIndexChanged.connect(lambda _: self._draw())
        self._none = EmptyState(
            "evaluation",
            self.tr("Nothing to draw"),
            self.tr("A chart needs a column of numbers, e.g. count(*) by group."),
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(self.plot)
        self._stack.addWidget(self._none)
        layout = column(bar, self.note, self._stack, gap=6)
        layout.setStretch(2, 1)
        self.setLayout(layout)

    def show_result(self, result: ConsoleResult) -> None:
        """Offer the columns of a result; what was chosen stays when it is there again, the other is another column."""
        before = (self.across.currentText(), self.up.currentText())
        self._result = result
        numbers = [i for i in range(len(result.columns)) if _is_all(result, i, _number)]
        for box in (self.across, self.up):
            box.blockSignals(True)
            box.clear()
        for place, name in enumerate(result.columns):
            self.across.addItem(name, place)
            if place in numbers:
                self.up.addItem(name, place)
        kept, up = self.across.findText(before[0]), self.up.findText(before[1])
        others = [i for i in range(len(result.columns)) if up < 0 or i != self.up.itemData(up)]
        first = next((i for i in others if i not in numbers), next(iter(others), 0))
        self.across.setCurrentIndex(kept if kept >= 0 else first)
        wanted = next((i for i in numbers if i != self.across.currentData()), numbers[0] if numbers else -1)
        self.up.setCurrentIndex(up if up >= 0 else self.up.findData(wanted))
        if self.across.currentData() == self.up.currentData() and (apart := set(range(len(result.columns))) - {wanted}):
            # A column over itself says nothing.
            self.across.setCurrentIndex(min(apart, key=lambda place: (place in numbers, place)))
        for box in (self.across, self.up):
            box.blockSignals(False)
        self._draw()

    def _draw(self) -> None:
        result, up = self._result, self.up.currentData()
        if result is None or up is None or not result.rows:
            self._stack.setCurrentWidget(self._none)
            self._tell("")
            return
        kind: PlotKind = self.kind.currentData()
        across, most = int(self.across.currentData()), MOST_BARS if kind == "bars" else MOST_POINTS
        rows = [r for r in result.rows if _height(r[up]) is not None][:most]
        is_time = _is_all(result, across, _moment)
        is_axis = kind != "bars" and (is_time or _is_all(result, across, _number))
        place = _moment if is_time else _number
        xs = [place(r[across]) for r in rows] if is_axis else list(range(len(rows)))
        places = [None if x is None else _height(x) for x in xs]
        pairs = sorted((x, float(r[up])) for x, r in zip(places, rows, strict=True) if x is not None)
        names = [] if is_axis else [_name(r[across], is_time=is_time) for r in rows]
        shown, over = self.up.currentText(), self.across.currentText()
        self.plot.show_values(kind, over, shown, [Series(shown, pairs)], names, is_time=is_time)
        is_cut = len(rows) == most < len(result.rows)
        self._tell(f"Drawn: the first {words.number(most)} of {words.number(len(result.rows))} rows." if is_cut else "")
        self._stack.setCurrentWidget(self.plot if pairs else self._none)

    def _tell(self, note: str) -> None:
        self.note.setText(note)
        self.note.setVisible(bool(note))

    def _fill_menu(self) -> None:
        self._menu.clear()
        self._menu.addActions(self.plot.actions_for(self._menu))


def _is_all(result: ConsoleResult, place: int, read: Callable[[Any], float | None]) -> bool:
    """Whether a column holds what `read` can tell the place of, and nothing else."""
    there = [r[place] for r in result.rows[:200] if r[place] is not None]
    return bool(there) and all(read(value) is not None for value in there)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)
    return float(value) if is_number else None


def _height(value: Any) -> float | None:
    """A number that has a place on an axis; none of what is missing, NaN or infinite."""
    number = _number(value)
    return number if number is not None and math.isfinite(number) else None


def _moment(value: Any) -> float | None:
    """A moment; none of the last second of the calendar, which stands for a time without an end."""
    moment = moment_number(value) if isinstance(value, datetime.date) else None
    if isinstance(value, str):
        moment = read_moment(value)
    return moment if moment is not None and moment < _NO_END else None


def _name(value: Any, *, is_time: bool) -> str:
    """What a bar is called: a value as it stands, for a whole number may be a year."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    moment = _moment(value) if is_time else None
    return named_text(_keyed(value)) if moment is None else moment_words(moment)


def plain_rows(result: ConsoleResult) -> list[tuple[Any, ...]]:
    """Values as the table knows them: dates as text, keys of maps as text."""
    maps = {place for place, kind in enumerate(result.types) if "MAP(" in kind}
    return [
        tuple(_keyed(value) if place in maps else _plain(value) for place, value in enumerate(cells))
        if maps or any(isinstance(value, datetime.date) for value in cells)
        else cells
        for cells in result.rows
    ]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date) else value


def _keyed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _keyed(item) for key, item in value.items()}
    return [_keyed(item) for item in value] if isinstance(value, list | tuple) else _plain(value)
