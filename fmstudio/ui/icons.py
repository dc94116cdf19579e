"""Line icons out of `resources/icons`, drawn in the theme's colours at the screen's resolution."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRect, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget

from fmstudio.core.paths import resource

SIZE = 18


@lru_cache(maxsize=256)
def svg(name: str, color: str) -> str:
    """Text of an icon in a colour.

    Raises:
        FileNotFoundError: There is no such icon.
    """
    return resource("icons", f"{name}.svg").read_text("utf-8").replace("#000000", color)


@lru_cache(maxsize=512)
def _render(name: str, color: str, side: int) -> QPixmap:
    from PySide6.QtSvg import QSvgRenderer

    pixmap = QPixmap(side, side)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    QSvgRenderer(QByteArray(svg(name, color).encode())).render(painter)
    painter.end()
    return pixmap


class _Engine(QIconEngine):
    """Draws an icon when it is needed, in the colour its mode has at that moment."""

    def __init__(self, name: str, token: str) -> None:
        super().__init__()
        self._name = name
        self._token = token

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        device = painter.device()
        ratio = device.devicePixelRatioF() if device else 1.0
        pixmap = _render(self._name, self._color(mode), max(1, round(min(rect.width(), rect.height()) * ratio)))
        painter.drawPixmap(rect, pixmap)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return _render(self._name, self._color(mode), max(1, min(size.width(), size.height())))

    def clone(self) -> QIconEngine:
        return _Engine(self._name, self._token)

    def _color(self, mode: QIcon.Mode) -> str:
        from fmstudio.ui.theme import Theme

        return Theme.current().hex("faint" if mode == QIcon.Mode.Disabled else self._token)


def icon(name: str, token: str = "muted") -> QIcon:
    """An icon that keeps to the theme when it changes.

    Args:
        name: File in ``resources/icons`` without ``.svg``.
        token: Colour token of the theme.
    """
    return QIcon(_Engine(name, token))


def set_icon(widget: QAbstractButton | QLabel, name: str, token: str = "muted", side: int = SIZE) -> None:
    """Give a button or label an icon that follows the theme."""
    widget.setProperty("icon-name", name)
    widget.setProperty("icon-token", token)
    widget.setProperty("icon-side", side)
    refresh(widget)


def refresh(widget: QWidget) -> None:
    """Draw a widget's icon again in the colours now in force."""
    name = widget.property("icon-name")
    if not name:
        return
    from fmstudio.ui.theme import Theme

    token, side = str(widget.property("icon-token")), int(widget.property("icon-side"))
    if isinstance(widget, QAbstractButton):
        widget.setIcon(icon(str(name), token))
        widget.setIconSize(QSize(side, side))
    elif isinstance(widget, QLabel):
        ratio = widget.devicePixelRatioF()
        pixmap = _render(str(name), Theme.current().hex(token), round(side * ratio)).copy()
        pixmap.setDevicePixelRatio(ratio)
        widget.setPixmap(pixmap)


def forget() -> None:
    """Drop rendered icons, when the theme changes."""
    _render.cache_clear()
