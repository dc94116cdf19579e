"""`WordDiffView`: two texts as one, what went struck through, what came underlined; each also on a colour of its own."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QFont, QResizeEvent, QTextCharFormat, QTextCursor, QTextOption, QWheelEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QWidget

from fmstudio.ui.theme import Theme

Piece = tuple[str, str]
"""``same``, ``removed``, ``added`` or ``gap`` (words of the app, not of the text), and the text."""

CONTEXT = 240
"""Characters of unchanged text kept before and after a change when a long text is shown in short."""
MOST_SHORT = 2_400
"""Characters shown in short."""


def shortened(pieces: Sequence[Piece], most: int = MOST_SHORT) -> list[Piece]:
    """The changes with some text around them; what is left out is said in a ``gap``.

    A text that is no longer than `most` stays whole.
    """
    if sum(len(text) for _, text in pieces) <= most:
        return list(pieces)
    kept: list[Piece] = []
    room = most
    for place, (kind, text) in enumerate(pieces):
        if room <= 0:
            rest = sum(len(text) for _, text in pieces[place:])
            kept.append(("gap", f" … {rest:,} characters more"))
            break
        if kind == "same" and len(pieces) > 1:
            made = _around(text, is_first=place == 0, is_last=place == len(pieces) - 1)
        else:
            made = [(kind, text)] if len(text) <= room else [(kind, text[:room]), _gap(len(text) - room)]
        kept += made
        room -= sum(len(text) for kind, text in made if kind != "gap")
    return kept


def _around(text: str, *, is_first: bool, is_last: bool) -> list[Piece]:
    head, tail = 0 if is_first else CONTEXT, 0 if is_last else CONTEXT
    left_out = len(text) - head - tail
    if left_out <= CONTEXT:
        return [("same", text)]
    parts = [("same", text[:head]), _gap(left_out), ("same", text[len(text) - tail :] if tail else "")]
    return [part for part in parts if part[1]]


def _gap(count: int) -> Piece:
    return "gap", f" … {count:,} characters … "


class WordDiffView(QTextBrowser):
    """Pieces of text, as tall as they need; what is written in them is shown, never interpreted.

    Args:
        pieces: In reading order; see `Piece`.
    """

    def __init__(self, pieces: Sequence[Piece], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pieces: list[Piece] = []
        self.setObjectName("prose")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.viewport().setAutoFillBackground(False)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.document().setDocumentMargin(0)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        Theme.current().changed.connect(self._render)
        self.show_pieces(pieces)

    def show_pieces(self, pieces: Sequence[Piece]) -> None:
        """Show other pieces."""
        self._pieces = list(pieces)
        self.setAccessibleName(spoken(self._pieces))
        self._render()

    @Slot()
    def _render(self) -> None:
        formats = {kind: _format(kind) for kind in ("same", "removed", "added", "gap")}
        self.clear()
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        for kind, text in self._pieces:
            cursor.insertText(text, formats[kind])
        cursor.endEditBlock()

    @Slot()
    def _fit(self) -> None:
        height = int(self.document().size().height()) + 1
        if height != self.height():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: lay the text out again where the width changed."""
        super().resizeEvent(event)
        self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Qt: let the page scroll."""
        event.ignore()

    def sizeHint(self) -> QSize:
        """Qt: as tall as the text."""
        return QSize(200, int(self.document().size().height()) + 1)


def spoken(pieces: Sequence[Piece]) -> str:
    """The pieces for a screen reader: what is marked by colour and line is said in words."""
    said = {"removed": "removed: {}", "added": "added: {}"}
    return "; ".join(said.get(kind, "{}").format(text.strip()[:300]) for kind, text in pieces if text.strip())[:2_000]


def _format(kind: str) -> QTextCharFormat:
    theme, made = Theme.current(), QTextCharFormat()
    if kind == "removed":
        made.setFontStrikeOut(True)
        made.setForeground(theme.color("danger"))
        made.setBackground(theme.color("danger_soft"))
    elif kind == "added":
        made.setFontUnderline(True)
        made.setFontWeight(QFont.Weight.Medium)
        made.setForeground(theme.color("positive"))
        made.setBackground(theme.color("positive_soft"))
    else:
        made.setForeground(theme.color("faint" if kind == "gap" else "text"))
        made.setFontItalic(kind == "gap")
    return made
