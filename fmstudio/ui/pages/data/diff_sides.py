"""`DiffSides`: which two versions are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.narrow_combo import NarrowCombo
from fmstudio.ui.widgets.parts import icon_label, row, tool_button

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset, Version

NOW = 0
"""As the side after: the current version with the edits that wait for a commit."""

Sides = tuple[int, int]


class DiffSides(QWidget):
    """Two lists of versions, newest first.

    Signals:
        picked: (before, after) the user wants to see another difference.
    """

    picked = Signal(int, int)

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = _picker(self.tr("Before")), _picker(self.tr("After"))
        self.swap = tool_button("swap", self.tr("Swap the two sides"), self._swap)
        layout = row(self.before, icon_label("arrow-right", "muted"), self.after, self.swap, gap=8)
        layout.setStretch(0, 1)
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self.before.activated.connect(self._on_picked)
        self.after.activated.connect(self._on_picked)

    def show_versions(self, dataset: Dataset, versions: Sequence[Version], has_edits: bool) -> None:
        """Offer these versions (oldest first), and the present state when edits wait."""
        titles = [(version_title(version), version.operation, version.number) for version in reversed(versions)]
        waiting = self.tr("With the edits that wait: {}").format(words.plural(dataset.rows, "row"))
        _fill(self.before, titles)
        _fill(self.after, [(self.tr("Now, with edits"), waiting, NOW), *titles] if has_edits else titles)

    def offers(self, sides: Sides) -> bool:
        """Whether both sides can be chosen."""
        return self.before.findData(sides[0]) >= 0 and self.after.findData(sides[1]) >= 0

    def show_sides(self, sides: Sides) -> None:
        """Choose two versions, without a signal."""
        for box, number in zip((self.before, self.after), sides, strict=True):
            place = box.findData(number)
            if place >= 0:
                box.setCurrentIndex(place)
                box.setToolTip(f"{box.accessibleName()}: {box.itemData(place, Qt.ItemDataRole.ToolTipRole)}")
        self.swap.setEnabled(sides[1] != NOW)

    @Slot()
    def _swap(self) -> None:
        before, after = self.before.currentData(), self.after.currentData()
        if before is not None and after:
            self.picked.emit(after, before)

    @Slot(int)
    def _on_picked(self, _: int) -> None:
        before, after = self.before.currentData(), self.after.currentData()
        if before is not None and after is not None:
            self.picked.emit(before, after)


def first_sides(dataset: Dataset, there: Sequence[Version], has_edits: bool) -> Sides | None:
    """The current version against its edits, else against the one it was made from, else the last two."""
    numbers = [version.number for version in there]
    if has_edits and dataset.version in numbers:
        return dataset.version, NOW
    parent = next((version.parent for version in there if version.number == dataset.version), None)
    if parent in numbers and parent is not None:
        return parent, dataset.version
    return (numbers[-2], numbers[-1]) if len(numbers) > 1 else None


def version_title(version: Version) -> str:
    """A version in one line, for a list to choose from."""
    named = f" “{version.name}”" if version.name else ""
    return f"Version {version.number}{named}, {words.plural(version.rows, 'row')}"


def _picker(name: str) -> QComboBox:
    box = NarrowCombo(14)
    box.setAccessibleName(name)
    box.setToolTip(name)
    return box


def _fill(box: QComboBox, titles: Sequence[tuple[str, str, int]]) -> None:
    box.clear()
    for place, (title, made_by, number) in enumerate(titles):
        box.addItem(title, number)
        box.setItemData(place, f"{title}\n{made_by}", Qt.ItemDataRole.ToolTipRole)
    box.setEnabled(bool(titles))
