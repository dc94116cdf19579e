"""What a transform would do: numbers in one sentence, notes, and rows before and after; or why it cannot be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QStackedWidget, QWidget

from fmstudio.ui.pages.data.transform_tables import BeforeAfter
from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.parts import column, label, row

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.recipes.transform_preview import TransformPreview

BUSY_MS = 250
MOST_NOTES = 4
SPLITS = ("train", "validation", "test")


class TransformPreviewPane(QWidget):
    """The answer to “what would this do?”."""

    def __init__(self) -> None:
        super().__init__()
        self.summary = label("", "heading", wrap=True)
        self.summary.setAccessibleName(self.tr("What this would do"))
        self.estimate = label(self.tr("estimate"), "pill", level="warning")
        self.estimate.setToolTip(self.tr("Counted on a part of the rows; the job itself reads all of them."))
        self.warnings = label("", "warning", wrap=True, selectable=True)
        self.notes = label("", "muted", wrap=True, selectable=True)
        self.problem = label("", "danger", wrap=True, selectable=True)
        self.tables = BeforeAfter()
        self._waiting = label(self.tr("Rows before and afterwards appear here."), "muted", wrap=True)
        self._waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._waiting)
        self._stack.addWidget(self.tables)
        head = row(self.summary, self.estimate, gap=8)
        head.setStretch(0, 1)
        layout = column(head, self.warnings, self.notes, self.problem, self._stack, gap=6)
        layout.setStretch(4, 1)
        self.setLayout(layout)
        self._busy = QTimer(self, singleShot=True, interval=BUSY_MS)
        self._busy.timeout.connect(lambda: self._say(self.tr("Counting…"), is_muted=True))
        self.show_waiting([])

    def show_waiting(self, missing: list[str], wrong: Sequence[str] = ()) -> None:
        """Say what has to be filled in first, and what cannot be understood."""
        self._busy.stop()
        parts = (("Correct", wrong), ("Fill in", missing))
        said = " · ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)
        self._say(said, is_muted=True)
        self._tell()
        self._stack.setCurrentWidget(self._waiting)

    def show_busy(self) -> None:
        """An answer is awaited; what was there stays, greyed out when it takes long."""
        self._busy.start()

    def show_problem(self, problem: Problem) -> None:
        """Say why it cannot be done."""
        self._busy.stop()
        self._say("")
        self._tell(problem=f"{problem.message} {problem.remedy}".strip())
        self._stack.setCurrentWidget(self._waiting)

    def show_preview(self, preview: TransformPreview) -> None:
        """Show what it would do."""
        self._busy.stop()
        self._say(said(preview), is_estimate=preview.is_estimate)
        every = [note for note in preview.notes if note not in preview.warnings]
        notes = every[:MOST_NOTES]
        if len(every) > MOST_NOTES:
            notes = [*notes, f"And {words.plural(len(every) - MOST_NOTES, 'more note')}."]
        if preview.is_idle:
            notes = [self.tr("There is nothing to run: everything would stay as it is."), *notes]
        failure = f"It would stop: {preview.failure}." if preview.failure else ""
        self._tell(notes="\n".join(notes), problem=failure, warnings="\n".join(preview.warnings))
        self.tables.show_preview(preview)
        self._stack.setCurrentWidget(self.tables)

    def _say(self, text: str, *, is_estimate: bool = False, is_muted: bool = False) -> None:
        self.summary.setText(text)
        restyle(self.summary, role="muted" if is_muted else "heading")
        self.summary.setVisible(bool(text))
        self.estimate.setVisible(is_estimate)

    def _tell(self, *, notes: str = "", problem: str = "", warnings: str = "") -> None:
        for shown, text in ((self.notes, notes), (self.problem, problem), (self.warnings, warnings)):
            shown.setText(text)
            shown.setVisible(bool(text))


def said(preview: TransformPreview) -> str:
    """What a transform would do, in one sentence with numbers."""
    about = "about " if preview.is_estimate else ""
    before, after = words.number(preview.rows_before), words.number(preview.rows_after)
    parts = []
    if preview.makes == "datasets":
        made = sum(1 for rows in preview.outputs.values() if rows)
        parts.append(f"Makes {words.plural(made, 'dataset')} of {words.plural(preview.rows_before, 'row')}")
    elif preview.makes == "dataset":
        parts.append(f"Makes a dataset of {about}{words.plural(preview.rows_after, 'row')}")
    elif preview.dropped:
        parts.append(f"Keeps {about}{words.number(preview.rows_before - preview.dropped)} of {before} rows")
    elif preview.rows_after != preview.rows_before:
        parts.append(f"{before} rows become {about}{after}")
    if preview.unit == "cells":
        cells = words.plural(preview.changed, "cell")
        parts.append(f"changes {about}{cells}" if preview.changed else "changes nothing")
    if not parts:
        parts.append(f"Keeps all {before} rows" if preview.rows_before != 1 else "Keeps the one row")
    if preview.outputs:
        names = sorted(preview.outputs, key=lambda name: SPLITS.index(name) if name in SPLITS else len(SPLITS))
        outputs = " · ".join(f"{name} {words.number(preview.outputs[name])}" for name in names)
        parts[-1] = f"{parts[-1]}: {outputs}"
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]
