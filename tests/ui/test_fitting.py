"""`Fitting` cuts where Qt would, give or take a letter, and leaves what it cannot add up to Qt."""

from __future__ import annotations

import random
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QFontMetrics, QFontMetricsF
from PySide6.QtWidgets import QApplication

from fmstudio.ui.widgets.table.fitting import Fitting


@pytest.fixture
def font(qapp: Any) -> QFont:
    return QApplication.font()


@pytest.mark.parametrize("letters", ["abcdefghij klmnop qrstuvwxyz AVTWY.,:;", "äöüßéÅ Жщи ΑΩλ", "漢字かなカナ한글。"])
def test_texts_are_cut_where_qt_cuts_them(font: QFont, letters: str) -> None:
    rng, metrics, exact = random.Random(0), QFontMetrics(font), QFontMetricsF(font)
    fitting = Fitting(font)
    for _ in range(200):
        text = "".join(rng.choices(letters, k=rng.randint(0, 120)))
        room = rng.uniform(0, 700)
        shown = fitting.fit(text, room)
        wanted = metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(room))
        if shown == text:
            assert exact.horizontalAdvance(text) <= room + 2
            wide = exact.horizontalAdvance(text)  # pairs such as AV stand closer than their letters alone
            assert wide - 2 <= fitting.width(text) <= 1.1 * wide + 2
        elif shown:
            assert shown.endswith("…") and text.startswith(shown[:-1])
            assert exact.horizontalAdvance(shown) <= room + 2
            assert abs(len(shown) - len(wanted)) <= 2, (shown, wanted)
        else:
            assert room < exact.horizontalAdvance("…") + 1 or not text


@pytest.mark.parametrize("text", ["مرحبا بالعالم " * 9, "e\u0301" * 60, "👩‍👩‍👧" * 30, "नमस्ते " * 20, "tab\there " * 20])
def test_letters_that_join_or_stack_are_left_to_qt(font: QFont, text: str) -> None:
    fitting, metrics = Fitting(font), QFontMetrics(font)
    for room in (20, 100, 333):
        start = text[: int(room / 3) + 2]
        assert fitting.fit(text, room) == metrics.elidedText(start, Qt.TextElideMode.ElideRight, room)
