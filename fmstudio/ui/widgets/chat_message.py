"""`MessageCard`: one turn of a conversation with its numbers and actions; it stores nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QFocusEvent, QGuiApplication, QKeyEvent, QKeySequence, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from fmstudio.ui.icons import set_icon
from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.chat_card_data import FOR_ANSWERS, KEYS, CardData
from fmstudio.ui.widgets.chat_pictures import pictures
from fmstudio.ui.widgets.chat_thoughts import Thoughts
from fmstudio.ui.widgets.chat_turn_editor import TurnEditor
from fmstudio.ui.widgets.markdown_view import MarkdownView
from fmstudio.ui.widgets.parts import ElidedLabel


class MessageCard(QFrame):
    """One turn.

    Signals:
        rated(str, int): Id and 1 or -1.
        corrected(str, str): Id and the text as it should have been.
        edited(str, str): Id of a question and its new text.
        regenerate_wanted(str): Id of the answer to make again.
        version_wanted(str, int): Id, and 1 or -1 for the next or previous version.
        branched(str, str): Id of an answer and the text to go on from instead.
        acted(str, str): Id and what is wanted: ``continue``, ``compare``, ``delete``, ``quote``, ``tokens``,
            ``reproduce`` or ``prefer``.
        moved(str, int): Id, and 1 or -1 for the turn below or above.
    """

    rated = Signal(str, int)
    corrected = Signal(str, str)
    edited = Signal(str, str)
    regenerate_wanted = Signal(str)
    version_wanted = Signal(str, int)
    branched = Signal(str, str)
    acted = Signal(str, str)
    moved = Signal(str, int)

    def __init__(self, data: CardData, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.data = data
        is_answer = data.who == "assistant"
        self.setProperty("bubble", "" if is_answer else "user")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._is_answer = is_answer
        self._editor: TurnEditor | None = None
        self._shows_original = False
        self.body = MarkdownView()
        self._speaker = QLabel()
        self._speaker.setProperty("role", "strong")
        self._note = QLabel()
        self._note.setProperty("role", "caption")
        self._numbers = ElidedLabel("", "caption")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(16, 10, 16, 8)
        self._layout.setSpacing(6)
        self._layout.addLayout(self._make_head())
        self.thoughts = Thoughts()
        self._layout.addWidget(self.thoughts)
        self._layout.addWidget(self.body)
        if data.images:
            self._layout.addLayout(pictures(data.images))
        self._foot = QWidget()
        self._make_foot()
        self._layout.addWidget(self._foot)
        self.show_data(data)

    # ---- building --------------------------------------------------------------------------------------------------

    def _make_head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.addWidget(self._speaker)
        head.addWidget(self._note)
        head.addStretch()
        if not self._is_answer:
            head.addWidget(self._tool("copy", self.tr("Copy the text"), self._copy_text))
            head.addWidget(self._tool("edit", self.tr("Edit: ask differently; this branch is kept (E)"), self._edit))
        self._earlier = self._tool("chevron-left", self.tr("Previous version (Left)"), partial(self._step, -1))
        self._version = QLabel()
        self._later = self._tool("chevron-right", self.tr("Next version (Right)"), partial(self._step, 1))
        self._compare = self._tool("swap", self.tr("Compare the versions side by side (D)"), self._act("compare"))
        for widget in (self._earlier, self._version, self._later, self._compare):
            head.addWidget(widget)
        if not self._is_answer:
            head.addWidget(self._tool("more", self.tr("More"), self._show_menu))
        return head

    def _make_foot(self) -> None:
        foot = QHBoxLayout(self._foot)
        foot.setContentsMargins(0, 0, 0, 0)
        foot.setSpacing(4)
        self._copy = self._tool("copy", self.tr("Copy the text as Markdown (Ctrl+C)"), self._copy_text)
        self._up = self._tool("thumb-up", self.tr("A good answer: keep it as a lesson (G)"), self._rate_up)
        self._down = self._tool("thumb-down", self.tr("A poor answer (B)"), self._rate_down)
        for button in (self._up, self._down):
            button.setCheckable(True)
        self._correct = self._tool("edit", self.tr("Correct: write how the answer should have been (C)"), self._edit)
        self._prefer = self._tool("check", self.tr("Prefer this version to the others (P)"), self._act("prefer"))
        self._prefer.setCheckable(True)
        self._again = self._tool("retry", self.tr("Answer again, beside this answer (R)"), self._regenerate)
        self._on = QPushButton(self.tr("Continue"))
        self._on.setToolTip(self.tr("Go on from the end of this answer (N); this version is kept"))
        self._on.setProperty("kind", "quiet")
        self._on.clicked.connect(self._act("continue"))
        self._more = self._tool("more", self.tr("More"), self._show_menu)
        self._original = QPushButton()
        self._original.setProperty("kind", "quiet")
        self._original.clicked.connect(self._toggle)
        tools: list[QWidget] = [self._copy, self._up, self._down, self._correct, self._prefer]
        tools += [self._again, self._on, self._more, self._original]
        for tool in tools:
            foot.addWidget(tool)
            if not self._is_answer:
                tool.hide()
        foot.addSpacing(8 if self._is_answer else 0)
        foot.addWidget(self._numbers, 1)

    def _tool(self, icon: str, tip: str, slot: Callable[[], None]) -> QToolButton:
        button = QToolButton()
        set_icon(button, icon, side=16)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setAutoRaise(True)
        button.clicked.connect(slot)
        return button

    # ---- showing ---------------------------------------------------------------------------------------------------

    def show_data(self, data: CardData) -> None:
        """Show a finished turn."""
        same_text = (data.text, data.correction) == (self.data.text, self.data.correction) and bool(self.body.source)
        self.data = data
        self._speaker.setText(data.speaker)
        self._note.setText(data.note)
        self._note.setVisible(bool(data.note))
        self._numbers.setText(data.numbers if self._is_answer else data.files)
        self.thoughts.show_text(data.thoughts)
        for widget in (self._earlier, self._version, self._later, self._compare):
            widget.setVisible(data.versions > 1)
        self._version.setText(f"{data.version}/{data.versions}")
        self._version.setAccessibleName(
            self.tr("Version {number} of {count}").format(number=data.version, count=data.versions)
        )
        self._earlier.setEnabled(data.version > 1)
        self._later.setEnabled(data.version < data.versions)
        self._foot.setVisible(bool(data.id) and (self._is_answer or bool(data.files)))
        if self._is_answer:
            self._show_rating(data.rating)
            self._original.setVisible(bool(data.correction))
            self._prefer.setVisible(data.versions > 1)
            self._prefer.setChecked(data.is_preferred)
            set_icon(self._prefer, "check", "accent" if data.is_preferred else "muted", side=16)
            self._on.setVisible(data.is_cut and "continue" not in data.lacks)
        if not same_text or data.correction:
            self._show_text()
        self.setAccessibleName(self.tr("{speaker} says").format(speaker=data.speaker))

    def _show_rating(self, rating: int) -> None:
        for button, name, is_on in ((self._up, "thumb-up", rating > 0), (self._down, "thumb-down", rating < 0)):
            button.setChecked(is_on)
            set_icon(button, name, "accent" if is_on else "muted", side=16)

    def _show_text(self) -> None:
        if not self._is_answer:
            self.body.set_plain(self.data.text)
            return
        shows_correction = bool(self.data.correction) and not self._shows_original
        self.body.set_source(self.data.correction if shows_correction else self.data.text)
        self._original.setText(self.tr("Show original") if shows_correction else self.tr("Show correction"))
        if self.data.correction:
            self._note.setText(self.tr("corrected by you") if shows_correction else self.tr("original answer"))
            self._note.setVisible(True)

    def show_growing(self, text: str, note: str) -> None:
        """Show an answer that is still being made."""
        if text != self.body.source:
            self.body.set_source(text, is_final=False)
        self._note.setText(note)
        self._note.setVisible(bool(note))

    # ---- actions ---------------------------------------------------------------------------------------------------

    @Slot()
    def _copy_text(self) -> None:
        QGuiApplication.clipboard().setText(self.body.source)

    @Slot()
    def _rate_up(self) -> None:
        self.rated.emit(self.data.id, 1)

    @Slot()
    def _rate_down(self) -> None:
        self.rated.emit(self.data.id, -1)

    @Slot()
    def _regenerate(self) -> None:
        self.regenerate_wanted.emit(self.data.id)

    def _step(self, by: int) -> None:
        self.version_wanted.emit(self.data.id, by)

    @Slot()
    def _toggle(self) -> None:
        self._shows_original = not self._shows_original
        self._show_text()

    def _act(self, what: str) -> Callable[[], None]:
        return lambda: self.acted.emit(self.data.id, what)

    @Slot()
    def _show_menu(self) -> None:
        menu = self.make_menu()
        menu.exec(self.mapToGlobal(self.rect().bottomLeft() if self._is_answer else self.rect().topRight()))

    def make_menu(self) -> QMenu:
        """The actions that have no button of their own."""
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        if self._is_answer:
            self._offer(menu, self.tr("Continue this answer (N)"), "continue")
            menu.addAction(self.tr("Edit as a new branch (E)"), self.edit_branch)
        menu.addAction(self.tr("Quote (Q)"), self._act("quote"))
        if self.data.versions > 1:
            menu.addAction(self.tr("Compare the versions (D)"), self._act("compare"))
        if self._is_answer:
            menu.addSeparator()
            self._offer(menu, self.tr("Tokens and their alternatives (T)"), "tokens")
            menu.addAction(self.tr("Reproduce this turn (Y)"), self._act("reproduce"))
        menu.addSeparator()
        menu.addAction(self.tr("Delete with what follows (Del)"), self._act("delete"))
        return menu

    def _offer(self, menu: QMenu, text: str, what: str) -> None:
        """An action that not every model can do: greyed with the reason where it cannot."""
        action = menu.addAction(text, self._act(what))
        action.setEnabled(what not in self.data.lacks)
        action.setToolTip(self.data.lacks.get(what, ""))

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show that the keys of this turn work now."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Show that they do no longer."""
        super().focusOutEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """A frame around the turn that has the focus."""
        super().paintEvent(event)
        if self.hasFocus():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(Theme.current().color("focus"), 2))
            painter.drawRoundedRect(self.rect().adjusted(1, 1, -1, -1), 10, 10)
            painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """One key for each action on the turn that has the focus."""
        key, is_plain = event.key(), event.modifiers() == Qt.KeyboardModifier.NoModifier
        moves = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        versions = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if not self.data.id or self._editor is not None:
            super().keyPressEvent(event)
        elif event.matches(QKeySequence.StandardKey.Copy):
            self._copy_text()
        elif is_plain and key in moves:
            self.moved.emit(self.data.id, moves[Qt.Key(key)])
        elif is_plain and key in versions and self.data.versions > 1:
            self.version_wanted.emit(self.data.id, versions[Qt.Key(key)])
        elif is_plain and key == Qt.Key.Key_Delete:
            self.acted.emit(self.data.id, "delete")
        elif not (is_plain and self.do(KEYS.get(event.text().upper(), ""))):
            super().keyPressEvent(event)

    def do(self, what: str) -> bool:
        """Do what a key stands for; False when this turn has no such action."""
        if not what or (what in FOR_ANSWERS and not self._is_answer):
            return False
        own = {
            "good": self._rate_up, "poor": self._rate_down, "correct": self._edit, "again": self._regenerate,
            "branch": self.edit_branch,
        }  # fmt: skip
        own.get(what, self._act(what))()
        return True

    @Slot()
    def _edit(self) -> None:
        save = self.tr("Save correction") if self._is_answer else self.tr("Ask again")
        self._open_editor(self.data.correction or self.data.text, save, self._on_edited)

    @Slot()
    def edit_branch(self) -> None:
        """Change the text as a new branch; a question is asked again, an answer is gone on from."""
        if self._is_answer:
            self._open_editor(self.data.text, self.tr("Keep as a new branch"), self._on_branched)
        else:
            self._edit()

    def _open_editor(self, text: str, save: str, on_accepted: Callable[[str], None]) -> None:
        if self._editor is not None:
            return
        self._editor = TurnEditor(text, save)
        self._editor.accepted.connect(on_accepted)
        self._editor.rejected.connect(self._close_editor)
        self.body.hide()
        self._foot.hide()
        self._layout.insertWidget(1, self._editor)
        self._editor.focus()

    @Slot(str)
    def _on_edited(self, text: str) -> None:
        self._close_editor()
        self._shows_original = False
        (self.corrected if self._is_answer else self.edited).emit(self.data.id, text)

    @Slot(str)
    def _on_branched(self, text: str) -> None:
        self._close_editor()
        self.branched.emit(self.data.id, text)

    @Slot()
    def _close_editor(self) -> None:
        if self._editor is not None:
            self._editor.hide()
            self._editor.deleteLater()
            self._editor = None
        self.body.show()
        self._foot.setVisible(self._is_answer or bool(self.data.files))
        self.setFocus()
