"""`EngineLink`: the page's view of what answers: the model engine of this computer, or a server that was chosen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from fmstudio.ui.pages.chat.client import EngineClient
from fmstudio.ui.pages.chat.dialect import OWN, Dialect
from fmstudio.ui.pages.chat.server_link import ServerLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmstudio.jobs.engine import Engine
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext

LinkState = Literal["off", "loading", "ready", "failed"]
WATCH_MS = 200
NOTHING: Mapping[str, Any] = MappingProxyType({})


class EngineLink(QObject):
    """Starts the engine when it is first needed; a loaded model serves until it is unloaded or dies.

    The engine reports on its launcher's thread and knows nothing of Qt, so its state is looked at five times a second
    while a model is loading or loaded. A model that is loaded stays so while a server answers in its place.

    Args:
        ask_key: Asks the person for a server's key that no keyring holds.

    Signals:
        changed(): State or model changed; while loading also once a second, for the elapsed time.

    Attributes:
        model_id, model_name: The model that is loaded or loading; empty when none.
    """

    changed = Signal()

    def __init__(
        self,
        context: AppContext,
        parent: QObject | None = None,
        ask_key: Callable[[ModelEntry], str] = lambda _: "",
    ) -> None:
        super().__init__(parent)
        self._context = context
        self._ask_key = ask_key
        self.model_id = ""
        self.model_name = ""
        self.server: ServerLink | None = None
        self._own: EngineClient | None = None
        self._wanted: tuple[str, dict[str, Any]] = ("", {})
        self._mended: tuple[str, dict[str, Any]] = ("", {})
        self._since = 0.0
        self._seen: tuple[Any, ...] = ()
        self._timer = QTimer(self, interval=WATCH_MS)
        self._timer.timeout.connect(self.look)

    @property
    def state(self) -> LinkState:
        """What it does."""
        if self.server is not None:
            return self.server.state
        engine: Engine | None = self._context.engine
        if engine is None:
            return "off"
        return "loading" if engine.state == "probing" else engine.state

    @property
    def problem(self) -> Problem | None:
        """Why it failed, when it did."""
        if self.server is not None:
            return self.server.problem
        engine = self._context.engine
        return engine.problem if engine is not None and engine.state == "failed" else None

    @property
    def client(self) -> EngineClient | None:
        """Talks to what answers; None while it is not ready."""
        return self.server.client if self.server is not None else self._own

    @property
    def dialect(self) -> Dialect:
        """What the one who answers understands."""
        return self.server.dialect if self.server is not None else OWN

    @property
    def remedy_action(self) -> dict[str, Any]:
        """Changes of the engine's parameters that would mend its problem, where it knows some."""
        action = getattr(self.problem, "remedy_action", None)
        return dict(action) if isinstance(action, dict) else {}

    def mend(self, action: dict[str, Any]) -> None:
        """Load the model with these parameters (``{"kv_type": "q8_0"}``) from the next start on, until another is loaded."""
        self._mended = (self.model_id, {**self._mended_for(self.model_id), **action})

    def _mended_for(self, model_id: str) -> dict[str, Any]:
        return self._mended[1] if self._mended[0] == model_id else {}

    def _params(self, model: ModelEntry, chosen: Mapping[str, Any]) -> dict[str, Any]:
        return {**model.engine_params, **self._mended_for(model.id), **chosen}

    @property
    def info(self) -> dict[str, Any]:
        """What it said of itself: ``n_ctx`` and more."""
        if self.server is not None:
            return dict(self.server.info)
        return dict(self._context.engine.info) if self._context.engine is not None else {}

    @property
    def n_ctx(self) -> int:
        """Context length the engine allocated, in tokens; 0 while unknown."""
        return int(self.info.get("n_ctx") or 0) if self.state == "ready" else 0

    @property
    def text(self) -> str:
        """What it does, in words, with the time it has taken while that is what one waits for."""
        if self.server is not None:
            said = {"loading": self.tr("connecting to {host}"), "ready": self.tr("connected to {host}")}
            return said.get(self.state, self.tr("no connection to {host}")).format(host=self.server.host)
        if self.state == "loading":
            seconds = int(time.monotonic() - self._since)
            if self._context.engine.state == "probing":
                words = self.tr("first start: finding settings that work here, {seconds} s")
                return words.format(seconds=seconds)
            return self.tr("loading the model, {seconds} s").format(seconds=seconds)
        if self.state == "ready":
            return self.tr("loaded")
        return self.tr("stopped") if self.state == "failed" else self.tr("not loaded")

    def is_ready_for(self, model: ModelEntry, chosen: Mapping[str, Any] = NOTHING) -> bool:
        """Whether that model is loaded with these parameters and its chat template, or that server connected."""
        if model.format == "endpoint" or self.server is not None:
            return self.server is not None and self.server.entry == model and self.state == "ready"
        wanted = (model.id, self._params(model, chosen))
        return self.state == "ready" and self._wanted == wanted and self.client is not None

    def load(self, model: ModelEntry, chosen: Mapping[str, Any] = NOTHING) -> None:
        """Make that model ready; nothing to do when it is. Adapters travel with each request.

        Args:
            chosen: The engine's parameters that the person chose (`ChatSettings.engine_params`); others load it again.
        """
        if model.format == "endpoint":
            self._connect(model)
            return
        self._leave_server()
        params = self._params(model, chosen)
        if self.is_ready_for(model, chosen) or (self.state == "loading" and self._wanted == (model.id, params)):
            return
        self._wanted = (model.id, params)
        self.model_id, self.model_name = model.id, model.name
        self._since = time.monotonic()
        self._drop_client()
        self._make_engine().start(model.path, params=params or None, states_mb=self._context.settings.conversation_mb)
        self._timer.start()
        self.look()

    def _connect(self, model: ModelEntry) -> None:
        if self.server is not None and self.server.entry == model and self.state != "failed":
            return
        self._leave_server()
        self.server = ServerLink(self._context, model, self._ask_key, self)
        self.server.changed.connect(self.changed)
        self.changed.emit()

    def _leave_server(self) -> None:
        if self.server is not None:
            self.server.deleteLater()
            self.server = None
            self._seen = ()

    def unload(self) -> None:
        """Free the model and leave the server."""
        self._leave_server()
        if self._context.engine is not None:
            self._context.engine.stop()
        self.model_id = self.model_name = ""
        self._drop_client()
        self.look()

    def _make_engine(self) -> Any:
        if self._context.engine is None:
            from fmstudio.core.paths import cache
            from fmstudio.jobs.engine import Engine

            self._context.engine = Engine(
                self._context.launcher, log_path=cache("engine.log"), python=self._context.settings.python
            )
        return self._context.engine

    def _drop_client(self) -> None:
        if self._own is not None:
            self._own.deleteLater()
            self._own = None

    @Slot()
    def look(self) -> None:
        """Notice what the engine has become."""
        if self.server is not None:
            return
        state = self.state
        if state == "ready" and self._own is None and self.model_id:
            self._own = EngineClient(self._context.engine.base_url, self._context.engine.key, self)
        elif state in ("off", "failed"):
            self._drop_client()
            self._timer.stop()
        seen = (state, self.model_id, self.text)
        if seen != self._seen:
            self._seen = seen
            self.changed.emit()
