"""`WaysBar`: how a question shall be answered: once, in several drafts, or by several models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QFrame, QSpinBox, QWidget

from fmstudio.ui.pages.chat.compare import MOST
from fmstudio.ui.pages.chat.planning import Way
from fmstudio.ui.pages.chat.settings import AdapterChoice, ChatSettings
from fmstudio.ui.widgets.parts import button, clear, column, label, row, spin_box, tool_button

if TYPE_CHECKING:
    from fmstudio.project.chat_presets import Preset
    from fmstudio.ui.pages.chat.turn import Library

AS_HERE = ""


class WayRow(QWidget):
    """One way: model, adapter, preset."""

    def __init__(self, library: Library, presets: Sequence[Preset], model_id: str) -> None:
        super().__init__()
        self._library, self._presets = library, {preset.id: preset for preset in presets}
        self.model, self.adapter, self.preset = QComboBox(), QComboBox(), QComboBox()
        for entry in library.chat_models():
            if not entry.is_missing:
                self.model.addItem(entry.name, entry.id)
        self.model.setCurrentIndex(max(0, self.model.findData(model_id)))
        self.preset.addItem(self.tr("settings of this chat"), AS_HERE)
        for preset in presets:
            self.preset.addItem(f"{preset.name} v{preset.version}", preset.id)
        for box, name in (
            (self.model, self.tr("Model")), (self.adapter, self.tr("Adapter")), (self.preset, self.tr("Preset")),
        ):  # fmt: skip
            box.setAccessibleName(name)
            box.setToolTip(name)
        self.model.currentIndexChanged.connect(self._list_adapters)
        self._list_adapters()
        self.layout_row = row(self.model, self.adapter, self.preset, gap=6)
        self.setLayout(self.layout_row)

    @Slot()
    def _list_adapters(self) -> None:
        self.adapter.clear()
        self.adapter.addItem(self.tr("adapters of this chat"), AS_HERE)
        self.adapter.addItem(self.tr("no adapter"), "none")
        for entry in self._library.adapters_for(self._library.get(str(self.model.currentData() or ""))):
            if not entry.is_missing:
                self.adapter.addItem(entry.name, entry.id)

    def way(self, settings: ChatSettings) -> Way:
        """This way, with the chat's settings where nothing else was chosen."""
        preset = self._presets.get(str(self.preset.currentData() or ""))
        if preset is not None:
            settings = settings.with_preset(preset.settings, f"{preset.name} v{preset.version}")
        adapter = str(self.adapter.currentData() or "")
        if adapter:
            chosen = () if adapter == "none" else (AdapterChoice(adapter),)
            settings = replace(settings, adapters=chosen)
        return Way(str(self.model.currentData() or ""), settings)


class WaysBar(QFrame):
    """Drafts and side by side, above the composer.

    Signals:
        closed(): Back to one answer.
    """

    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("bubble", "system")
        self.rows: list[WayRow] = []
        self._library: Library | None = None
        self._presets: list[Preset] = []
        self.drafts: QSpinBox = spin_box()
        self.drafts.setRange(1, MOST)
        self.drafts.setAccessibleName(self.tr("Drafts"))
        self.drafts.setToolTip(self.tr("Answers of the same model, each with a seed of its own"))
        self.is_blind = QCheckBox(self.tr("Blind"))
        self.is_blind.setToolTip(self.tr("Hide which answer is whose until you have preferred one"))
        self._add = button(self.tr("Add a way"), self.add_row, kind="quiet", icon="plus",
                           tip=self.tr("Another model, adapter or preset: up to four side by side"))  # fmt: skip
        self._rows = column(gap=4)
        head = row(label(self.tr("Drafts")), self.drafts, self._add, self.is_blind, gap=8)
        head.addStretch(1)
        head.addWidget(tool_button("close", self.tr("Back to one answer"), self.close_bar))
        layout = column(head, gap=6, margins=(12, 6, 6, 6))
        layout.addLayout(self._rows)
        self.setLayout(layout)
        self.hide()

    def offer(self, library: Library, presets: Sequence[Preset], model_id: str) -> None:
        """Show the bar with the models there are."""
        self._library, self._presets, self._model_id = library, list(presets), model_id
        if self.drafts.value() == 1 and not self.rows:
            self.drafts.setValue(2)
        self.show()

    def add_row(self) -> None:
        """One more way; the first brings a second one along."""
        if self._library is None:
            return
        for _ in range(2 if not self.rows else 1):
            if len(self.rows) < MOST:
                made = WayRow(self._library, self._presets, self._model_id)
                made.layout_row.addWidget(tool_button("close", self.tr("Remove"), partial(self._remove, made)))
                self.rows.append(made)
                self._rows.addWidget(made)
        self._enable()

    def _remove(self, way: WayRow) -> None:
        self.rows.remove(way)
        way.hide()
        way.deleteLater()
        self._enable()

    def _enable(self) -> None:
        self.drafts.setEnabled(not self.rows)
        self._add.setEnabled(len(self.rows) < MOST)

    @Slot()
    def close_bar(self) -> None:
        """Back to one answer."""
        clear(self._rows)
        self.rows = []
        self.drafts.setValue(1)
        self.is_blind.setChecked(False)
        self._enable()
        self.hide()
        self.closed.emit()

    def ways(self, settings: ChatSettings) -> list[Way]:
        """The ways chosen; none when drafts of one model are wanted, or one answer."""
        return [way.way(settings) for way in self.rows] if not self.isHidden() and len(self.rows) > 1 else []

    @property
    def count(self) -> int:
        """How many drafts are wanted."""
        return 1 if self.isHidden() or self.rows else self.drafts.value()
