"""`Thoughts`: what a model thought before it answered, folded away until one wants to read it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QLabel, QPushButton, QWidget

from fmstudio.ui.widgets.parts import button, column, label, row


class Thoughts(QWidget):
    """A button, and below it the text when it is unfolded; hidden when there was none."""

    def __init__(self) -> None:
        super().__init__()
        self._button: QPushButton = button(self.tr("Thoughts"), self._toggle, kind="quiet")
        self._button.setToolTip(self.tr("What the model thought before it answered; it is not sent again"))
        self._text: QLabel = label("", "muted", wrap=True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.hide()
        self.setLayout(column(row(self._button, None), self._text, gap=4))
        self.hide()

    def show_text(self, text: str) -> None:
        """Offer this text."""
        self._text.setText(text)
        self.setVisible(bool(text))

    @Slot()
    def _toggle(self) -> None:
        is_shown = self._text.isHidden()
        self._text.setVisible(is_shown)
        self._button.setText(self.tr("Hide thoughts") if is_shown else self.tr("Thoughts"))
