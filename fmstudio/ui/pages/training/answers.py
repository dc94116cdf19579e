"""`AnswersTable`: what the model said to held-out prompts before and after training, beside what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

COLUMNS = ("prompt", "before", "after", "expected")
HEIGHT_AT_MOST = 460
PADDING = 16


class AnswersTable(QTableWidget):
    """One line per held-out prompt."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(COLUMNS), parent)
        self._shown: list[dict[str, Any]] = []
        self.setHorizontalHeaderLabels([self.tr("Prompt"), self.tr("Before"), self.tr("After"), self.tr("Expected")])
        self.setAccessibleName(self.tr("Held-out answers before and after training"))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setWordWrap(True)
        self.setShowGrid(False)
        self.setProperty("flat", "true")
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)

    def show_answers(self, answers: Sequence[dict[str, Any]]) -> None:
        """Show records with prompt, before, after and expected."""
        if list(answers) == self._shown:
            return
        self._shown = list(answers)
        self.setRowCount(len(answers))
        for line, answer in enumerate(answers):
            for place, key in enumerate(COLUMNS):
                item = QTableWidgetItem(str(answer.get(key, "")))
                item.setToolTip(item.text())
                item.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
                self.setItem(line, place, item)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lines wrap anew where the width changed."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Give each line the height of its longest text; the view's own measure forgets the style sheet's padding."""
        total = self.horizontalHeader().height() + 4
        for line in range(self.rowCount()):
            height = max(self._text_height(line, place) for place in range(len(COLUMNS))) + PADDING
            self.setRowHeight(line, height)
            total += height
        self.setFixedHeight(min(HEIGHT_AT_MOST, total))

    def _text_height(self, line: int, place: int) -> int:
        item = self.item(line, place)
        room = QRect(0, 0, max(40, self.columnWidth(place) - 2 * PADDING), 100_000)
        text = item.text() if item is not None else ""
        return self.fontMetrics().boundingRect(room, Qt.TextFlag.TextWordWrap, text).height()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Let the page scroll where this table has nothing to scroll."""
        bar = self.verticalScrollBar()
        at_end = bar.value() == (bar.minimum() if event.angleDelta().y() > 0 else bar.maximum())
        if at_end:
            event.ignore()
        else:
            super().wheelEvent(event)
