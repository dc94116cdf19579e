"""`LinePlot`: a line chart with axes, units, hover values and a legend, drawn with QPainter.

Made for live training curves: thousands of points a line, redrawn on every new one. Colours come from the widget's
palette and the theme's colour-blind-safe set. It holds numbers and draws them; it computes nothing of its own.
"""

from __future__ import annotations

import csv
import io
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QAction,
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QPixmap,
    QPolygonF,
)
from PySide6.QtWidgets import QFileDialog, QMenu, QSizePolicy, QWidget

from fmstudio.ui.theme import Theme

Point = tuple[float, float]

SERIES = 5  # colour tokens series_1 … of the theme, from Okabe & Ito's colour-blind-safe set ("Color Universal Design", 2008)
PIECE = 32
DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)


@dataclass(slots=True)
class Series:
    """One line: its name and its points, ascending in x. `marked` draws a dot at every point."""

    name: str
    points: list[Point] = field(default_factory=list)
    marked: bool = False


@dataclass(frozen=True, slots=True)
class _Scale:
    """Maps data to the plot rectangle."""

    rect: QRectF
    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, value: float) -> float:
        return self.rect.left() + (value - self.x0) / (self.x1 - self.x0) * self.rect.width()

    def y(self, value: float) -> float:
        return self.rect.bottom() - (value - self.y0) / (self.y1 - self.y0) * self.rect.height()


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers (1, 2, 5 × 10^n apart) between `low` and `high`, about `count` of them."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def format_value(value: float) -> str:
    """A number for an axis or a hover label: four significant digits, thousands separated."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.4g}"


class LinePlot(QWidget):
    """A chart of one or several lines over the same x axis.

    Args:
        x_name: Axis name, e.g. ``"Step"``.
        y_name: Axis name with its unit, e.g. ``"Loss (nats per token)"``.
        title: Used for file names and by screen readers.
    """

    def __init__(self, x_name: str, y_name: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._x_name, self._y_name, self._title = x_name, y_name, title
        self._series: list[Series] = []
        self._hover: float | None = None
        self._placeholder = ""
        self._revision = 0
        self._cache: QPixmap | None = None
        self._cache_key: tuple[object, ...] = ()
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 160)
        self.setAccessibleName(title)
        self.setToolTip(self.tr("Move over the chart to read values; right-click to copy or save it"))

    # ---- what callers use ----------------------------------------------------------------------------------------

    def set_series(self, series: Sequence[Series]) -> None:
        """Show these lines instead of what was there; points that are no finite number are left out."""
        fresh = [
            Series(s.name, [p for p in s.points if math.isfinite(p[0]) and math.isfinite(p[1])], s.marked)
            for s in series
        ]
        if fresh == self._series:
            return
        self._series = fresh
        self._revision += 1
        self.setAccessibleDescription(self._spoken())
        self.update()

    def set_placeholder(self, text: str) -> None:
        """Text shown while there are no points."""
        self._placeholder = text
        self._revision += 1
        self.update()

    @property
    def series(self) -> list[Series]:
        """The lines shown."""
        return self._series

    def values_at(self, x: float) -> list[tuple[str, Point]]:
        """For each line, its name and the point nearest to `x`."""
        return [(s.name, nearest) for s in self._series if (nearest := _nearest(s.points, x)) is not None]

    def to_csv(self) -> str:
        """All points: one row per x, one column per line."""
        table: dict[float, dict[str, float]] = {}
        for s in self._series:
            for x, y in s.points:
                table.setdefault(x, {})[s.name] = y
        out = io.StringIO()
        names = [s.name for s in self._series]
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([self._x_name, *names])
        for x in sorted(table):
            writer.writerow([f"{x:.15g}", *(table[x].get(name, "") for name in names)])
        return out.getvalue()

    def save(self, path: Path) -> None:
        """Write the chart as ``.png``, ``.svg`` or ``.csv``, told by the suffix.

        Raises:
            OSError: The file cannot be written.
        """
        suffix = path.suffix.lower()
        if suffix == ".csv":
            path.write_text(self.to_csv(), "utf-8")
        elif suffix == ".svg":
            self._save_svg(path)
        elif not self._picture(2.0).save(str(path), "PNG"):
            raise OSError(f"{path} could not be written")

    def sizeHint(self) -> QSize:
        """Room for a curve one can read."""
        return QSize(560, 260)

    # ---- mouse, keys, menu ---------------------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Read the values under the pointer."""
        self._set_hover(self._x_at(event.position().x()))

    def leaveEvent(self, event: object) -> None:
        """Forget the pointer."""
        self._set_hover(None)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Forget the keyboard's place."""
        self._set_hover(None)
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right walk along the points; Ctrl+C copies the picture."""
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() in steps:
            self._walk(steps[Qt.Key(event.key())])
        elif event.key() == Qt.Key.Key_C and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.copy_picture()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer to copy or save."""
        menu = QMenu(self)
        menu.addActions(self.actions_for(menu))
        menu.exec(event.globalPos())

    def actions_for(self, parent: QWidget) -> list[QAction]:
        """The chart's actions, for its context menu or a button's."""
        entries = (
            (self.tr("Copy picture"), self.copy_picture),
            (self.tr("Copy values as CSV"), self.copy_values),
            (self.tr("Save as picture (PNG)…"), lambda: self._ask_and_save("png")),
            (self.tr("Save as drawing (SVG)…"), lambda: self._ask_and_save("svg")),
            (self.tr("Save values (CSV)…"), lambda: self._ask_and_save("csv")),
        )
        actions = []
        for text, slot in entries:
            action = QAction(text, parent)
            action.setEnabled(any(s.points for s in self._series))
            action.triggered.connect(slot)
            actions.append(action)
        return actions

    def copy_picture(self) -> None:
        """Put the chart on the clipboard."""
        QGuiApplication.clipboard().setPixmap(self._picture(2.0))

    def copy_values(self) -> None:
        """Put the points on the clipboard, as CSV."""
        QGuiApplication.clipboard().setText(self.to_csv())

    def _ask_and_save(self, suffix: str) -> None:
        name, _ = QFileDialog.getSaveFileName(self, self.tr("Save chart"), f"{self._title}.{suffix}")
        if name:
            self.save(Path(name) if Path(name).suffix else Path(f"{name}.{suffix}"))

    def _walk(self, direction: int) -> None:
        xs = sorted({x for s in self._series for x, _ in s.points})
        if not xs:
            return
        if self._hover is None:
            self._set_hover(xs[-1])
            return
        index = min(bisect_left(xs, self._hover), len(xs) - 1) + direction
        self._set_hover(xs[max(0, min(index, len(xs) - 1))])

    def _set_hover(self, x: float | None) -> None:
        if x != self._hover:
            self._hover = x
            self.update()

    def _x_at(self, pixel: float) -> float | None:
        scale = self._scale(QRectF(self.rect()))
        if scale is None:
            return None
        x = scale.x0 + (pixel - scale.rect.left()) / max(1.0, scale.rect.width()) * (scale.x1 - scale.x0)
        found = [_nearest(s.points, x) for s in self._series]
        xs = [point[0] for point in found if point is not None]
        return min(xs, key=lambda value: abs(value - x)) if xs else None

    # ---- drawing -------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw."""
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._drawn())
        scale = self._scale(QRectF(self.rect()))
        if self._hover is not None and scale is not None:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._draw_hover(painter, scale, self._hover)
        if self.hasFocus():
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Highlight), 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _drawn(self) -> QPixmap:
        """The chart without what follows the pointer; drawn anew when points, size or theme changed."""
        ratio = self.devicePixelRatioF()
        key = (self.size().toTuple(), ratio, Theme.current().name, self._revision)
        if self._cache is None or key != self._cache_key:
            self._cache_key = key
            self._cache = QPixmap(self.size() * ratio)
            self._cache.setDevicePixelRatio(ratio)
            self._cache.fill(Qt.GlobalColor.transparent)
            painter = QPainter(self._cache)
            self._draw(painter, QRectF(self.rect()))
            painter.end()
        return self._cache

    def colour(self, index: int) -> QColor:
        """Colour of the line at that place."""
        return Theme.current().color(f"series_{index % SERIES + 1}")

    def _draw(self, painter: QPainter, area: QRectF) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self.font())
        scale = self._scale(area)
        if scale is None:
            painter.setPen(self._muted())
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._placeholder)
            return
        self._draw_axes(painter, area, scale)
        painter.save()
        painter.setClipRect(scale.rect.adjusted(-5, -5, 5, 5))
        for index, series in enumerate(self._series):
            self._draw_line(painter, scale, index, series)
        painter.restore()
        self._draw_legend(painter, area, scale)

    def _scale(self, area: QRectF) -> _Scale | None:
        points = [p for s in self._series for p in s.points]
        if not points:
            return None
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        y0, y1 = _padded(min(ys), max(ys))
        x0, x1 = min(xs), max(xs)
        if x0 == x1:
            x0, x1 = x0 - 0.5, x1 + 0.5
        metrics = self.fontMetrics()
        labels = [format_value(t) for t in nice_ticks(y0, y1, 5)]
        left = max(metrics.horizontalAdvance(text) for text in labels) + metrics.height() + 16
        rect = area.adjusted(left, metrics.height() + 14, -16, -(2 * metrics.height() + 14))
        return _Scale(rect, x0, x1, y0, y1) if rect.width() > 20 and rect.height() > 20 else None

    def _draw_axes(self, painter: QPainter, area: QRectF, scale: _Scale) -> None:
        rect, height = scale.rect, self.fontMetrics().height()
        grid = QPen(self._faint(), 1)
        for y in nice_ticks(scale.y0, scale.y1, max(2, int(rect.height() / 44))):
            painter.setPen(grid)
            painter.drawLine(QPointF(rect.left(), scale.y(y)), QPointF(rect.right(), scale.y(y)))
            painter.setPen(self._muted())
            box = QRectF(area.left(), scale.y(y) - height, rect.left() - area.left() - 6, 2 * height)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, format_value(y))
        for x, text in self._x_ticks(scale):
            painter.setPen(grid)
            painter.drawLine(QPointF(scale.x(x), rect.bottom()), QPointF(scale.x(x), rect.bottom() + 4))
            painter.setPen(self._muted())
            box = QRectF(scale.x(x) - 60, rect.bottom() + 5, 120, height)
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, text)
        painter.setPen(QPen(self._muted(), 1))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        box = QRectF(rect.left(), area.bottom() - height - 2, rect.width(), height)
        painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, self._x_name)
        painter.save()
        painter.translate(area.left() + 2, rect.center().y())
        painter.rotate(-90)
        box = QRectF(-rect.height() / 2 - 20, 0, rect.height() + 40, height)
        painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, self._y_name)
        painter.restore()

    def _x_ticks(self, scale: _Scale) -> list[tuple[float, str]]:
        """Where the x axis is marked, and with what."""
        ticks = nice_ticks(scale.x0, scale.x1, max(2, int(scale.rect.width() / 80)))
        return [(x, format_value(x)) for x in ticks]

    def _x_words(self, x: float) -> str:
        """A place on the x axis, for the hover label."""
        return format_value(x)

    def _draw_line(self, painter: QPainter, scale: _Scale, index: int, series: Series) -> None:
        pen = QPen(self.colour(index), 2, DASHES[index % len(DASHES)])
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        points = thinned([QPointF(scale.x(x), scale.y(y)) for x, y in series.points])
        # In short pieces: stroking one long zigzag costs far more than its parts (its outline crosses itself).
        for start in range(0, max(1, len(points) - 1), PIECE):
            painter.drawPolyline(QPolygonF(points[start : start + PIECE + 1]))
        if series.marked or len(points) == 1:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.colour(index))
            for point in points:
                painter.drawEllipse(point, 3.5, 3.5)

    def _draw_legend(self, painter: QPainter, area: QRectF, scale: _Scale) -> None:
        height, x = self.fontMetrics().height(), scale.rect.left()
        middle = area.top() + 4 + height / 2
        for index, series in enumerate(self._series):
            painter.setPen(QPen(self.colour(index), 2, DASHES[index % len(DASHES)]))
            painter.drawLine(QPointF(x, middle), QPointF(x + 22, middle))
            painter.setPen(self.palette().color(QPalette.ColorRole.Text))
            width = self.fontMetrics().horizontalAdvance(series.name)
            painter.drawText(QPointF(x + 28, middle + self.fontMetrics().ascent() / 2 - 1), series.name)
            x += 28 + width + 20

    def _draw_hover(self, painter: QPainter, scale: _Scale, hover: float) -> None:
        painter.setPen(QPen(self._muted(), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(scale.x(hover), scale.rect.top()), QPointF(scale.x(hover), scale.rect.bottom()))
        lines = [f"{self._x_name} {self._x_words(hover)}"]
        for index, series in enumerate(self._series):
            point = _nearest(series.points, hover)
            if point is None:
                continue
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.colour(index))
            painter.drawEllipse(QPointF(scale.x(point[0]), scale.y(point[1])), 4.5, 4.5)
            at = "" if point[0] == hover else self.tr(" (at {x})").format(x=format_value(point[0]))
            lines.append(f"{series.name}: {format_value(point[1])}{at}")
        self._draw_label(painter, scale, scale.x(hover), lines)

    def _draw_label(self, painter: QPainter, scale: _Scale, x: float, lines: list[str]) -> None:
        metrics = self.fontMetrics()
        width = max(metrics.horizontalAdvance(line) for line in lines) + 16
        box = QRectF(x + 12, scale.rect.top() + 4, width, metrics.height() * len(lines) + 12)
        if box.right() > scale.rect.right():
            box.moveRight(max(x - 12, scale.rect.left() + width))
        painter.setPen(QPen(self._faint(), 1))
        painter.setBrush(self.palette().color(QPalette.ColorRole.ToolTipBase))
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(self.palette().color(QPalette.ColorRole.ToolTipText))
        painter.drawText(box.adjusted(8, 6, -8, -6), Qt.AlignmentFlag.AlignLeft, "\n".join(lines))

    def _muted(self) -> QColor:
        return self.palette().color(QPalette.ColorRole.PlaceholderText)

    def _faint(self) -> QColor:
        colour = QColor(self.palette().color(QPalette.ColorRole.Text))
        colour.setAlphaF(0.14)
        return colour

    # ---- export --------------------------------------------------------------------------------------------------

    def _picture(self, factor: float) -> QPixmap:
        pixmap = QPixmap(self.size() * factor)
        pixmap.setDevicePixelRatio(factor)
        pixmap.fill(self.palette().color(QPalette.ColorRole.Base))
        painter = QPainter(pixmap)
        self._draw(painter, QRectF(self.rect()))
        painter.end()
        return pixmap

    def _save_svg(self, path: Path) -> None:
        from PySide6.QtSvg import QSvgGenerator

        generator = QSvgGenerator()
        generator.setFileName(str(path))
        generator.setSize(self.size())
        generator.setViewBox(self.rect())
        generator.setTitle(self._title)
        painter = QPainter()
        if not painter.begin(generator):
            raise OSError(f"{path} could not be written")
        painter.fillRect(self.rect(), self.palette().color(QPalette.ColorRole.Base))
        self._draw(painter, QRectF(self.rect()))
        painter.end()

    def _spoken(self) -> str:
        """What the chart says, for a screen reader."""
        parts = [
            self.tr("{name}: {count} points, last {value}").format(
                name=s.name, count=len(s.points), value=format_value(s.points[-1][1])
            )
            for s in self._series
            if s.points
        ]
        return "; ".join(parts)


def thinned(points: list[QPointF]) -> list[QPointF]:
    """Keep the first, lowest, highest and last point of every pixel column: the same picture from far fewer points."""
    if len(points) < 1000:
        return points
    kept: list[QPointF] = []
    column: list[QPointF] = []
    for point in points:
        if column and int(point.x()) != int(column[0].x()):
            kept.extend(_extremes(column))
            column = []
        column.append(point)
    return [*kept, *_extremes(column)]


def _extremes(column: list[QPointF]) -> list[QPointF]:
    if len(column) <= 4:
        return column
    low = min(range(len(column)), key=lambda i: column[i].y())
    high = max(range(len(column)), key=lambda i: column[i].y())
    return [column[i] for i in sorted({0, low, high, len(column) - 1})]


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    padded = low - margin
    return (0.0 if low >= 0 > padded else padded), high + margin


def _nearest(points: list[Point], x: float) -> Point | None:
    if not points:
        return None
    index = bisect_left(points, x, key=lambda p: p[0])
    around = points[max(0, index - 1) : index + 1]
    return min(around, key=lambda p: abs(p[0] - x))
