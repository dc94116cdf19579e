"""What two versions differ in, as a whole: which operations did it, which columns, how lengths and shares moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QGridLayout, QPushButton, QVBoxLayout, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.elided_button import ElidedButton
from fmstudio.ui.widgets.parts import ElidedLabel, button, card, clear, column, label, row

if TYPE_CHECKING:
    from fmstudio.project.diff import DiffSummary, OperationShare, Shift

SIDE_BY_SIDE = 820
MOST_STEPS, MOST_COLUMNS, MOST_SHIFTS = 12, 12, 24
UP, DOWN, SAME = "▲", "▼", "="


class DiffSummaryPanel(QWidget):
    """Two columns: what did it, and how the whole moved; below them the columns. A click on either filters the rows.

    Signals:
        operation_chosen: (place in `DiffSummary.by_operation`, title) only what this did is wanted.
        column_chosen: (name) only rows in which this column changed are wanted.
    """

    operation_chosen = Signal(int, str)
    column_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[QPushButton] = []
        self._layout = column(gap=8)
        self._cards: QBoxLayout | None = None
        self.setLayout(self._layout)

    def show_summary(self, summary: DiffSummary) -> None:
        """Show another difference."""
        self._cards = None
        clear(self._layout)
        self.operations = []
        for note in summary.notes:
            self._layout.addWidget(label(note, "warning", wrap=True))
        left = column(label(self.tr("What did it"), "heading"), gap=4)
        self._add_operations(left, summary.by_operation)
        left.addStretch(1)
        right = column(label(self.tr("How the whole moved"), "heading"), gap=4)
        moved = [shift for shift in summary.shifts if direction(shift)[0] != SAME]
        right.addLayout(_shift_grid(moved))
        stayed = len(summary.shifts) - len(moved)
        if stayed:
            names = ", ".join(shift.measure for shift in summary.shifts if shift not in moved)
            said = label(f"{SAME} {words.plural(stayed, 'measure')} stayed the same", "caption")
            said.setToolTip(names)
            said.setAccessibleDescription(names)
            right.addWidget(said)
        right.addStretch(1)
        self._cards = row(card(left), card(right), gap=10)
        self._cards.setStretch(0, 1)
        self._cards.setStretch(1, 1)
        self._layout.addLayout(self._cards)
        self._arrange()
        self._add_columns(summary)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: the two cards stand side by side where there is room."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        if self._cards is not None:
            is_wide = self.width() >= SIDE_BY_SIDE
            ways = QBoxLayout.Direction
            self._cards.setDirection(ways.LeftToRight if is_wide else ways.TopToBottom)

    def _add_operations(self, layout: QVBoxLayout, shares: Sequence[OperationShare]) -> None:
        if not shares:
            layout.addWidget(label(self.tr("Nothing lies between the two."), "muted", wrap=True))
        for place, share in enumerate(shares):
            version = f" → version {share.version}" if share.version and not share.is_taken_back else ""
            made = ElidedButton(f"{share.title}{version}".replace("&", "&&"))
            made.setProperty("kind", "quiet")
            made.setToolTip(self.tr("Show only the rows this has to do with: {}").format(share.title))
            made.clicked.connect(_later(self.operation_chosen.emit, place, share.title))
            made.setEnabled(share.is_known)
            self.operations.append(made)
            layout.addLayout(row(made, None))
            layout.addWidget(label(f"   {_share_words(share)}", "caption", wrap=True))
            for step in share.steps[:MOST_STEPS]:
                counts = ((step.dropped, "dropped"), (step.changed, "changed"), (step.made, "made"))
                done = ", ".join(f"{count:,} {word}" for count, word in counts if count)
                if done:
                    layout.addWidget(label(f"   {step.number}. {step.title}: {done}", "caption", wrap=True))

    def _add_columns(self, summary: DiffSummary) -> None:
        lines = [(self.tr("New columns"), summary.columns_added), (self.tr("Columns gone"), summary.columns_removed)]
        retyped = [f"{name} ({old} → {new})" for name, old, new in summary.columns_retyped]
        lines.append((self.tr("Other type"), tuple(retyped)))
        for title, names in lines:
            if names:
                text = ", ".join(names[:MOST_COLUMNS]) + (" …" if len(names) > MOST_COLUMNS else "")
                line = row(label(title, "caption"), label(text, wrap=True, selectable=True), gap=8)
                line.setStretch(1, 1)
                self._layout.addLayout(line)
        if not summary.columns_changed:
            return
        line = row(label(self.tr("Changed in"), "caption"), gap=6)
        for name, count in summary.columns_changed[:MOST_COLUMNS]:
            made = button(
                f"{_cut(name, 24)}  {count:,}", _later(self.column_chosen.emit, name),
                tip=self.tr("Show only rows in which {} changed").format(name),
            )  # fmt: skip
            made.setProperty("pill", "true")
            line.addWidget(made)
        line.addStretch(1)
        self._layout.addLayout(line)


def _later(act: Callable[..., object], *args: object) -> Callable[[], object]:
    return lambda: act(*args)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _share_words(share: OperationShare) -> str:
    if not share.is_known:
        return "its files were collected: counts are not known"
    counts = ((share.added, "+", "added"), (share.removed, "−", "removed"), (share.changed, "~", "changed"))
    said = "   ".join(f"{sign}{count:,} {word}" for count, sign, word in counts if count)
    return said or "no row of this difference"


def _shift_grid(shifts: Iterable[Shift]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(2)
    right = Qt.AlignmentFlag.AlignRight
    for line, shift in enumerate(list(shifts)[:MOST_SHIFTS]):
        sign, role = direction(shift)
        name = ElidedLabel(shift.measure)
        name.setMinimumWidth(90)
        grid.addWidget(name, line, 0)
        grid.addWidget(label(measure_words(shift.before, shift.unit), "muted"), line, 1, right)
        mark = label(sign, role)
        mark.setAccessibleName({UP: "rose to", DOWN: "fell to"}.get(sign, "stayed at"))
        grid.addWidget(mark, line, 2)
        grid.addWidget(label(measure_words(shift.after, shift.unit), "strong"), line, 3, right)
    grid.setColumnStretch(0, 1)
    return grid


def direction(shift: Shift) -> tuple[str, str]:
    """The sign of a move and its text role: a shape says it, so that no colour has to. What reads the same is the same."""
    before, after = (measure_words(value, shift.unit) for value in (shift.before, shift.after))
    if shift.before is None or shift.after is None or before == after:
        return SAME, "muted"
    return (UP, "accent") if shift.after > shift.before else (DOWN, "accent")


def measure_words(value: float | None, unit: str) -> str:
    """A number of a shift as it is shown."""
    if value is None:
        return "none"
    if unit == "share":
        return f"{value:.1%}"
    number = words.number(value) if unit == "rows" else f"{value:,.1f}"  # a mean has its decimal also when that is 0
    return {"characters": f"{number} chars"}.get(unit, number)
