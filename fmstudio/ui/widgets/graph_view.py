"""`GraphView`: boxes and the ways between them, from left to right; to pan, zoom, walk by keyboard and save as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QTransform,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.graph_drawing import Box, GraphDrawing, Way
from fmstudio.ui.widgets.graph_ends import GraphEnds

LEAST, MOST = 0.15, 2.5
READABLE = 0.7
"""Below this scale the names are hard to read: a graph too big for it is opened at it, around its focus."""
STEP = 1.2

__all__ = ["STEP", "Box", "GraphView", "Way"]


class GraphView(QWidget):
    """Draws a graph it lays out itself; ends that are out of sight are named in the lower corners.

    Signals:
        chosen: (id) another box is the current one.
        opened: (id) the user wants to go to what a box stands for.
    """

    chosen = Signal(str)
    opened = Signal(str)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._drawing = GraphDrawing()
        self._scale, self._origin = 1.0, QPointF()
        self._current = ""
        self._drag: QPointF | None = None
        self._is_placed = self._is_moved = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 180)
        self.setAccessibleName(name)
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        Theme.current().changed.connect(self.update)
        self.ends = GraphEnds(self, self.choose)
        self._look = QTimer(self, singleShot=True, interval=0)
        self._look.timeout.connect(self._name_ends)

    # ---- what callers use ------------------------------------------------------------------------------------------

    def show_graph(self, boxes: Sequence[Box], ways: Sequence[Way]) -> None:
        """Show this graph instead of what was there; the box asked for becomes the current one."""
        self._drawing = GraphDrawing(boxes, ways)
        self._current = next((box.id for box in boxes if box.is_focus), boxes[0].id if boxes else "")
        self.setAccessibleDescription(f"{len(self._drawing.boxes)} things, {len(self._drawing.ways)} ways between them")
        self._is_placed = self._is_moved = False
        self._place()
        self.update()

    @property
    def current(self) -> str:
        """Id of the current box; empty when there is none."""
        return self._current

    def choose(self, box_id: str) -> None:
        """Make a box the current one and bring it into sight."""
        if box_id in self._drawing.boxes and box_id != self._current:
            self._current = box_id
            self._bring(box_id)
            self.chosen.emit(box_id)
            self.update()

    def fit(self) -> None:
        """Show the whole graph."""
        whole = self._drawing.whole()
        if not whole.isEmpty():
            scale = min(self.width() / whole.width(), self.height() / whole.height(), 1.0)
            self._scale = max(LEAST, scale)
            self._centre(whole.center())

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Draw larger or smaller, keeping a point of the widget where it is."""
        point = at or QPointF(self.width() / 2, self.height() / 2)
        scale = min(MOST, max(LEAST, self._scale * factor))
        self._origin = point - (point - self._origin) * (scale / self._scale)
        self._scale, self._is_moved = scale, True
        self.update()

    @property
    def scale(self) -> float:
        """How large it is drawn; 1 = one to one."""
        return self._scale

    def position_of(self, box_id: str) -> QPointF:
        """Where the middle of a box is in the widget."""
        return self._drawing.rects[box_id].center() * self._scale + self._origin

    def save(self, path: Path) -> None:
        """Write the whole graph as ``.png`` or ``.svg``, told by the suffix.

        Raises:
            OSError: The file cannot be written.
        """
        self._drawing.save(path, self._name, self.font())

    def sizeHint(self) -> QSize:
        """Qt: room for a few boxes."""
        return QSize(640, 360)

    # ---- mouse and keys --------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: choose a box, or begin to pan."""
        found = self._box_at(event.position())
        self._drag = None if found else event.position()
        if found:
            self.choose(found)
        else:
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: pan."""
        if self._drag is not None:
            self._origin += event.position() - self._drag
            self._is_moved = True
            self._drag = event.position()
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Qt: end a pan."""
        self._drag = None
        self.setCursor(Qt.CursorShape.OpenHandCursor)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Qt: go to what a box stands for."""
        found = self._box_at(event.position())
        if found:
            self.opened.emit(found)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Qt: zoom around the pointer; with Shift, move sideways."""
        turn = event.angleDelta()
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._origin += QPointF(turn.x() + turn.y(), 0)
            self._is_moved = True
            self.update()
        else:
            self.zoom(STEP ** (turn.y() / 120), event.position())
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: the arrows go from box to box, Home and End to the ends, Enter opens, + and - zoom, 0 shows all."""
        moves = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        inside = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        key = Qt.Key(event.key())
        if key in moves:
            self._step_layer(moves[key])
        elif key in inside:
            self._step_inside(inside[key])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self._current:
            self.opened.emit(self._current)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(STEP)
        elif key == Qt.Key.Key_Minus:
            self.zoom(1 / STEP)
        elif key == Qt.Key.Key_0:
            self.fit()
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            self.choose(next(iter(self._end_boxes(is_first=key == Qt.Key.Key_Home)), ""))
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Qt: the whole text of a box, or what a way means, as a tooltip."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            box = self._drawing.boxes.get(self._box_at(QPointF(event.pos())))
            QToolTip.showText(event.globalPos(), f"{box.title}\n{box.subtitle}".strip() if box else "", self)
            return True
        return super().event(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Qt: show the current box as the one keys work on."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Qt: take that mark away."""
        super().focusOutEvent(event)
        self.update()

    def _step_layer(self, by: int) -> None:
        """To what the current box came from, or to what came of it: the nearest by height."""
        ends = [(w.target, w.source) if by < 0 else (w.source, w.target) for w in self._drawing.ways]
        near = [other for one, other in ends if one == self._current]
        if near:
            here = self._drawing.rects[self._current].center().y()
            self.choose(min(near, key=lambda node: abs(self._drawing.rects[node].center().y() - here)))

    def _step_inside(self, by: int) -> None:
        layer = next((layer for layer in self._drawing.layers if self._current in layer), [])
        place = layer.index(self._current) + by if layer else -1
        if 0 <= place < len(layer):
            self.choose(layer[place])

    def _box_at(self, point: QPointF) -> str:
        return self._drawing.box_at((point - self._origin) / self._scale)

    # ---- where things are ------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: place the graph anew; where the user moved it, keep its middle."""
        super().resizeEvent(event)
        old = event.oldSize()
        if self._is_moved and old.isValid():
            self._origin += QPointF(self.width() - old.width(), self.height() - old.height()) / 2
        else:
            self._is_placed = False
            self._place()

    def _place(self) -> None:
        """Show all when it can be read, else the surroundings of the current box."""
        if not self._drawing.rects or self._is_placed or not self.isVisible():
            return
        self._is_placed = True
        self.fit()
        if self._scale < READABLE and self._current:
            self._scale = READABLE
            self._centre(self._drawing.rects[self._current].center())
            self._fill_room()

    def _fill_room(self) -> None:
        """Leave no room beyond the ends of the graph while it goes on at the other side; in the middle where all fits."""
        whole = self._drawing.whole()
        low = QPointF(self.width(), self.height()) - whole.bottomRight() * self._scale
        high = -whole.topLeft() * self._scale
        self._origin = QPointF(
            *(
                (a + b) / 2 if a > b else min(max(now, a), b)
                for now, a, b in ((self._origin.x(), low.x(), high.x()), (self._origin.y(), low.y(), high.y()))
            )
        )

    def showEvent(self, event: object) -> None:
        """Qt: now the size is known."""
        self._place()

    def _centre(self, point: QPointF) -> None:
        self._origin = QPointF(self.width() / 2, self.height() / 2) - point * self._scale
        self.update()

    def _bring(self, box_id: str) -> None:
        rect = self._drawing.rects[box_id]
        seen = QRectF(rect.topLeft() * self._scale + self._origin, rect.size() * self._scale)
        room = QRectF(self.rect()).adjusted(8, 8, -8, -8)
        if not room.contains(seen):
            self._centre(rect.center())

    def _end_boxes(self, *, is_first: bool) -> list[str]:
        """What the current box began with (or led to, at the very end), the nearest first."""
        onward: dict[str, list[str]] = {}
        for way in self._drawing.ways:
            here, there = (way.target, way.source) if is_first else (way.source, way.target)
            onward.setdefault(here, []).append(there)
        reached = dict.fromkeys([self._current])
        for node in (waiting := list(reached)):
            fresh = [other for other in onward.get(node, []) if other not in reached]
            reached.update(dict.fromkeys(fresh))
            waiting += fresh
        return [
            node for node in reached if node in self._drawing.boxes and node not in onward and node != self._current
        ]

    def _name_ends(self) -> None:
        """Name the ends that lie beyond the left and right edge."""

        def beyond(node: str, *, is_first: bool) -> bool:
            rect = self._drawing.rects[node]
            left, right = (x * self._scale + self._origin.x() for x in (rect.left(), rect.right()))
            return left < 0 if is_first else right > self.width()

        self.ends.show_hidden(
            *(
                [self._drawing.boxes[node] for node in self._end_boxes(is_first=side) if beyond(node, is_first=side)]
                for side in (True, False)
            )
        )

    # ---- drawing ---------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        self._look.start()
        theme = Theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QPainterPath()
        frame.addRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        painter.setPen(QPen(theme.color("focus" if self.hasFocus() else "border"), 1))
        painter.fillPath(frame, theme.color("surface"))
        painter.drawPath(frame)
        painter.setClipPath(frame)
        painter.setTransform(QTransform(self._scale, 0, 0, self._scale, self._origin.x(), self._origin.y()))
        self._drawing.draw(painter, self.font(), self._current)
        painter.end()
