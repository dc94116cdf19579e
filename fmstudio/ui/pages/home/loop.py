"""The loop as a picture: Data → Clean → Embed → Train → Chat, and round again."""

from __future__ import annotations

from itertools import pairwise

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QPushButton, QWidget

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.parts import column, icon_label, label, row

RETURN_HEIGHT = 44
RETURN_TEXT = "ratings and corrections are kept for the next round"

STAGES = (
    ("data", "Data", "data"),
    ("recipes", "Clean", "clean"),
    ("embed", "Embed", "embed"),
    ("training", "Train", "training"),
    ("chat", "Chat", "chat"),
)


class StageCard(QPushButton):
    """One stage: name, the number that matters, and what it counts."""

    def __init__(self, title: str, icon: str) -> None:
        super().__init__()
        self.setProperty("stage", "true")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._title = title
        self.setAccessibleName(title)
        self.number = label("–", "number")
        self.words = label("", "caption", wrap=True)
        head = row(icon_label(icon, "accent", 18), label(title, "heading"), None, gap=8)
        self.setLayout(column(head, 2, self.number, self.words, None, gap=2, margins=(14, 12, 12, 10)))
        self.setMinimumSize(112, 116)
        for child in self.findChildren(QWidget):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def set_state(self, number: str, words: str) -> None:
        """Show a number and what it counts."""
        self.number.setText(number)
        self.words.setText(words)
        self.setAccessibleName(f"{self._title}: {number} {words}")
        self.setToolTip(f"{self._title}: {number} {words}")


class LoopView(QFrame):
    """Five cards joined by arrows, with a line that leads back from the last to the first.

    Signals:
        chosen: (stage id) a card was clicked.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.cards: dict[str, StageCard] = {}
        line = row(gap=26)
        for stage, title, icon in STAGES:
            made = StageCard(title, icon)
            made.clicked.connect(lambda _=False, stage=stage: self.chosen.emit(stage))
            self.cards[stage] = made
            line.addWidget(made, 1)
        self.setLayout(column(line, RETURN_HEIGHT, gap=0))
        Theme.current().changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw the arrows between the cards and the way back."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        theme = Theme.current()
        cards = list(self.cards.values())
        painter.setPen(QPen(theme.color("control"), 1.4))
        for left, right in pairwise(cards):
            y = left.geometry().center().y()
            start, end = QPointF(left.geometry().right() + 5, y), QPointF(right.geometry().left() - 4, y)
            painter.drawLine(start, end)
            _head(painter, end, QPointF(-5, -4), QPointF(-5, 4))
        self._draw_return(painter, cards, theme.color("control"), theme.color("muted"))

    def _draw_return(self, painter: QPainter, cards: list[StageCard], line: QColor, text: QColor) -> None:
        first, last = cards[0].geometry(), cards[-1].geometry()
        top, bottom = first.bottom() + 5, first.bottom() + RETURN_HEIGHT - 18
        start, end = float(last.center().x()), float(first.center().x())
        path = QPainterPath(QPointF(start, top))
        path.lineTo(start, bottom - 10)
        path.quadTo(start, bottom, start - 10, bottom)
        path.lineTo(end + 10, bottom)
        path.quadTo(end, bottom, end, bottom - 10)
        path.lineTo(end, top)
        painter.setPen(QPen(line, 1.4))
        painter.drawPath(path)
        _head(painter, QPointF(end, top), QPointF(-4, 5), QPointF(4, 5))
        width = painter.fontMetrics().horizontalAdvance(RETURN_TEXT) + 20
        box = QRectF((start + end - width) / 2, bottom - 10, width, 20)
        painter.fillRect(box, Theme.current().color("background"))
        painter.setPen(text)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), RETURN_TEXT)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: clicks between the cards do nothing."""
        event.accept()


def _head(painter: QPainter, tip: QPointF, one: QPointF, other: QPointF) -> None:
    painter.drawLine(tip, tip + one)
    painter.drawLine(tip, tip + other)
