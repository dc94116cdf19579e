"""`FlowLayout`: things side by side in as many lines as they need, so that many of them never widen the window."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QLayout, QLayoutItem


class FlowLayout(QLayout):
    """From left to right, then from top to bottom.

    Args:
        gap: Pixels between things and between lines.
    """

    def __init__(self, gap: int = 6) -> None:
        super().__init__()
        self._items: list[QLayoutItem] = []
        self._gap = gap
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, item: QLayoutItem) -> None:
        """Qt: put one thing more at the end."""
        self._items.append(item)

    def count(self) -> int:
        """Qt: number of things."""
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        """Qt: one of them."""
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        """Qt: take one out."""
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def hasHeightForWidth(self) -> bool:
        """Qt: less room, more lines."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Qt: the height of all lines."""
        return self._place(QRect(0, 0, width, 0), is_try=True)

    def setGeometry(self, rect: QRect) -> None:
        """Qt: put all in their places."""
        super().setGeometry(rect)
        self._place(rect, is_try=False)

    def sizeHint(self) -> QSize:
        """Qt: all in one line."""
        sizes = [item.sizeHint() for item in self._items]
        wide = sum(size.width() + self._gap for size in sizes)
        return QSize(max(0, wide - self._gap), max((size.height() for size in sizes), default=0))

    def minimumSize(self) -> QSize:
        """Qt: the widest of them alone in its line, no wider than it may become."""
        sizes = [item.minimumSize() for item in self._items]
        return QSize(max((s.width() for s in sizes), default=0), max((s.height() for s in sizes), default=0))

    def expandingDirections(self) -> Qt.Orientation:
        """Qt: none."""
        return Qt.Orientation(0)

    def _place(self, rect: QRect, *, is_try: bool) -> int:
        y = rect.y()
        for line in self._lines(rect.width()):
            x, height = rect.x(), max(size.height() for _, size in line)
            for item, size in line:
                if not is_try:
                    item.setGeometry(QRect(QPoint(x, y + (height - size.height()) // 2), size))
                x += size.width() + self._gap
            y += height + self._gap
        return max(0, y - self._gap - rect.y())

    def _lines(self, width: int) -> Iterator[list[tuple[QLayoutItem, QSize]]]:
        """What stands side by side, each with its size: no wider than the line where it can be."""
        line: list[tuple[QLayoutItem, QSize]] = []
        used = 0
        for item in self._items:
            wish = item.sizeHint()
            size = QSize(min(wish.width(), max(width, item.minimumSize().width())), wish.height())
            if line and used + size.width() > width:
                yield line
                line, used = [], 0
            line.append((item, size))
            used += size.width() + self._gap
        if line:
            yield line
