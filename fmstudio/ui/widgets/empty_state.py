"""What a page shows when there is nothing on it yet: what it is for, and one thing to do."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from fmstudio.ui.widgets.parts import button, column, icon_label, label, row

Action = tuple[str, Callable[[], None]]
WIDEST = 440
"""Pixels; longer lines are hard to read. Where there is less room, the words take what there is."""


class EmptyState(QWidget):
    """Icon, title, one or two sentences, one main action and perhaps a second."""

    def __init__(
        self, icon: str, title: str, text: str, action: Action | None = None, second: Action | None = None
    ) -> None:
        super().__init__()
        heading = label(title, "title", wrap=True)
        heading.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.words = words = label(text, "muted", wrap=True)
        words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        words.setMaximumWidth(WIDEST)
        centred = row(None, words, None)
        centred.setStretch(1, WIDEST)
        buttons = row(None, gap=8)
        if action is not None:
            self.main_button = button(action[0], action[1], kind="primary")
            buttons.addWidget(self.main_button)
        if second is not None:
            buttons.addWidget(button(second[0], second[1]))
        buttons.addStretch(1)
        picture = row(None, icon_label(icon, "accent", 36), None)
        middle = column(picture, 4, heading, centred, 8, buttons, gap=8)
        self.setLayout(column(None, middle, None, None, margins=(24, 24, 24, 24)))
        self.setAccessibleName(title)
