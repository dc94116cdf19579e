"""`TokenView`: an answer token by token, each with what else the model might have said; one click branches there."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, QUrl, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QTextBrowser, QWidget

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.parts import button, column, label, row

UNLIKELY, RARE = 0.5, 0.1
"""Tokens below these probabilities are marked: the places where the answer might have gone another way."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, or an alternative to one.

    Attributes:
        data: Its bytes: half of a character is no text yet.
    """

    id: int
    text: str
    data: bytes
    logprob: float
    others: tuple[Token, ...] = ()

    @property
    def probability(self) -> float:
        """From 0 to 1."""
        return math.exp(min(self.logprob, 0.0))

    @classmethod
    def of(cls, value: dict[str, Any]) -> Token:
        """Read an entry of ``logprobs.content`` (OpenAI's shape, with the token's ``id`` beside it)."""
        text = str(value.get("token", ""))
        data = bytes(value["bytes"]) if value.get("bytes") is not None else text.encode()
        others = tuple(cls.of(other) for other in value.get("top_logprobs") or ())
        return cls(int(value.get("id", -1)), text, data, float(value.get("logprob", 0.0)), others)


def beginning(tokens: Sequence[Token], place: int, instead: Token) -> tuple[str, list[int]]:
    """The answer up to a place with another token there: as text and as token ids."""
    kept = [*tokens[:place], instead]
    return b"".join(token.data for token in kept).decode("utf-8", "ignore"), [token.id for token in kept]


def visible(text: str) -> str:
    """A token's text with its white space to be seen."""
    return text.replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣") or "∅"


class TokenView(QWidget):
    """The tokens of an answer and the alternatives of one of them.

    Signals:
        branch_wanted(str, str, list): Id of the answer, the beginning to go on from, and the same as token ids.
        closed(): Back to the conversation.
    """

    branch_wanted = Signal(str, str, object)
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.message_id = ""
        self.tokens: list[Token] = []
        self.place = 0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._title = label(self.tr("Tokens"), "heading")
        self._note = label("", "caption", wrap=True)
        back = button(self.tr("Back to the conversation"), self.closed.emit, kind="quiet", icon="chevron-left",
                      tip=self.tr("Esc"))  # fmt: skip
        self.text = QTextBrowser()
        self.text.setOpenLinks(False)
        self.text.setAccessibleName(self.tr("Tokens of the answer"))
        self.text.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.text.anchorClicked.connect(self._on_clicked)
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("What else it might have said here"))
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.itemDoubleClicked.connect(self.branch)
        self.branch_button = button(self.tr("Branch here"), self.branch, kind="primary",
                                    tip=self.tr("Go on from this token instead (Enter); this answer is kept"))  # fmt: skip
        side = column(label(self.tr("Alternatives"), "strong"), gap=6)
        side.addWidget(self.list, 1)
        side.addWidget(self.branch_button)
        body = row(gap=12)
        body.addWidget(self.text, 3)
        body.addLayout(side, 1)
        layout = column(row(back, None), self._title, self._note, gap=6, margins=(20, 4, 20, 12))
        layout.addLayout(body, 1)
        self.setLayout(layout)

    def show_tokens(self, message_id: str, content: Sequence[dict[str, Any]]) -> None:
        """Show an answer's tokens, as ``logprobs.content`` gives them."""
        self.message_id = message_id
        self.tokens = [Token.of(value) for value in content]
        mean = sum(token.logprob for token in self.tokens) / max(1, len(self.tokens))
        words = self.tr(
            "{count} tokens, perplexity {perplexity:.2f}. Marked: less likely than {unlikely:.0%}, and than {rare:.0%}."
            " Left and right choose a token, up and down an alternative, Enter branches."
        )
        self._note.setText(
            words.format(count=len(self.tokens), perplexity=math.exp(-mean), unlikely=UNLIKELY, rare=RARE)
        )
        self.place = 0
        self._show()
        self.setFocus()

    def choose(self, place: int) -> None:
        """Show the alternatives of a token."""
        if self.tokens:
            self.place = max(0, min(place, len(self.tokens) - 1))
            self._show()

    def _show(self) -> None:
        at = self.text.verticalScrollBar().value()
        self.text.setHtml("".join(self._html(i, token) for i, token in enumerate(self.tokens)))
        self.text.verticalScrollBar().setValue(at)
        self.list.clear()
        for other in self.tokens[self.place].others if self.tokens else ():
            item = QListWidgetItem(f"{other.probability:.1%}\t{visible(other.text)}")
            item.setData(Qt.ItemDataRole.UserRole, other)
            self.list.addItem(item)
            if other.id == self.tokens[self.place].id:
                item.setText(item.text() + "  ✓")
                item.setToolTip(self.tr("What was said"))
        self.list.setCurrentRow(0)
        self.branch_button.setEnabled(self.list.count() > 0)

    def _html(self, place: int, token: Token) -> str:
        theme = Theme.current()
        colours = ((RARE, "danger_soft"), (UNLIKELY, "warning_soft"))
        back = next((theme.hex(name) for limit, name in colours if token.probability < limit), "")
        if place == self.place:
            back = theme.hex("accent_soft")
        style = f"color:{theme.hex('text')};text-decoration:none;" + (f"background-color:{back};" if back else "")
        shown = html.escape(token.text).replace(" ", "&nbsp;" if not token.text.strip() else " ") or "·"
        tip = f"{visible(token.text)} {token.probability:.1%}"
        link = f'<a href="#{place}" style="{style}" title="{html.escape(tip)}">{shown.replace(chr(10), "↵")}</a>'
        return link + "<br>" * token.text.count("\n")

    @Slot(QUrl)
    def _on_clicked(self, url: QUrl) -> None:
        self.choose(int(url.fragment() or 0))

    @Slot()
    def branch(self) -> None:
        """Go on from the alternative that is marked."""
        item = self.list.currentItem()
        if item is None or not self.tokens:
            return
        text, ids = beginning(self.tokens, self.place, item.data(Qt.ItemDataRole.UserRole))
        self.branch_wanted.emit(self.message_id, text, ids)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows choose, Enter branches, Esc goes back."""
        key = event.key()
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.choose(self.place + (1 if key == Qt.Key.Key_Right else -1))
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            to = self.list.currentRow() + (1 if key == Qt.Key.Key_Down else -1)
            self.list.setCurrentRow(max(0, min(to, self.list.count() - 1)))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.branch()
        elif key == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)
