"""`CompareView`: two to four answers to one question side by side, growing or finished; one key prefers one.

Blind, the columns are shuffled and named by letters until one is preferred.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets.markdown_view import MarkdownView
from fmstudio.ui.widgets.parts import ElidedLabel, button, column, holder, label, row

MOST = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What a column shows: the answer's id, who said it, its text and numbers."""

    id: str
    speaker: str
    text: str = ""
    numbers: str = ""
    is_preferred: bool = False


class AnswerColumn(QFrame):
    """One answer with its head and its button."""

    def __init__(self, answer: Answer, key: int, hidden_name: str) -> None:
        super().__init__()
        self.answer = answer
        self._hidden_name = hidden_name
        self.setProperty("card", "true")
        self.name = ElidedLabel("", "strong")
        self.numbers = ElidedLabel("", "caption")
        self.body = MarkdownView()
        self.choose = button("", tip="")
        self.show_branch = button(
            self.tr("Go on here"), kind="quiet", tip=self.tr("Show this branch in the conversation")
        )
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(holder(column(self.body, None, margins=(0, 0, 8, 0))))
        self._key = key
        layout = column(self.name, self.numbers, gap=4, margins=(14, 10, 8, 10))
        layout.addWidget(area, 1)
        layout.addLayout(row(self.choose, self.show_branch, None, gap=4))
        self.setLayout(layout)
        self.show_answer(answer)

    def show_answer(self, answer: Answer, *, is_final: bool = True) -> None:
        """Show the answer as it is now."""
        self.answer = answer
        self.name.setText(self._hidden_name or answer.speaker)
        self.numbers.setText("" if self._hidden_name else answer.numbers)
        if answer.text != self.body.source:
            self.body.set_source(answer.text, is_final=is_final)
        prefer = self.tr("Preferred ({key})") if answer.is_preferred else self.tr("Prefer ({key})")
        self.choose.setText(prefer.format(key=self._key))
        self.choose.setToolTip(self.tr("Keep this one as the better answer: a lesson. Again takes it back."))
        self.choose.setEnabled(bool(answer.text))
        restyle(self.choose, kind="primary" if answer.is_preferred else "")
        self.setAccessibleName(self.tr("Answer {key}").format(key=self._key))

    def reveal(self) -> None:
        """Say who this is."""
        self._hidden_name = ""
        self.show_answer(self.answer)


class CompareView(QWidget):
    """Answers side by side.

    Signals:
        preferred(str, list): Id of the answer preferred, and the ids of all that were shown.
        branch_wanted(str): Show the branch of that answer in the conversation.
        closed(): Back to the conversation.
    """

    preferred = Signal(str, object)
    branch_wanted = Signal(str)
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[AnswerColumn] = []
        self.is_blind = False
        self.kind = "branches"
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._question = ElidedLabel("", "heading")
        self._note = label("", "caption", wrap=True)
        back = button(self.tr("Back to the conversation"), self.closed.emit, kind="quiet", icon="chevron-left",
                      tip=self.tr("Esc"))  # fmt: skip
        self._columns = row(gap=12)
        layout = column(row(back, None, gap=8), gap=8, margins=(20, 4, 20, 12))
        layout.addWidget(self._question)
        layout.addWidget(self._note)
        layout.addLayout(self._columns, 1)
        self.setLayout(layout)

    def show_answers(self, question: str, answers: Sequence[Answer], *, kind: str, is_blind: bool = False) -> None:
        """Show these answers, at most four."""
        shown = list(answers)[:MOST]
        if is_blind:
            secrets.SystemRandom().shuffle(shown)
        self.is_blind, self.kind = is_blind, kind
        self._question.setText(question)
        self._note.setText(self._words(kind, is_blind, len(answers)))
        for old in self.columns:
            old.hide()
            old.deleteLater()
        self.columns = [
            AnswerColumn(answer, place + 1, self.tr("Answer {letter}").format(letter="ABCD"[place]) if is_blind else "")
            for place, answer in enumerate(shown)
        ]
        for made in self.columns:
            self._columns.addWidget(made, 1)
            made.choose.clicked.connect(lambda _=False, made=made: self.prefer(made))
            made.show_branch.clicked.connect(lambda _=False, made=made: self.branch_wanted.emit(made.answer.id))
        self.setFocus()

    def _words(self, kind: str, is_blind: bool, count: int) -> str:
        parts = []
        if kind in ("drafts", "models"):
            parts.append(self.tr("One after the other: there is one engine, and it answers one request at a time."))
        if is_blind:
            parts.append(self.tr("Blind: the names appear once you have preferred one."))
        if count > MOST:
            parts.append(self.tr("The {most} newest of {count} versions.").format(most=MOST, count=count))
        parts.append(self.tr("Keys 1 to 4 prefer an answer; it becomes a lesson."))
        return " ".join(parts)

    def update_answer(self, answer: Answer, *, is_final: bool) -> None:
        """Show what has come of an answer."""
        for shown in self.columns:
            if shown.answer.id == answer.id:
                shown.show_answer(answer, is_final=is_final)

    def prefer(self, chosen: AnswerColumn) -> None:
        """Prefer an answer to the others; the same again takes it back."""
        if not chosen.answer.text:
            return
        takes_back = chosen.answer.is_preferred
        for shown in self.columns:
            is_preferred = shown is chosen and not takes_back
            shown.show_answer(replace(shown.answer, is_preferred=is_preferred))
            shown.reveal()
        self.preferred.emit("" if takes_back else chosen.answer.id, [c.answer.id for c in self.columns])

    @Slot()
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """1 to 4 prefer, Esc goes back."""
        text = event.text()
        if text.isdigit() and 1 <= int(text) <= len(self.columns):
            self.prefer(self.columns[int(text) - 1])
        elif event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)
