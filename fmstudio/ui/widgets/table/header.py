"""`ColumnHeader`: name, type, missing share and a small chart of each column; sorts, moves, and opens menus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QFont, QFontMetrics, QMouseEvent, QPainter, QPolygonF
from PySide6.QtWidgets import QHeaderView, QTableView, QWidget

from fmstudio.ui.theme import ROW_HEIGHT, Theme
from fmstudio.ui.widgets.table.model import PagedRows
from fmstudio.ui.widgets.table.values import one_line

PLAIN_HEIGHT = 28
FACTS_HEIGHT, FULL_HEIGHT = 42, 66
CHART_HEIGHT = 22
PADDING = 8
GRIP = 4
"""Pixels on each side of a border where the mouse resizes."""
KIND_NAMES: dict[str, str] = {"image": "picture", "json": "JSON", "code": "code"}
"""Kinds of values that are stored as something else."""


@dataclass(frozen=True, slots=True)
class ColumnHead:
    """What a header says of a column beside its name.

    Attributes:
        type_word: Its type in a word.
        missing: Share of rows without a value, 0 to 1; None = not known.
        bars: Heights of the small chart, any scale; empty = none.
        tip: Tooltip: the same in numbers.
    """

    type_word: str = ""
    missing: float | None = None
    bars: tuple[float, ...] = ()
    tip: str = ""


class ColumnHeader(QHeaderView):
    """The horizontal header of a `PagedTable`.

    Signals:
        sort_wanted: (section, add) a click on a name; `add` with Shift, to sort by several columns.
        chart_clicked: (section) a click on the small chart.
        menu_wanted: (section, global position) a right click.
        fit_wanted: (section) a double click on a border.
    """

    sort_wanted = Signal(int, bool)
    chart_clicked = Signal(int)
    menu_wanted = Signal(int, QPoint)
    fit_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._heads: Mapping[str, ColumnHead] = {}
        self._order: tuple[tuple[str, bool], ...] = ()
        self._filtered: frozenset[str] = frozenset()
        self._pressed = QPoint()
        self._moved = False
        self.can_sort = False
        self.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.setHighlightSections(False)
        self.setMouseTracking(True)
        self.setMinimumSectionSize(40)
        self.sectionMoved.connect(lambda *_: setattr(self, "_moved", True))
        self.sectionHandleDoubleClicked.connect(self.fit_wanted)

    def show_heads(self, heads: Mapping[str, ColumnHead]) -> None:
        """Say more of columns than their names; empty = names only."""
        before = self._height()
        self._heads = heads
        if before != self._height():
            self.updateGeometries()
            self.geometriesChanged.emit()
        self.viewport().update()

    def show_order(self, order: Sequence[tuple[str, bool]]) -> None:
        """Mark what the rows are sorted by: column and whether descending, most important first."""
        self._order = tuple(order)
        self.viewport().update()

    def show_filtered(self, columns: frozenset[str]) -> None:
        """Mark columns that have a filter of their own."""
        self._filtered = columns
        self.viewport().update()

    def head(self, section: int) -> ColumnHead:
        """What is said of a column."""
        return self._heads.get(self._name(section), ColumnHead())

    def sizeHint(self) -> QSize:
        """Qt: higher when there is more to say than names."""
        return QSize(super().sizeHint().width(), self._height())

    def _height(self) -> int:
        if not self._heads:
            return PLAIN_HEIGHT
        return FULL_HEIGHT if any(head.bars for head in self._heads.values()) else FACTS_HEIGHT

    def chart_rect(self, section: int) -> QRect:
        """Where the small chart of a section is, in the viewport."""
        x = self.sectionViewportPosition(section)
        top = self.height() - CHART_HEIGHT - 3
        return QRect(x + PADDING, top, max(0, self.sectionSize(section) - 2 * PADDING), CHART_HEIGHT)

    def _name(self, section: int) -> str:
        model = self.model()
        return str(model.headerData(section, self.orientation())) if model is not None else ""

    # ---- painting --------------------------------------------------------------------------------------------------

    def paintSection(self, painter: QPainter, rect: QRect, section: int) -> None:
        """Qt: draw one section."""
        theme = Theme.current()
        name, head = self._name(section), self.head(section)
        painter.save()
        painter.setClipRect(rect)
        painter.fillRect(rect, theme.color("sunken"))
        painter.setPen(theme.color("border"))
        painter.drawLine(rect.topRight(), rect.bottomRight())
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        inner = rect.adjusted(PADDING, 0, -PADDING, 0)
        right = self._draw_sort(painter, inner, name, theme)
        self._draw_name(painter, inner.adjusted(0, 0, -right, 0), name, section, theme)
        if self._heads:
            self._draw_facts(painter, inner, head, self._word(section, head), theme)
            self._draw_bars(
                painter, QRectF(inner.x(), rect.bottom() - CHART_HEIGHT - 3, inner.width(), CHART_HEIGHT), head
            )
        painter.restore()

    def _draw_name(self, painter: QPainter, inner: QRect, name: str, section: int, theme: Theme) -> None:
        font = QFont(self.font())
        font.setPixelSize(12)
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(theme.color("accent" if name in self._filtered else "text" if self._heads else "muted"))
        box = QRect(
            inner.x(), inner.y() + (4 if self._heads else 0), inner.width(), 18 if self._heads else inner.height()
        )
        is_right = not self._heads and self._is_number(section)
        side = Qt.AlignmentFlag.AlignRight if is_right else Qt.AlignmentFlag.AlignLeft
        shown = QFontMetrics(font).elidedText(one_line(name), Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, int(side | Qt.AlignmentFlag.AlignVCenter), shown)

    def _is_number(self, section: int) -> bool:
        sides = self.model().headerData(section, self.orientation(), Qt.ItemDataRole.TextAlignmentRole)
        return bool(int(sides or 0) & int(Qt.AlignmentFlag.AlignRight))

    def _draw_sort(self, painter: QPainter, inner: QRect, name: str, theme: Theme) -> int:
        place = next((i for i, (column, _) in enumerate(self._order) if column == name), None)
        if place is None:
            return 0
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("accent"))
        x, y = inner.right() - 8, inner.y() + (13 if self._heads else inner.height() / 2)
        up = -1 if not self._order[place][1] else 1
        painter.drawPolygon(QPolygonF([QPointF(x, y - 3 * up), QPointF(x + 8, y - 3 * up), QPointF(x + 4, y + 3 * up)]))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        if len(self._order) == 1:
            return 14
        font = QFont(self.font())
        font.setPixelSize(10)
        painter.setFont(font)
        painter.setPen(theme.color("accent"))
        painter.drawText(QRect(int(x) - 10, int(y) - 7, 9, 14), int(Qt.AlignmentFlag.AlignCenter), str(place + 1))
        return 26

    def _word(self, section: int, head: ColumnHead) -> str:
        """The type in a word; what the values turned out to be says more than what they are stored as."""
        model = self.model()
        return KIND_NAMES.get(model.kind(section), head.type_word) if isinstance(model, PagedRows) else head.type_word

    def _draw_facts(self, painter: QPainter, inner: QRect, head: ColumnHead, type_word: str, theme: Theme) -> None:
        font = QFont(self.font())
        font.setPixelSize(11)
        painter.setFont(font)
        box = QRect(inner.x(), inner.y() + 21, inner.width(), 15)
        painter.setPen(theme.color("faint"))
        metrics = QFontMetrics(font)
        missing = missing_words(head.missing)
        if missing and metrics.horizontalAdvance(type_word + missing) + 10 > box.width():
            missing = missing.removesuffix(" missing")
        wide = metrics.horizontalAdvance(missing) + 8 if missing else 0
        word = metrics.elidedText(type_word, Qt.TextElideMode.ElideRight, max(0, box.width() - wide))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), word)
        if missing and box.width() > wide:
            painter.setPen(theme.color("warning" if (head.missing or 0) >= 0.05 else "faint"))
            painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), missing)

    def _draw_bars(self, painter: QPainter, box: QRectF, head: ColumnHead) -> None:
        top = max(head.bars, default=0)
        if not top or box.width() < 16:
            return
        color = Theme.current().color("series_1")
        color.setAlphaF(0.75)
        painter.setPen(Qt.PenStyle.NoPen)
        width = min(box.width() / len(head.bars), 18.0)
        gap = 1 if width >= 3 else 0
        for place, value in enumerate(head.bars):
            if value > 0:
                height = max(1.5, box.height() * value / top)
                bar = QRectF(box.x() + place * width, box.bottom() - height, width - gap, height)
                painter.fillRect(bar, color)

    # ---- mouse -----------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: remember where, to tell a click from a drag."""
        self._pressed, self._moved = event.position().toPoint(), False
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Qt: a click on the chart opens statistics, one on the rest sorts; Shift sorts by one column more."""
        super().mouseReleaseEvent(event)
        place = event.position().toPoint()
        is_click = (place - self._pressed).manhattanLength() < 5 and not self._moved
        section = self.logicalIndexAt(place)
        if event.button() != Qt.MouseButton.LeftButton or not is_click or section < 0 or self._is_border(place):
            return
        if self.head(section).bars and self.chart_rect(section).contains(place):
            self.chart_clicked.emit(section)
        elif self.can_sort:
            self.sort_wanted.emit(section, bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: say what is under the mouse."""
        super().mouseMoveEvent(event)
        place = event.position().toPoint()
        section = self.logicalIndexAt(place)
        if section >= 0 and not event.buttons():
            self.setToolTip(self.head(section).tip or self._name(section))
            if self.head(section).bars and self.chart_rect(section).contains(place):
                self.viewport().setCursor(Qt.CursorShape.PointingHandCursor)
            elif not self._is_border(place):
                self.viewport().unsetCursor()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Qt: a right click asks for the column's menu."""
        section = self.logicalIndexAt(event.pos())
        if section >= 0:
            self.menu_wanted.emit(section, event.globalPos())

    def _is_border(self, place: QPoint) -> bool:
        edges = [self.sectionViewportPosition(s) + self.sectionSize(s) for s in self._visible()]
        return any(abs(place.x() - edge) <= GRIP for edge in edges)

    def _visible(self) -> list[int]:
        first, last = self.visualIndexAt(0), self.visualIndexAt(self.viewport().width() - 1)
        last = self.count() - 1 if last < 0 else last
        return [self.logicalIndex(v) for v in range(max(0, first), last + 1)]


def missing_words(share: float | None) -> str:
    """``3 % missing``; nothing where nothing is."""
    if not share:
        return ""
    if share < 0.001:
        return "< 0.1 % missing"
    return f"{share:.1%} missing".replace("%", " %") if share < 0.1 else f"{share:.0%} missing".replace("%", " %")


def style_header(table: QTableView, *, numbered: bool = True) -> None:
    """Give a table the common row height and header."""
    vertical = table.verticalHeader()
    vertical.setDefaultSectionSize(ROW_HEIGHT)
    vertical.setMinimumSectionSize(ROW_HEIGHT)
    vertical.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    vertical.setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    vertical.setVisible(numbered)
    horizontal = table.horizontalHeader()
    horizontal.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    horizontal.setHighlightSections(False)
    horizontal.setStretchLastSection(not numbered)
