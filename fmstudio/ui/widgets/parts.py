"""The small parts every page is made of: labels, buttons, cards and rows, each with its style role and its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QBoxLayout,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from fmstudio.ui import icons

PAGE_MARGIN = 28

Item = QWidget | QLayout | int | None
Margins = tuple[int, int, int, int]
_Box = TypeVar("_Box", bound=QBoxLayout)
_Spin = TypeVar("_Spin", bound=QAbstractSpinBox)


def label(text: str = "", role: str = "", *, wrap: bool = False, selectable: bool = False, level: str = "") -> QLabel:
    """A text.

    Args:
        role: ``display``, ``title``, ``heading``, ``strong``, ``muted``, ``caption``, ``number``, ``mono``, ``accent``,
            ``positive``, ``warning``, ``danger`` or ``pill`` (with `level`).
    """
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        made.setProperty("role", role)
    if level:
        made.setProperty("level", level)
    if role == "pill":
        made.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Maximum)
    made.setWordWrap(wrap)
    if selectable:
        made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return made


def button(
    text: str,
    on_click: Callable[[], object] | None = None,
    *,
    kind: str = "",
    icon: str = "",
    tip: str = "",
    name: str = "",
) -> QPushButton:
    """A push button.

    Args:
        kind: ``primary`` (one a page), ``quiet``, ``danger``, ``choice`` (of a group in which one is on) or nothing.
        tip: Tooltip; put the shortcut in it.
        name: Accessible name when it must say more than the text.
    """
    made = _Choice(text) if kind == "choice" else QPushButton(text)
    if kind and kind != "choice":
        made.setProperty("kind", kind)
    if icon:
        token = {"primary": "on_accent", "quiet": "accent", "danger": "danger"}.get(kind, "text")
        icons.set_icon(made, icon, token, 16)
    if tip:
        made.setToolTip(tip)
    made.setAccessibleName(name or text)
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    if on_click is not None:
        made.clicked.connect(lambda: on_click())
    return made


class _Choice(QPushButton):
    """A button that stays on until another of its group is; as wide as the bold text that it has then."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setCheckable(True)
        self.setProperty("choice", "true")

    def sizeHint(self) -> QSize:
        """Qt: style sheets measure the plain text."""
        bold = QFont(self.font())
        bold.setWeight(QFont.Weight.DemiBold)
        wider = QFontMetrics(bold).horizontalAdvance(self.text()) - self.fontMetrics().horizontalAdvance(self.text())
        return super().sizeHint() + QSize(max(0, wider), 0)


def tool_button(
    icon: str, name: str, on_click: Callable[[], object] | None = None, *, shortcut: str = "", token: str = "muted"
) -> QToolButton:
    """A button that is only an icon; `name` is its tooltip and accessible name, `shortcut` is shown beside it."""
    made = QToolButton()
    icons.set_icon(made, icon, token)
    made.setAccessibleName(name)
    made.setToolTip(f"{name} ({shortcut})" if shortcut else name)
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    if on_click is not None:
        made.clicked.connect(lambda: on_click())
    return made


def icon_label(name: str, token: str = "muted", side: int = 18) -> QLabel:
    """An icon that is no button."""
    made = QLabel()
    made.setFixedSize(side, side)
    icons.set_icon(made, name, token, side)
    return made


def row(*items: Item, gap: int = 8, margins: Margins = (0, 0, 0, 0)) -> QHBoxLayout:
    """Things side by side; None is a stretch, a number a gap in pixels."""
    layout = QHBoxLayout()
    return _fill(layout, items, gap, margins)


def column(*items: Item, gap: int = 8, margins: Margins = (0, 0, 0, 0)) -> QVBoxLayout:
    """Things one below the other; None is a stretch, a number a gap in pixels."""
    layout = QVBoxLayout()
    return _fill(layout, items, gap, margins)


def _fill(layout: _Box, items: tuple[Item, ...], gap: int, margins: Margins) -> _Box:
    layout.setSpacing(gap)
    layout.setContentsMargins(*margins)
    for item in items:
        if item is None:
            layout.addStretch(1)
        elif isinstance(item, int):
            layout.addSpacing(item)
        elif isinstance(item, QLayout):
            layout.addLayout(item)
        else:
            layout.addWidget(item)
    return layout


def card(*items: Item, gap: int = 8, padding: int = 16, style: str = "true") -> QFrame:
    """A framed group of things, one below the other. `style`: ``true``, ``sunken`` or ``drop``."""
    frame = QFrame()
    frame.setProperty("card", style)
    frame.setLayout(column(*items, gap=gap, margins=(padding, padding, padding, padding)))
    return frame


def spin_box(parent: QWidget | None = None) -> QSpinBox:
    """A box for whole numbers, its text as far from the edge as a line edit's (style sheets cannot say that)."""
    return _inset(QSpinBox(parent))


def decimal_box(parent: QWidget | None = None) -> QDoubleSpinBox:
    """Like `spin_box`, for decimal numbers."""
    return _inset(QDoubleSpinBox(parent))


def _inset(box: _Spin) -> _Spin:
    box.lineEdit().setTextMargins(8, 0, 0, 0)
    return box


def divider() -> QFrame:
    """A thin line."""
    made = QFrame()
    made.setProperty("line", "true")
    return made


def holder(layout: QLayout) -> QWidget:
    """A plain widget around a layout."""
    made = QWidget()
    made.setLayout(layout)
    return made


def clear(layout: QLayout) -> None:
    """Remove and delete everything in a layout."""
    while (item := layout.takeAt(0)) is not None:
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
        elif inner is not None:
            clear(inner)


class ElidedLabel(QLabel):
    """A one-line text that is cut with “…” where there is no room; the whole text is its tooltip."""

    def __init__(self, text: str = "", role: str = "", mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
        super().__init__(text)
        self._mode = mode
        self.setTextFormat(Qt.TextFormat.PlainText)
        if role:
            self.setProperty("role", role)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setMinimumWidth(24)

    def setText(self, text: str) -> None:
        """Show another text."""
        super().setText(text)
        self._set_tip()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: the width decides whether a tooltip is needed."""
        super().resizeEvent(event)
        self._set_tip()

    def sizeHint(self) -> QSize:
        """Qt: the width of the whole text, as a wish."""
        return super().sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw what fits."""
        painter = QPainter(self)
        line = self.text().replace("\n", " ")
        text = QFontMetrics(self.font()).elidedText(line, self._mode, self.width())
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.rect(), int(self.alignment() | Qt.TextFlag.TextSingleLine), text)

    def _set_tip(self) -> None:
        is_cut = QFontMetrics(self.font()).horizontalAdvance(self.text()) > self.width()
        self.setToolTip(self.text() if is_cut else "")
