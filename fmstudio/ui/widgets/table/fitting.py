"""`Fitting`: cuts texts to the width they have, by the widths of their letters instead of by laying them out.

Qt lays a text out to measure it, again to cut it, and again to draw it: of a long text 0.3 ms, 26 times a screen. Letters
that stand side by side, each as wide as it is alone, are added up instead; where they join, stack or turn (Arabic, marks,
emoji), Qt is asked.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QFontMetrics, QFontMetricsF

_NARROWEST = 3
"""No more letters than one every so many pixels are looked at."""

_DOTS = "…"
_SIMPLE = (
    (0x0020, 0x007E), (0x00A0, 0x02AF), (0x0370, 0x0482), (0x048A, 0x052F), (0x2010, 0x2027), (0x20A0, 0x20BF),
    (0x2190, 0x21FF), (0x3000, 0x3029), (0x3041, 0x3096), (0x30A0, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0xFF01, 0xFF60),
)  # fmt: skip
"""Latin, Greek, Cyrillic, punctuation, signs, arrows, kana, Han and Hangul, without marks that combine."""


class _Advances(dict[str, float]):
    """Letter → pixels to the next one.

    Raises:
        KeyError: It is a letter whose width depends on its neighbours.
    """

    def __init__(self, font: QFont) -> None:
        super().__init__()
        self._metrics = QFontMetricsF(font)

    def __missing__(self, letter: str) -> float:
        code = ord(letter)
        if not any(first <= code <= last for first, last in _SIMPLE):
            raise KeyError(letter)
        found = self[letter] = self._metrics.horizontalAdvance(letter)
        return found


class Fitting:
    """Cuts texts of one font.

    Args:
        font: The font they are drawn in.
    """

    def __init__(self, font: QFont) -> None:
        self._metrics, self._advances = QFontMetrics(font), _Advances(font)

    def fit(self, text: str, room: float) -> str:
        """The text if it is at most `room` pixels wide, else its start with an ellipsis."""
        start = text[: int(room / _NARROWEST) + 2]
        try:
            ends = list(accumulate(map(self._advances.__getitem__, start)))
            dots = self._advances[_DOTS]
        except KeyError:
            return self._laid_out(text, start, room)
        if not ends or (ends[-1] <= room and len(start) == len(text)):
            return text
        return start[: bisect_right(ends, room - dots)] + _DOTS if dots <= room else ""

    def width(self, text: str) -> float:
        """How wide a text is, in pixels."""
        try:
            return sum(map(self._advances.__getitem__, text))
        except KeyError:
            return self._metrics.horizontalAdvance(text)

    def _laid_out(self, text: str, start: str, room: float) -> str:
        if self._metrics.horizontalAdvance(start) <= room and len(start) == len(text):
            return text
        return self._metrics.elidedText(start, Qt.TextElideMode.ElideRight, int(room))
