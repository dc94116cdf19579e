"""The list of datasets at the left of the Data page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QListWidget, QListWidgetItem

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.parts import button, column, label, row

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset

ID = Qt.ItemDataRole.UserRole
WIDTH = 216


class DatasetList(QFrame):
    """Names with their numbers of rows.

    Signals:
        chosen: (dataset id) one was chosen by the user.
        import_wanted: The user wants to import a file.
    """

    chosen = Signal(str)
    import_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("panel", "left")
        self.setFixedWidth(WIDTH)
        self.list = QListWidget()
        self.list.setProperty("flat", "true")
        self.list.setAccessibleName(self.tr("Datasets"))
        self.list.setWordWrap(False)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.currentItemChanged.connect(self._on_current)
        self.import_button = button(
            self.tr("Import…"),
            self.import_wanted.emit,
            icon="import",
            tip=self.tr("Import a file as a dataset (Ctrl+I)"),
        )
        head = row(label(self.tr("Datasets"), "heading"), None, self.import_button, margins=(8, 0, 0, 4))
        self.setLayout(column(head, self.list, gap=4, margins=(8, 12, 8, 8)))

    def show_datasets(self, datasets: list[Dataset], current_id: str) -> None:
        """Show these, with one marked; does not emit `chosen`."""
        self.list.blockSignals(True)
        self.list.clear()
        for dataset in datasets:
            details = f"{words.plural(dataset.rows, 'row')} · version {dataset.version}"
            item = QListWidgetItem(f"{dataset.name}\n{details}")
            item.setData(ID, dataset.id)
            item.setToolTip(f"{dataset.name}\n{details}, {words.size(dataset.bytes)}")
            self.list.addItem(item)
            if dataset.id == current_id:
                self.list.setCurrentItem(item)
        self.list.blockSignals(False)

    @Slot(QListWidgetItem, QListWidgetItem)
    def _on_current(self, item: QListWidgetItem | None, _: QListWidgetItem | None) -> None:
        if item is not None:
            self.chosen.emit(item.data(ID))
