"""`FrontStack`: widgets one behind the other, asking for no more room than the one in front needs."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QStackedWidget


class FrontStack(QStackedWidget):
    """A `QStackedWidget` as narrow as its front; Qt's own is as wide as the widest of all, seen or not."""

    def __init__(self) -> None:
        super().__init__()
        self.currentChanged.connect(lambda _: self.updateGeometry())

    def minimumSizeHint(self) -> QSize:
        """Qt: what the front needs."""
        front = self.currentWidget()
        margins = self.contentsMargins()
        sides = QSize(margins.left() + margins.right(), margins.top() + margins.bottom())
        return front.minimumSizeHint().expandedTo(front.minimumSize()) + sides if front is not None else sides
