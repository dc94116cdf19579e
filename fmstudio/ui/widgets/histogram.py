"""`Histogram`: bars with their counts, drawn in the theme's colours; hovering a bar says what it is, a click chooses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets import words

HEIGHT = 110
AXIS = 18


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it stands for in words, how many, and what is told when it is clicked."""

    label: str
    count: int
    value: Any = None


class Histogram(QWidget):
    """Bars side by side; the first and the last are named below.

    Signals:
        chosen: (value of a bar) it was clicked.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._bars: list[Bar] = []
        self._hovered = -1
        self.setMouseTracking(True)
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Distribution"))
        Theme.current().changed.connect(self.update)

    def show_bars(self, bars: Sequence[Bar]) -> None:
        """Show these."""
        self._bars, self._hovered = list(bars), -1
        text = "; ".join(f"{bar.label}: {words.number(bar.count)}" for bar in self._bars[:20])
        self.setAccessibleDescription(text)
        self.update()

    def sizeHint(self) -> QSize:
        """Qt: a wish."""
        return QSize(280, HEIGHT)

    def _rect(self, place: int) -> QRectF:
        width = self.width() / max(1, len(self._bars))
        top = max((bar.count for bar in self._bars), default=1) or 1
        room = self.height() - AXIS - 16
        height = max(2.0, room * self._bars[place].count / top) if self._bars[place].count else 0
        gap = 2 if width > 6 else 0
        return QRectF(place * width, self.height() - AXIS - height, width - gap, height)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw bars, axis and the hovered bar's count."""
        theme = Theme.current()
        painter = QPainter(self)
        font = QFont(self.font())
        font.setPixelSize(11)
        painter.setFont(font)
        metrics = QFontMetrics(font)
        base = self.height() - AXIS
        painter.setPen(theme.color("border"))
        painter.drawLine(0, base, self.width(), base)
        for place in range(len(self._bars)):
            painter.fillRect(self._rect(place), theme.color("accent" if place == self._hovered else "series_1"))
        if not self._bars:
            return
        painter.setPen(theme.color("faint"))
        half = self.width() // 2 - 6
        first = metrics.elidedText(self._bars[0].label, Qt.TextElideMode.ElideRight, half)
        last = metrics.elidedText(self._bars[-1].label, Qt.TextElideMode.ElideLeft, half)
        y = self.height() - 5
        painter.drawText(QPointF(0, y), first)
        if len(self._bars) > 1:
            painter.drawText(QPointF(self.width() - metrics.horizontalAdvance(last), y), last)
        if self._hovered >= 0:
            self._draw_hovered(painter, metrics)

    def _draw_hovered(self, painter: QPainter, metrics: QFontMetrics) -> None:
        bar = self._bars[self._hovered]
        text = metrics.elidedText(f"{bar.label}: {words.number(bar.count)}", Qt.TextElideMode.ElideRight, self.width())
        painter.setPen(Theme.current().color("text"))
        painter.drawText(QPointF(0, 11), text)

    def _at(self, x: float) -> int:
        place = int(x / (self.width() / max(1, len(self._bars)))) if self._bars else -1
        return place if 0 <= place < len(self._bars) else -1

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: mark the bar under the mouse."""
        self._hovered = self._at(event.position().x())
        has_value = self._hovered >= 0 and self._bars[self._hovered].value is not None
        self.setCursor(Qt.CursorShape.PointingHandCursor if has_value else Qt.CursorShape.ArrowCursor)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Qt: mark none."""
        self._hovered = -1
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Qt: choose a bar."""
        place = self._at(event.position().x())
        if place >= 0 and self._bars[place].value is not None:
            self.chosen.emit(self._bars[place].value)
