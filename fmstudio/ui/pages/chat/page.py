"""`ChatPage`: conversations beside the one that is shown, with its composer and settings. It connects; nothing more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QSplitter, QStackedWidget, QVBoxLayout, QWidget

from fmstudio.api.page import Page
from fmstudio.ui.pages.chat.attaching import Attaching
from fmstudio.ui.pages.chat.context_counter import ContextCounter
from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.engine_link import EngineLink
from fmstudio.ui.pages.chat.header import ChatHeader
from fmstudio.ui.pages.chat.judging import Judging
from fmstudio.ui.pages.chat.lessons_button import LessonsButton
from fmstudio.ui.pages.chat.listing import Listing
from fmstudio.ui.pages.chat.next_request import next_request
from fmstudio.ui.pages.chat.presets_box import PresetKeeper
from fmstudio.ui.pages.chat.settings import AdapterChoice, ChatSettings, variables_in
from fmstudio.ui.pages.chat.settings_panel import SettingsPanel
from fmstudio.ui.pages.chat.sharing import Sharing
from fmstudio.ui.pages.chat.shelf import Shelf
from fmstudio.ui.pages.chat.sidebar import ConversationList
from fmstudio.ui.pages.chat.views import Views
from fmstudio.ui.pages.chat.ways import WaysBar
from fmstudio.ui.pages.chat.words import card_data, remedy_words, speaker_of, turn_note
from fmstudio.ui.palette import Command
from fmstudio.ui.widgets.chat_composer import Composer
from fmstudio.ui.widgets.chat_transcript import Transcript
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.message_bar import Action, ProblemCard
from fmstudio.ui.widgets.parts import column, tool_button

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project import Changes
    from fmstudio.project.chats import ChatMessage
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.pages.chat.turn import Turn
    from fmstudio.ui.widgets.chat_message import CardData

LAST_TURN_KEYS = {"Alt+G": "good", "Alt+B": "poor", "Alt+C": "correct", "Alt+R": "again", "Alt+N": "continue"}
"""The same as on a turn that has the focus, on the last turn from anywhere on the page."""


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
        self.ways = WaysBar()
        self.judging = Judging(context, self.controller)
        self.shelf = Shelf(context, self.controller)
        self.listing = Listing(context, self.controller, self.sidebar)
        self.views = Views(context, self.controller, self.judging)
        self.sharing = Sharing(context, self)
        self.attaching = Attaching(context, self.composer, self.link)
        self.lessons = LessonsButton(context)
        self.presets = PresetKeeper(context, self.panel.presets, lambda: self.controller.settings, self)
        self.counter = ContextCounter(partial(next_request, self.controller, self.composer), self)
        self._asks: dict[str, Any] = {}
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
        for view in (self._no_turns, self.views.compare, self.views.tokens):
            self._middle.addWidget(view)
        self._ways_button = tool_button("swap", self.tr("Drafts, or several models side by side"), self._toggle_ways,
                                        shortcut="Ctrl+Shift+D")  # fmt: skip
        self.composer.extras.addWidget(self._ways_button)
        self.composer.extras.addWidget(self.lessons)
        talk = QWidget()
        stacked = column(self.header, gap=0)
        stacked.addWidget(self._middle, 1)
        stacked.addLayout(column(self.ways, self.composer, gap=6, margins=(24, 4, 24, 16)))
        talk.setLayout(stacked)
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
        c, t, s, j = self.controller, self.transcript, self.sidebar, self.judging
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
        c.batch_started.connect(self._on_batch)
        t.rated.connect(j.rate)
        t.corrected.connect(j.correct)
        t.acted.connect(self._act)
        t.branched.connect(c.edit_answer)
        t.left.connect(self.composer.input.setFocus)
        j.taught.connect(self.lessons.count)
        self.views.wanted.connect(self._show_view)
        t.edited.connect(c.edit_question)
        t.regenerate_wanted.connect(c.regenerate)
        t.version_wanted.connect(c.show_version)
        s.new_wanted.connect(self.new_chat)
        s.chosen.connect(self.listing.open_id)
        s.search_changed.connect(self._refresh_list)
        self.shelf.serve(s)
        s.import_wanted.connect(self.sharing.choose_import)
        s.export_wanted.connect(self.sharing.choose_export)
        self.header.model_chosen.connect(c.set_model)
        self.header.unload_wanted.connect(self._unload)
        self.header.panel_toggled.connect(self.panel.setVisible)
        self.panel.changed.connect(c.set_settings)
        self.composer.sent.connect(self._send)
        self.composer.stopped.connect(c.stop)
        self.composer.draft_changed.connect(self._on_draft)
        self.composer.attach_wanted.connect(self.attaching.choose_files)
        self.composer.files_dropped.connect(self.attaching.attach_files)
        self.composer.went_up.connect(self.transcript.focus_turn)
        self.counter.counted.connect(self.header.meter.show_use)

    def _add_keys(self) -> None:
        for keys, slot in (
            ("Esc", self._escape),
            ("Ctrl+N", self.new_chat),
            ("Ctrl+F", self.sidebar.search.setFocus),
            ("Ctrl+I", self.header.panel.toggle),
            ("Ctrl+Shift+D", self._toggle_ways),
            ("Ctrl+Shift+A", self.attaching.choose_files),
            *((keys, partial(self._do_on_last, what)) for keys, what in LAST_TURN_KEYS.items()),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)

    @Slot()
    def _escape(self) -> None:
        """Stop the answer being made; else go back from what took the conversation's place."""
        if self.controller.is_busy:
            self.controller.stop()
        elif self._middle.currentWidget() in (self.views.compare, self.views.tokens):
            self._show_view(None)

    # ---- page ------------------------------------------------------------------------------------------------------

    def page_shown(self, **args: Any) -> None:
        """Refresh; ``model_id`` and ``adapter_id`` begin a new chat with them, ``conversation_id`` opens one.

        ``rows`` of a ``dataset`` (their ids) are attached to the message being written.
        """
        self._asks = dict(args)
        self._load_models()
        self._refresh_list()
        self._load_more()
        if args.get("dataset") and args.get("rows"):
            self.attaching.attach_rows(str(args["dataset"]), list(args["rows"]))
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
            Command(self.tr("Drafts, or several models side by side"), self._toggle_ways, "Ctrl+Shift+D", "swap"),
            Command(self.tr("Attach text files"), self.attaching.choose_files, "Ctrl+Shift+A", "file"),
            Command(self.tr("Go to the last turn"), self.transcript.focus_turn, "Ctrl+Up", "up"),
            Command(self.tr("Import chats"), self.sharing.choose_import, "", "import"),
            Command(self.tr("Export all chats"), partial(self.sharing.choose_export, ""), "", "export"),
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
        self._load_more()
        self.controller.open(None)

    @Slot(object, object)
    def _on_data(self, changes: Changes, _: object) -> None:
        if changes.models:
            self._load_models()
        if changes.chats:
            self._refresh_list()
            self._load_more()

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
        self.counter.start()

    def _load_more(self) -> None:
        self.presets.load()
        self.lessons.count()

    # ---- conversations ---------------------------------------------------------------------------------------------

    @Slot()
    def _refresh_list(self) -> None:
        self.listing.refresh(str(self._asks.pop("conversation_id", "") or ""))

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
        self._show_view(None)
        self._show_thread()
        self._on_settings()
        self._show_busy()

    def _show_empty_or_chat(self) -> None:
        has_models = bool(self.controller.library.chat_models())
        self._stack.setCurrentIndex(0 if has_models else 1)
        self.panel.setVisible(has_models and self.header.panel.isChecked())
        if self._middle.currentWidget() in (self.views.compare, self.views.tokens):
            return
        is_new = not self.controller.turns.messages and self.controller.shown_turn is None
        self._middle.setCurrentIndex(1 if is_new else 0)

    @Slot(object)
    def _show_view(self, view: QWidget | None) -> None:
        """Show the comparison or the tokens, or the conversation again."""
        self._middle.setCurrentWidget(view or self.transcript)
        if view is None:
            self._show_empty_or_chat()
            self.composer.input.setFocus()
        else:
            view.setFocus()

    # ---- turns -----------------------------------------------------------------------------------------------------

    @Slot(str)
    def _send(self, text: str) -> None:
        c = self.controller
        names = dict.fromkeys([*variables_in(c.settings.system_prompt), *variables_in(text)])
        missing = [name for name in names if not c.settings.variables.get(name, "").strip()]
        if missing:
            self._ask_variables(missing)
            return
        self.transcript.show_extra(None)
        c.send(text, self.composer.attachments, self.ways.ways(c.settings), self.ways.count)
        self.transcript.scroll_to_end()

    def _ask_variables(self, missing: list[str]) -> None:
        """Say which ``{{name}}`` places have no value yet, and lead to the first."""
        self.header.panel.setChecked(True)
        self.panel.show_draft(self.composer.text)
        words = self.tr("Fill in first, in the panel on the right: {names}.")
        self.composer.hint.setText(words.format(names=", ".join(missing)))
        self.panel.variables.fields[missing[0]].setFocus()

    @Slot(str, object)
    def _on_batch(self, question: str, turns: list[Turn]) -> None:
        self.views.begin_batch(question, turns, is_blind=self.ways.is_blind.isChecked())

    @Slot()
    def _toggle_ways(self) -> None:
        if self.ways.isVisible():
            self.ways.close_bar()
        else:
            c = self.controller
            self.ways.offer(c.library, self.panel.presets.presets, c.model_id)

    @Slot(str, str)
    def _act(self, message_id: str, what: str) -> None:
        """Do what a turn's menu or key asks for."""
        c = self.controller
        if what == "quote":
            said = c.turns.messages[message_id].content
            self.composer.insert("".join(f"> {line}\n" for line in said.splitlines()) + "\n")
            return
        acts: dict[str, Callable[[str], None]] = {
            "continue": c.go_on, "reproduce": c.reproduce, "prefer": self.judging.prefer,
            "delete": self.judging.delete, "tokens": self.views.show_tokens, "compare": self.views.compare_versions,
        }  # fmt: skip
        acts[what](message_id)

    def _do_on_last(self, what: str) -> None:
        cards = [card for card in self.transcript.cards if card.data.who == "assistant"]
        if cards:
            cards[-1].do(what)

    @Slot()
    def _on_draft(self) -> None:
        self.panel.show_draft(self.composer.text)
        self.counter.start()

    @Slot()
    def _show_thread(self) -> None:
        thread = self.controller.turns
        self.transcript.show_turns([self._card(message) for message in thread.path()])
        self._show_empty_or_chat()
        self._show_tail()
        self.counter.start()

    @Slot(str)
    def _on_message(self, message_id: str) -> None:
        thread = self.controller.turns
        self.transcript.update_turn(self._card(thread.messages[message_id]))

    def _card(self, message: ChatMessage) -> CardData:
        return card_data(self.controller.turns, message, self.judging.preferred)

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
        self.transcript.show_turns([self._card(message) for message in thread.path_to(question_id)])

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

    @Slot(object, object)
    def _show_problem(self, problem: Problem, action: dict[str, Any]) -> None:
        retry: Action = (self.tr("Try again"), self.controller.retry)
        if self.link.state in ("failed", "off"):
            retry = (self.tr("Restart engine and retry"), self.controller.retry)
        mend = ((remedy_words(action), partial(self._mend, action)),) if action else ()
        self._show_view(None)
        self.transcript.show_extra(ProblemCard(problem, (*mend, retry), self._dismiss, stacked=True))
        self._middle.setCurrentIndex(0)

    def _mend(self, action: dict[str, Any]) -> None:
        """Change what the engine proposes, then make the turn again."""
        self.link.mend(action)
        if "n_ctx" in action:
            self.panel.n_ctx.setValue(int(action["n_ctx"]))
        self.controller.retry()

    def _dismiss(self) -> None:
        self.transcript.show_extra(None)
