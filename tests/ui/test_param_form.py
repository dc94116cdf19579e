"""Forms are made from JSON schemas alone, and say what they do not understand."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QSpinBox

from fmstudio.ui.widgets.param_form import ParamForm


class Nested(BaseModel):
    depth: int = 1


class Example(BaseModel):
    """Parameters of every kind a plugin may declare."""

    count: int = Field(3, ge=1, le=10, description="How many.")
    rate: float = Field(2e-4, gt=0, lt=1)
    form: Literal["NFC", "NFKC"] = "NFC"
    is_strict: bool = True
    words: list[str] = ["a", "b"]
    limit: int | None = Field(None, ge=0)
    name: str = "x"
    nested: Nested = Nested()
    secret: int = Field(7, json_schema_extra={"advanced": True})


@pytest.fixture
def form(qtbot: Any) -> ParamForm:
    made = ParamForm(Example.model_json_schema())
    qtbot.addWidget(made)
    made.show()
    return made


def test_defaults_come_back_as_they_were_and_validate(form: ParamForm) -> None:
    assert form.is_valid()
    assert Example.model_validate(form.values()) == Example()


def test_controls_fit_their_types(form: ParamForm) -> None:
    kinds = {name: type(field.control) for name, field in form.fields.items()}
    assert kinds["count"] is QSpinBox
    assert kinds["form"] is QComboBox
    assert kinds["is_strict"] is QCheckBox
    assert kinds["rate"] is kinds["limit"] is QLineEdit
    spin = form.fields["count"].control
    assert isinstance(spin, QSpinBox) and (spin.minimum(), spin.maximum()) == (1, 10)


def test_typing_changes_values_and_tells(form: ParamForm, qtbot: Any) -> None:
    rate = form.fields["rate"].control
    with qtbot.waitSignal(form.changed):
        qtbot.keyClick(rate, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        qtbot.keyClicks(rate, "1e-3")
    assert form.values()["rate"] == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("name", "text"), [("rate", "fast"), ("rate", "2"), ("rate", "80%"), ("limit", "1.5"), ("limit", "-1")]
)
def test_nonsense_is_marked_and_left_out(form: ParamForm, name: str, text: str) -> None:
    control = form.fields[name].control
    assert isinstance(control, QLineEdit)
    control.setText(text)
    assert not form.is_valid()
    assert name not in form.values()
    assert control.property("state") == "danger"
    assert "number" in control.toolTip()
    told = form.fields[name].told
    assert told.isVisible() and told.text() == control.toolTip()
    assert told.geometry().top() >= control.geometry().bottom()
    control.setText("0.5" if name == "rate" else "5")
    assert form.is_valid() and not told.isVisible()


def test_empty_means_none_where_none_is_allowed(form: ParamForm) -> None:
    assert form.values()["limit"] is None
    form.set_values({"limit": 12, "words": ["x", "y"], "unknown": 1})
    assert (form.values()["limit"], form.values()["words"]) == (12, ["x", "y"])


def test_every_control_has_an_accessible_name(form: ParamForm) -> None:
    assert all(field.control.accessibleName() for field in form.fields.values())
    assert form.fields["count"].control.accessibleDescription() == "How many."


def test_advanced_parameters_are_folded_but_keep_their_value(form: ParamForm) -> None:
    assert not form.fields["secret"].control.isVisible()
    assert form.values()["secret"] == 7
