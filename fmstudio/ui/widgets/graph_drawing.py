"""`GraphDrawing`: a laid-out graph and how it is painted, on a widget or into a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QPainter, QPainterPath, QPen, QPixmap

from fmstudio.ui import icons
from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.graph_layout import heights_of, layered

WIDTH, HEIGHT = 200.0, 52.0
GAP_X, GAP_Y = 36.0, 18.0
MARGIN = 12.0


@dataclass(frozen=True, slots=True)
class Box:
    """A node as it is drawn: what it is, its icon and its colour token, whether it is the one asked for."""

    id: str
    title: str
    subtitle: str = ""
    icon: str = "data"
    token: str = "muted"
    is_focus: bool = False
    is_faint: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """An edge: `target` came of `source`; `title` says how."""

    source: str
    target: str
    title: str = ""


class GraphDrawing:
    """Boxes with their places, and the ways between them.

    Attributes:
        rects: Where each box is, by id.
        layers: Ids of boxes from left to right, and in each layer from top to bottom.
    """

    def __init__(self, boxes: Sequence[Box] = (), ways: Sequence[Way] = ()) -> None:
        self.boxes = {box.id: box for box in boxes}
        self.ways = tuple(way for way in ways if way.source in self.boxes and way.target in self.boxes)
        layers, self._bends = layered(list(self.boxes), [(way.source, way.target) for way in self.ways])
        heights = heights_of(layers, [piece for way in self._bends.values() for piece in pairwise(way)])
        places = {
            name: QRectF(number * (WIDTH + GAP_X), heights[name] * (HEIGHT + GAP_Y), WIDTH, HEIGHT)
            for number, layer in enumerate(layers)
            for name in layer
        }
        self.layers = [[name for name in layer if name in self.boxes] for layer in layers]
        self.rects = {name: rect for name, rect in places.items() if name in self.boxes}
        self._font = QFont()
        self._bend_rects = {name: rect for name, rect in places.items() if name not in self.boxes}

    def whole(self) -> QRectF:
        """The room all of it takes; empty when there is nothing."""
        whole = QRectF()
        for rect in self.rects.values():
            whole = whole.united(rect)
        return whole.adjusted(-MARGIN, -MARGIN, MARGIN, MARGIN) if self.rects else whole

    def box_at(self, place: QPointF) -> str:
        """Id of the box at a place; empty when there is none."""
        return next((node for node, rect in self.rects.items() if rect.contains(place)), "")

    def save(self, path: Path, title: str, font: QFont) -> None:
        """Write the whole graph as ``.png`` or ``.svg``, told by the suffix.

        Raises:
            OSError: The file cannot be written.
        """
        size = self.whole().size().toSize()
        if path.suffix.lower() == ".svg":
            self._save_svg(path, size, title, font)
            return
        pixmap = QPixmap(size * 2)
        pixmap.setDevicePixelRatio(2.0)
        painter = QPainter(pixmap)
        self._draw_whole(painter, size, font)
        painter.end()
        if not pixmap.save(str(path), "PNG"):
            raise OSError(f"{path} could not be written")

    def draw(self, painter: QPainter, font: QFont, current: str = "") -> None:
        """Paint all of it; `current` and the ways from and to it stand out."""
        self._font = font
        for way in self.ways:
            self._draw_way(painter, way, is_lit=current in (way.source, way.target))
        for node, box in self.boxes.items():
            self._draw_box(painter, box, self.rects[node], is_current=node == current)

    def _draw_way(self, painter: QPainter, way: Way, *, is_lit: bool) -> None:
        theme = Theme.current()
        start, end = self.rects[way.source], self.rects[way.target]
        begin, tip = QPointF(start.right(), start.center().y()), QPointF(end.left(), end.center().y())
        path = QPainterPath(begin)
        for name in self._bends.get((way.source, way.target), [])[1:-1]:
            rect = self._bend_rects[name]
            _curve(path, QPointF(rect.left(), rect.center().y()))
            path.lineTo(rect.right(), rect.center().y())
        _curve(path, tip - QPointF(6, 0))
        painter.setPen(QPen(theme.color("accent" if is_lit else "control"), 2 if is_lit else 1.2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(path)
        arrow = QPainterPath(tip)
        arrow.lineTo(tip + QPointF(-8, -4))
        arrow.lineTo(tip + QPointF(-8, 4))
        arrow.closeSubpath()
        painter.fillPath(arrow, theme.color("accent" if is_lit else "control"))

    def _draw_box(self, painter: QPainter, box: Box, rect: QRectF, *, is_current: bool) -> None:
        theme = Theme.current()
        path = QPainterPath()
        path.addRoundedRect(rect, 7, 7)
        painter.fillPath(path, theme.color("selected" if is_current else "accent_soft" if box.is_focus else "raised"))
        token = "focus" if is_current else "accent" if box.is_focus else "control"
        pen = QPen(theme.color(token), 2 if is_current or box.is_focus else 1)
        pen.setStyle(Qt.PenStyle.DashLine if box.is_faint else Qt.PenStyle.SolidLine)
        painter.setPen(pen)
        painter.drawPath(path)
        side = 18
        place = QRectF(rect.left() + 9, rect.center().y() - side / 2, side, side).toRect()
        icons.icon(box.icon, box.token).paint(painter, place)
        font = QFont(self._font)
        font.setWeight(QFont.Weight.DemiBold)
        room = rect.adjusted(34, 7, -8, -7)
        self._write(painter, box.title, room, font, "muted" if box.is_faint else "text", Qt.AlignmentFlag.AlignTop)
        small = QFont(self._font)
        small.setPixelSize(max(8, self._font.pixelSize() - 1))
        self._write(painter, box.subtitle, room, small, "faint", Qt.AlignmentFlag.AlignBottom)

    def _write(
        self, painter: QPainter, text: str, room: QRectF, font: QFont, token: str, edge: Qt.AlignmentFlag
    ) -> None:
        painter.setFont(font)
        painter.setPen(Theme.current().color(token))
        line = painter.fontMetrics().elidedText(
            text.replace("\n", " "), Qt.TextElideMode.ElideMiddle, int(room.width())
        )
        painter.drawText(room, int(edge | Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextSingleLine), line)

    def _draw_whole(self, painter: QPainter, size: QSize, font: QFont) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(QRectF(0, 0, size.width(), size.height()), Theme.current().color("surface"))
        painter.translate(-self.whole().topLeft())
        self.draw(painter, font)

    def _save_svg(self, path: Path, size: QSize, title: str, font: QFont) -> None:
        from PySide6.QtSvg import QSvgGenerator

        generator = QSvgGenerator()
        generator.setFileName(str(path))
        generator.setSize(size)
        generator.setViewBox(QRectF(0, 0, size.width(), size.height()))
        generator.setTitle(title)
        painter = QPainter()
        if not painter.begin(generator):
            raise OSError(f"{path} could not be written")
        self._draw_whole(painter, size, font)
        painter.end()


def _curve(path: QPainterPath, to: QPointF) -> None:
    """Go on to a point, leaving and arriving level."""
    begin = path.currentPosition()
    bend = max(GAP_X / 2, (to.x() - begin.x()) / 2)
    path.cubicTo(begin + QPointF(bend, 0), to - QPointF(bend, 0), to)
