"""`RowsBar`: which rows of which dataset shall travel with the message being written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QLineEdit, QSpinBox

from fmstudio.ui.pages.chat.attachments import MOST_ROWS
from fmstudio.ui.widgets.parts import button, label, row, spin_box, tool_button

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset

USUAL = 5


class RowsBar(QFrame):
    """A dataset, a condition and how many, above the composer.

    Signals:
        wanted(str, str, int): Id of the dataset, condition (empty = the first rows), and how many rows at most.
    """

    wanted = Signal(str, str, int)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("bubble", "system")
        self.datasets = QComboBox()
        self.datasets.setAccessibleName(self.tr("Dataset"))
        self.datasets.setToolTip(self.tr("The dataset whose rows are attached"))
        self.condition = QLineEdit()
        self.condition.setAccessibleName(self.tr("Condition on the rows"))
        self.condition.setPlaceholderText(self.tr("condition, e.g. length(text) > 80; empty: the first rows"))
        self.condition.setToolTip(
            self.tr("A condition in SQL over the dataset's columns, as in the filter of the Data page")
        )
        self.condition.returnPressed.connect(self._attach)
        self.count: QSpinBox = spin_box()
        self.count.setRange(1, MOST_ROWS)
        self.count.setValue(USUAL)
        self.count.setAccessibleName(self.tr("Rows at most"))
        self.count.setToolTip(self.tr("How many rows at most"))
        self._button = button(self.tr("Attach"), self._attach, tip=self.tr("Attach these rows (Enter)"))
        close = tool_button("close", self.tr("Attach no rows"), self.hide)
        layout = row(label(self.tr("Rows of")), self.datasets, self.condition, self.count, self._button, close, gap=8,
                     margins=(12, 6, 6, 6))  # fmt: skip
        layout.setStretchFactor(self.condition, 1)
        self.setLayout(layout)
        self.hide()

    def offer(self, datasets: Sequence[Dataset]) -> None:
        """Show the bar with the datasets there are."""
        chosen = self.datasets.currentData()
        self.datasets.clear()
        for dataset in datasets:
            self.datasets.addItem(dataset.name, dataset.id)
        self.datasets.setCurrentIndex(max(0, self.datasets.findData(chosen)))
        self._button.setEnabled(bool(datasets))
        if not datasets:
            self.datasets.setPlaceholderText(self.tr("no dataset yet"))
        self.show()
        self.condition.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _attach(self) -> None:
        if self.datasets.currentData():
            self.wanted.emit(str(self.datasets.currentData()), self.condition.text().strip(), self.count.value())
