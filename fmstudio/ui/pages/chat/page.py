"""`ChatPage`: conversations beside the one that is shown, with its composer and settings. It connects; nothing more."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, Qt, Slot
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QSplitter, QStackedWidget, QVBoxLayout, QWidget

from fmstudio.api.page import Page
from fmstudio.ui.pages.chat.acting import Acting
from fmstudio.ui.pages.chat.attaching import Attaching
from fmstudio.ui.pages.chat.choosing import Choosing, ask_key
from fmstudio.ui.pages.chat.context_counter import ContextCounter
from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.engine_link import EngineLink
from fmstudio.ui.pages.chat.header import ChatHeader
from fmstudio.ui.pages.chat.judging import Judging
from fmstudio.ui.pages.chat.lessons_button import LessonsButton
from fmstudio.ui.pages.chat.listing import Listing
from fmstudio.ui.pages.chat.next_request import next_request
from fmstudio.ui.pages.chat.page_keys import add_keys, commands_of
from fmstudio.ui.pages.chat.presets_box import PresetKeeper
from fmstudio.ui.pages.chat.settings import variables_in
from fmstudio.ui.pages.chat.settings_panel import SettingsPanel
from fmstudio.ui.pages.chat.sharing import Sharing
from fmstudio.ui.pages.chat.shelf import Shelf
from fmstudio.ui.pages.chat.showing import Showing
from fmstudio.ui.pages.chat.sidebar import ConversationList
from fmstudio.ui.pages.chat.undoing import Undoing
from fmstudio.ui.pages.chat.views import Views
from fmstudio.ui.pages.chat.ways import WaysBar
from fmstudio.ui.pages.chat.words import first_words
from fmstudio.ui.widgets.chat_composer import Composer
from fmstudio.ui.widgets.chat_transcript import Transcript
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.parts import column, tool_button

if TYPE_CHECKING:
    from fmstudio.project import Changes
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.pages.chat.turn import Turn
    from fmstudio.ui.palette import Command


class ChatPage(Page):
    """Talk to a model and its adapters."""

    id = "chat"
    title = "Chat"
    icon = "chat"

    context: AppContext

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.link = EngineLink(context, self, partial(ask_key, self))
        self.controller = ConversationController(context, self.link, self)
        self.sidebar = ConversationList()
        self.header = ChatHeader()
        self.transcript = Transcript()
        self.composer = Composer()
        self.panel = SettingsPanel()
        self.ways = WaysBar()
        self.undoing = Undoing(context, self)
        self.judging = Judging(context, self.controller, self.undoing)
        self.showing = Showing(self.controller, self.judging, self.transcript, self.composer)
        self.choosing = Choosing(context, self.controller, self.header, self.panel)
        self.shelf = Shelf(context, self.controller, self.undoing)
        self.listing = Listing(context, self.controller, self.sidebar)
        self.views = Views(context, self.controller, self.judging)
        self.acting = Acting(context, self.controller, self.judging, self.views, self.transcript, self.composer)
        self.sharing = Sharing(context, self)
        self.attaching = Attaching(context, self.composer, self.controller)
        self.lessons = LessonsButton(context)
        self.presets = PresetKeeper(context, self.panel.presets, lambda: self.controller.settings, self)
        self.counter = ContextCounter(partial(next_request, self.controller, self.composer), self)
        self._lay_out()
        self._connect()
        add_keys(self)
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
        self._no_turns = EmptyState("chat", self.tr("Ask something"), "")
        self._middle = QStackedWidget()
        self._middle.addWidget(self.transcript)
        for view in (self._no_turns, self.views.compare, self.views.tokens):
            self._middle.addWidget(view)
        self._ways_button = tool_button("swap", self.tr("Drafts, or several models side by side"), self.toggle_ways,
                                        shortcut="Ctrl+Shift+D")  # fmt: skip
        rows = tool_button("data", self.tr("Attach rows of a dataset"), self.attaching.toggle_rows,
                           shortcut="Ctrl+Shift+R")  # fmt: skip
        self.composer.extras.addWidget(rows)
        self.composer.extras.addWidget(self._ways_button)
        self.composer.extras.addWidget(self.lessons)
        talk = QWidget()
        stacked = column(self.header, gap=0)
        stacked.addWidget(self._middle, 1)
        stacked.addLayout(column(self.ways, self.attaching.bar, self.composer, gap=6, margins=(24, 4, 24, 16)))
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
        c, s = self.controller, self.sidebar
        self.context.data_changed.connect(self._on_data)
        self.context.project_changed.connect(self._on_project)
        c.opened.connect(self._on_opened)
        c.thread_changed.connect(self.counter.start)
        c.settings_changed.connect(self._show_empty_or_chat)
        self.link.changed.connect(self.showing.show_tail)
        self.link.changed.connect(self.counter.start)
        self.showing.changed.connect(self._show_empty_or_chat)
        self.showing.problem_shown.connect(self._show_turns)
        self.choosing.listed.connect(self._show_empty_or_chat)
        self.choosing.new_chat_wanted.connect(self.new_chat)
        c.question_kept.connect(self.composer.clear)
        c.batch_started.connect(self._on_batch)
        self.transcript.left.connect(self.composer.input.setFocus)
        self.judging.taught.connect(self.lessons.count)
        self.views.wanted.connect(self._show_view)
        s.new_wanted.connect(self.new_chat)
        s.chosen.connect(self.listing.open_id)
        s.search_changed.connect(self._refresh_list)
        self.shelf.serve(s)
        s.import_wanted.connect(self.sharing.choose_import)
        s.export_wanted.connect(self.sharing.choose_export)
        self.header.unload_wanted.connect(self.choosing.unload)
        self.header.panel_toggled.connect(self.panel.setVisible)
        self.composer.sent.connect(self._send)
        self.composer.stopped.connect(c.stop)
        self.composer.draft_changed.connect(self._on_draft)
        self.composer.went_up.connect(self.transcript.focus_turn)
        self.counter.counted.connect(self.header.meter.show_use)

    @Slot()
    def escape(self) -> None:
        """Stop the answer being made; else go back from what took the conversation's place."""
        if self.controller.is_busy:
            self.controller.stop()
        elif self._middle.currentWidget() in (self.views.compare, self.views.tokens):
            self._show_view(None)

    def event(self, event: QEvent) -> bool:
        """Claim Ctrl+Z while there is something deleted here to bring back; else it is the window's, for the data."""
        is_override = event.type() == QEvent.Type.ShortcutOverride
        if is_override and isinstance(event, QKeyEvent) and self._takes_back(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Ctrl+Z brings back what was deleted last."""
        if self._takes_back(event):
            self.undoing.undo()
        else:
            super().keyPressEvent(event)

    def _takes_back(self, event: QKeyEvent) -> bool:
        return event.matches(QKeySequence.StandardKey.Undo) and bool(self.undoing.words)

    # ---- page ------------------------------------------------------------------------------------------------------

    def page_shown(self, **args: Any) -> None:
        """Refresh; ``model_id`` and ``adapter_id`` begin a new chat with them, ``conversation_id`` opens one.

        ``rows`` of a ``dataset`` (their ids) are attached to the message being written.
        """
        self.choosing.asks = dict(args)
        self.choosing.load()
        self.listing.refresh(str(args.get("conversation_id") or ""))
        self._load_more()
        if args.get("dataset") and args.get("rows"):
            self.attaching.attach_rows(str(args["dataset"]), list(args["rows"]))
        self.composer.input.setFocus()

    def page_hidden(self) -> None:
        """Keep what was set."""
        self.controller.save_settings()

    def commands(self) -> list[Command]:
        """What the palette offers here."""
        return commands_of(self)

    @Slot()
    def _on_project(self) -> None:
        self.controller.stop()
        self.controller.conversation = None
        self.link.unload()
        self.choosing.load()
        self._refresh_list()
        self._load_more()
        self.controller.open(None)

    @Slot(object, object)
    def _on_data(self, changes: Changes, _: object) -> None:
        if changes.models:
            self.choosing.load()
        if changes.chats:
            self._refresh_list()
            self._load_more()

    def _load_more(self) -> None:
        self.presets.load()
        self.lessons.count()

    # ---- conversations ---------------------------------------------------------------------------------------------

    @Slot()
    def _refresh_list(self) -> None:
        self.listing.refresh()

    @Slot()
    def new_chat(self) -> None:
        """Begin a new conversation; it is saved with its first message."""
        model_id, settings = self.controller.model_id, self.controller.settings
        self.controller.open(None)
        self.controller.model_id, self.controller.settings = model_id, settings
        self.sidebar.list.setCurrentItem(None)  # type: ignore[call-overload]
        self.choosing.show_settings()
        self.composer.input.setFocus()

    @Slot()
    def _on_opened(self) -> None:
        self._show_view(None)
        self.showing.show_opened()
        self.choosing.show_settings()

    def _show_empty_or_chat(self) -> None:
        has_models = bool(self.controller.library.chat_models())
        self._stack.setCurrentIndex(0 if has_models else 1)
        self.panel.setVisible(has_models and self.header.panel.isChecked())
        if self._middle.currentWidget() in (self.views.compare, self.views.tokens):
            return
        self._no_turns.words.setText(first_words(self.controller.library.get(self.controller.model_id)))
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
    def toggle_ways(self) -> None:
        """Show or hide the ways to answer above the composer."""
        if self.ways.isVisible():
            self.ways.close_bar()
        else:
            c = self.controller
            self.ways.offer(c.library, self.panel.presets.presets, c.model_id)

    @Slot()
    def _on_draft(self) -> None:
        self.panel.show_draft(self.composer.text)
        self.counter.start()

    @Slot()
    def _show_turns(self) -> None:
        """Show the turns, also where there are none but a card below them."""
        self._show_view(None)
        self._middle.setCurrentWidget(self.transcript)
