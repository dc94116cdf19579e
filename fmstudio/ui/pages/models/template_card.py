"""A model's chat template: a sample conversation as it is rendered, what is wrong with it, and an editable copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QPlainTextEdit

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.parts import button, clear, column, holder, label, row

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext

PAUSE_MS = 400


class TemplateCard(QFrame):
    """Shows and edits the template of one GGUF model.

    Signals:
        kept(str, str): Id of the model and the edited template; empty = the model's own again.
    """

    kept = Signal(str, str)

    def __init__(self, context: AppContext, entry: ModelEntry) -> None:
        super().__init__()
        self._context, self._entry = context, entry
        self._own = ""
        self._said = column(gap=4)
        self.sample = QPlainTextEdit()
        self.sample.setReadOnly(True)
        self.sample.setAccessibleName(self.tr("Sample conversation as the model reads it"))
        self.editor = QPlainTextEdit()
        self.editor.setAccessibleName(self.tr("Chat template (Jinja)"))
        for box in (self.sample, self.editor):
            box.setFont(_plain_mono())
            box.setMinimumHeight(120)
            box.setMaximumHeight(220)
        self._timer = QTimer(self, interval=PAUSE_MS, singleShot=True)
        self._timer.timeout.connect(self._ask)
        self.editor.textChanged.connect(self._timer.start)
        self.edit = button(self.tr("Edit a copy"), self.begin_editing, kind="quiet", icon="edit")
        self.keep = button(self.tr("Keep this copy"), self._keep, icon="save")
        self.revert = button(self.tr("Use the model's own"), self._revert, kind="quiet", icon="undo")
        self._buttons = holder(row(self.keep, self.revert, None, gap=4))
        heading = row(label(self.tr("Chat template"), "heading"), None, self.edit)
        self.setLayout(column(heading, self._said, self.sample, self.editor, self._buttons, gap=6))
        self.editor.hide()
        self._buttons.setVisible(bool(entry.facts.get("chat_template")))
        self.keep.hide()
        self.sample.hide()
        self._ask()

    def begin_editing(self) -> None:
        """Show the template itself, to be changed."""
        self.editor.blockSignals(True)
        self.editor.setPlainText(str(self._entry.facts.get("chat_template") or self._own))
        self.editor.blockSignals(False)
        self.editor.show()
        self.keep.show()
        self._buttons.show()
        self.edit.hide()
        self.editor.setFocus()

    @property
    def is_editing(self) -> bool:
        """Whether the user is changing the template."""
        return not self.editor.isHidden()

    def _text(self) -> str:
        return (
            self.editor.toPlainText()
            if not self.editor.isHidden()
            else str(self._entry.facts.get("chat_template") or "")
        )

    def _ask(self) -> None:
        params = {"model": str(self._entry.path), "template": self._text()}
        self._context.request("render_template", params, self._show, self._refused, key="template", owner=self)

    def _show(self, shown: dict[str, Any]) -> None:
        self._own = self._own or str(shown["template"])
        clear(self._said)
        if shown["is_plain"]:
            self._say(
                self.tr("The model brings no template: a plain one is used, which it was not trained on."), "warning"
            )
        for problem in shown["problems"]:
            self._say(str(problem), "warning")
        for note in shown["notes"]:
            self._say(str(note), "muted")
        if not shown["problems"] and not shown["is_plain"]:
            self._say(self.tr("Checked against the tokenizer: its marks are tokens, and answers end."), "muted")
        if self._entry.facts.get("chat_template") and self.editor.isHidden():
            self._say(self.tr("An edited copy is in use."), "muted")
        stop = ", ".join(shown["stop"])
        if stop:
            self._say(self.tr("An answer ends at: {stop}").format(stop=stop), "muted")
        self.sample.setPlainText(str(shown["rendered"]))
        self.sample.show()
        self.keep.setEnabled(True)

    def _refused(self, problem: Problem) -> None:
        clear(self._said)
        self._say(problem.message, "danger")
        self.keep.setEnabled(False)

    def _say(self, text: str, role: str) -> None:
        self._said.addWidget(label(text, role, wrap=True, selectable=True))

    def _keep(self) -> None:
        self.kept.emit(self._entry.id, self.editor.toPlainText())

    def _revert(self) -> None:
        self.kept.emit(self._entry.id, "")


def _plain_mono() -> QFont:
    """The mono font without ligatures: in a template each character counts."""
    font = Theme.current().mono()
    for feature in ("calt", "liga"):
        font.setFeature(QFont.Tag(feature), 0)
    return font
