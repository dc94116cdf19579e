"""The setting for the workers' interpreter: a path that is tried before it is taken."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFileDialog, QLineEdit, QWidget

from fmstudio.ui.pages.settings.interpreter import InterpreterCheck, Verdict
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import button, clear, column, label, row

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext


class PythonSetting(QWidget):
    """Line, *Choose…*, *Use own*; below it what the interpreter is, or why it was not taken."""

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self._context = context
        self._check: InterpreterCheck | None = None
        self.problem_card: ProblemCard | None = None
        self.path = QLineEdit(context.settings.worker_python)
        self.path.setProperty("role", "mono")
        self.path.setPlaceholderText(sys.executable)
        self.path.setAccessibleName(self.tr("Python of the workers"))
        self.path.editingFinished.connect(self.take)
        self.own = button(self.tr("Use own"), self.use_own)
        self.own.setToolTip(self.tr("Use the interpreter FM Studio itself runs in"))
        self.note = label("", "muted", wrap=True)
        self._cards = column(gap=0)
        line = row(self.path, button(self.tr("Choose…"), self._choose, icon="folder"), self.own, gap=8)
        line.setStretch(0, 1)
        self.setLayout(column(line, self.note, self._cards, gap=8))
        self._say()

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.tr("Python of the workers"), str(Path(sys.executable).parent))
        if path:
            self.path.setText(path)
            self.take()

    @Slot()
    def use_own(self) -> None:
        """Go back to the app's own interpreter."""
        self.path.clear()
        self.take()

    @Slot()
    def take(self) -> None:
        """Try the path that is written; it is taken and saved when it works."""
        text = self.path.text().strip()
        if self._check is not None:
            if self._check.python == text:
                return
            self._end_check()
        if text == self._context.settings.worker_python:
            self._say()
        elif not text:
            self._context.choose_python("")
            self._say()
        else:
            self._show_problem(None)
            self.note.setText(self.tr("Trying it…"))
            self._check = InterpreterCheck(text, self)
            self._check.ended.connect(self._on_ended)
            self._check.start()

    @Slot(object)
    def _on_ended(self, verdict: Verdict) -> None:
        self._end_check()
        if verdict.problem is not None:
            kept = self._context.settings.worker_python or self.tr("FM Studio's own")
            self.note.setText(self.tr("In use: {python}").format(python=kept))
            self._show_problem(verdict)
            return
        self._context.choose_python(verdict.python)
        self._say(verdict.words)

    def _say(self, words: str = "") -> None:
        self._show_problem(None)
        is_own = not self._context.settings.worker_python
        own = self.tr("FM Studio's own is in use: Python {version}.")
        if is_own:
            self.note.setText(own.format(version=".".join(map(str, sys.version_info[:3]))))
        elif words:
            self.note.setText(self.tr("It works: {facts}. Workers that start from now on use it.").format(facts=words))
        else:
            self.note.setText(self.tr("In use."))
        self.own.setEnabled(not is_own)

    def _show_problem(self, verdict: Verdict | None) -> None:
        clear(self._cards)
        self.problem_card = None
        if verdict is not None and verdict.problem is not None:
            self.problem_card = ProblemCard(verdict.problem, stacked=True)
            self._cards.addWidget(self.problem_card)
            self.own.setEnabled(True)

    def _end_check(self) -> None:
        if self._check is not None:
            self._check.stop()
            self._check.deleteLater()
            self._check = None
