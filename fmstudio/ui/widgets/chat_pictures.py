"""Pictures attached to a turn, as large as there is room beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel

from fmstudio.ui.widgets.parts import row

SIDE = 220


def pictures(uris: Sequence[str]) -> QHBoxLayout:
    """A row of pictures, given as data URIs; what is none is passed over."""
    shown = row(gap=8)
    for uri in uris:
        head, _, data = uri.partition(",")
        pixmap = QPixmap()
        if head.startswith("data:image/") and pixmap.loadFromData(QByteArray.fromBase64(data.encode())):
            mode = Qt.TransformationMode.SmoothTransformation
            label = QLabel()
            label.setPixmap(pixmap.scaled(SIDE, SIDE, Qt.AspectRatioMode.KeepAspectRatio, mode))
            label.setAccessibleName(label.tr("Attached picture"))
            shown.addWidget(label)
    shown.addStretch(1)
    return shown
