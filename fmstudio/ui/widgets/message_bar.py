"""The message bar above every page: one-sentence notices, and problem cards that say what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from fmstudio.jobs.outcome import Problem
from fmstudio.ui.widgets.parts import button, column, icon_label, label, row, tool_button

ICONS = {"info": "info", "positive": "success", "warning": "warning", "danger": "error"}
SECONDS_SHOWN = {"info": 8, "positive": 6, "warning": 0, "danger": 0}
MOST_SHOWN = 3

Action = tuple[str, Callable[[], None]]


class ProblemCard(QFrame):
    """What happened, what to do now, and *Copy details*; used in the message bar, on pages and for jobs.

    Args:
        actions: Buttons that mend it, best first.
        on_close: Shows a close button.
        stacked: Buttons below the text, one under the other, for narrow places.
    """

    def __init__(
        self,
        problem: Problem,
        actions: tuple[Action, ...] = (),
        on_close: Callable[[], None] | None = None,
        *,
        stacked: bool = False,
    ) -> None:
        super().__init__()
        self.problem = problem
        self.setProperty("message", "danger")
        self.setAccessibleName(problem.message)
        what = label(problem.message, "strong", wrap=True, selectable=True)
        texts = column(what, gap=2)
        if problem.remedy:
            texts.addWidget(label(problem.remedy, wrap=True, selectable=True))
        buttons, mending = row(gap=4), column(gap=4)
        for made in (*self._command_buttons(), *(button(text, act) for text, act in actions)):
            if stacked:
                mending.addLayout(row(made, None))
            else:
                buttons.addWidget(made)
        if problem.details:
            copy = button(self.tr("Copy details"), kind="quiet", icon="copy")
            copy.clicked.connect(lambda: self._copied(copy, self._details()))
            buttons.addWidget(copy)
        if on_close is not None:
            buttons.addWidget(tool_button("close", self.tr("Dismiss"), on_close))
        layout = row(icon_label("error", "danger"), gap=12, margins=(16, 10, 12, 10))
        layout.addLayout(texts, 1)
        if stacked:
            buttons.addStretch(1)
            texts.addSpacing(6)
            if actions or problem.remedy_command:
                texts.addLayout(mending)
            texts.addLayout(buttons)
        else:
            layout.addLayout(buttons)
        self.setLayout(layout)
        # Minimum, not Maximum: wrapped text may need more height than its hint, which knows no width.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)

    def _command_buttons(self) -> list[QPushButton]:
        command = self.problem.remedy_command
        if not command:
            return []
        tip = self.tr("Puts this on the clipboard, to be run in a terminal:\n{command}").format(command=command)
        made = button(self.tr("Copy the command"), icon="copy", tip=tip)
        made.clicked.connect(lambda: self._copied(made, command))
        return [made]

    def _details(self) -> str:
        """Message, remedy and details."""
        problem = self.problem
        return f"{problem.message}\n{problem.remedy_told}\n\n{problem.details}".strip() + "\n"

    def _copied(self, pressed: QPushButton, text: str) -> None:
        """Put a text on the clipboard, and say so on the button for a moment."""
        QGuiApplication.clipboard().setText(text)
        said = self.tr("Copied")
        if pressed.text() != said:
            QTimer.singleShot(1500, pressed, partial(pressed.setText, pressed.text()))
            pressed.setText(said)


class MessageBar(QWidget):
    """Holds the newest messages; the oldest goes when there are more than three."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        self.setAccessibleName(self.tr("Messages"))

    def messages(self) -> list[QFrame]:
        """The messages now shown, oldest first."""
        found = (self._layout.itemAt(i) for i in range(self._layout.count()))
        return [w for item in found if item is not None and isinstance(w := item.widget(), QFrame)]

    def notify(self, level: str, text: str, action: Action | None = None) -> None:
        """Show one sentence; `info` and `positive` go by themselves, and take the place of the one before."""
        for old in self.messages():
            if SECONDS_SHOWN.get(str(old.property("message"))):
                self._drop(old)
        frame = QFrame()
        frame.setProperty("message", level)
        frame.setAccessibleName(text)
        sentence = label(text, wrap=True, selectable=True)
        layout = row(icon_label(ICONS[level], "accent" if level == "info" else level), gap=12, margins=(16, 6, 12, 6))
        layout.addWidget(sentence, 1)
        if action is not None:
            layout.addWidget(button(action[0], lambda: self._act(frame, action[1]), kind="quiet"))
        layout.addWidget(tool_button("close", self.tr("Dismiss"), lambda: self._drop(frame)))
        frame.setLayout(layout)
        self._show(frame)
        if SECONDS_SHOWN[level]:
            QTimer.singleShot(SECONDS_SHOWN[level] * 1000, frame, lambda: self._drop(frame))

    def _act(self, frame: QFrame, act: Callable[[], None]) -> None:
        self._drop(frame)
        act()

    def show_problem(self, problem: Problem, actions: tuple[Action, ...] = ()) -> None:
        """Show a problem card; the same problem twice is shown once."""
        for frame in self.messages():
            if isinstance(frame, ProblemCard) and frame.problem == problem:
                return
        card = ProblemCard(problem, actions, on_close=lambda: self._drop(card))
        self._show(card)

    def clear(self) -> None:
        """Drop all messages."""
        for frame in self.messages():
            self._drop(frame)

    def _show(self, frame: QFrame) -> None:
        self._layout.addWidget(frame)
        for old in self.messages()[:-MOST_SHOWN]:
            self._drop(old)

    def _drop(self, frame: QFrame) -> None:
        self._layout.removeWidget(frame)
        frame.hide()
        frame.deleteLater()
