"""The formats a dataset can be exported to: which fit its rows, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QListWidget, QListWidgetItem

from fmstudio.ui.pages.data.dataset_header import KIND_WORDS

if TYPE_CHECKING:
    from fmstudio.plugin_manager import Contribution

ID = Qt.ItemDataRole.UserRole
LICENSES = (
    "", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0", "mit", "apache-2.0", "odc-by", "odbl", "other",
)  # fmt: skip
"""Identifiers of the Hugging Face Hub for licences of data (docs "Licenses"); any other can be typed."""


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format; `reason` says why it does not fit, empty = it does. `suffix` is empty for a folder."""

    id: str
    title: str
    suffix: str
    reason: str = ""


def formats_for(contributions: Sequence[Contribution], kind: str, errors: dict[str, str]) -> list[ExportFormat]:
    """The formats for rows of a kind, those that fit first.

    Args:
        errors: Exporter → why it cannot be loaded.
    """
    found = []
    for one in contributions:
        kinds = [str(name) for name in one.facts.get("kinds", [])]
        reason = errors.get(one.id, "")
        if not reason and kinds and kind not in kinds:
            listed = _listed([KIND_WORDS.get(name, name) for name in kinds])
            reason = f"For {listed}; this dataset holds: {KIND_WORDS.get(kind, kind)}."
        found.append(ExportFormat(one.id, one.title, str(one.facts.get("suffix", "")), reason))
    return sorted(found, key=lambda one: bool(one.reason))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


class FormatList(QListWidget):
    """The formats, those that do not fit greyed out with the reason as their tooltip.

    Signals:
        chosen: (exporter id).
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.formats: dict[str, ExportFormat] = {}
        self.setAccessibleName(self.tr("Format"))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.currentItemChanged.connect(self._on_current)

    def show_formats(self, formats: Sequence[ExportFormat], chosen: str) -> None:
        """Offer these, with one chosen where it fits."""
        self.formats = {one.id: one for one in formats}
        self.blockSignals(True)
        self.clear()
        for one in formats:
            item = QListWidgetItem(f"{one.title}   {one.suffix or 'folder'}")
            item.setData(ID, one.id)
            item.setToolTip(one.reason or one.title)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{one.title}. {one.reason}".strip())
            if one.reason:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.addItem(item)
        self.blockSignals(False)
        fitting = [one.id for one in formats if not one.reason]
        wanted = chosen if chosen in fitting else next(iter(fitting), "")
        for place in range(self.count()):
            if self.item(place).data(ID) == wanted:
                self.setCurrentRow(place)

    def current(self) -> ExportFormat | None:
        """The chosen format."""
        item = self.currentItem()
        return None if item is None else self.formats.get(item.data(ID))

    def _on_current(self, item: QListWidgetItem | None, _: QListWidgetItem | None) -> None:
        if item is not None:
            self.chosen.emit(item.data(ID))
