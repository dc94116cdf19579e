"""`ChatBubbles`: a conversation as bubbles, one a message, to read, to search and to copy from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtWidgets import QFrame, QWidget

from fmstudio.ui.widgets.code_view import CodeView
from fmstudio.ui.widgets.markdown_view import MarkdownView
from fmstudio.ui.widgets.parts import button, column, holder, label
from fmstudio.ui.widgets.table.values import ROLE_WORDS, plain_content

AT_ONCE = 40
"""Messages shown at first; the rest comes on request."""
MOST_CHARS = 60_000
ROLE_LEVELS = {"user": "accent", "assistant": "positive"}
SPOKEN = ("role", "content", "name")


class ChatBubbles(QWidget):
    """Messages from top to bottom; contents as Markdown, or as written.

    Args:
        is_raw: Show the texts exactly as they are.
    """

    def __init__(self, messages: Sequence[Mapping[str, Any]], *, is_raw: bool = False) -> None:
        super().__init__()
        self._messages, self._is_raw = list(messages), is_raw
        self._column = column(gap=6)
        self.setLayout(self._column)
        self.setAccessibleName(self.tr("{} messages").format(len(messages)))
        self._show(0, AT_ONCE)

    def _show(self, start: int, end: int) -> None:
        for message in self._messages[start:end]:
            self._column.addWidget(self._bubble(message))
        rest = len(self._messages) - end
        if rest > 0:
            more = button(self.tr("Show {} more messages").format(f"{rest:,}"), kind="quiet")

            def show_more() -> None:
                more.hide()
                more.deleteLater()
                self._show(end, end + 5 * AT_ONCE)

            more.clicked.connect(show_more)
            self._column.addWidget(more)

    def _bubble(self, message: Mapping[str, Any]) -> QWidget:
        role = str(message.get("role", ""))
        frame = QFrame()
        frame.setProperty("bubble", role if role in ("user", "assistant") else "system")
        name = f" · {message['name']}" if message.get("name") else ""
        caption = label(f"{ROLE_WORDS.get(role, role)}{name}", "caption")
        inside = column(caption, gap=3, margins=(12, 7, 12, 9))
        text = plain_content(message.get("content"))
        if text:
            inside.addWidget(text_view(text, is_raw=self._is_raw))
        extra = {k: v for k, v in message.items() if k not in SPOKEN and v not in (None, [], {}, "")}
        for key, value in extra.items():
            inside.addWidget(label(key.replace("_", " "), "caption"))
            inside.addWidget(CodeView(_pretty(value), "json"))
        if not text and not extra:
            inside.addWidget(label(self.tr("(empty)"), "muted"))
        frame.setLayout(inside)
        left, right = (28, 0) if role == "user" else (0, 28)
        return holder(column(frame, margins=(left, 0, right, 0)))


def text_view(text: str, *, is_raw: bool) -> QWidget:
    """A text to read: as Markdown, or exactly as it is; a very long one in a box that scrolls."""
    if len(text) > MOST_CHARS:
        return CodeView(text, "", is_code=False)
    view = MarkdownView()
    if is_raw:
        view.set_plain(text)
    else:
        view.set_source(text)
    return view


def _pretty(value: Any) -> str:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return str(value)
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)
