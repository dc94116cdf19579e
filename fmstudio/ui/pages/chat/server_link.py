"""`ServerLink`: one OpenAI-compatible server as a model: its key, what it understands, and a client to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from PySide6.QtCore import QObject, Signal

from fmstudio.core.addresses import is_loopback
from fmstudio.jobs.outcome import Problem
from fmstudio.ui.pages.chat.client import EngineClient
from fmstudio.ui.pages.chat.dialect import DIALECTS, Dialect, dialect_of, listed, offered

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext


class ServerLink(QObject):
    """Connects when it is made: reads the key, then asks the server which models it has.

    Args:
        entry: An endpoint of the library.
        ask_key: Asks the person for a key that no keyring holds; an empty answer gives up.

    Signals:
        changed(): The state changed.

    Attributes:
        state: ``loading`` while connecting, ``ready`` or ``failed``.
        problem: Why it failed.
        client: Talks to the server; None until it is ready.
        info: What is known of it, kept with each answer: ``server``, ``url``, and ``n_ctx`` where it says so.
    """

    changed = Signal()

    def __init__(
        self, context: AppContext, entry: ModelEntry, ask_key: Callable[[ModelEntry], str], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._context, self._ask_key = context, ask_key
        self.entry = entry
        self.url = str(entry.facts.get("url") or entry.path)
        self.state: Literal["loading", "ready", "failed"] = "loading"
        self.problem: Problem | None = None
        self.client: EngineClient | None = None
        self.dialect: Dialect = DIALECTS["other"]
        self.info: dict[str, Any] = {}
        self._begin()

    @property
    def host(self) -> str:
        """Where it is, in short."""
        return urlsplit(self.url).netloc

    def _begin(self) -> None:
        self._is_far = not is_loopback(self.url)
        if self._is_far and not self._context.settings.allow_network:
            text = self.tr("The network is off, and {host} is another machine.").format(host=self.host)
            self._fail(Problem(text, self.tr("Allow the network in Settings, then try again.")))
        elif self.entry.facts.get("has_key"):
            self._context.run_query(lambda: _kept_key(self.entry.id), self._on_key, owner=self)
        else:
            self._connect("")

    def _on_key(self, key: str) -> None:
        if key:
            self._connect(key)
        elif key := self._ask_key(self.entry):
            self._context.run_query(lambda: _keep_key(self.entry.id, key), lambda _: None, owner=self)
            self._connect(key)
        else:
            text = self.tr("“{name}” wants a key.").format(name=self.entry.name)
            self._fail(Problem(text, self.tr("Try again and enter it, or add it on the Models page.")))

    def _connect(self, key: str) -> None:
        model = str(self.entry.facts.get("model") or "")
        client = EngineClient(self.url, key, self, model=model, is_far=self._is_far)
        client.dialect = self.dialect

        def done(value: Any) -> None:
            client.offered = offered(value)
            self.dialect = client.dialect = dialect_of(value)
            self.info = {"server": self.dialect.name, "url": self.url, "description": f"{model} at {self.host}"}
            if length := _context_length(value, model):
                self.info["n_ctx"] = length
            self.client, self.state = client, "ready"
            self.changed.emit()

        client.get("/v1/models", done, self._fail)

    def _fail(self, problem: Problem) -> None:
        self.state, self.problem = "failed", problem
        self.changed.emit()


def _kept_key(entry_id: str) -> str:
    from fmstudio.core.keyring_store import read_key

    return read_key(entry_id)


def _keep_key(entry_id: str, key: str) -> None:
    from fmstudio.core.keyring_store import keep_key

    keep_key(entry_id, key)


def _context_length(models: Any, model: str) -> int:
    """Tokens of the context, where the server says so: ``meta.n_ctx`` here and at llama-server, ``max_model_len`` at vLLM."""
    entry = next((one for one in listed(models) if one.get("id") == model), {})
    meta = entry.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    length = meta.get("n_ctx") or meta.get("n_ctx_train") or entry.get("max_model_len")
    return length if isinstance(length, int) else 0
