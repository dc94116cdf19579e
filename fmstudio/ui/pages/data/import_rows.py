"""The first rows as they will be imported: a table, and the chosen row as a person reads it."""

from __future__ import annotations

import base64
from typing import Any

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QSplitter, QWidget

from fmstudio.ui.widgets.chat_bubbles import text_view
from fmstudio.ui.widgets.paged_table import ROLE_WORDS, PagedTable, full_text, is_messages
from fmstudio.ui.widgets.parts import ElidedLabel, clear, column, holder, label
from fmstudio.ui.widgets.table.thumbnails import read_image

MOST_CHARS = 6_000
LEAST_HEIGHT = 170
PICTURE_SIDE = 190
LONGEST_WORD = 20
"""Characters that have room side by side in the narrowest bubble; a label breaks between words only."""
SPEAKERS = {
    "prompt": ("user", "Prompt"),
    "completion": ("assistant", "Completion"),
    "chosen": ("assistant", "Chosen"),
    "rejected": ("system", "Rejected"),
}
"""Columns that are shown as a speaker's bubble, with their captions."""


class FirstRows(QSplitter):
    """A table of the first rows; the chosen one is spoken out beside it."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.table = PagedTable(self.tr("First rows as they will be imported"))
        self._content = column(gap=6, margins=(14, 10, 14, 12))
        self.reading = QScrollArea()
        self.reading.setWidgetResizable(True)
        self.reading.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        body = holder(self._content)
        body.setMinimumWidth(1)  # as wide as the pane: one value that cannot be broken must not cut all others
        self.reading.setWidget(body)
        self.reading.setAccessibleName(self.tr("The chosen row, as it reads"))
        self.addWidget(self.table)
        self.addWidget(self.reading)
        self.setStretchFactor(0, 3)
        self.setStretchFactor(1, 2)
        self.setChildrenCollapsible(False)
        self.table.setMinimumWidth(200)
        self.reading.setMinimumWidth(230)
        self.setMinimumHeight(LEAST_HEIGHT)
        self.setSizes([420, 330])
        self.table.row_chosen.connect(self._on_chosen)

    def sizeHint(self) -> QSize:
        """Qt: a few rows; all room that is left comes on top."""
        return QSize(super().sizeHint().width(), LEAST_HEIGHT)

    def show_rows(self, rows: list[dict[str, Any]], columns: list[str], pictures: list[dict[str, Any]]) -> None:
        """Show other rows, with these pictures in them; the first is chosen."""
        rows = [dict(row) for row in rows]
        for one in pictures:
            rows[one["row"]][one["column"]] = base64.b64decode(one["data"])
        self.table.rows.load_records(rows, columns)
        self.show_row(0)

    def clear_rows(self) -> None:
        """Show nothing."""
        self.table.rows.load(None)
        clear(self._content)

    @Slot(int)
    def _on_chosen(self, number: int) -> None:
        if number >= 0:
            self.show_row(number)

    def choose(self, number: int) -> None:
        """Choose a row (from 0) as a click would."""
        if 0 <= number < self.table.rows.total:
            self.table.selectRow(number)
            self.table.scrollTo(self.table.rows.index(number, 0))

    def show_row(self, number: int) -> None:
        """Spell a row out."""
        record = self.table.rows.record(number) if number < self.table.rows.total else None
        clear(self._content)
        if record is None:
            self._content.addWidget(
                label(self.tr("No row fits yet. Change how the columns are read."), "muted", wrap=True)
            )
            self._content.addStretch(1)
            return
        self._content.addWidget(label(f"Row {number + 1:,}", "caption"))
        for name, value in record.items():
            for widget in _spelled(name, value):
                self._content.addWidget(widget)
        self._content.addStretch(1)


def _spelled(name: str, value: Any) -> list[QWidget]:
    if value is None or value == "":
        return []
    if isinstance(value, bytes):
        return [ElidedLabel(name, "caption"), _picture(value)]
    role, title = SPEAKERS.get(name, ("", name))
    if is_messages(value):
        heads = [] if name == "messages" else [ElidedLabel(title, "caption")]
        return [*heads, *(_bubble(m["role"], str(m["content"]), ROLE_WORDS.get(m["role"], m["role"])) for m in value)]
    text = full_text(value)[:MOST_CHARS]
    if role:
        return [_bubble(role, text, title)]
    if name == "text":
        return [_text(text)]
    return [ElidedLabel(name, "caption"), _text(text[:800], "muted")]


def _picture(data: bytes) -> QWidget:
    shown = QLabel()
    shown.setPixmap(QPixmap.fromImage(read_image(data, PICTURE_SIDE)))
    shown.setAccessibleName("Picture")
    return shown


def _text(text: str, role: str = "") -> QWidget:
    if any(len(word) > LONGEST_WORD for word in text.split()):
        return text_view(text, is_raw=True)
    return label(text, role, wrap=True, selectable=True)


def _bubble(role: str, content: str, title: str) -> QWidget:
    frame = QFrame()
    frame.setProperty("bubble", role if role in ("user", "assistant") else "system")
    text = _text(content[:MOST_CHARS] or "(empty)")
    frame.setLayout(column(label(title, "caption"), text, gap=2, margins=(12, 8, 12, 10)))
    left, right = (24, 0) if role == "user" else (0, 24)
    return holder(column(frame, margins=(left, 0, right, 0)))
