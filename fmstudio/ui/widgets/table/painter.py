"""`CellPainter`: draws a cell as what it is. What a cell needs is worked out once and kept, so that scrolling is cheap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QApplication

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.table.fitting import Fitting
from fmstudio.ui.widgets.table.thumbnails import Thumbnails
from fmstudio.ui.widgets.table.values import (
    CELL_CHARS,
    CellKind,
    cell_text,
    is_blank,
    is_messages,
    named_text,
    one_line,
    plain_content,
    snippet,
)

PADDING = 8
CHIP_PADDING = 6
MOST_KEPT = 6_000
MOST_CHIPS = 24
ROLE_CHIPS = {"user": ("accent_soft", "accent"), "assistant": ("positive_soft", "positive")}
OTHER_ROLE = ("sunken", "muted")


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing to draw: a text, a chip behind one, or the mark of a match; places from the cell's left edge."""

    shape: str
    x: float
    width: float
    text: str
    color: str
    font: str = "ui"


@dataclass(frozen=True, slots=True)
class Look:
    """How a column is drawn: what it holds, and what to mark in it (small letters)."""

    kind: CellKind
    needles: tuple[str, ...] = ()


class CellPainter:
    """Draws values into rectangles; keeps what it prepared until the theme or the cell changes."""

    def __init__(self, thumbnails: Thumbnails) -> None:
        self._thumbnails = thumbnails
        self._kept: dict[tuple[Any, ...], tuple[Piece, ...]] = {}
        self.use_theme()

    def use_theme(self) -> None:
        """Take fonts and colours from the theme now in force."""
        theme = Theme.current()
        ui = QApplication.font()
        chip, italic = QFont(ui), QFont(ui)
        chip.setPixelSize(11)
        italic.setItalic(True)
        self._fonts = {"ui": ui, "mono": theme.mono(12), "chip": chip, "italic": italic}
        self._metrics = {name: QFontMetrics(font) for name, font in self._fonts.items()}
        self._rises = {name: metrics.ascent() - metrics.descent() for name, metrics in self._metrics.items()}
        self._fitting = {name: Fitting(font) for name, font in self._fonts.items()}
        self._colors: dict[str, QColor] = {}
        self.forget()

    def forget(self) -> None:
        """Prepare every cell anew."""
        self._kept.clear()

    def color(self, token: str) -> QColor:
        """Colour of a token, kept."""
        found = self._colors.get(token)
        if found is None:
            found = self._colors[token] = Theme.current().color(token)
        return found

    def draw(self, painter: QPainter, rect: QRectF, key: tuple[Any, ...], value: Any, look: Look) -> None:
        """Draw one cell.

        Args:
            key: Names the cell and the state of its value; what was prepared under it is used again.
        """
        if look.kind == "image" and isinstance(value, bytes):
            self._thumbnails.draw(painter, rect, value)
            return
        full = (*key, int(rect.width()), look)
        pieces = self._kept.get(full)
        if pieces is None:
            if len(self._kept) > MOST_KEPT:
                self._kept.clear()
            pieces = self._kept[full] = self._prepare(value, look, rect.width())
        for piece in pieces:
            self._draw_piece(painter, rect, piece)

    def draw_placeholder(self, painter: QPainter, rect: QRectF, seed: int) -> None:
        """Draw a muted bar where a value will be."""
        share = 0.35 + (seed * 2_654_435_761 % 997) / 997 * 0.5
        width = min(rect.width() - 2 * PADDING, 320) * share
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.color("hover"))
        painter.drawRoundedRect(QRectF(rect.x() + PADDING, rect.center().y() - 4, max(8.0, width), 8), 4, 4)

    def _draw_piece(self, painter: QPainter, rect: QRectF, piece: Piece) -> None:
        x = rect.x() + piece.x
        if piece.shape == "text":
            painter.setFont(self._fonts[piece.font])
            painter.setPen(self.color(piece.color))
            y = rect.y() + (rect.height() + self._rises[piece.font]) / 2
            painter.drawText(QPointF(x, y), piece.text)
            return
        height = 17.0 if piece.shape == "chip" else 18.0
        box = QRectF(x, rect.y() + (rect.height() - height) / 2, piece.width, height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.color(piece.color))
        radius = 6 if piece.shape == "chip" else 2
        painter.drawRoundedRect(box, radius, radius)

    # ---- preparing -------------------------------------------------------------------------------------------------

    def _prepare(self, value: Any, look: Look, width: float) -> tuple[Piece, ...]:
        room = width - 2 * PADDING
        if room < 8:
            return ()
        if value is None:
            wide = self._metrics["italic"].horizontalAdvance("null")
            x = max(0.0, room - wide) if look.kind == "number" else 0.0
            return (Piece("text", PADDING + x, 0, "null", "faint", "italic"),)
        if is_blank(value):
            return (Piece("text", PADDING, 0, self._fit(named_text(value), "mono", room), "faint", "mono"),)
        if is_messages(value):
            return self._messages(value, look, room)
        if isinstance(value, list | tuple) and (not value or all(isinstance(item, str) for item in value)):
            return self._tags(value, room)
        text = cell_text(value)
        if isinstance(value, float) and text in ("NaN", "∞", "−∞"):
            return self._plain(text, "warning", "mono", look, room)
        if isinstance(value, str):
            if look.needles:
                text = one_line(snippet(value, look.needles)[: CELL_CHARS + 1])
            font = "mono" if look.kind in ("json", "code") else "ui"
            return self._plain(text, "text", font, look, room)
        if isinstance(value, bool):
            return self._plain(text, "text" if value else "muted", "ui", look, room)
        if isinstance(value, bytes | list | tuple | dict):
            return self._plain(text, "muted", "mono" if look.kind == "nested" else "ui", look, room)
        return self._plain(text, "text", "ui", look, room)

    def _plain(self, text: str, color: str, font: str, look: Look, room: float) -> tuple[Piece, ...]:
        shown = self._fit(text, font, room)
        x = float(PADDING)
        if look.kind == "number":
            x += max(0.0, room - self._fitting[font].width(shown))
        marks = self._marks(shown, font, look.needles, x)
        return (*marks, Piece("text", x, 0, shown, color, font))

    def _marks(self, shown: str, font: str, needles: Sequence[str], x: float) -> list[Piece]:
        marks: list[Piece] = []
        lower, metrics = shown.lower(), self._metrics[font]
        if len(lower) != len(shown):  # a few letters grow in small; places would be off
            return marks
        for needle in needles:
            at = lower.find(needle)
            while at >= 0 and len(marks) < 24:
                before = metrics.horizontalAdvance(shown[:at])
                wide = metrics.horizontalAdvance(shown[: at + len(needle)]) - before
                marks.append(Piece("mark", x + before - 1, wide + 2, "", "match"))
                at = lower.find(needle, at + max(1, len(needle)))
        return marks

    def _messages(self, messages: Sequence[dict[str, Any]], look: Look, room: float) -> tuple[Piece, ...]:
        pieces: list[Piece] = []
        x, end = float(PADDING), PADDING + room
        start = _first_match(messages, look.needles)
        if start:
            pieces += self._text(f"+{start} …", "chip", "faint", x)
            x += self._metrics["chip"].horizontalAdvance(f"+{start} …") + 8
        for count, message in enumerate(messages[start : start + MOST_CHIPS]):
            left = len(messages) - start - count
            if end - x < 40:
                more = f"+{left}"
                pieces += self._text(more, "chip", "faint", min(x, end - self._metrics["chip"].horizontalAdvance(more)))
                break
            chip, x = self._chip(str(message.get("role", "")), *ROLE_CHIPS.get(str(message.get("role")), OTHER_ROLE), x)
            pieces += chip
            content = plain_content(message.get("content"))
            text = one_line(snippet(content, look.needles, lead=6, after=16)[: CELL_CHARS + 1]).strip()
            share = max(90.0, (end - x) / min(left, 3) - 40) if left > 1 else end - x
            shown = self._fit(text, "ui", min(share, end - x)) if end - x > 24 else ""
            pieces += [*self._marks(shown, "ui", look.needles, x), *self._text(shown, "ui", "text", x)]
            x += self._metrics["ui"].horizontalAdvance(shown) + 12
        return tuple(pieces)

    def _tags(self, tags: Sequence[str], room: float) -> tuple[Piece, ...]:
        if not tags:
            return (Piece("text", PADDING, 0, "[ ]", "faint", "mono"),)
        pieces: list[Piece] = []
        x, end = float(PADDING), PADDING + room
        for count, tag in enumerate(tags):
            shown = self._fit(one_line(tag), "chip", min(160.0, max(0.0, end - x - 2 * CHIP_PADDING)))
            wide = self._metrics["chip"].horizontalAdvance(shown) + 2 * CHIP_PADDING
            if x + wide > end + 1 or not shown:
                pieces += self._text(f"+{len(tags) - count}", "chip", "faint", min(x, end - 14))
                break
            chip, x = self._chip(shown, "accent_soft", "accent", x)
            pieces += chip
        return tuple(pieces)

    def _chip(self, text: str, back: str, color: str, x: float) -> tuple[list[Piece], float]:
        wide = self._metrics["chip"].horizontalAdvance(text) + 2 * CHIP_PADDING
        made = [Piece("chip", x, wide, "", back), Piece("text", x + CHIP_PADDING, 0, text, color, "chip")]
        return made, x + wide + 6

    def _text(self, text: str, font: str, color: str, x: float) -> list[Piece]:
        return [Piece("text", x, 0, text, color, font)] if text else []

    def _fit(self, text: str, font: str, room: float) -> str:
        return self._fitting[font].fit(text, room)


def _first_match(messages: Sequence[dict[str, Any]], needles: Sequence[str]) -> int:
    """The message to begin with, so that a match is in sight."""
    if not needles:
        return 0
    for place, message in enumerate(messages):
        content = plain_content(message.get("content")).lower()
        if any(needle in content for needle in needles):
            return place
    return 0
