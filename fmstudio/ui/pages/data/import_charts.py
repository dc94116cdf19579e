"""Small charts of the import preview: lengths of rows, languages, tokens. Measured on the rows that were read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets import words

TEXT_PX = 11


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its height or length, the words beside it, and what hovering says."""

    value: float
    name: str
    tip: str


class _Chart(QWidget):
    """Paints bars in the theme's colours; hovering a bar tells its numbers."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._bars: list[Bar] = []
        self._places: list[QRectF] = []
        self.setAccessibleName(name)
        self.setMouseTracking(True)
        self.setMinimumWidth(120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        Theme.current().changed.connect(self.update)

    @property
    def bars(self) -> list[Bar]:
        """What is shown."""
        return self._bars

    def show_bars(self, bars: list[Bar], summary: str) -> None:
        """Show other bars; `summary` is what a screen reader says."""
        self._bars = bars
        self.setAccessibleDescription(summary)
        self.updateGeometry()
        self.update()

    def event(self, event: QEvent) -> bool:
        """Qt: the tooltip of the bar under the mouse."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            hit = (i for i, place in enumerate(self._places) if place.contains(event.pos().toPointF()))
            number = next(hit, -1)
            QToolTip.showText(event.globalPos(), self._bars[number].tip if number >= 0 else "", self)
            return True
        return super().event(event)

    def _begin(self, painter: QPainter) -> QFontMetrics:
        font = self.font()
        font.setPixelSize(TEXT_PX)
        painter.setFont(font)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        return QFontMetrics(font)


class LengthHistogram(_Chart):
    """How many rows have which length in characters."""

    def __init__(self) -> None:
        super().__init__("Lengths of rows")
        self._ends = ("", "")

    def sizeHint(self) -> QSize:
        """Qt: a small picture."""
        return QSize(240, 96)

    def show_histogram(self, histogram: dict[str, Any]) -> None:
        """Show what `inspect_file` measured."""
        bins = histogram.get("bins", [])
        bars = [
            Bar(b["count"], "", f"{words.plural(b['count'], 'row')} of {b['low']:,} to {b['high']:,} characters")
            for b in bins
        ]
        self._ends = ("0", f"{bins[-1]['high']:,}") if bins else ("", "")
        self.show_bars(bars, f"Median {histogram.get('median', 0):,}, longest {histogram.get('max', 0):,} characters")

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: bars above one axis."""
        painter, theme = QPainter(self), Theme.current()
        metrics = self._begin(painter)
        line = metrics.height()
        highest = max((bar.value for bar in self._bars), default=0)
        top, bottom, width = line + 2, self.height() - line - 3, self.width()
        painter.setPen(theme.color("muted"))
        painter.drawText(
            QRectF(0, 0, width, line), Qt.AlignmentFlag.AlignLeft, f"rows (most: {highest:,.0f})" if highest else ""
        )
        room = width / max(1, len(self._bars))
        self._places = []
        for number, bar in enumerate(self._bars):
            height = (bottom - top) * bar.value / highest if highest else 0
            place = QRectF(
                number * room + 1,
                bottom - max(height, 1.5 if bar.value else 0),
                max(1.0, room - 2),
                max(height, 1.5 if bar.value else 0),
            )
            painter.fillRect(place, theme.color("series_1"))
            self._places.append(QRectF(number * room, top, room, bottom - top))
        painter.setPen(theme.color("control"))
        painter.drawLine(0, int(bottom), width, int(bottom))
        painter.setPen(theme.color("muted"))
        below = QRectF(0, bottom + 2, width, line)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, self._ends[0])
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, self._ends[1])


class LanguageBars(_Chart):
    """The share of each language."""

    MOST = 5

    def __init__(self) -> None:
        super().__init__("Languages")
        self.setMinimumWidth(150)

    def sizeHint(self) -> QSize:
        """Qt: a line for each language."""
        return QSize(180, 96)

    def show_languages(self, languages: list[dict[str, Any]] | None) -> None:
        """Show what `inspect_file` told; None = not known."""
        found = languages or []
        bars = [
            Bar(one["share"], _name(one["code"]), f"{_name(one['code'])}: {one['share']:.1%} of the rows")
            for one in found
        ]
        if len(bars) > self.MOST:
            rest = sum(bar.value for bar in bars[self.MOST - 1 :])
            others = Bar(rest, "others", ", ".join(bar.tip for bar in bars[self.MOST - 1 :]))
            bars = [*bars[: self.MOST - 1], others]
        self.show_bars(bars, ", ".join(f"{bar.name} {bar.value:.0%}" for bar in bars))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: name, bar, share, one below the other."""
        painter, theme = QPainter(self), Theme.current()
        metrics = self._begin(painter)
        step = max(metrics.height() + 3, 18)
        names = max((metrics.horizontalAdvance(bar.name) for bar in self._bars), default=0) + 8
        share = metrics.horizontalAdvance("100 %") + 6
        room = max(20, self.width() - names - share)
        self._places = []
        for number, bar in enumerate(self._bars):
            y = number * step
            painter.setPen(theme.color("text"))
            painter.drawText(QRectF(0, y, names, step), Qt.AlignmentFlag.AlignVCenter, bar.name)
            painter.fillRect(QRectF(names, y + 4, max(1.5, room * bar.value), step - 8), theme.color("series_3"))
            painter.setPen(theme.color("muted"))
            text = f"{bar.value:.0%}" if bar.value >= 0.01 else "<1%"
            painter.drawText(
                QRectF(names + room, y, share, step), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, text
            )
            self._places.append(QRectF(0, y, self.width(), step))


def _name(code: str) -> str:
    """The English name of a language code; the code itself when Qt does not know it."""
    from PySide6.QtCore import QLocale

    if code == "none":
        return "not recognised"
    name = QLocale.languageToString(QLocale(code).language())
    return name if name and name != "C" else code
