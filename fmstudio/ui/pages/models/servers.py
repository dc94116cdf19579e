"""Servers that speak OpenAI's API, as models of the library: added, tested, their keys kept or asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QInputDialog, QLineEdit

from fmstudio.ui.pages.models.endpoint_form import EndpointForm

if TYPE_CHECKING:
    from fmstudio.jobs.endpoint_check import EndpointAnswer
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.pages.models.page import ModelsPage

SHOWN = 8


class Servers(QObject):
    """Does what the page asks about servers. Whatever takes time happens off the main thread and has an end."""

    def __init__(self, page: ModelsPage) -> None:
        super().__init__(page)
        self._page, self._context = page, page.context

    def ask(self) -> None:
        """Show the form for a server."""
        form = EndpointForm(self._context)
        form.wanted.connect(self.add)
        form.closed.connect(self._page.close_form)
        self._page.show_form(form)

    def add(self, url: str, model: str, name: str, key: str) -> None:
        """Add a server; its key goes into the keyring, or nowhere."""
        project = self._context.project
        if project is None:
            return

        def work() -> Any:
            from fmstudio.core.keyring_store import keep_key

            changes, entry_id = project.endpoints.add(url, model, name, has_key=bool(key))
            return changes, (entry_id, bool(key) and not keep_key(entry_id, key))

        def done(made: tuple[str, bool]) -> None:
            self._page.close_form()
            self._page.page_shown(model_id=made[0])
            if made[1]:
                self._context.notify(
                    "warning", self.tr("There is no system keyring: the key is known until FM Studio closes.")
                )

        form = self._page.form
        refused = form.show_problem if isinstance(form, EndpointForm) else None
        self._context.run_op(self._page, work, done, refused)

    def change_key(self, entry: ModelEntry) -> None:
        """Ask for another key and keep it; an empty one forgets it."""
        project = self._context.project
        text = self.tr("Key for {name}; empty = it wants none:").format(name=entry.name)
        key, is_chosen = QInputDialog.getText(self._page, self.tr("Change key"), text, QLineEdit.EchoMode.Password)
        if project is None or not is_chosen:
            return

        def work() -> Any:
            from fmstudio.core.keyring_store import forget_key, keep_key

            changes = project.models.note(entry.id, has_key=bool(key))
            if not key:
                forget_key(entry.id)
            return changes, bool(key) and not keep_key(entry.id, key)

        def done(is_lost: bool) -> None:
            if is_lost:
                self._context.notify(
                    "warning", self.tr("There is no system keyring: the key is known until FM Studio closes.")
                )

        self._context.run_op(None, work, done)

    def forget(self, entry: ModelEntry) -> Callable[[], None]:
        """Take a removed server's key out of the keyring; gives what puts it back. For a background thread."""
        from fmstudio.core.keyring_store import forget_key, keep_key, read_key

        key = read_key(entry.id) if entry.format == "endpoint" else ""
        if not key:
            return lambda: None
        forget_key(entry.id)

        def put_back() -> None:
            keep_key(entry.id, key)

        return put_back

    def test(self, entry: ModelEntry) -> None:
        """Ask a server for its models."""
        allowed = self._context.settings.allow_network
        self._page.details.show_test(self.tr("Asking…"))

        def ask() -> EndpointAnswer:
            from fmstudio.core.keyring_store import read_key
            from fmstudio.jobs.endpoint_check import try_endpoint

            return try_endpoint(str(entry.facts["url"]), read_key(entry.id), allowed)

        self._context.run_query(
            ask, partial(self._answered, entry), partial(self._failed, entry), key="endpoint", owner=self
        )

    def _answered(self, entry: ModelEntry, answer: EndpointAnswer) -> None:
        model = str(entry.facts.get("model"))
        names = ", ".join(answer.models[:SHOWN]) or self.tr("none")
        if model in answer.models:
            text = self.tr("It answers and offers {model}. All its models: {names}.").format(model=model, names=names)
            self._say(entry, text, "positive")
        else:
            text = self.tr("It answers, but offers no “{model}”; its models: {names}.")
            self._say(entry, text.format(model=model, names=names), "warning")

    def _failed(self, entry: ModelEntry, problem: Problem) -> None:
        self._say(entry, str(problem), "danger")

    def _say(self, entry: ModelEntry, text: str, role: str) -> None:
        if self._page.details.entry is not None and self._page.details.entry.id == entry.id:
            self._page.details.show_test(text, role)
