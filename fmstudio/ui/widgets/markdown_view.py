"""`MarkdownView`: shows Markdown that may still be growing, re-rendering only its last block.

Text stays selectable, code blocks scroll sideways and can be copied. Raw HTML is shown as text and no image is ever
loaded: what a model writes must not reach the network or the disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QSize, Qt, QUrl, Signal, Slot
from PySide6.QtGui import (
    QDesktopServices,
    QGuiApplication,
    QResizeEvent,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QSizePolicy,
    QTextBrowser,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from fmstudio.ui.theme import Theme

FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^\s`]*)[^`]*$")
_CONTINUES = re.compile(r"^(\s+\S|\s*([-*+]|\d+[.)])\s|\s*>|\s*\|)")


@dataclass(slots=True)
class Segment:
    """A stretch of an answer: prose, or the inside of a fenced code block."""

    is_code: bool
    text: str
    language: str = ""
    is_closed: bool = False


def split_segments(source: str) -> list[Segment]:
    """Cut Markdown into prose and fenced code (CommonMark 0.31, section 4.5); an open fence runs to the end."""
    segments: list[Segment] = []
    prose: list[str] = []
    code: list[str] | None = None
    fence = language = ""
    for line in source.split("\n"):
        match = _FENCE.match(line)
        if code is None and match:
            if prose and "".join(prose).strip():
                segments.append(Segment(False, "\n".join(prose), is_closed=True))
            prose, code, fence, language = [], [], match[1], match[2]
        elif code is not None and match and not match[2] and match[1].startswith(fence):
            segments.append(Segment(True, "\n".join(code), language, is_closed=True))
            code = None
        elif code is not None:
            code.append(line)
        elif prose or line.strip():
            prose.append(line)
    if code is not None:
        segments.append(Segment(True, "\n".join(code), language))
    elif "".join(prose).strip():
        segments.append(Segment(False, "\n".join(prose)))
    return segments


def stable_length(prose: str) -> int:
    """How much of growing prose will render the same whatever follows: up to the last blank line outside a list."""
    at = len(prose)
    while (at := prose.rfind("\n\n", 0, at)) > 0:
        after = prose[at + 2 :]
        before = prose[:at].rsplit("\n", 1)[-1]
        if after.strip() and not _CONTINUES.match(after) and not _CONTINUES.match(before):
            return at + 2
    return 0


class _ProseView(QTextBrowser):
    """Prose as tall as its text; wheel events go to the page around it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("prose")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.viewport().setAutoFillBackground(False)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self.document().setDocumentMargin(0)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self.anchorClicked.connect(_open_link)
        self._source = ""
        self._stable_source = 0
        self._stable_position = 0

    def show_source(self, source: str, *, is_final: bool) -> None:
        """Render; text that only grew keeps its stable part untouched."""
        grew = source.startswith(self._source) and self._source
        if not grew:
            self._stable_source = self._stable_position = 0
        if source == self._source and not is_final:
            return
        self._source = source
        self._render_tail(source[self._stable_source :])
        stable = stable_length(source[self._stable_source :])
        if stable and not is_final:
            self._settle(stable)

    def _render_tail(self, tail: str) -> None:
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        cursor.setPosition(self._stable_position)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        if cursor.currentList():
            cursor.currentList().remove(cursor.block())
        cursor.setBlockFormat(QTextBlockFormat())
        cursor.setBlockCharFormat(QTextCharFormat())
        cursor.setCharFormat(QTextCharFormat())
        cursor.insertMarkdown(tail, FEATURES)
        cursor.endEditBlock()

    def _settle(self, length: int) -> None:
        """Freeze the part that cannot change: render it once, open a new paragraph, remember the place."""
        tail = self._source[self._stable_source :]
        self._render_tail(tail[:length])
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertBlock(QTextBlockFormat(), QTextCharFormat())
        self._stable_position = cursor.position()
        self._stable_source += length
        self._render_tail(tail[length:])

    @Slot()
    def _fit(self) -> None:
        height = int(self.document().size().height()) + 1
        if height != self.height():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the text out again where the width changed."""
        super().resizeEvent(event)
        self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Let the page scroll."""
        event.ignore()

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        """Load nothing: neither images nor style sheets nor files."""
        return None

    def sizeHint(self) -> QSize:
        """As tall as the text."""
        return QSize(200, int(self.document().size().height()) + 1)


class _CodeView(QFrame):
    """A code block with its language and a copy button."""

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
        self._text.horizontalScrollBar().rangeChanged.connect(lambda *_: self._fit())
        self._text.wheelEvent = self._pass_wheel  # type: ignore[method-assign]
        self._label = QLabel()
        self._label.setProperty("role", "caption")
        copy = QToolButton()
        copy.setText(self.tr("Copy"))
        copy.setAccessibleName(self.tr("Copy code"))
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

    def show_code(self, code: str, language: str) -> None:
        """Show the code; what was only added to is only appended."""
        self._label.setText(language or self.tr("code"))
        shown = self._text.toPlainText()
        if shown and code.startswith(shown):
            cursor = QTextCursor(self._text.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(code[len(shown) :])
        elif code != shown:
            self._text.setPlainText(code)
        self._fit()

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


class MarkdownView(QWidget):
    """Markdown as a column of prose and code blocks, exactly as tall as it needs to be.

    Signals:
        height_changed(): The text grew or shrank.
    """

    height_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._views: list[_ProseView | _CodeView] = []
        self._segments: list[Segment] = []
        self._source = ""
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(8)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    @property
    def source(self) -> str:
        """The Markdown shown."""
        return self._source

    def set_source(self, source: str, *, is_final: bool = True) -> None:
        """Show `source`; call with ``is_final=False`` while it is still growing."""
        self._source = source
        segments = split_segments(source)
        for index, segment in enumerate(segments):
            self._show(index, segment, is_final=is_final)
        while len(self._views) > len(segments):
            view = self._views.pop()
            view.hide()
            view.deleteLater()
        self._segments = segments
        self.height_changed.emit()

    def set_plain(self, text: str) -> None:
        """Show text exactly as it is, without reading it as Markdown."""
        self._source = text
        segment = Segment(False, text, is_closed=True)
        view = self._views[0] if self._views and isinstance(self._views[0], _ProseView) else self._replace(0, segment)
        if isinstance(view, _ProseView):
            view.setPlainText(text)
        self._segments = []
        self.height_changed.emit()

    def _show(self, index: int, segment: Segment, *, is_final: bool) -> None:
        if index < len(self._segments) and self._segments[index] == segment and segment.is_closed:
            return
        view = self._views[index] if index < len(self._views) else None
        if view is None or isinstance(view, _CodeView) != segment.is_code:
            view = self._replace(index, segment)
        if isinstance(view, _CodeView):
            view.show_code(segment.text, segment.language)
        else:
            view.show_source(segment.text, is_final=is_final or segment.is_closed)

    def _replace(self, index: int, segment: Segment) -> _ProseView | _CodeView:
        while len(self._views) > index:
            old = self._views.pop()
            old.hide()
            old.deleteLater()
        view = _CodeView() if segment.is_code else _ProseView()
        self._views.append(view)
        self._layout.addWidget(view)
        return view


@Slot(QUrl)
def _open_link(url: QUrl) -> None:
    """Open web links in the browser, on a click only; every other scheme is left alone."""
    if url.scheme() in {"http", "https"}:
        QDesktopServices.openUrl(url)
