"""`Choosing`: which models there are, which one answers, and what another page asked for when it sent the person here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QInputDialog, QLineEdit, QWidget

from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.header import ChatHeader
from fmstudio.ui.pages.chat.settings import AdapterChoice, ChatSettings
from fmstudio.ui.pages.chat.settings_panel import SettingsPanel
from fmstudio.ui.pages.chat.words import cost_words

if TYPE_CHECKING:
    from fmstudio.project.chats import TokenCost
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext


def ask_key(parent: QWidget, entry: ModelEntry) -> str:
    """Ask for a server's key that no keyring holds."""
    words = parent.tr("Key of “{name}”. It goes into the system's keyring where there is one, and never into a file.")
    text = words.format(name=entry.name)
    key, is_given = QInputDialog.getText(parent, parent.tr("Key of a server"), text, QLineEdit.EchoMode.Password)
    return key.strip() if is_given else ""


class Choosing(QObject):
    """Fills the model picker and the panel.

    Signals:
        listed(): The models were read.
        new_chat_wanted(): Another page asked for a chat of its own.

    Attributes:
        asks: What another page asked for: ``model_id``, ``adapter_id``; done when the models are known.
    """

    listed = Signal()
    new_chat_wanted = Signal()

    def __init__(
        self, context: AppContext, controller: ConversationController, header: ChatHeader, panel: SettingsPanel
    ) -> None:
        super().__init__(controller)
        self._context, self._controller = context, controller
        self._header, self._panel = header, panel
        self._costs: list[TokenCost] = []
        self.asks: dict[str, Any] = {}
        header.model_chosen.connect(controller.set_model)
        panel.changed.connect(controller.set_settings)
        controller.settings_changed.connect(self.show_settings)
        controller.link.changed.connect(self.show_engine)
        controller.turn_ended.connect(self._look_at_costs)

    def load(self) -> None:
        """Read the models there are."""
        project = self._context.project
        if project is None:
            self._show_models([])
        else:
            self._context.run_query(project.models.all, self._show_models, key="chat-models", owner=self)

    def _show_models(self, entries: list[ModelEntry]) -> None:
        c = self._controller
        c.library.entries = entries
        self._take_asks()
        if c.library.get(c.model_id) is None:
            usable = [m for m in c.library.chat_models() if not m.is_missing]
            if usable:
                c.model_id = usable[0].id
        self.show_settings()
        self._look_at_costs()
        self.listed.emit()

    def _take_asks(self) -> None:
        library, asks, self.asks = self._controller.library, self.asks, {}
        adapter = library.get(str(asks.get("adapter_id") or ""))
        model = library.get(str(asks.get("model_id") or (adapter.base_id if adapter else "")))
        if model is None and adapter is not None:  # an adapter from elsewhere: the engine says whether it fits
            model = next((m for m in library.chat_models() if not m.is_missing and m.format == "gguf"), None)
        if model is None:
            return
        self.new_chat_wanted.emit()
        self._controller.model_id = model.id
        self._controller.settings = ChatSettings(adapters=(AdapterChoice(adapter.id),) if adapter is not None else ())

    @Slot()
    def show_settings(self) -> None:
        """Show the model that is chosen and what the conversation is set to."""
        c = self._controller
        model = c.library.get(c.model_id)
        self._header.show_models(c.library.chat_models(), c.model_id)
        fitting = c.library.adapters_for(model)
        # One that acts is shown even where it was made for another base: the engine said that it fits.
        chosen = [] if model is None or model.format == "endpoint" else map(c.library.get, _ids(c.settings))
        acting = [entry for entry in chosen if entry is not None and entry not in fitting]
        self._panel.show_adapters([*fitting, *acting], model)
        self._panel.show_draft_models(c.library.draft_models(model), model)
        self._panel.show_settings(c.settings)
        self._show_cost()
        self.show_engine()

    @Slot()
    def _look_at_costs(self) -> None:
        """Read how long a token took, with and without adapters."""
        project, model_id = self._context.project, self._controller.model_id

        def done(costs: list[TokenCost]) -> None:
            self._costs = costs
            self._show_cost()

        if project is not None and model_id:
            self._context.run_query(
                lambda: project.chats.token_costs(model_id), done, key="chat-token-costs", owner=self
            )

    def _show_cost(self) -> None:
        on = {choice.model_id for choice in self._controller.settings.active_adapters()}
        self._panel.cost.setText(cost_words(self._costs, on))
        self._panel.cost.setVisible(bool(self._panel.cost.text()))

    @Slot()
    def show_engine(self) -> None:
        """Show what answers, and which settings it does not know."""
        c, link = self._controller, self._controller.link
        self._header.show_engine(link)
        is_server = link.server is not None and link.server.entry.id == c.model_id
        self._panel.show_dialect(link.dialect if is_server and link.state == "ready" else None)

    @Slot()
    def unload(self) -> None:
        """Free the model."""
        self._controller.stop()
        self._controller.link.unload()


def _ids(settings: ChatSettings) -> list[str]:
    return [one.model_id for one in settings.adapters]
