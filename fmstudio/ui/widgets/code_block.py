"""`CodeBlock`: a fenced code block of an answer, with its language and a copy button; coloured once it is complete."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QGuiApplication, QTextCursor, QWheelEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.aside import Aside
from fmstudio.ui.widgets.code_view import CodeHighlighter, Spans, spans_of

MOST_COLOURED = 20_000
"""Characters; colours for more would take longer than a frame to set."""


class CodeBlock(QFrame):
    """Code to read and to copy."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("codeBlock")
        self._text = QPlainTextEdit()
        self._text.setObjectName("code")
        self._text.setReadOnly(True)
        self._text.setFrameShape(QFrame.Shape.NoFrame)
        self._text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._text.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._text.setFont(Theme.current().mono())
        self._text.setAccessibleName(self.tr("Code block"))
        self._text.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._text.horizontalScrollBar().rangeChanged.connect(self._fit)
        self._text.wheelEvent = self._pass_wheel  # type: ignore[method-assign]
        self._highlighter: CodeHighlighter | None = None
        self._label = QLabel()
        self._label.setProperty("role", "caption")
        copy = QToolButton()
        copy.setText(self.tr("Copy"))
        copy.setAccessibleName(self.tr("Copy code"))
        copy.setToolTip(self.tr("Copy this code"))
        copy.clicked.connect(self._copy)
        head = QHBoxLayout()
        head.addWidget(self._label)
        head.addStretch()
        head.addWidget(copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 4, 8, 8)
        layout.setSpacing(2)
        layout.addLayout(head)
        layout.addWidget(self._text)

    def show_code(self, code: str, language: str, *, is_closed: bool) -> None:
        """Show the code; what was only added to is only appended."""
        self._label.setText(language or self.tr("code"))
        shown = self._text.toPlainText()
        if code != shown and self._highlighter is not None:
            self._highlighter.deleteLater()
            self._highlighter = None
        if shown and code.startswith(shown):
            cursor = QTextCursor(self._text.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(code[len(shown) :])
        elif code != shown:
            self._text.setPlainText(code)
        if is_closed and language and self._highlighter is None and len(code) <= MOST_COLOURED:
            Aside.shared().run(
                lambda: spans_of(code, language), lambda spans: self._colour(code, language, spans), owner=self
            )
        self._fit()

    def _colour(self, code: str, language: str, spans: Spans) -> None:
        if self._highlighter is None and spans and self._text.toPlainText() == code:
            self._highlighter = CodeHighlighter(self._text.document(), language, spans)

    @Slot()
    def _fit(self) -> None:
        lines = self._text.blockCount()
        margins = 2 * int(self._text.document().documentMargin())
        bar = self._text.horizontalScrollBar()
        room = bar.sizeHint().height() if bar.maximum() else 0
        self._text.setFixedHeight(lines * self._text.fontMetrics().lineSpacing() + margins + room)

    def _pass_wheel(self, event: QWheelEvent) -> None:
        if abs(event.angleDelta().x()) > abs(event.angleDelta().y()):
            QPlainTextEdit.wheelEvent(self._text, event)
        else:
            event.ignore()

    @Slot()
    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text.toPlainText())
