"""The two halves of the import preview: side by side where there is room, else one above the other."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLayout, QScrollArea, QSplitter

from fmstudio.ui.widgets.parts import holder

SIDE_BY_SIDE_FROM = 820
"""Pixels that the form and the rows need beside each other."""
FORM_WIDTH = 352
WIDE, NARROW = (FORM_WIDTH, 800), (210, 360)


class ImportPanes(QSplitter):
    """The form, and what is seen of the file; each scrolls where it is higher than its half."""

    def __init__(self, form: QLayout, preview: QLayout) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        for half, width in ((form, FORM_WIDTH), (preview, 0)):
            scroll = QScrollArea()
            scroll.setWidgetResizable(True)
            scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
            scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            scroll.setWidget(holder(half))
            scroll.setMinimumWidth(width)
            self.addWidget(scroll)
        self.setChildrenCollapsible(False)
        self.setStretchFactor(1, 1)
        self.setMinimumWidth(FORM_WIDTH)
        self._preview = preview
        self._stand(is_wide=True)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: the width decides how the halves stand."""
        is_wide = event.size().width() >= SIDE_BY_SIDE_FROM
        if is_wide != (self.orientation() == Qt.Orientation.Horizontal):
            self._stand(is_wide=is_wide)
        super().resizeEvent(event)

    def _stand(self, *, is_wide: bool) -> None:
        self.setOrientation(Qt.Orientation.Horizontal if is_wide else Qt.Orientation.Vertical)
        self.setSizes(WIDE if is_wide else NARROW)
        self._preview.setContentsMargins(8 if is_wide else 0, 0 if is_wide else 8, 0, 0)
