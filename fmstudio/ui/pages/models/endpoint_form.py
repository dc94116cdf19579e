"""Adding a server that speaks OpenAI's API: address, model, key; tested where the network allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFormLayout, QFrame, QLineEdit

from fmstudio.api.errors import UserError
from fmstudio.ui.widgets.parts import button, column, label, row

if TYPE_CHECKING:
    from fmstudio.jobs.endpoint_check import EndpointAnswer
    from fmstudio.jobs.outcome import Problem
    from fmstudio.ui.context import AppContext


def try_endpoint(url: str, key: str, allow_network: bool) -> EndpointAnswer:
    """Ask a server for its models; connections to other machines are written into the ledger. Off the main thread.

    Raises:
        UserError: The network is off and the address leads elsewhere, or the server does not answer as it should.
    """
    from fmstudio.core.connections import note_end, note_opening
    from fmstudio.jobs.endpoint_check import ask_models
    from fmstudio.project.model_endpoints import checked_url, is_loopback

    base = checked_url(url)
    if is_loopback(base):
        return ask_models(base, key)
    if not allow_network:
        raise UserError(
            "The network is off, and this address leads to another machine.", remedy="Allow the network in Settings."
        )
    ticket = note_opening(base, "test of an endpoint")
    received = 0
    try:
        answer = ask_models(base, key)
        received = answer.received
        return answer
    finally:
        note_end(ticket, received)


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
        self.url = self._field(self.tr("Address"), "http://127.0.0.1:8080/v1")
        self.model = self._field(self.tr("Model"), self.tr("as the server calls it"))
        self.name = self._field(self.tr("Name"), self.tr("how it is called here; may be empty"))
        self.key = self._field(self.tr("Key"), self.tr("may be empty"))
        self.key.setEchoMode(QLineEdit.EchoMode.Password)
        form = QFormLayout()
        for field in (self.url, self.model, self.name, self.key):
            form.addRow(field.accessibleName(), field)
        self.said = label("", "muted", wrap=True)
        note = self.tr(
            "The key goes into the system's keyring where there is one, and never into a file; else it is asked for."
        )
        self.test = button(self.tr("Test connection"), self.try_out, icon="link")
        add = button(self.tr("Add"), self._add, kind="primary", icon="plus")
        cancel = button(self.tr("Cancel"), self.closed.emit, kind="quiet")
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
        """Ask the server for its models, and fill in the first where none was named."""
        url, key, allowed = self.url.text(), self.key.text(), self._context.settings.allow_network
        self.said.setText(self.tr("Asking…"))
        self._context.run_query(
            lambda: try_endpoint(url, key, allowed), self._answered, self._failed, key="endpoint", owner=self
        )

    def _answered(self, answer: EndpointAnswer) -> None:
        names = ", ".join(answer.models[:8]) or self.tr("none")
        self.said.setText(self.tr("It answers. Its models: {names}").format(names=names))
        if not self.model.text().strip() and answer.models:
            self.model.setText(answer.models[0])

    def _failed(self, problem: Problem) -> None:
        self.said.setText(str(problem))

    def _add(self) -> None:
        self.wanted.emit(self.url.text(), self.model.text(), self.name.text(), self.key.text())
