"""One job in one line: state, title, how far or how long. And the words and icons for job states."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QPushButton, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.job_tray import progress_text
from fmstudio.ui.widgets.parts import ElidedLabel, icon_label, label, row

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job

STATES = {
    "queued": ("queued", "muted", "waiting"),
    "running": ("running", "accent", "running"),
    "paused": ("queued", "warning", "paused"),
    "succeeded": ("success", "positive", "done"),
    "failed": ("error", "danger", "failed"),
    "cancelled": ("cancelled", "muted", "stopped"),
    "interrupted": ("warning", "warning", "interrupted"),
}
"""State → icon, colour token, word."""


class JobLine(QPushButton):
    """A job as a line that leads to it.

    Signals:
        chosen: (job id) it was clicked.
    """

    chosen = Signal(str)

    def __init__(self, job: Job) -> None:
        super().__init__()
        icon, token, word = STATES[job.state]
        self.setProperty("kind", "quiet")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(f"{job.title}: {word}")
        right = progress_text(job) if not job.is_finished else f"{word}, {words.ago(job.finished or time.time())}"
        title = ElidedLabel(job.title)
        layout = row(icon_label(icon, token, 16), gap=10, margins=(6, 0, 6, 0))
        layout.addWidget(title, 1)
        layout.addWidget(label(right, "caption"))
        self.setLayout(layout)
        for child in self.findChildren(QWidget):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.clicked.connect(lambda: self.chosen.emit(job.id))
