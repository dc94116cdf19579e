"""`Histogram`: bars with their counts, in the theme's colours; mouse or arrow keys say what a bar is, click or Enter chooses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets import words

HEIGHT = 110
AXIS = 18
INSET = 4
"""Pixels at the sides, for the frame that shows the keyboard's place."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it stands for in words, how many, and what is told when it is clicked."""

    label: str
    count: int
    value: Any = None


class Histogram(QWidget):
    """Bars side by side; the first and the last are named below.

    Signals:
        chosen: (value of a bar) it was clicked, or Enter was pressed on it.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._bars: list[Bar] = []
        self._hovered = -1
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
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
        width = (self.width() - 2 * INSET) / max(1, len(self._bars))
        top = max((bar.count for bar in self._bars), default=1) or 1
        room = self.height() - AXIS - 16
        height = max(2.0, room * self._bars[place].count / top) if self._bars[place].count else 0
        gap = 2 if width > 6 else 0
        return QRectF(INSET + place * width, self.height() - AXIS - height, width - gap, height)

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
        painter.drawText(QPointF(INSET, y), first)
        if len(self._bars) > 1:
            painter.drawText(QPointF(self.width() - INSET - metrics.horizontalAdvance(last), y), last)
        if self._hovered >= 0:
            self._draw_hovered(painter, metrics)
        if self.hasFocus():
            painter.setPen(theme.color("focus"))
            painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 3, 3)

    def _draw_hovered(self, painter: QPainter, metrics: QFontMetrics) -> None:
        bar = self._bars[self._hovered]
        text = metrics.elidedText(f"{bar.label}: {words.number(bar.count)}", Qt.TextElideMode.ElideRight, self.width())
        painter.setPen(Theme.current().color("text"))
        painter.drawText(QPointF(INSET, 13), text)

    def _at(self, x: float) -> int:
        place = int((x - INSET) / ((self.width() - 2 * INSET) / len(self._bars))) if self._bars else -1
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
        self._choose(self._at(event.position().x()))

    def _choose(self, place: int) -> None:
        if place >= 0 and self._bars[place].value is not None:
            self.chosen.emit(self._bars[place].value)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: the arrow keys go from bar to bar, Enter chooses one."""
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and self._bars:
            step = 1 if event.key() == Qt.Key.Key_Right else -1
            self._hovered = max(0, min(self._hovered + step, len(self._bars) - 1))
            bar = self._bars[self._hovered]
            self.setAccessibleDescription(f"{bar.label}: {words.number(bar.count)}")
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose(self._hovered)
        else:
            super().keyPressEvent(event)
