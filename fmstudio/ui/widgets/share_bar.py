"""`ShareBar`: how much of a whole each of some things takes, as one bar a line; names and sizes stand beside it."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from fmstudio.ui.theme import Theme

HEIGHT = 8


class ShareBar(QWidget):
    """One bar.

    Args:
        share: 0 to 1, of the widest bar beside which it stands.
        name: What it says, for a screen reader.
        token: Colour token.
    """

    def __init__(self, share: float, name: str, token: str = "accent") -> None:
        super().__init__()
        self._share, self._token = min(1.0, max(0.0, share)), token
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(60)

    def sizeHint(self) -> QSize:
        """Qt: a thin bar."""
        return QSize(160, HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw the groove and the bar; what is there at all is seen."""
        theme, painter = Theme.current(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        whole = QRectF(0, (self.height() - HEIGHT) / 2, self.width(), HEIGHT)
        painter.setBrush(theme.color("pressed"))
        painter.drawRoundedRect(whole, 4, 4)
        if self._share > 0:
            painter.setBrush(theme.color(self._token))
            painter.drawRoundedRect(QRectF(0, whole.top(), max(4.0, whole.width() * self._share), HEIGHT), 4, 4)
        painter.end()
