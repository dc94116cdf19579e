"""The inspector: one row in full, conversations as bubbles."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from fmstudio.ui.widgets.paged_table import ROLE_WORDS, full_text, is_messages
from fmstudio.ui.widgets.parts import clear, column, holder, label

MOST_CHARS = 20_000
HIDDEN = ("row_id",)


class RowInspector(QFrame):
    """Every column of the chosen row, whole, to read and to copy from."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("panel", "right")
        self.setAccessibleName(self.tr("Chosen row"))
        self._content = column(gap=6, margins=(16, 14, 16, 16))
        outer = column(gap=0)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(holder(self._content))
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        outer.addWidget(scroll)
        self.setLayout(outer)
        self.setMinimumWidth(220)
        self.show_record(None)

    def show_record(self, record: dict[str, Any] | None, title: str = "") -> None:
        """Show a row; None = say that none is chosen."""
        clear(self._content)
        if record is None:
            self._content.addWidget(label(self.tr("Choose a row to see all of it."), "muted", wrap=True))
            self._content.addStretch(1)
            return
        if title:
            self._content.addWidget(label(title, "heading"))
        for name, value in record.items():
            if name in HIDDEN or value is None:
                continue
            self._content.addWidget(label(name, "caption"))
            if is_messages(value):
                for message in value:
                    self._content.addWidget(_bubble(str(message["role"]), str(message["content"])))
            else:
                self._content.addWidget(label(full_text(value)[:MOST_CHARS], wrap=True, selectable=True))
            self._content.addSpacing(4)
        self._content.addStretch(1)


def _bubble(role: str, content: str) -> QWidget:
    frame = QFrame()
    frame.setProperty("bubble", role if role in ("user", "assistant") else "system")
    text = label(content[:MOST_CHARS] or "(empty)", wrap=True, selectable=True)
    frame.setLayout(column(label(ROLE_WORDS.get(role, role), "caption"), text, gap=2, margins=(12, 8, 12, 10)))
    left, right = (28, 0) if role == "user" else (0, 28)
    return holder(column(frame, margins=(left, 0, right, 0)))
