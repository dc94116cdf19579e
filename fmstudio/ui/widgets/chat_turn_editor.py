"""`TurnEditor`: a turn's text being rewritten in place."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from fmstudio.ui.widgets.chat_composer import MessageInput


class TurnEditor(QWidget):
    """Text being rewritten in place; Ctrl+Enter keeps it, Esc does not."""

    accepted = Signal(str)
    rejected = Signal()

    def __init__(self, text: str, save_label: str) -> None:
        super().__init__()
        self._text = MessageInput(text, takes_escape=True)
        self._text.sent.connect(self._accept)
        self._text.escaped.connect(self.rejected)
        self._text.setAccessibleName(self.tr("Edit the text"))
        self._text.setFixedHeight(min(360, max(96, (text.count("\n") + 3 + len(text) // 80) * 18)))
        save = QPushButton(save_label)
        save.setToolTip(self.tr("Ctrl+Enter"))
        save.setProperty("kind", "primary")
        save.clicked.connect(self._accept)
        cancel = QPushButton(self.tr("Cancel"))
        cancel.setToolTip(self.tr("Esc"))
        cancel.clicked.connect(self.rejected)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(cancel)
        buttons.addWidget(save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._text)
        layout.addLayout(buttons)

    def focus(self) -> None:
        """Put the cursor at the end of the text."""
        self._text.setFocus()
        self._text.moveCursor(self._text.textCursor().MoveOperation.End)

    @Slot()
    def _accept(self) -> None:
        if self._text.toPlainText().strip():
            self.accepted.emit(self._text.toPlainText())
