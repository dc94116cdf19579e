"""`CodeView`: source code or a very long text, to read: highlighted, not wrapped, scrolling in a box of its own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from PySide6.QtGui import QColor, QFont, QSyntaxHighlighter, QTextCharFormat, QTextDocument
from PySide6.QtWidgets import QPlainTextEdit

from fmstudio.ui.theme import Theme

MOST_HIGHLIGHTED = 200_000
"""Longer texts are shown in one colour."""
MOST_LINES = 24
COLORS = (
    ("Token.Comment", "faint"), ("Token.Keyword", "accent"), ("Token.Literal.String", "positive"),
    ("Token.Literal.Number", "warning"), ("Token.Name.Function", "series_2"), ("Token.Name.Class", "series_2"),
    ("Token.Name.Tag", "accent"), ("Token.Name.Builtin", "series_4"), ("Token.Operator.Word", "accent"),
    ("Token.Error", "text"),
)  # fmt: skip
"""Token types of Pygments, the more general name covering all below it, and the theme's colour for each."""


@lru_cache(maxsize=64)
def _lexer(language: str, start: str) -> Any:
    """A Pygments lexer by name, else by how the code looks; None where there is no good guess."""
    from pygments.lexers import get_lexer_by_name, guess_lexer
    from pygments.util import ClassNotFound

    try:
        if language:
            return get_lexer_by_name(language, stripnl=False, ensurenl=False)
        guessed = guess_lexer(start, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
    return None if guessed.name == "Text only" else guessed


Spans = dict[int, list[tuple[int, int, str]]]
"""Of each line: from where, how long, and the theme's colour."""


def spans_of(text: str, language: str) -> Spans:
    """How a text is to be coloured; some milliseconds for a page of code, and safe on any thread."""
    found: Spans = {}
    lexer = _lexer(language, text[:2_000]) if len(text) <= MOST_HIGHLIGHTED else None
    if lexer is None:
        return found
    line = at = 0
    for kind, value in lexer.get_tokens(text):
        name = str(kind)
        color = next((color for prefix, color in COLORS if name.startswith(prefix)), "")
        for place, part in enumerate(value.split("\n")):
            if place:
                line, at = line + 1, 0
            if part and color:
                found.setdefault(line, []).append((at, len(part), color))
            at += len(part)
    return found


class CodeHighlighter(QSyntaxHighlighter):
    """Colours a document by Pygments' tokens, worked out once for the whole text.

    Args:
        spans: Worked out before; else they are now.
    """

    def __init__(self, document: QTextDocument, language: str = "", spans: Spans | None = None) -> None:
        super().__init__(document)
        self._spans = spans if spans is not None else spans_of(document.toPlainText(), language)
        self._formats: dict[str, QTextCharFormat] = {}
        Theme.current().changed.connect(self._on_theme)

    def _on_theme(self) -> None:
        self._formats = {}
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        """Qt: colour one line."""
        for start, length, color in self._spans.get(self.currentBlock().blockNumber(), ()):
            if color not in self._formats:
                self._formats[color] = _format(color)
            self.setFormat(start, length, self._formats[color])


def _format(token: str) -> QTextCharFormat:
    made = QTextCharFormat()
    made.setForeground(QColor(Theme.current().hex(token)))
    return made


class CodeView(QPlainTextEdit):
    """Text to read only.

    Args:
        language: Name of the language as Pygments knows it; empty = guess.
        is_code: False shows a long text: in the common font, wrapped, in one colour.
    """

    def __init__(self, text: str, language: str = "", *, is_code: bool = True) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setPlainText(text)
        self.setProperty("sunken", "true")
        self.setProperty("sized", "true")
        self.setAccessibleName(self.tr("Code") if is_code else self.tr("Long text"))
        if is_code:
            self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
            self.setFont(Theme.current().mono())
            self.setProperty("role", "mono")
            self._highlighter = CodeHighlighter(self.document(), language)
        else:
            self.setFont(QFont(self.font()))
        lines = min(MOST_LINES, self.blockCount() if is_code else MOST_LINES)
        bar = self.horizontalScrollBar().sizeHint().height() if is_code else 0
        self.setFixedHeight(lines * self.fontMetrics().lineSpacing() + 22 + bar)
