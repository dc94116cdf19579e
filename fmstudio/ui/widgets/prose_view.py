"""`ProseView`: Markdown without code blocks, as tall as its text; where the text only grew, its tail is rendered again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PySide6.QtCore import QMimeData, QSize, Qt, QUrl, Slot
from PySide6.QtGui import (
    QDesktopServices,
    QFontInfo,
    QFontMetricsF,
    QImage,
    QResizeEvent,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextImageFormat,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QWidget

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.formulas import Formula, Formulas, formulas_in, paint
from fmstudio.ui.widgets.markdown_parts import stable_length

FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
_OPEN, _CLOSE = "\ue000", "\ue001"
"""Around a formula's number while Markdown is read: characters of private use, which no text means anything by."""
PARAGRAPH_GAP, QUOTE_INDENT = 8.0, 18.0
_AS_TEXT = {0x2029: "\n", 0x2028: "\n", 0xA0: " ", 0xFFFC: None, 0xFDD0: "\n", 0xFDD1: "\n"}
"""How Qt writes ends of paragraphs, lines and table cells in a selection."""
_TEX = int(QTextImageFormat.Property.UserProperty) + 1
_IS_DISPLAY = _TEX + 1


class ProseView(QTextBrowser):
    """Prose with formulas; wheel events go to the page around it."""

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
        self._has_formulas = False
        self._pictures: dict[str, QImage] = {}

    # ---- text ------------------------------------------------------------------------------------------------------

    def show_source(self, source: str, *, is_final: bool) -> None:
        """Render; text that only grew keeps its stable part untouched."""
        grew = source.startswith(self._source) and self._source
        if not grew:
            self._stable_source = self._stable_position = 0
        if source == self._source and not is_final:
            return
        self._source = source
        stable = 0 if is_final else stable_length(source[self._stable_source :])
        if stable:
            self._settle(stable)
        else:
            self._render_tail(source[self._stable_source :])

    def _render_tail(self, tail: str) -> None:
        formulas = list(formulas_in(tail)) if "$" in tail or "\\(" in tail or "\\[" in tail else []
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
        cursor.insertMarkdown(_with_places(tail, formulas), FEATURES)
        if formulas:
            self._insert_formulas(formulas)
        self._space_out()
        cursor.endEditBlock()

    def _space_out(self) -> None:
        """Room between paragraphs, and quotes to be seen as such; from the stable place on."""
        block = self.document().findBlock(self._stable_position)
        while block.isValid():
            cursor = QTextCursor(block)
            level = block.blockFormat().intProperty(QTextFormat.Property.BlockQuoteLevel.value)
            is_next_item = block.textList() is not None and block.previous().textList() is not None
            wanted = QTextBlockFormat()
            if block.position() > 0 and not is_next_item and cursor.currentTable() is None:
                wanted.setTopMargin(PARAGRAPH_GAP)
            if level:
                wanted.setLeftMargin(QUOTE_INDENT * level)
                cursor.select(QTextCursor.SelectionType.BlockUnderCursor)
                quiet = QTextCharFormat()
                quiet.setForeground(Theme.current().color("muted"))
                cursor.mergeCharFormat(quiet)
            if wanted.propertyCount():
                QTextCursor(block).mergeBlockFormat(wanted)
            block = block.next()

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

    # ---- formulas --------------------------------------------------------------------------------------------------

    def _insert_formulas(self, formulas: list[Formula]) -> None:
        if not self._has_formulas:
            self._has_formulas = True
            Formulas.shared().drawn.connect(self._on_drawn)
            Theme.current().changed.connect(self._draw_again)
        at = self._stable_position
        for number, formula in enumerate(formulas):
            cursor = self.document().find(f"{_OPEN}{number}{_CLOSE}", at)
            if cursor.isNull():
                continue
            at = cursor.selectionStart()
            self._insert(cursor, formula.tex, is_display=formula.is_display)

    def _insert(self, cursor: QTextCursor, tex: str, *, is_display: bool) -> None:
        """Put a formula where the cursor's selection is: its drawing, or its LaTeX as long as there is none."""
        written = QTextCharFormat()
        written.setProperty(_TEX, tex)
        written.setProperty(_IS_DISPLAY, is_display)
        drawing = Formulas.shared().get(tex, is_display=is_display)
        if drawing is None or not drawing.width:
            written.setFontFamilies([Theme.current().mono().family()])
            cursor.insertText(_delimited(tex, is_display=is_display).replace("\n", " "), written)
            return
        metrics, em = QFontMetricsF(self.font()), QFontInfo(self.font()).pixelSize() * 1.15
        above, below = drawing.ascent * em / 16, drawing.descent * em / 16
        image = QTextImageFormat()
        image.setProperty(_TEX, tex)
        image.setProperty(_IS_DISPLAY, is_display)
        if below <= metrics.descent():
            # Qt puts the lower edge of such a picture where the font's descenders end.
            below = metrics.descent()
            image.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignBaseline)
        else:  # and the middle of such a one on the baseline
            above = below = max(above, below)
            image.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignMiddle)
        color = Theme.current().color("text")
        name = f"formula:{color.name()}:{em:g}:{is_display:d}:{tex}"
        if name not in self._pictures:  # the tail of a growing answer is rendered many times
            self._pictures[name] = paint(drawing, em, color, self.devicePixelRatioF(), above, below)
        picture = self._pictures[name]
        self.document().addResource(QTextDocument.ResourceType.ImageResource.value, QUrl(name), picture)
        image.setName(name)
        image.setWidth(drawing.width * em / 16)
        image.setHeight(above + below)
        is_item = cursor.block().textList() is not None
        if (
            is_display
            and not is_item
            and len(cursor.block().text().strip()) <= cursor.selectionEnd() - cursor.selectionStart()
        ):
            center = QTextBlockFormat()
            center.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            cursor.mergeBlockFormat(center)
        cursor.insertImage(image)

    def _places(self) -> Iterator[tuple[int, int, str, bool]]:
        """Where formulas stand: from, to, LaTeX, on a line of its own; the last first."""
        found = []
        block = self.document().begin()
        while block.isValid():
            iterator = block.begin()
            while not iterator.atEnd():
                fragment = iterator.fragment()
                format_ = fragment.charFormat()
                if format_.hasProperty(_TEX):
                    start = fragment.position()
                    tex, is_display = str(format_.property(_TEX)), bool(format_.property(_IS_DISPLAY))
                    found.append((start, start + fragment.length(), tex, is_display))
                iterator += 1
            block = block.next()
        yield from reversed(found)

    @Slot(str, bool)
    def _on_drawn(self, tex: str, is_display: bool) -> None:
        self._replace(lambda t, d: (t, d) == (tex, is_display))

    @Slot()
    def _draw_again(self) -> None:
        self._pictures = {}
        self._replace(lambda _t, _d: True)

    def _replace(self, wanted: Any) -> None:
        grown = 0
        for start, end, tex, is_display in self._places():
            if not wanted(tex, is_display):
                continue
            cursor = QTextCursor(self.document())
            cursor.setPosition(start)
            cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
            before = self.document().characterCount()
            self._insert(cursor, tex, is_display=is_display)
            grown += self.document().characterCount() - before if start < self._stable_position else 0
        self._stable_position += grown

    def createMimeDataFromSelection(self) -> QMimeData:
        """Copy formulas as their LaTeX."""
        data = super().createMimeDataFromSelection()
        if "\ufffc" in data.text():
            data.setText(self._said(self.textCursor().selectionStart(), self.textCursor().selectionEnd()))
        return data

    def _said(self, start: int, end: int) -> str:
        """The text between two places, with the LaTeX of its formulas."""
        text, at = "", start
        for formula_start, formula_end, tex, is_display in reversed(list(self._places())):
            if start <= formula_start and formula_end <= end:
                text += self._between(at, formula_start) + _delimited(tex, is_display=is_display)
                at = formula_end
        return text + self._between(at, end)

    def _between(self, start: int, end: int) -> str:
        cursor = QTextCursor(self.document())
        cursor.setPosition(start)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        return cursor.selectedText().translate(_AS_TEXT)

    # ---- geometry --------------------------------------------------------------------------------------------------

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


def _delimited(tex: str, *, is_display: bool) -> str:
    return f"$${tex}$$" if is_display else f"${tex}$"


def _with_places(text: str, formulas: list[Formula]) -> str:
    """The text with a numbered mark in the place of each formula, out of Markdown's reach."""
    parts, at = [], 0
    for number, formula in enumerate(formulas):
        parts += [text[at : formula.start], f"{_OPEN}{number}{_CLOSE}"]
        at = formula.end
    return "".join([*parts, text[at:]])


@Slot(QUrl)
def _open_link(url: QUrl) -> None:
    """Open web links in the browser, on a click only; every other scheme is left alone."""
    if url.scheme() in {"http", "https"}:
        QDesktopServices.openUrl(url)
