"""A step of a recipe is opened, moved and removed without a mouse."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QApplication

from fmstudio.ui.pages.recipes.step_card import StepCard
from fmstudio.ui.theme import Theme
from tests.ui.keyboard import Keyboard


def test_a_card_is_chosen_opened_moved_and_removed_by_keys(qtbot: Any, qapp: QApplication) -> None:
    Theme(qapp, "light")
    schema = {"properties": {"least": {"type": "integer", "title": "Least", "default": 1}}}
    card = StepCard("length_filter", "Length", schema, {})
    qtbot.addWidget(card)
    card.set_place(2, 3)
    told: list[object] = []
    card.chosen.connect(lambda: told.append("chosen"))
    card.moved.connect(told.append)
    card.removed.connect(lambda: told.append("removed"))
    card.show()
    card.activateWindow()
    qtbot.waitUntil(card.isActiveWindow)
    card.clearFocus()
    card.setFocus()
    assert "chosen" in told
    told.clear()
    keys = Keyboard(card)
    assert card.form.isHidden()
    keys.press("Return")
    assert not card.form.isHidden()
    keys.press("Alt+Up", "Alt+Down", "Del")
    assert told == [-1, 1, "removed"]
    keys.tab_to(card.form.fields["least"].control)
    keys.press("Del")
    assert told[-1] == "removed" and told.count("removed") == 1
