"""The statistics of one column: distribution, lengths, most frequent values, outliers and samples, each one a click."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QGridLayout, QScrollArea, QVBoxLayout, QWidget

from fmstudio.project.filters import ColumnFilter, FilterColumn
from fmstudio.ui.pages.data.column_facts import Fact, bars_of, facts_of, outlier_words
from fmstudio.ui.pages.data.column_heads import type_word
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.floating import Floating
from fmstudio.ui.widgets.histogram import Histogram
from fmstudio.ui.widgets.parts import ElidedLabel, button, clear, column, holder, label, row
from fmstudio.ui.widgets.table.values import named_text

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project.statistics import ColumnStatistics

WIDTH, HEIGHT = 360, 520
MOST_TOP = 12
BESIDE = 64
"""Pixels of a line of the panel that are neither the value nor what stands at its right: margins and the scroll bar."""


class StatisticsPanel(Floating):
    """Opens below a column's header.

    Signals:
        condition_wanted: (ColumnFilter) only rows with this value are wanted.
        row_wanted: (row id) a row is to be shown.
    """

    condition_wanted = Signal(object)
    row_wanted = Signal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._column = FilterColumn("", "")
        self.title = ElidedLabel("", "heading")
        self.kind = label("", "muted")
        self.histogram = Histogram()
        self.histogram.chosen.connect(self._choose)
        self._content = column(gap=6, margins=(0, 0, 8, 0))
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(holder(self._content))
        head = row(self.title, self.kind)
        head.setStretch(0, 1)
        layout = column(head, self.histogram, area, gap=8, margins=(14, 12, 8, 12))
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.resize(WIDTH, HEIGHT)

    def open_for(self, filter_column: FilterColumn, place: QPoint) -> None:
        """Show the panel there, and that its numbers are on their way."""
        self._column = filter_column
        self.setAccessibleName(self.tr("Statistics of {}").format(filter_column.name))
        self.title.setText(filter_column.name)
        self.kind.setText(type_word(filter_column.type))
        self.histogram.hide()
        clear(self._content)
        self._content.addWidget(label(self.tr("Counting…"), "muted"))
        self._content.addStretch(1)
        self.open_at(place)
        self.setFocus()

    def show_problem(self, problem: Problem) -> None:
        """Say why there are no numbers."""
        clear(self._content)
        text = f"{problem.message} {problem.remedy}".strip()
        self._content.addWidget(label(text, "danger", wrap=True, selectable=True))
        self._content.addStretch(1)

    def show_statistics(self, found: ColumnStatistics) -> None:
        """Show the numbers; those of another column that come late are dropped."""
        if found.name != self._column.name:
            return
        clear(self._content)
        bars = bars_of(found)
        self.histogram.show_bars(bars)
        self.histogram.setVisible(bool(bars))
        self._add_facts(facts_of(found))
        self._add_top(found)
        if found.outliers:
            self._content.addWidget(label(self.tr("Far from the others"), "strong"))
            for row_id, measure in found.outliers:
                shown = outlier_words(found, measure)
                self._value(shown, f"row id {row_id:,}", lambda i=row_id: self._show_row(i))
        if found.samples:
            self._content.addWidget(label(self.tr("A few values"), "strong"))
            for row_id, value in found.samples:
                self._value(named_text(value), f"row id {row_id:,}", lambda i=row_id: self._show_row(i))
        self._content.addStretch(1)

    def _add_facts(self, facts: list[Fact]) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        for place, fact in enumerate(facts):
            grid.addWidget(label(fact.name, "muted"), place, 0)
            if fact.condition is None:
                value = label(fact.text, wrap=True, selectable=True)  # two moments are wider than the panel
                value.setAlignment(Qt.AlignmentFlag.AlignRight)
                grid.addWidget(value, place, 1)
            else:
                link = button(fact.text, partial(self._filter, fact.condition), kind="quiet")
                link.setToolTip(self.tr("Show only these rows"))
                grid.addWidget(link, place, 1, Qt.AlignmentFlag.AlignRight)
        self._content.addLayout(grid)

    def _add_top(self, found: ColumnStatistics) -> None:
        top = found.top[:MOST_TOP]
        if not top:
            return
        # Of what these are a share: a row holds several messages or items.
        whole, title = float(found.rows), self.tr("Most frequent")
        if found.kind == "messages" and found.turns is not None:
            whole = found.turns.total
            title = self.tr("Roles of {}").format(words.plural(int(whole), "message"))
        elif found.kind == "texts" and found.items is not None:
            whole = found.items.total
            title = self.tr("Most frequent of {}").format(words.plural(int(whole), "item"))
        self._content.addWidget(label(title, "strong"))
        can_filter = found.kind not in ("messages", "nested", "bytes")
        for value, count in top:
            share = f"{count / whole:.1%}".replace("%", " %") if whole else ""
            act = partial(self._choose, value) if can_filter else None
            self._value(named_text(value), f"{words.number(count)}  {share}", act)

    def _value(self, text: str, right: str, act: Any) -> None:
        metrics = self.fontMetrics()
        room = WIDTH - BESIDE - metrics.horizontalAdvance(right)
        shown = metrics.elidedText(text[:120], Qt.TextElideMode.ElideRight, max(60, room))
        link = button(shown.replace("&", "&&"), act, kind="quiet") if act is not None else label(shown)
        link.setToolTip(text[:1_500])
        line: QVBoxLayout | Any = row(link, None, label(right, "caption"), gap=4)
        self._content.addLayout(line)

    def _choose(self, value: Any) -> None:
        if isinstance(value, ColumnFilter):
            self._filter(value)
        else:
            self._filter(ColumnFilter(self._column.name, "equals", (value,)))

    def _filter(self, condition: ColumnFilter) -> None:
        self.close_panel()
        self.condition_wanted.emit(condition)

    def _show_row(self, row_id: int) -> None:
        self.close_panel()
        self.row_wanted.emit(row_id)
