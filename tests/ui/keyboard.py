"""A person without a mouse: presses keys where the keyboard is, and says where it went."""

from __future__ import annotations

from typing import Any

from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

MOST_TABS = 80


class Keyboard:
    """Presses keys in a window.

    Args:
        window: Gets what is pressed while nothing has the keyboard.
    """

    def __init__(self, window: QWidget) -> None:
        self._window = window

    @property
    def place(self) -> Any:
        """The widget that has the keyboard."""
        return QApplication.activePopupWidget() or QApplication.focusWidget() or self._window

    def press(self, *sequences: str) -> None:
        """Press keys one after the other, written as ``"Ctrl+Shift+Left"``."""
        for sequence in sequences:
            combination = QKeySequence(sequence)[0]
            QTest.keyClick(self.place, combination.key(), combination.keyboardModifiers())

    def write(self, text: str) -> None:
        """Type a text."""
        QTest.keyClicks(self.place, text)

    def replace(self, text: str) -> None:
        """Type a text instead of what stands there."""
        self.press("Ctrl+A")
        self.write(text)

    def tab_to(self, wanted: QWidget, *, backwards: bool = False) -> None:
        """Press Tab until a control has the keyboard.

        Raises:
            AssertionError: Tab does not lead there.
        """
        passed = []
        for _ in range(MOST_TABS):
            if wanted.hasFocus():
                return
            passed.append(f"{type(self.place).__name__} “{self.place.accessibleName()}”")
            self.press("Shift+Tab" if backwards else "Tab")
        raise AssertionError(f"Tab does not lead to “{wanted.accessibleName()}”, but to {', '.join(passed)}")

    def choose(self, title: str) -> None:
        """Run a command of the palette by typing its beginning."""
        self.press("Ctrl+K")
        self.write(title)
        self.press("Return")
