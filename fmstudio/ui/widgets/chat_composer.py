"""`Composer`: where a question is written; Ctrl+Enter sends, Esc stops."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

LINES_AT_MOST = 9


class MessageInput(QPlainTextEdit):
    """A text field where Ctrl+Enter sends.

    Args:
        takes_escape: Esc leaves the field instead of being the page's.

    Signals:
        sent(): Ctrl+Enter was pressed.
        escaped(): Esc was pressed, when it is taken.
    """

    sent = Signal()
    escaped = Signal()

    def __init__(self, text: str = "", *, takes_escape: bool = False) -> None:
        super().__init__(text)
        self._takes_escape = takes_escape

    def event(self, event: QEvent) -> bool:
        """Claim our keys before a shortcut of the page around gets them."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._is_ours(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Ctrl+Enter sends, Esc leaves; everything else is typing."""
        if not self._is_ours(event):
            super().keyPressEvent(event)
        elif event.key() == Qt.Key.Key_Escape:
            self.escaped.emit()
        else:
            self.sent.emit()

    def _is_ours(self, event: QKeyEvent) -> bool:
        if event.key() == Qt.Key.Key_Escape:
            return self._takes_escape
        is_enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        return is_enter and bool(
            event.modifiers() & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.MetaModifier)
        )


class Composer(QFrame):
    """The input below a conversation, with Send and Stop.

    Signals:
        sent(str): The question; the input is emptied by `clear`, once the question is saved.
        stopped(): The answer being made shall end.
        draft_changed(): The text changed.
    """

    sent = Signal(str)
    stopped = Signal()
    draft_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("composer")
        self._is_busy = False
        self.input = MessageInput()
        self.input.setPlaceholderText(self.tr("Ask something. Ctrl+Enter sends, Esc stops the answer."))
        self.input.setAccessibleName(self.tr("Your message"))
        self.input.setTabChangesFocus(True)
        self.input.setFrameShape(QFrame.Shape.NoFrame)
        self.input.sent.connect(self._send)
        self.input.textChanged.connect(self._on_text)
        self.hint = QLabel()
        self.hint.setProperty("role", "caption")
        self._send_button = QPushButton(self.tr("Send"))
        self._send_button.setProperty("kind", "primary")
        self._send_button.setToolTip(self.tr("Send (Ctrl+Enter)"))
        self._send_button.clicked.connect(self._send)
        self._stop_button = QPushButton(self.tr("Stop"))
        self._stop_button.setToolTip(self.tr("Stop the answer (Esc)"))
        self._stop_button.clicked.connect(self.stopped)
        row = QHBoxLayout()
        row.addWidget(self.hint, 1)
        row.addWidget(self._stop_button)
        row.addWidget(self._send_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.setSpacing(4)
        layout.addWidget(self.input)
        layout.addLayout(row)
        self.set_busy(False)
        self._fit()

    @property
    def text(self) -> str:
        """What is written."""
        return self.input.toPlainText()

    def set_text(self, text: str) -> None:
        """Put text into the input, replacing what is there."""
        self.input.setPlainText(text)

    def clear(self) -> None:
        """Empty the input."""
        self.input.clear()

    def set_busy(self, is_busy: bool) -> None:
        """Show Stop while an answer is being made, Send otherwise; one can go on writing."""
        self._is_busy = is_busy
        self._stop_button.setVisible(is_busy)
        self._send_button.setVisible(not is_busy)
        self._enable()

    def _enable(self) -> None:
        self._send_button.setEnabled(not self._is_busy and bool(self.text.strip()))

    @Slot()
    def _send(self) -> None:
        if not self._is_busy and self.text.strip():
            self.sent.emit(self.text)

    @Slot()
    def _on_text(self) -> None:
        self._enable()
        self._fit()
        self.draft_changed.emit()

    def _fit(self) -> None:
        lines = min(LINES_AT_MOST, max(2, int(self.input.document().size().height())))
        margins = 2 * int(self.input.document().documentMargin()) + 2
        self.input.setFixedHeight(lines * self.input.fontMetrics().lineSpacing() + margins)
