"""The chat page's keys, and what the command palette offers while it is shown."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut

from fmstudio.ui.palette import Command

if TYPE_CHECKING:
    from fmstudio.ui.pages.chat.page import ChatPage

LAST_TURN_KEYS = {"Alt+G": "good", "Alt+B": "poor", "Alt+C": "correct", "Alt+R": "again", "Alt+N": "continue"}
"""The same as on a turn that has the focus, on the last turn from anywhere on the page."""


def add_keys(page: ChatPage) -> None:
    """Make the page's keys work wherever the focus is on it."""
    for keys, slot in (
        ("Esc", page.escape),
        ("Ctrl+N", page.new_chat),
        ("Ctrl+F", page.sidebar.search.setFocus),
        ("Ctrl+I", page.header.panel.toggle),
        ("Ctrl+Shift+D", page.toggle_ways),
        ("Ctrl+Shift+A", page.attaching.choose_files),
        ("Ctrl+Shift+R", page.attaching.toggle_rows),
        *((keys, partial(page.acting.do_on_last, what)) for keys, what in LAST_TURN_KEYS.items()),
    ):
        shortcut = QShortcut(QKeySequence(keys), page)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(slot)


def commands_of(page: ChatPage) -> list[Command]:
    """What the palette offers here now."""
    tr = page.tr
    found = [
        Command(tr("New chat"), page.new_chat, "Ctrl+N", "plus"),
        Command(tr("Search conversations"), page.sidebar.search.setFocus, "Ctrl+F", "search"),
        Command(tr("Rename this conversation"), page.sidebar.rename_current, "F2", "edit"),
        Command(tr("Drafts, or several models side by side"), page.toggle_ways, "Ctrl+Shift+D", "swap"),
        Command(tr("Attach files"), page.attaching.choose_files, "Ctrl+Shift+A", "file"),
        Command(tr("Attach rows of a dataset"), page.attaching.toggle_rows, "Ctrl+Shift+R", "data"),
        Command(tr("Go to the last turn"), page.transcript.focus_turn, "Ctrl+Up", "up"),
        Command(tr("Import chats"), page.sharing.choose_import, "", "import"),
        Command(tr("Export all chats"), partial(page.sharing.choose_export, ""), "", "export"),
        Command(tr("Show or hide adapters and settings"), page.header.panel.toggle, "Ctrl+I", "inspector"),
    ]
    if page.controller.is_busy:
        found.insert(0, Command(tr("Stop the answer"), page.controller.stop, "Esc", "stop"))
    elif page.controller.turns.messages:
        found.insert(0, Command(tr("Answer the last question again"), page.controller.retry, "", "retry"))
    if page.undoing.words:
        words = tr("Undo: {what}").format(what=page.undoing.words)
        found.append(Command(words, page.undoing.undo, "Ctrl+Z", "undo"))
    if page.link.state in ("ready", "loading"):
        found.append(Command(tr("Unload the model"), page.choosing.unload, "", "memory"))
    return found
