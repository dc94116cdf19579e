"""`LessonsButton`: how many lessons the chats have given so far; a click opens them as a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QPushButton

if TYPE_CHECKING:
    from fmstudio.project.lessons import LessonCount
    from fmstudio.ui.context import AppContext


class LessonsButton(QPushButton):
    """Shown as soon as there is a lesson."""

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self._context = context
        self._dataset = ""
        self.setProperty("kind", "quiet")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.clicked.connect(self._open)
        self.hide()

    @Slot()
    def count(self) -> None:
        """Look how many there are."""
        project = self._context.project
        if project is None:
            self.hide()
        else:
            self._context.run_query(project.lessons.count, self._show_count, key="chat-lessons", owner=self)

    def _show_count(self, count: LessonCount) -> None:
        total = count.sft + count.preferences
        self._dataset = count.sft_id if count.sft else count.preference_id
        self.setVisible(bool(total) and self.parent() is not None)
        self.setText(self.tr("1 lesson") if total == 1 else self.tr("{count} lessons").format(count=f"{total:,}"))
        tip = self.tr(
            "{sft} answers to learn and {pairs} preferences, as datasets of this project. Click to open them."
        )
        self.setToolTip(tip.format(sft=f"{count.sft:,}", pairs=f"{count.preferences:,}"))
        self.setAccessibleName(self.text())

    @Slot()
    def _open(self) -> None:
        self._context.navigate("data", dataset_id=self._dataset)
