"""Rows of the settings panel: an adapter with its scale, and the fields of variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QLineEdit, QSlider, QVBoxLayout, QWidget

from fmstudio.ui.pages.chat.settings import AdapterChoice
from fmstudio.ui.widgets.parts import decimal_box

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry

SCALE_STEPS = 100  # slider steps for a scale of 1.0


class AdapterRow(QWidget):
    """One adapter: a switch and how strongly it acts.

    Signals:
        changed(AdapterChoice): Switch or scale moved.
    """

    changed = Signal(object)

    def __init__(self, entry: ModelEntry, choice: AdapterChoice, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._id = entry.id
        self.switch = QCheckBox(entry.name)
        self.switch.setChecked(choice.is_on)
        self.switch.setEnabled(not entry.is_missing)
        tip = self.tr("{path}\nTakes effect with the next answer; the base model stays loaded.")
        missing = self.tr("The file is gone: {path}")
        self.switch.setToolTip((missing if entry.is_missing else tip).format(path=entry.path))
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 2 * SCALE_STEPS)
        self.slider.setSingleStep(5)
        self.slider.setPageStep(25)
        self.slider.setAccessibleName(self.tr("Scale of {name}").format(name=entry.name))
        self.slider.setToolTip(self.tr("How strongly the adapter acts: 1 as trained, 0 not at all, 2 doubled"))
        self.value = decimal_box()
        self.value.setRange(0.0, 2.0)
        self.value.setSingleStep(0.05)
        self.value.setDecimals(2)
        self.value.setAccessibleName(self.tr("Scale of {name} as a number").format(name=entry.name))
        self.value.setValue(choice.scale)
        self.slider.setValue(round(choice.scale * SCALE_STEPS))
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self.value)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.switch)
        layout.addLayout(row)
        self._enable()
        self.switch.toggled.connect(self._announce)
        self.slider.valueChanged.connect(self._on_slider)
        self.value.valueChanged.connect(self._on_value)

    @Slot(int)
    def _on_slider(self, position: int) -> None:
        if round(self.value.value() * SCALE_STEPS) != position:
            self.value.setValue(position / SCALE_STEPS)

    @Slot(float)
    def _on_value(self, value: float) -> None:
        self.slider.setValue(round(value * SCALE_STEPS))
        self._announce()

    @Slot()
    def _announce(self) -> None:
        self._enable()
        self.changed.emit(AdapterChoice(self._id, self.switch.isChecked(), self.value.value()))

    def _enable(self) -> None:
        for widget in (self.slider, self.value):
            widget.setEnabled(self.switch.isChecked())


class VariablesForm(QWidget):
    """A field for each ``{{name}}`` of the system prompt and of the message being written.

    Signals:
        changed(dict): The values.
    """

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self.fields: dict[str, QLineEdit] = {}
        self.hide()

    def show_names(self, names: Sequence[str], values: dict[str, str]) -> None:
        """Show these variables; the fields of those that stay keep what is typed."""
        if list(self.fields) == list(names):
            return
        while self._form.rowCount():
            self._form.removeRow(0)
        self.fields = {}
        for name in names:
            field = QLineEdit(values.get(name, ""))
            field.setAccessibleName(self.tr("Value of {name}").format(name=name))
            field.setPlaceholderText(self.tr("filled in when you send"))
            field.textEdited.connect(self._announce)
            self.fields[name] = field
            self._form.addRow(name, field)
        self.setVisible(bool(names))

    @Slot()
    def _announce(self) -> None:
        self.changed.emit({name: field.text() for name, field in self.fields.items()})
