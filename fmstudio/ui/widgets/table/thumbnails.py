"""Small pictures for image cells: decoded at the size needed, a few at a time between frames, a bounded number kept."""

from __future__ import annotations

from collections import OrderedDict

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject, QRectF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QImage, QImageReader, QPainter

from fmstudio.ui.theme import Theme

MOST_KEPT = 512
MOST_PIXELS = 64_000_000
"""Larger pictures are not decoded for a thumbnail; they could be made to take gigabytes."""
SIDE = 128
BATCH = 2


def read_image(data: bytes, most_side: int) -> QImage:
    """Decode a picture, at most `most_side` wide or high; a null image when it cannot be read or is far too large."""
    buffer = QBuffer()
    buffer.setData(QByteArray(data))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer)
    reader.setAutoTransform(True)
    size = reader.size()
    if not size.isValid() or size.width() * size.height() > MOST_PIXELS:
        return QImage()
    if max(size.width(), size.height()) > most_side:
        reader.setScaledSize(size.scaled(QSize(most_side, most_side), Qt.AspectRatioMode.KeepAspectRatio))
    return reader.read()


class Thumbnails(QObject):
    """Draws pictures once they are decoded.

    Signals:
        ready: More pictures are there; repaint.
    """

    ready = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._images: OrderedDict[int, QImage] = OrderedDict()
        self._waiting: OrderedDict[int, bytes] = OrderedDict()
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self._decode)

    def draw(self, painter: QPainter, rect: QRectF, data: bytes) -> None:
        """Draw a picture at the left of a cell, or ask for it."""
        key = hash(data)
        image = self._images.get(key)
        if image is None:
            self._waiting[key] = data
            while len(self._waiting) > 64:
                self._waiting.popitem(last=False)
            self._timer.start()
            return
        self._images.move_to_end(key)
        if image.isNull():
            painter.setPen(Theme.current().color("faint"))
            painter.drawText(rect.adjusted(8, 0, 0, 0), int(Qt.AlignmentFlag.AlignVCenter), "picture cannot be read")
            return
        height = rect.height() - 4
        width = min(rect.width() - 16, image.width() * height / max(1, image.height()))
        height = image.height() * width / max(1, image.width())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRectF(rect.x() + 8, rect.y() + (rect.height() - height) / 2, width, height), image)

    @Slot()
    def _decode(self) -> None:
        for _ in range(min(BATCH, len(self._waiting))):
            key, data = self._waiting.popitem(last=True)
            self._images[key] = read_image(data, SIDE)
        while len(self._images) > MOST_KEPT:
            self._images.popitem(last=False)
        if self._waiting:
            self._timer.start()
        self.ready.emit()
