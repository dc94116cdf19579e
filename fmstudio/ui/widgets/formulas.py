"""`Formulas`: LaTeX of answers as drawings. They are made beside the main thread, in the order they were asked for.

The drawing is ziamath's (MIT licence): LaTeX → MathML → outlines of the STIX Two Math font, without TeX, scripts or
files. What cannot be drawn is shown as it was written.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QObject, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter

from fmstudio.ui.widgets.aside import Aside

MOST_CHARS = 2_000
"""Longer formulas stay as they were written."""
MOST_SVG = 400_000
MOST_KEPT = 600
EM = 16.0
INK = "#010203"
"""The colour in which formulas are drawn, to be replaced by the theme's."""
_FORMULA = re.compile(
    r"(?P<code>(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`))"
    r"|\$\$(?P<shown>(?:(?!\n\s*\n|\$\$).)+?)\$\$"
    r"|\\\[(?P<set>(?:(?!\n\s*\n|\\\]).)+?)\\\]"
    r"|\\\((?P<within>(?:(?!\n\s*\n|\\\)).)+?)\\\)"
    r"|(?<![\\$\w])\$(?!\s)(?P<inline>(?:[^$\n\\]|\\.)+?)(?<!\s)\$(?![\w$])",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula in a text: from where to where, its LaTeX, and whether it stands on a line of its own."""

    start: int
    end: int
    tex: str
    is_display: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """A formula as SVG in the colour `INK`, at `EM` pixels an em.

    Attributes:
        width, ascent, descent: In pixels, around its baseline. A width of 0: it cannot be drawn.
    """

    svg: str = ""
    width: float = 0.0
    ascent: float = 0.0
    descent: float = 0.0


def formulas_in(text: str) -> Iterator[Formula]:
    r"""The formulas of a Markdown text: ``$…$``, ``$$…$$``, ``\(…\)`` and ``\[…\]``, outside of code.

    A dollar opens a formula only where no space follows it, and closes one only where none stands before it and neither
    a letter nor a digit after it (as Pandoc reads them), so that prices stay prices.
    """
    for match in _FORMULA.finditer(text):
        if match["code"] is None:
            tex = match["shown"] or match["set"] or match["within"] or match["inline"]
            if tex.strip() and len(tex) <= MOST_CHARS:
                yield Formula(*match.span(), tex.strip(), match["shown"] is not None or match["set"] is not None)


def draw(tex: str, *, is_display: bool) -> Drawing:
    """Draw a formula; takes some 20 ms, so never on the main thread."""
    with warnings.catch_warnings():
        # It finds its font through a function that Python 3.11 and 3.12 call deprecated, and 3.13 no longer does.
        warnings.simplefilter("ignore", DeprecationWarning)
        from ziamath.config import config
        from ziamath.zmath import Latex

    config.svg2 = False  # Qt reads SVG Tiny, which has no symbols
    try:
        made = Latex(tex, size=EM, color=INK, inline=not is_display)
        svg = made.svg()
        _left, top, width, height = (float(v) for v in re.search(r'viewBox="([^"]+)"', svg)[1].split())  # type: ignore[index]
    except Exception:  # noqa: BLE001 - whatever a model wrote and the library cannot read is shown as written
        return Drawing()
    if len(svg) > MOST_SVG or width <= 0 or height <= 0 or "#ff0000" in svg.lower():
        return Drawing()
    return Drawing(svg, width, -top, height + top)


def paint(drawing: Drawing, em: float, color: QColor, ratio: float, above: float, below: float) -> QImage:
    """A picture of a formula with `above` pixels over its baseline and `below` under it."""
    from PySide6.QtSvg import QSvgRenderer

    scale = em / EM
    width, height = drawing.width * scale, above + below
    image = QImage(round(width * ratio) or 1, round(height * ratio) or 1, QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(ratio)
    image.fill(Qt.GlobalColor.transparent)
    svg = drawing.svg.replace(INK, color.name())
    painter = QPainter(image)
    tall = (drawing.ascent + drawing.descent) * scale
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, above - drawing.ascent * scale, width, tall))
    painter.end()
    return image


class Formulas(QObject):
    """The drawings made so far; more are made when they are asked for.

    Signals:
        drawn(str, bool): A formula's drawing is there now.
    """

    drawn = Signal(str, bool)
    _shared: Formulas | None = None

    def __init__(self, make: Callable[..., Drawing] = draw) -> None:
        super().__init__()
        self._make = make
        self._known: dict[tuple[str, bool], Drawing | None] = {}

    @classmethod
    def shared(cls) -> Formulas:
        """The one that all texts of the window share."""
        from shiboken6 import isValid

        if cls._shared is None or not isValid(cls._shared):
            cls._shared = cls()
        return cls._shared

    def get(self, tex: str, *, is_display: bool) -> Drawing | None:
        """The drawing; None while it is being made, see `drawn`."""
        key = (tex, is_display)
        if key not in self._known:
            if len(self._known) >= MOST_KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = None
            self._ask(key)
        return self._known[key]

    def _ask(self, key: tuple[str, bool]) -> None:
        make = self._make
        Aside.shared().run(
            lambda: make(key[0], is_display=key[1]), lambda drawing: self._keep(key, drawing), owner=self
        )

    def _keep(self, key: tuple[str, bool], drawing: Drawing) -> None:
        self._known[key] = drawing
        self.drawn.emit(*key)
