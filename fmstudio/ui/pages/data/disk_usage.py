"""What takes the disk space of a project: a bar for each subject, the largest first; datasets open to their versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.parts import ElidedLabel, button, clear, column, holder, icon_label, label, row
from fmstudio.ui.widgets.share_bar import ShareBar

if TYPE_CHECKING:
    from fmstudio.project.disk import DiskUsage, Subject

ICONS = {"dataset": "data", "model": "models", "job": "jobs", "catalogue": "memory", "trash": "trash"}
GATHERED = {"job": ("jobs", "Jobs"), "model": ("models", "Models")}
"""Kinds of which there may be very many: shown as one line each, with the largest below."""
MOST_SHOWN, MOST_PARTS = 40, 30


class DiskUsageView(QWidget):
    """A line a subject: icon, name, bar, size; below a deleted dataset a button that brings it back.

    Signals:
        back_wanted: (dataset id) a deleted dataset is wanted back.
    """

    back_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._column = column(gap=2)
        self.setLayout(self._column)

    def show_usage(self, usage: DiskUsage) -> None:
        """Show another count."""
        clear(self._column)
        lines = sorted(_grouped(usage.subjects), key=lambda line: -line[1])
        most = max((size for _, size, *_ in lines), default=1) or 1
        for title, size, icon, parts, deleted in lines[:MOST_SHOWN]:
            self._add(title, size, icon, parts, most)
            if deleted:
                self._column.addLayout(row(26, self._back_button(title, deleted), None, gap=0))
        if len(lines) > MOST_SHOWN:
            rest = sum(size for _, size, *_ in lines[MOST_SHOWN:])
            self._column.addWidget(label(f"… and {len(lines) - MOST_SHOWN:,} more, {words.size(rest)}", "caption"))

    def _back_button(self, title: str, dataset_id: str) -> QPushButton:
        tip = self.tr("Show this dataset again, with its versions and its history")
        name = self.tr("Bring back {}").format(title)
        back = button(self.tr("Bring back"), kind="quiet", icon="undo", name=name, tip=tip)
        back.clicked.connect(lambda: self.back_wanted.emit(dataset_id))
        return back

    def _add(self, title: str, size: int, icon: str, parts: Sequence[Subject], most: int) -> None:
        self._column.addLayout(_line(title, size, most, icon))
        if len(parts) < 2:
            return
        inside = column(gap=1, margins=(26, 0, 0, 6))
        body = holder(inside)
        body.hide()
        more = button(f"{len(parts):,} parts", kind="quiet", icon="chevron-right", name=f"Parts of {title}")
        more.setCheckable(True)

        def toggle() -> None:
            if more.isChecked() and not inside.count():
                _fill(inside, parts, most)
            body.setVisible(more.isChecked())

        more.clicked.connect(toggle)
        self._column.addLayout(row(26, more, None, gap=0))
        self._column.addWidget(body)


def _fill(layout: QVBoxLayout, parts: Sequence[Subject], most: int) -> None:
    largest = sorted(parts, key=lambda part: -part.bytes)
    for part in largest[:MOST_PARTS]:
        layout.addLayout(_line(part.title, part.bytes, most, "", part.note))
    rest = largest[MOST_PARTS:]
    if rest:
        layout.addWidget(label(f"… and {len(rest):,} more, {words.size(sum(p.bytes for p in rest))}", "caption"))


def _line(title: str, size: int, most: int, icon: str, note: str = "") -> QGridLayout:
    grid = QGridLayout()
    grid.setContentsMargins(0, 3, 0, 0)
    grid.setHorizontalSpacing(8)
    name = ElidedLabel(title)
    name.setMinimumWidth(60)
    bar = ShareBar(size / most, f"{title}: {words.size(size)}", "accent" if icon else "series_3")
    bar.setMinimumWidth(24)  # in little room the bar gives way first, then the name; the size never
    amount = label(words.size(size), "strong" if icon else "muted")
    amount.setFixedWidth(76)
    amount.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    if icon:
        grid.addWidget(icon_label(icon, "muted", 16), 0, 0)
    grid.addWidget(name, 0, 1)
    grid.addWidget(bar, 0, 2)
    grid.addWidget(amount, 0, 3)
    if note:
        said = ElidedLabel(note, "caption")
        grid.addWidget(said, 1, 1, 1, 3)
    grid.setColumnStretch(1, 3)
    grid.setColumnStretch(2, 2)
    return grid


def _grouped(subjects: Sequence[Subject]) -> list[tuple[str, int, str, Sequence[Subject], str]]:
    """Title, bytes, icon and parts of each line; and its id where it is a dataset that can be brought back."""
    lines: list[tuple[str, int, str, Sequence[Subject], str]] = []
    for kind, (icon, title) in GATHERED.items():
        same = [subject for subject in subjects if subject.kind == kind]
        if same:
            lines.append((f"{title} ({len(same):,})", sum(s.bytes for s in same), icon, same, ""))
    for subject in subjects:
        if subject.kind not in GATHERED:
            back = subject.id if subject.can_come_back else ""
            lines.append((subject.title, subject.bytes, ICONS.get(subject.kind, "file"), subject.parts, back))
    return lines
