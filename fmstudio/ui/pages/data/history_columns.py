"""The columns of one version in numbers: what each holds, how much is missing, how many different values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.parts import ElidedLabel, button, clear, column, holder, label, row

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project.statistics import ColumnSummary
    from fmstudio.ui.context import AppContext

HEADS = ("column", "type", "missing", "different values")
MOST_SHOWN = 60


class VersionColumns(QWidget):
    """Counted when it is asked for: a large version takes a moment."""

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._place = ("", 0)
        self.show_statistics = button(
            self.tr("Statistics of its columns"), self.load, kind="quiet", icon="chevron-right"
        )
        self._body = column(gap=4)
        self.setLayout(column(row(self.show_statistics, None), holder(self._body), gap=4))

    def show_version(self, dataset_id: str, number: int, *, is_there: bool) -> None:
        """Offer the statistics of another version."""
        if (dataset_id, number) != self._place:
            self._place = dataset_id, number
            clear(self._body)
            self.show_statistics.show()
        self.show_statistics.setVisible(is_there and not self._body.count())

    def load(self) -> None:
        """Count, then show."""
        project, place = self.ctx.project, self._place
        if project is None:
            return
        self.show_statistics.hide()
        self._say(self.tr("Counting…"), "muted")

        def show(found: Sequence[ColumnSummary]) -> None:
            if place == self._place:
                self._show(found)

        def fail(problem: Problem) -> None:
            if place == self._place:
                self._say(f"{problem.message} {problem.remedy}".strip(), "danger")

        self.ctx.run_query(lambda: project.statistics.columns(*place), show, fail, key="version statistics", owner=self)

    def _say(self, text: str, role: str) -> None:
        clear(self._body)
        self._body.addWidget(label(text, role, wrap=True))

    def _show(self, found: Sequence[ColumnSummary]) -> None:
        clear(self._body)
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(3)
        for place, head in enumerate(HEADS):
            grid.addWidget(label(head, "caption"), 0, place, self._edge(place))
        for line, one in enumerate(found[:MOST_SHOWN], 1):
            share = one.missing / one.rows if one.rows else 0.0
            about = "about " if one.is_sample else ""
            grid.addWidget(ElidedLabel(one.name), line, 0)
            grid.addWidget(label(one.kind, "muted"), line, 1)
            grid.addWidget(label(f"{share:.1%}" if one.missing else "none", "muted"), line, 2, self._edge(2))
            grid.addWidget(label(f"{about}{words.number(one.distinct)}", "muted"), line, 3, self._edge(3))
        grid.setColumnStretch(0, 1)
        self._body.addWidget(holder(grid))
        if len(found) > MOST_SHOWN:
            self._body.addWidget(label(self.tr("… and {} more columns").format(len(found) - MOST_SHOWN), "caption"))

    @staticmethod
    def _edge(place: int) -> Qt.AlignmentFlag:
        return Qt.AlignmentFlag.AlignRight if place > 1 else Qt.AlignmentFlag.AlignLeft
