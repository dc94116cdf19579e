"""A combo box with little room cuts its choice with “…”."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QApplication, QComboBox

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.narrow_combo import NarrowCombo


@pytest.mark.parametrize("width", [110, 160, 600])
def test_what_does_not_fit_ends_in_dots(qtbot: Any, width: int) -> None:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    Theme(app, "light")
    whole = "qwen2.5-0.5b-instruct-q4_k_m with a long name"
    combo, usual = NarrowCombo(4), QComboBox()
    for box in (combo, usual):
        qtbot.addWidget(box)
        box.addItem(whole)
        box.resize(width, 30)
        box.show()
    shown = combo.shown_text()
    assert QFontMetrics(combo.font()).horizontalAdvance(shown) <= width
    if width == 600:
        assert shown == whole and combo.grab().toImage() == usual.grab().toImage()
    else:
        assert shown.endswith("…") and whole.startswith(shown[:-1]) and len(shown) > 3
        assert combo.grab().toImage() != usual.grab().toImage()
