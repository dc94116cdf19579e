"""A simple chart of a query's result: which columns, and as bars, a line or points."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from PySide6.QtWidgets import QMenu, QStackedWidget, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.line_plot import Series
from fmstudio.ui.widgets.narrow_combo import NarrowCombo
from fmstudio.ui.widgets.paged_table import cell_text
from fmstudio.ui.widgets.parts import button, column, label, row
from fmstudio.ui.widgets.result_plot import MOST_BARS, PlotKind, ResultPlot

if TYPE_CHECKING:
    from fmstudio.project.console import ConsoleResult

TITLES: dict[PlotKind, str] = {"bars": "Bars", "line": "Line", "points": "Points"}
MOST_POINTS = 5_000


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
        self.note = label("", "caption")
        self.save_button = button(self.tr("Save…"), icon="save", tip=self.tr("Copy or save the chart or its values"))
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.save_button.setMenu(self._menu)
        names = (label(self.tr("Across"), "muted"), label(self.tr("Up"), "muted"))
        bar = row(self.kind, names[0], self.across, names[1], self.up, self.note, None, self.save_button, gap=8)
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
        layout = column(bar, self._stack, gap=6)
        layout.setStretch(1, 1)
        self.setLayout(layout)

    def show_result(self, result: ConsoleResult) -> None:
        """Offer the columns of a result; what was chosen stays when it is there again."""
        before = (self.across.currentText(), self.up.currentText())
        self._result = result
        numbers = [i for i in range(len(result.columns)) if _is_numeric(result, i)]
        for box in (self.across, self.up):
            box.blockSignals(True)
            box.clear()
        for place, name in enumerate(result.columns):
            self.across.addItem(name, place)
            if place in numbers:
                self.up.addItem(name, place)
        first = next((i for i in range(len(result.columns)) if i not in numbers), 0)
        self.across.setCurrentIndex(self.across.findText(before[0]) if self.across.findText(before[0]) >= 0 else first)
        wanted = next((i for i in numbers if i != self.across.currentData()), numbers[0] if numbers else -1)
        kept = self.up.findText(before[1])
        self.up.setCurrentIndex(kept if kept >= 0 else self.up.findData(wanted))
        for box in (self.across, self.up):
            box.blockSignals(False)
        self._draw()

    def _draw(self) -> None:
        result, up = self._result, self.up.currentData()
        if result is None or up is None or not result.rows:
            self._stack.setCurrentWidget(self._none)
            self.note.setText("")
            return
        kind: PlotKind = self.kind.currentData()
        across, most = int(self.across.currentData()), MOST_BARS if kind == "bars" else MOST_POINTS
        rows = [r for r in result.rows if r[up] is not None][:most]
        is_number = _is_numeric(result, across) and kind != "bars"
        xs = [_number(r[across]) for r in rows] if is_number else list(range(len(rows)))
        pairs = [(float(x), float(r[up])) for x, r in zip(xs, rows, strict=True) if x is not None]
        if kind == "line":
            pairs.sort()
        names = [] if is_number else [cell_text(_plain(r[across])) or "null" for r in rows]
        self.plot.show_values(
            kind, self.across.currentText(), self.up.currentText(), [Series(self.up.currentText(), pairs)], names
        )
        cut = len(rows) == most < len(result.rows)
        self.note.setText(f"the first {words.number(most)} of {words.number(len(result.rows))} rows" if cut else "")
        self._stack.setCurrentWidget(self.plot if pairs else self._none)

    def _fill_menu(self) -> None:
        self._menu.clear()
        self._menu.addActions(self.plot.actions_for(self._menu))


def _is_numeric(result: ConsoleResult, place: int) -> bool:
    there = [r[place] for r in result.rows[:200] if r[place] is not None]
    return bool(there) and all(_number(value) is not None for value in there)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)
    return float(value) if is_number else None


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date | datetime.datetime) else value


def plain_rows(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Values as the table knows them: decimal numbers as floats, dates as text."""
    return [
        tuple(float(v) if isinstance(v, decimal.Decimal) else _plain(v) for v in cells)
        if any(isinstance(v, decimal.Decimal | datetime.date) for v in cells)
        else cells
        for cells in rows
    ]
