"""The library as a table: one line per model or adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from fmstudio.ui.icons import icon
from fmstudio.ui.theme import ROW_HEIGHT, Theme
from fmstudio.ui.widgets.words import number, parameters, size

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry

Index = QModelIndex | QPersistentModelIndex
FORMATS = {"gguf": "GGUF", "hf": "Hugging Face", "peft": "PEFT", "endpoint": "OpenAI API"}
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_NUMBERS = (3, 4, 6)
ROOM_FOR_COLUMN = {6: 820, 4: 740, 2: 640}
"""Table column → width of the table from which it is shown; the details say it anyway, and names need the room."""


class ModelTable(QAbstractTableModel):
    """Entries of the model library."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.entries: list[ModelEntry] = []
        self._headers = (
            self.tr("Name"),
            self.tr("Kind"),
            self.tr("Format"),
            self.tr("Size"),
            self.tr("Parameters"),
            self.tr("Quantisation"),
            self.tr("Context"),
        )

    def set_entries(self, entries: Sequence[ModelEntry]) -> None:
        """Show these."""
        self.beginResetModel()
        self.entries = list(entries)
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Qt: number of entries."""
        return 0 if parent.isValid() else len(self.entries)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Qt: number of columns."""
        return 0 if parent.isValid() else len(self._headers)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: column names."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._headers[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if section in _NUMBERS else _LEFT
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: one cell."""
        if not index.isValid():
            return None
        entry, column = self.entries[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(entry, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if column in _NUMBERS else _LEFT
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            if entry.is_missing:
                return icon("warning", "warning")
            return icon({"adapter": "adapter", "endpoint": "link", "embedding": "embed"}.get(entry.kind, "models"))
        if role == Qt.ItemDataRole.ForegroundRole and entry.is_missing:
            return Theme.current().color("faint")
        if role == Qt.ItemDataRole.ToolTipRole:
            gone = self.tr("The file is gone: {path}") if entry.is_missing else "{path}"
            return gone.format(path=entry.facts.get("url") or entry.path)
        return None

    def _text(self, entry: ModelEntry, column: int) -> str:
        facts = entry.facts
        if column == 0:
            return self.tr("{name} (file is gone)").format(name=entry.name) if entry.is_missing else entry.name
        texts = (
            self._kind(entry),
            FORMATS.get(entry.format, entry.format),
            size(entry.bytes) if entry.bytes else "",
            parameters(float(facts["n_params"])) if facts.get("n_params") else "",
            str(facts.get("quantization") or ""),
            number(float(facts["context_length"])) if facts.get("context_length") else "",
        )
        return texts[column - 1]

    def _kind(self, entry: ModelEntry) -> str:
        if entry.facts.get("merged_adapter"):
            return self.tr("Merged model")
        names = {"adapter": self.tr("Adapter"), "embedding": self.tr("Embedding model"), "endpoint": self.tr("Server")}
        return names.get(entry.kind, self.tr("Base model"))


class ModelView(QTableView):
    """The table; Enter or a double click activates a line."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = ModelTable(self)
        self.setModel(self.entries)
        self.setAccessibleName(self.tr("Model library"))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT + 4)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(64)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: hide the columns there is no room for."""
        super().resizeEvent(event)
        for column, least in ROOM_FOR_COLUMN.items():
            self.setColumnHidden(column, event.size().width() < least)
