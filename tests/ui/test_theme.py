"""Both themes name the same tokens, are readable, and can be switched while the window is open."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtGui import QFont, QFontMetrics, QPalette
from PySide6.QtWidgets import QApplication, QStyle, QStyleOptionButton

from fmstudio.app import PAGES
from fmstudio.core.paths import resource
from fmstudio.ui import icons
from fmstudio.ui.theme import Theme, contrast, tokens
from fmstudio.ui.widgets.parts import button
from tests.ui.conftest import OpenWindow

GROUNDS = ("background", "surface", "raised", "sunken", "hover", "selected")
TEXTS = ("text", "muted", "faint", "accent", "positive", "warning", "danger")
ON_COLOUR = (
    ("on_accent", "accent"), ("on_accent", "accent_hover"), ("accent", "accent_soft"), ("positive", "positive_soft"),
    ("warning", "warning_soft"), ("danger", "danger_soft"), ("text", "accent_soft"), ("text", "danger_soft"),
    ("text", "positive_soft"), ("text", "warning_soft"), ("muted", "pressed"), ("muted", "accent_soft"),
)  # fmt: skip


def test_contrast_of_known_pairs() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_and_controls_are_readable(name: str) -> None:
    theme = tokens(name)
    pairs = [(fore, back) for fore in TEXTS for back in GROUNDS] + list(ON_COLOUR)
    low = [(f, b, round(contrast(theme[f], theme[b]), 2)) for f, b in pairs if contrast(theme[f], theme[b]) < 4.5]
    faint = [
        (f, b) for f in ("control", "focus") for b in ("background", "surface", "raised", "sunken")
        if contrast(theme[f], theme[b]) < 3
    ]  # fmt: skip
    assert (low, faint) == ([], [])


def test_both_themes_have_the_same_tokens() -> None:
    assert tokens("light").keys() == tokens("dark").keys()


def test_every_icon_is_one_colour_and_every_page_has_one(qapp: QApplication) -> None:
    for path in resource("icons").glob("*.svg"):
        text = icons.svg(path.stem, "#123456")
        assert "#000000" not in text, path.name
        assert not icons.icon(path.stem).pixmap(24, 24).isNull(), path.name
    for page in PAGES:
        assert resource("icons", f"{page.icon}.svg").exists()


def test_the_look_changes_live(open_window: OpenWindow) -> None:
    window = open_window()
    theme = Theme.current()
    seen = []
    window.context.theme_changed.connect(lambda: seen.append(theme.name))
    theme.choose("dark")
    assert window.palette().color(QPalette.ColorRole.Window) == theme.color("background")
    assert theme.color("background").lightness() < 60
    dark = window.grab().toImage().pixelColor(640, 700)
    theme.choose("light")
    light = window.grab().toImage().pixelColor(640, 700)
    assert dark.lightness() < 60 < 200 < light.lightness()
    assert seen == ["dark", "light"]


def test_a_choice_is_as_wide_as_its_bold_text(open_window: OpenWindow, qtbot: Any) -> None:
    open_window()
    made = button("2 suspicious values", kind="choice")
    qtbot.addWidget(made)
    bold = QFont(made.font())
    bold.setWeight(QFont.Weight.DemiBold)
    for is_on in (False, True):
        made.setChecked(is_on)
        made.adjustSize()
        option = QStyleOptionButton()
        made.initStyleOption(option)
        room = made.style().subElementRect(QStyle.SubElement.SE_PushButtonContents, option, made).width()
        assert QFontMetrics(bold).horizontalAdvance(made.text()) <= room
