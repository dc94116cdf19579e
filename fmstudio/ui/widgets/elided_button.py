"""`ElidedButton`: a push button whose text is cut with “…” where there is no room."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QPushButton, QSizePolicy, QStyle, QStyleOptionButton, QStylePainter

LEAST = 60
ICON_GAP = 4


class ElidedButton(QPushButton):
    """As wide as its text where it may be; narrower, it is cut, and `text` is still the whole."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setAccessibleName(text.replace("&&", "&"))
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def minimumSizeHint(self) -> QSize:
        """Qt: it may be narrower than its text."""
        whole = self.sizeHint()
        return QSize(min(LEAST, whole.width()), whole.height())

    def shown_text(self) -> str:
        """What fits of the text."""
        option = QStyleOptionButton()
        self.initStyleOption(option)
        room = self.style().subElementRect(QStyle.SubElement.SE_PushButtonContents, option, self).width()
        if not self.icon().isNull():
            room -= self.iconSize().width() + ICON_GAP
        mnemonic = Qt.TextFlag.TextShowMnemonic.value  # “&&” is one letter
        return option.fontMetrics.elidedText(self.text(), Qt.TextElideMode.ElideRight, room, mnemonic)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: as any button, with the text that fits."""
        option = QStyleOptionButton()
        self.initStyleOption(option)
        option.text = self.shown_text()
        QStylePainter(self).drawControl(QStyle.ControlElement.CE_PushButton, option)
