"""Adding a server that speaks OpenAI's API: address, model, key; tested where the network allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QCompleter, QFormLayout, QFrame, QLineEdit

from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets.parts import button, column, label, row
from fmstudio.ui.widgets.words import plural

if TYPE_CHECKING:
    from fmstudio.jobs.endpoint_check import EndpointAnswer
    from fmstudio.jobs.outcome import Problem
    from fmstudio.ui.context import AppContext


class EndpointForm(QFrame):
    """A card with the form.

    Signals:
        wanted(str, str, str, str): Address, model, name and key.
        closed: Nothing is added.
    """

    wanted = Signal(str, str, str, str)
    closed = Signal()

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self._context = context
        self.setProperty("card", "true")
        self.setAccessibleName(self.tr("Add a server"))
        self.url = self._field(self.tr("Address"), "http://127.0.0.1:8080/v1")
        self.model = QComboBox()
        self.model.setEditable(True)
        self.model.setAccessibleName(self.tr("Model"))
        self.model.setLineEdit(
            self._field(self.tr("Model"), self.tr("as the server calls it; Test connection offers all"))
        )
        self.model.setCompleter(QCompleter(self.model))  # Qt's own would make “gpt-4” the longer name of another model
        self.name = self._field(self.tr("Name"), self.tr("how it is called here; may be empty"))
        self.key = self._field(self.tr("Key"), self.tr("may be empty"))
        self.key.setEchoMode(QLineEdit.EchoMode.Password)
        form = QFormLayout()
        for field in (self.url, self.model, self.name, self.key):
            form.addRow(field.accessibleName(), field)
        self.said = label("", "muted", wrap=True)
        self.said.hide()
        note = self.tr(
            "The key goes into the system's keyring where there is one, never into a file; else it is known until FM Studio closes."
        )
        self.test = button(self.tr("Test connection"), self.try_out, icon="link")
        add = button(self.tr("Add"), self._add, kind="primary", icon="plus")
        cancel = button(self.tr("Cancel"), self.closed.emit, kind="quiet", tip="Esc")
        title = label(self.tr("Add a server (llama-server, Ollama, vLLM, or hosted)"), "strong")
        buttons = row(add, self.test, cancel, None)
        self.setLayout(
            column(title, form, label(note, "caption", wrap=True), self.said, buttons, gap=8, margins=(16, 12, 16, 12))
        )
        self.url.setFocus()

    def _field(self, name: str, hint: str) -> QLineEdit:
        made = QLineEdit()
        made.setAccessibleName(name)
        made.setPlaceholderText(hint)
        made.returnPressed.connect(self._add)
        return made

    def try_out(self) -> None:
        """Ask the server for its models, and offer them."""
        from fmstudio.jobs.endpoint_check import try_endpoint

        url, key, allowed = self.url.text(), self.key.text(), self._context.settings.allow_network
        self._say(self.tr("Asking…"))
        self.test.setEnabled(False)
        self._context.run_query(
            lambda: try_endpoint(url, key, allowed), self._answered, self.show_problem, key="endpoint", owner=self
        )

    def _answered(self, answer: EndpointAnswer) -> None:
        self.test.setEnabled(True)
        count = plural(len(answer.models), "model")
        self._say(self.tr("It answers and offers {count}.").format(count=count), "positive")
        written = self.model.currentText().strip()
        self.model.clear()
        self.model.addItems(list(answer.models))
        if written:
            self.model.setCurrentText(written)

    def show_problem(self, problem: Problem) -> None:
        """Say why it does not work; what was written stays."""
        self.test.setEnabled(True)
        self._say(str(problem), "danger")

    def _say(self, text: str, role: str = "muted") -> None:
        self.said.setText(text)
        restyle(self.said, role=role)
        self.said.show()

    def _add(self) -> None:
        self.wanted.emit(self.url.text(), self.model.currentText(), self.name.text(), self.key.text())
