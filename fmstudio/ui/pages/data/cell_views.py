"""How the inspector shows a value whole, by what it is."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.chat_bubbles import ChatBubbles, text_view
from fmstudio.ui.widgets.code_view import CodeView
from fmstudio.ui.widgets.json_tree import JsonTree
from fmstudio.ui.widgets.parts import column, holder, label, row
from fmstudio.ui.widgets.table.thumbnails import read_image
from fmstudio.ui.widgets.table.values import cell_text, is_messages, kind_of_values

IMAGE_SIDE = 480
MOST_TAGS = 60
LINE = 34
"""Characters that have room side by side in a narrow panel; a label breaks between words only."""


def value_view(name: str, value: Any, type_name: str = "", *, is_raw: bool = False) -> QWidget:
    """A widget that shows a value.

    Args:
        is_raw: Texts exactly as they are, instead of as Markdown.
    """
    if value is None:
        return label("null", "muted")
    if value == "" and isinstance(value, str):
        return label("(empty text)", "muted")
    if is_messages(value):
        return ChatBubbles(value, is_raw=is_raw)
    kind = kind_of_values([value], name, type_name)
    if kind == "image":
        return _image(value)
    if kind == "json" and not is_raw:
        return JsonTree(json.loads(value))
    if kind == "code" and isinstance(value, str):
        return CodeView(value, name.lower() if name.lower() in ("sql", "python", "html", "json", "xml", "css") else "")
    if kind == "vector":
        return _vector(value)
    if kind == "tags":
        return _tags(value)
    if isinstance(value, dict | list | tuple):
        return JsonTree(value)
    if isinstance(value, str):
        return text_view(value, is_raw=is_raw)
    text = cell_text(value)
    if len(text) > LINE:
        return text_view(text, is_raw=True)
    return _as_value(label(text, selectable=True, wrap=True))


def _as_value(shown: QLabel) -> QLabel:
    shown.setProperty("holds", "value")
    return shown


def is_value_label(shown: QLabel) -> bool:
    """Whether a label shows a value of the row, and no name, note or placeholder."""
    return bool(shown.property("holds") == "value")


def _image(data: bytes) -> QWidget:
    image = read_image(data, IMAGE_SIDE)
    if image.isNull():
        return label(f"A picture that cannot be read, {words.size(len(data))}", "muted")
    shown = QLabel()
    shown.setPixmap(
        QPixmap.fromImage(image).scaledToWidth(min(image.width(), 260), Qt.TransformationMode.SmoothTransformation)
    )
    shown.setAccessibleName("Picture")
    shown.setAlignment(Qt.AlignmentFlag.AlignLeft)
    return holder(column(shown, label(words.size(len(data)), "caption"), gap=2))


def _vector(numbers: Sequence[float]) -> QWidget:
    some = ", ".join(f"{number:.4g}" for number in numbers[:8])
    more = ", …" if len(numbers) > 8 else ""
    return _as_value(label(f"{len(numbers):,} numbers: {some}{more}", "mono", wrap=True, selectable=True))


def _tags(tags: Sequence[str]) -> QWidget:
    if not tags:
        return label("(none)", "muted")
    lines = column(gap=4)
    line, used = row(gap=4), 0
    for tag in tags[:MOST_TAGS]:
        if used + len(tag) > LINE and used:
            line.addStretch(1)
            lines.addLayout(line)
            line, used = row(gap=4), 0
        line.addWidget(_pill(tag[:200]))
        used += len(tag) + 3
    line.addStretch(1)
    lines.addLayout(line)
    if len(tags) > MOST_TAGS:
        lines.addWidget(label(f"and {len(tags) - MOST_TAGS:,} more", "caption"))
    return holder(lines)


def _pill(tag: str) -> QWidget:
    """A tag; in a long one every few characters may end a line (U+200B), else it would be cut."""
    if len(tag) <= LINE:
        return _as_value(label(tag, "pill", level="accent", selectable=True))
    broken = re.sub(rf"(\S{{{LINE // 2}}})", "\\1\u200b", tag)
    made = _as_value(label(broken, "pill", wrap=True, level="accent", selectable=True))
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
    return made
