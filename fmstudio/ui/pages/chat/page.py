"""`ChatPage`: conversations beside the one that is shown, with its composer and settings. It connects; nothing more."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from fmstudio.api.page import Page
from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.engine_link import EngineLink
from fmstudio.ui.pages.chat.header import ChatHeader
from fmstudio.ui.pages.chat.settings import AdapterChoice, ChatSettings
from fmstudio.ui.pages.chat.settings_panel import SettingsPanel
from fmstudio.ui.pages.chat.sidebar import ConversationList
from fmstudio.ui.pages.chat.thread import prompt_messages
from fmstudio.ui.pages.chat.words import card_data, speaker_of, turn_note
from fmstudio.ui.palette import Command
from fmstudio.ui.widgets.chat_composer import Composer
from fmstudio.ui.widgets.chat_transcript import Transcript
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.message_bar import Action, ProblemCard

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project import Changes
    from fmstudio.project.chats import Conversation
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext

COUNT_DELAY_MS = 400


class ChatPage(Page):
    """Talk to a model and its adapters."""

    id = "chat"
    title = "Chat"
    icon = "chat"

    context: AppContext

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.link = EngineLink(context, self)
        self.controller = ConversationController(context, self.link, self)
        self.sidebar = ConversationList()
        self.header = ChatHeader()
        self.transcript = Transcript()
        self.composer = Composer()
        self.panel = SettingsPanel()
        self._asks: dict[str, Any] = {}
        self._count_timer = QTimer(self, interval=COUNT_DELAY_MS, singleShot=True)
        self._count_timer.timeout.connect(self._count_tokens)
        self._lay_out()
        self._connect()
        self._add_keys()
        self._show_empty_or_chat()

    # ---- building --------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self._no_models = EmptyState(
            "chat",
            self.tr("Talk to a model"),
            self.tr("Ask, compare the base model with your adapters, and rate answers: every rating is a lesson for the "
                    "next training run. This project has no model yet: add a GGUF file, or drop one here."),
            (self.tr("Add a model"), partial(self.context.navigate, "models")),
        )  # fmt: skip
        self._no_turns = EmptyState(
            "chat",
            self.tr("Ask something"),
            self.tr("Write below and press Ctrl+Enter. The model is loaded with the first message and everything stays "
                    "on this computer."),
        )  # fmt: skip
        self._middle = QStackedWidget()
        self._middle.addWidget(self.transcript)
        self._middle.addWidget(self._no_turns)
        talk = QWidget()
        column = QVBoxLayout(talk)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self._middle, 1)
        foot = QHBoxLayout()
        foot.setContentsMargins(24, 4, 24, 16)
        foot.addWidget(self.composer)
        column.addLayout(foot)
        self._stack = QStackedWidget()
        self._stack.addWidget(talk)
        self._stack.addWidget(self._no_models)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setHandleWidth(1)
        for widget, width in ((self.sidebar, 160), (self._stack, 420), (self.panel, 240)):
            splitter.addWidget(widget)
            widget.setMinimumWidth(width)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([200, 900, 270])
        splitter.setChildrenCollapsible(False)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(splitter)

    def _connect(self) -> None:
        c, t, s = self.controller, self.transcript, self.sidebar
        self.link.changed.connect(self._on_engine)
        self.context.data_changed.connect(self._on_data)
        self.context.project_changed.connect(self._on_project)
        c.opened.connect(self._on_opened)
        c.thread_changed.connect(self._show_thread)
        c.message_changed.connect(self._on_message)
        c.question_kept.connect(self.composer.clear)
        c.turn_started.connect(self._on_turn_started)
        c.turn_progressed.connect(self._show_tail)
        c.turn_ended.connect(self._on_turn_ended)
        c.problem_raised.connect(self._show_problem)
        c.settings_changed.connect(self._on_settings)
        t.rated.connect(c.rate)
        t.corrected.connect(c.correct)
        t.edited.connect(c.edit_question)
        t.regenerate_wanted.connect(c.regenerate)
        t.version_wanted.connect(c.show_version)
        s.new_wanted.connect(self.new_chat)
        s.chosen.connect(self._open_id)
        s.renamed.connect(c.rename)
        s.delete_wanted.connect(c.delete)
        s.search_changed.connect(self._refresh_list)
        self.header.model_chosen.connect(c.set_model)
        self.header.unload_wanted.connect(self._unload)
        self.header.panel_toggled.connect(self.panel.setVisible)
        self.panel.changed.connect(c.set_settings)
        self.composer.sent.connect(self._send)
        self.composer.stopped.connect(c.stop)
        self.composer.draft_changed.connect(self._count_timer.start)

    def _add_keys(self) -> None:
        for keys, slot in (
            ("Esc", self.controller.stop),
            ("Ctrl+N", self.new_chat),
            ("Ctrl+F", self.sidebar.search.setFocus),
            ("Ctrl+I", self.header.panel.toggle),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)

    # ---- page ------------------------------------------------------------------------------------------------------

    def page_shown(self, **args: Any) -> None:
        """Refresh; ``model_id`` and ``adapter_id`` begin a new chat with them, ``conversation_id`` opens one."""
        self._asks = dict(args)
        self._load_models()
        self._refresh_list()
        self.composer.input.setFocus()

    def page_hidden(self) -> None:
        """Keep what was set."""
        self.controller.save_settings()

    def commands(self) -> list[Command]:
        """What the palette offers here."""
        found = [
            Command(self.tr("New chat"), self.new_chat, "Ctrl+N", "plus"),
            Command(self.tr("Search conversations"), self.sidebar.search.setFocus, "Ctrl+F", "search"),
            Command(self.tr("Rename this conversation"), self.sidebar.rename_current, "F2", "edit"),
            Command(self.tr("Show or hide adapters and settings"), self.header.panel.toggle, "Ctrl+I", "inspector"),
        ]
        if self.controller.is_busy:
            found.insert(0, Command(self.tr("Stop the answer"), self.controller.stop, "Esc", "stop"))
        elif self.controller.turns.messages:
            found.insert(0, Command(self.tr("Answer the last question again"), self.controller.retry, "", "retry"))
        if self.link.state in ("ready", "loading"):
            found.append(Command(self.tr("Unload the model"), self._unload, "", "memory"))
        return found

    @Slot()
    def _on_project(self) -> None:
        self.controller.stop()
        self.controller.conversation = None
        self.link.unload()
        self._load_models()
        self._refresh_list()
        self.controller.open(None)

    @Slot(object, object)
    def _on_data(self, changes: Changes, _: object) -> None:
        if changes.models:
            self._load_models()
        if changes.chats:
            self._refresh_list()

    # ---- models ----------------------------------------------------------------------------------------------------

    def _load_models(self) -> None:
        project = self.context.project
        if project is None:
            self._show_models([])
        else:
            self.context.run_query(project.models.all, self._show_models, key="chat-models", owner=self)

    def _show_models(self, entries: list[ModelEntry]) -> None:
        self.controller.library.entries = entries
        self._take_asks()
        if self.controller.library.get(self.controller.model_id) is None:
            usable = [m for m in self.controller.library.chat_models() if not m.is_missing]
            if usable:
                self.controller.model_id = usable[0].id
        self._on_settings()
        self._show_empty_or_chat()

    def _take_asks(self) -> None:
        """Do what another page asked for when it sent the person here."""
        library, asks, self._asks = self.controller.library, self._asks, {}
        adapter = library.get(str(asks.get("adapter_id") or ""))
        model = library.get(str(asks.get("model_id") or (adapter.base_id if adapter else "")))
        if model is None and adapter is not None:  # an adapter from elsewhere: the engine says whether it fits
            model = next((m for m in library.chat_models() if not m.is_missing), None)
        if model is None:
            return
        self.new_chat()
        choice = (AdapterChoice(adapter.id),) if adapter is not None else ()
        self.controller.model_id = model.id
        self.controller.settings = ChatSettings(adapters=choice)

    @Slot()
    def _on_settings(self) -> None:
        c = self.controller
        model = c.library.get(c.model_id)
        self.header.show_models(c.library.chat_models(), c.model_id)
        self.panel.show_adapters(c.library.adapters_for(model), model.name if model else "")
        self.panel.show_settings(c.settings)
        self._on_engine()

    @Slot()
    def _unload(self) -> None:
        self.controller.stop()
        self.link.unload()

    @Slot()
    def _on_engine(self) -> None:
        self.header.show_engine(self.link)
        self._show_tail()
        self._count_timer.start()

    # ---- conversations ---------------------------------------------------------------------------------------------

    @Slot()
    def _refresh_list(self) -> None:
        project = self.context.project
        if project is None:
            self.sidebar.show_conversations([], "")
            return
        search = self.sidebar.search.text().strip()
        self.context.run_query(
            lambda: project.chats.conversations(search), self._show_list, key="chat-list", owner=self
        )

    def _show_list(self, conversations: list[Conversation]) -> None:
        shown = self.controller.conversation
        self._conversations = {c.id: c for c in conversations}
        self.sidebar.show_conversations(conversations, shown.id if shown else "")
        wanted = self._asks.pop("conversation_id", None)
        if wanted in self._conversations:
            self._open_id(str(wanted))

    @Slot(str)
    def _open_id(self, conversation_id: str) -> None:
        shown = self.controller.conversation
        if (shown is None or shown.id != conversation_id) and conversation_id in self._conversations:
            self.controller.open(self._conversations[conversation_id])

    @Slot()
    def new_chat(self) -> None:
        """Begin a new conversation; it is saved with its first message."""
        model_id, settings = self.controller.model_id, self.controller.settings
        self.controller.open(None)
        self.controller.model_id, self.controller.settings = model_id, settings
        self.sidebar.list.setCurrentItem(None)  # type: ignore[call-overload]
        self._on_settings()
        self.composer.input.setFocus()

    @Slot()
    def _on_opened(self) -> None:
        self.transcript.drop_tail()
        self.transcript.show_extra(None)
        self._show_thread()
        self._on_settings()
        self._show_busy()

    def _show_empty_or_chat(self) -> None:
        has_models = bool(self.controller.library.chat_models())
        self._stack.setCurrentIndex(0 if has_models else 1)
        self.panel.setVisible(has_models and self.header.panel.isChecked())
        is_new = not self.controller.turns.messages and self.controller.shown_turn is None
        self._middle.setCurrentIndex(1 if is_new else 0)

    # ---- turns -----------------------------------------------------------------------------------------------------

    @Slot(str)
    def _send(self, text: str) -> None:
        self.transcript.show_extra(None)
        self.controller.send(text)
        self.transcript.scroll_to_end()

    @Slot()
    def _show_thread(self) -> None:
        thread = self.controller.turns
        self.transcript.show_turns([card_data(thread, message) for message in thread.path()])
        self._show_empty_or_chat()
        self._show_tail()
        self._count_timer.start()

    @Slot(str)
    def _on_message(self, message_id: str) -> None:
        thread = self.controller.turns
        self.transcript.update_turn(card_data(thread, thread.messages[message_id]))

    @Slot()
    def _on_turn_started(self) -> None:
        self.transcript.show_extra(None)
        turn = self.controller.shown_turn
        if turn is not None:
            self._hide_old_answers(turn.parent_id)
        self._show_busy()
        self._show_empty_or_chat()
        self._show_tail()
        self.transcript.scroll_to_end()

    def _hide_old_answers(self, question_id: str) -> None:
        """While an answer is made again, show the branch up to its question only."""
        thread = self.controller.turns
        self.transcript.show_turns([card_data(thread, message) for message in thread.path_to(question_id)])

    @Slot()
    def _show_tail(self) -> None:
        turn = self.controller.shown_turn
        if turn is not None:
            self.transcript.show_tail(speaker_of(turn), turn.text, turn_note(turn, self.link))

    @Slot()
    def _on_turn_ended(self) -> None:
        self.transcript.drop_tail()
        self._show_busy()
        self._show_thread()

    def _show_busy(self) -> None:
        c = self.controller
        self.composer.set_busy(c.is_busy)
        elsewhere = c.turn is not None and c.shown_turn is None
        self.composer.hint.setText(self.tr("An answer is being made in another conversation.") if elsewhere else "")

    @Slot(object)
    def _show_problem(self, problem: Problem) -> None:
        retry: Action = (self.tr("Try again"), self.controller.retry)
        if self.link.state in ("failed", "off"):
            retry = (self.tr("Restart engine and retry"), self.controller.retry)
        self.transcript.show_extra(ProblemCard(problem, (retry,), self._dismiss, stacked=True))
        self._middle.setCurrentIndex(0)

    def _dismiss(self) -> None:
        self.transcript.show_extra(None)

    # ---- the context meter -----------------------------------------------------------------------------------------

    @Slot()
    def _count_tokens(self) -> None:
        client, c = self.link.client, self.controller
        if client is None:
            self.header.meter.show_use(0, 0)
            return
        if c.is_busy:
            return
        messages = prompt_messages(c.settings.system_prompt, c.turns.path())
        if self.composer.text.strip():
            messages.append({"role": "user", "content": self.composer.text})
        if not messages:
            self.header.meter.show_use(0, self.link.n_ctx)
            return
        client.post("/tokenize", {"messages": messages}, self._show_count, lambda _: None)

    def _show_count(self, value: Any) -> None:
        if isinstance(value, dict):
            self.header.meter.show_use(int(value.get("count") or 0), int(value.get("n_ctx") or self.link.n_ctx))
