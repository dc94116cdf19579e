"""`ParamForm`: a form made from the JSON schema of a contribution's parameters. Imports no plugin code."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QLineEdit,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from fmstudio.ui import icons
from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets.param_controls import SPECIAL, special_control
from fmstudio.ui.widgets.parts import label, spin_box

INT_LIMIT = 2_147_483_647
MISSING: Any = object()


class Field:
    """One parameter: its control, and how a value goes in and out.

    Args:
        name: Key in the values.
        schema: The property's JSON schema, references resolved.
        changed: Called after every change by the user.
    """

    def __init__(self, name: str, schema: Mapping[str, Any], changed: Callable[[], None]) -> None:
        self.name = name
        self.title = str(schema.get("title") or name.replace("_", " "))
        self.description = str(schema.get("description", ""))
        self.default = schema.get("default", MISSING)
        self.error = ""
        self._schema = schema
        self._kinds = _types(schema)
        self.told = label("", "danger", wrap=True)
        self.told.hide()
        self.control = self._build(changed)
        self.control.setAccessibleName(self.title)
        self.control.setAccessibleDescription(self.description)
        self.control.setToolTip(self._tip())
        if self.default is not MISSING:
            self.set(self.default)

    @property
    def value(self) -> Any:
        """The value as typed, converted.

        Raises:
            ValueError: It is not of the parameter's type; the text says what is expected.
        """
        control = self.control
        if isinstance(control, SPECIAL):
            return control.value()
        if isinstance(control, QCheckBox):
            return control.isChecked()
        if isinstance(control, QComboBox):
            return control.currentData()
        if isinstance(control, QSpinBox):
            return control.value()
        assert isinstance(control, QLineEdit)
        return self._parse(control.text().strip())

    def set(self, value: Any) -> None:
        """Put a value into the control."""
        control = self.control
        if isinstance(control, SPECIAL):
            control.set_value(value)
        elif isinstance(control, QCheckBox):
            control.setChecked(bool(value))
        elif isinstance(control, QComboBox):
            control.setCurrentIndex(max(0, control.findData(value)))
        elif isinstance(control, QSpinBox):
            control.setValue(int(value))
        elif isinstance(control, QLineEdit):
            control.setText(_to_text(value))

    def check(self) -> bool:
        """Mark the control when its text cannot be understood, and say why below it; True when all is well."""
        try:
            _ = self.value
            self.error = ""
        except ValueError as error:
            self.error = str(error)
        restyle(self.control, state="danger" if self.error else "")
        self.control.setToolTip(self.error or self._tip())
        self.told.setText(self.error)
        self.told.setVisible(bool(self.error))
        return not self.error

    def _build(self, changed: Callable[[], None]) -> QWidget:
        special = special_control(self._schema, changed)
        if special is not None:
            return special
        choices = _choices(self._schema)
        if choices:
            combo = QComboBox()
            for choice in choices:
                combo.addItem("None" if choice is None else str(choice).replace("_", " "), choice)
            combo.currentIndexChanged.connect(lambda _: changed())
            return combo
        if self._kinds == {"boolean"}:
            box = QCheckBox()
            box.toggled.connect(lambda _: changed())
            return box
        if self._kinds == {"integer"}:
            spin = spin_box()
            low, high = _bounds(self._schema)
            spin.setRange(int(max(-INT_LIMIT, low)), int(min(INT_LIMIT, high)))
            spin.setGroupSeparatorShown(True)
            spin.valueChanged.connect(lambda _: changed())
            return spin
        edit = QLineEdit()
        edit.setPlaceholderText("none" if "null" in self._kinds else "a, b, c" if "array" in self._kinds else "")
        edit.textChanged.connect(lambda _: changed())
        return edit

    def _parse(self, text: str) -> Any:
        if not text and "null" in self._kinds:
            return None
        if "array" in self._kinds and not text.startswith("["):
            return [part.strip() for part in text.split(",") if part.strip()]
        if self._kinds & {"array", "object"}:
            return json.loads(text)
        if self._kinds & {"number", "integer"} and "string" not in self._kinds:
            return self._number(text)
        return text

    def _number(self, text: str) -> float | int:
        whole = "number" not in self._kinds
        if text.endswith("%") and not whole:
            raise ValueError("Write a number without “%”: 0.8 is 80%.")
        try:
            value = int(text.replace(",", "")) if whole else float(text.replace(",", ""))
        except ValueError as error:
            raise ValueError(f"Write a {'whole ' if whole else ''}number.") from error
        low, high = _bounds(self._schema)
        if not low <= value <= high:
            raise ValueError(f"Write a number {_range_text(low, high)}.")
        return value

    def _tip(self) -> str:
        parts = [self.description]
        low, high = _bounds(self._schema)
        if self._kinds & {"integer", "number"} and (low > -float("inf") or high < float("inf")):
            parts.append(f"A number {_range_text(low, high)}.")
        if self.default is not MISSING:
            parts.append(f"Default: {_to_text(self.default) or 'none'}")
        return "\n".join(part for part in parts if part)


class ParamForm(QWidget):
    """A form: one line per parameter with its description below; parameters marked ``advanced`` fold away.

    Args:
        schema: What pydantic's ``model_json_schema()`` gives. Read: type, title, description, default, minimum,
            maximum, exclusive…, enum, const, anyOf, $ref, and ``advanced: true`` (`Field(json_schema_extra=…)`).
        values: What differs from the defaults.
        is_stacked: Names above the controls instead of beside them, for narrow places.

    Signals:
        changed: The user changed something; see `values` and `is_valid`.
    """

    changed = Signal()

    def __init__(
        self, schema: Mapping[str, Any], values: Mapping[str, Any] | None = None, *, is_stacked: bool = False
    ) -> None:
        super().__init__()
        add = _add_stacked if is_stacked else _add_line
        definitions = schema.get("$defs", {})
        self.fields: dict[str, Field] = {}
        self._advanced = QWidget()
        plain, hidden = QGridLayout(), QGridLayout(self._advanced)
        for grid in (plain, hidden):
            grid.setContentsMargins(0, 0, 0, 0)
            grid.setHorizontalSpacing(16)
            grid.setVerticalSpacing(2)
            grid.setColumnMinimumWidth(0, 0 if is_stacked else 120)
            grid.setColumnStretch(1, 1)
        for name, raw in schema.get("properties", {}).items():
            field = Field(name, resolve(raw, definitions), self._on_change)
            self.fields[name] = field
            add(hidden if raw.get("advanced") else plain, field)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(plain)
        if hidden.count():
            layout.addWidget(self._fold())
            layout.addWidget(self._advanced)
        self._advanced.setVisible(False)
        if not self.fields:
            layout.addWidget(label(self.tr("Nothing to set."), "caption"))
        self.set_values(values or {})

    def values(self) -> dict[str, Any]:
        """All parameters that can be understood; check `is_valid` first."""
        found: dict[str, Any] = {}
        for name, field in self.fields.items():
            if field.check():
                found[name] = field.value
        return found

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Put values in; names the form does not have are passed over."""
        for name, value in values.items():
            if name in self.fields:
                self.fields[name].set(value)

    def is_valid(self) -> bool:
        """Whether every control holds something of its type; those that do not are marked."""
        return not self.wrong()

    def wrong(self) -> list[str]:
        """Titles of the parameters that cannot be understood; they are marked."""
        return [field.title for field in self.fields.values() if not field.check()]

    @Slot()
    def _on_change(self) -> None:
        self.changed.emit()

    def _fold(self) -> QToolButton:
        fold = QToolButton()
        fold.setText(self.tr("More settings"))
        fold.setCheckable(True)
        fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        icons.set_icon(fold, "chevron-right", "muted", 14)

        def toggle(is_open: bool) -> None:
            self._advanced.setVisible(is_open)
            icons.set_icon(fold, "chevron-down" if is_open else "chevron-right", "muted", 14)

        fold.toggled.connect(toggle)
        return fold


def resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Replace references by what they refer to; the property's own keys win."""
    found = dict(schema)
    for part in [found, *found.get("allOf", [])]:
        if "$ref" in part:
            target = definitions.get(str(part["$ref"]).rsplit("/", 1)[-1], {})
            found = {**target, **{key: value for key, value in found.items() if key not in ("$ref", "allOf")}}
    if "anyOf" in found:
        found["anyOf"] = [resolve(option, definitions) for option in found["anyOf"]]
    return found


def _add_line(grid: QGridLayout, field: Field) -> None:
    line = grid.rowCount()
    name = label(field.title[:1].upper() + field.title[1:], wrap=True)
    name.setBuddy(field.control)
    grid.addWidget(name, line, 0, Qt.AlignmentFlag.AlignTop)
    name.setMinimumHeight(28)
    grid.addWidget(field.control, line, 1)
    grid.addWidget(field.told, line + 1, 1)
    if field.description:
        grid.addWidget(label(field.description, "caption", wrap=True), line + 2, 1)
    grid.setRowMinimumHeight(line + 3, 8)


def _add_stacked(grid: QGridLayout, field: Field) -> None:
    line = grid.rowCount()
    title = field.title[:1].upper() + field.title[1:]
    if isinstance(field.control, QCheckBox):
        field.control.setText(title)
    else:
        name = label(title)
        name.setBuddy(field.control)
        grid.addWidget(name, line, 0, 1, 2)
    grid.addWidget(field.control, line + 1, 0, 1, 2)
    grid.addWidget(field.told, line + 2, 0, 1, 2)
    if field.description:
        grid.addWidget(label(field.description, "caption", wrap=True), line + 3, 0, 1, 2)
    grid.setRowMinimumHeight(line + 4, 8)


def _types(schema: Mapping[str, Any]) -> set[str]:
    if "anyOf" in schema:
        return set().union(*(_types(option) for option in schema["anyOf"]))
    kind = schema.get("type", "string")
    return set(kind) if isinstance(kind, list) else {str(kind)}


def _choices(schema: Mapping[str, Any]) -> list[Any]:
    if "enum" in schema:
        return list(schema["enum"])
    if "const" in schema:
        return [schema["const"]]
    options = schema.get("anyOf", [])
    if options and all(_choices(o) or o.get("type") == "null" for o in options):
        return [choice for o in options for choice in (_choices(o) or [None])]
    return []


def _bounds(schema: Mapping[str, Any]) -> tuple[float, float]:
    low, high = -float("inf"), float("inf")
    for part in [schema, *schema.get("anyOf", [])]:
        low = max(low, part.get("minimum", low))
        high = min(high, part.get("maximum", high))
        step = 1 if "integer" in _types(part) else 0
        low = max(low, part["exclusiveMinimum"] + step) if "exclusiveMinimum" in part else low
        high = min(high, part["exclusiveMaximum"] - step) if "exclusiveMaximum" in part else high
    return low, high


def _range_text(low: float, high: float) -> str:
    if high == float("inf"):
        return f"of at least {low:,.15g}"
    if low == -float("inf"):
        return f"of at most {high:,.15g}"
    return f"from {low:,.15g} to {high:,.15g}"


def _to_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:.15g}" if isinstance(value, float) else str(value)
