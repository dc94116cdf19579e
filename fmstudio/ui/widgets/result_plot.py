"""`ResultPlot`: numbers of a table as bars, a line or points, with the axes, hovering and saving of `LinePlot`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter

from fmstudio.ui.widgets.line_plot import LinePlot, Series, _Scale
from fmstudio.ui.widgets.time_axis import moment_words, time_ticks

PlotKind = Literal["bars", "line", "points"]
MOST_BARS = 60
LABEL_ROOM, TIME_ROOM = 78, 118
"""Width of a bar's name below the axis, in pixels; a moment that is cut says nothing."""


class ResultPlot(LinePlot):
    """One chart of one or several number columns over another column."""

    def __init__(self, title: str) -> None:
        super().__init__("", "", title)
        self._kind: PlotKind = "bars"
        self._labels: list[str] = []
        self._is_time = False

    def show_values(
        self,
        kind: PlotKind,
        x_name: str,
        y_name: str,
        series: Sequence[Series],
        labels: Sequence[str] = (),
        *,
        is_time: bool = False,
    ) -> None:
        """Show columns of a table.

        Args:
            labels: What stands at x = 0, 1, 2 … when that is no number.
            is_time: Whether the labels, or without labels the numbers at x (see `moment_number`), are moments.
        """
        self._kind, self._labels, self._is_time = kind, list(labels), is_time
        self._x_name, self._y_name = x_name, y_name
        self._series = []
        self._revision += 1
        self.set_series(series)
        self.update()

    def to_csv(self) -> str:
        """All values: one row per place on the x axis, one column per series."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([self._x_name, *(s.name for s in self._series)])
        if not self._labels:
            values = [(x, place, y) for place, s in enumerate(self._series) for x, y in s.points]
            for x, place, y in sorted(values):
                cells = [y if place == own else "" for own in range(len(self._series))]
                writer.writerow([moment_words(x) if self._is_time else f"{x:.15g}", *cells])
            return out.getvalue()
        columns = [dict(s.points) for s in self._series]
        for place, name in enumerate(self._labels):
            writer.writerow([name, *(column.get(float(place), "") for column in columns)])
        return out.getvalue()

    def _scale(self, area: QRectF) -> _Scale | None:
        scale = super()._scale(area)
        if scale is None or self._kind != "bars":
            return scale
        # A bar begins at nothing, or its length would lie.
        values = [y for s in self._series for _, y in s.points]
        low, high = min(0.0, min(values) * 1.06), max(0.0, max(values) * 1.06)
        wide = 0.5 if self._labels else self._bar_step() / 2
        xs = [x for s in self._series for x, _ in s.points]
        return replace(scale, x0=min(xs) - wide, x1=max(xs) + wide, y0=low, y1=high if high > low else low + 1)

    def _bar_step(self) -> float:
        xs = sorted({x for s in self._series for x, _ in s.points})
        return min((b - a for a, b in pairwise(xs)), default=1.0)

    def _x_ticks(self, scale: _Scale) -> list[tuple[float, str]]:
        if not self._labels:
            count = max(2, int(scale.rect.width() / TIME_ROOM))
            return time_ticks(scale.x0, scale.x1, count) if self._is_time else super()._x_ticks(scale)
        needed = TIME_ROOM if self._is_time else LABEL_ROOM
        every = max(1, -(-len(self._labels) * needed // max(1, int(scale.rect.width()))))
        metrics = self.fontMetrics()
        room = int(min(118, every * scale.rect.width() / max(1, len(self._labels)) - 6))
        cut = Qt.TextElideMode.ElideRight
        return [
            (float(place), metrics.elidedText(name.replace("\n", " "), cut, max(24, room)))
            for place, name in enumerate(self._labels)
            if place % every == 0
        ]

    def _x_words(self, x: float) -> str:
        if self._is_time and not self._labels:
            return moment_words(x)
        place = round(x)
        return self._labels[place] if 0 <= place < len(self._labels) else super()._x_words(x)

    def _draw_line(self, painter: QPainter, scale: _Scale, index: int, series: Series) -> None:
        if self._kind == "line":
            super()._draw_line(painter, scale, index, series)
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.colour(index))
        if self._kind == "points":
            for x, y in series.points:
                painter.drawEllipse(QPointF(scale.x(x), scale.y(y)), 3.0, 3.0)
            return
        step = 1.0 if self._labels else self._bar_step()
        width = max(1.0, (scale.x(scale.x0 + step) - scale.rect.left()) * 0.8 / len(self._series))
        for x, y in series.points:
            left = scale.x(x) - width * len(self._series) / 2 + index * width
            top, base = scale.y(y), scale.y(0)
            painter.drawRect(QRectF(left, min(top, base), max(1.0, width - 1), abs(base - top)))
