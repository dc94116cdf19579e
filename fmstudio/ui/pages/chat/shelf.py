"""`Shelf`: the conversations beside the one that is shown: names, folders, pins, deleting, names given by the model."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.sidebar import ConversationList
from fmstudio.ui.pages.chat.thread import prompt_messages
from fmstudio.ui.pages.chat.undoing import Undoing

if TYPE_CHECKING:
    from fmstudio.project.chats import Conversation
    from fmstudio.ui.context import AppContext

TITLE_TOKENS = 24
TITLE_LENGTH = 60
MARKS = " \t#*_`\"'“”„«»."
TITLE_REQUEST = "Give this conversation a title of at most six words. Answer with the title only."


class Shelf(QObject):
    """Changes the list of conversations; the list shows itself when the project says that chats changed."""

    def __init__(self, context: AppContext, controller: ConversationController, undoing: Undoing) -> None:
        super().__init__(controller)
        self._context, self._undoing = context, undoing
        self._controller = controller
        controller.first_answered.connect(self.ask_title)

    def serve(self, sidebar: ConversationList) -> None:
        """Do what the list asks for."""
        sidebar.renamed.connect(self.rename)
        sidebar.delete_wanted.connect(self.delete)
        sidebar.pin_wanted.connect(self.pin)
        sidebar.moved.connect(self.move)
        sidebar.folder_wanted.connect(self.make_folder)
        sidebar.folder_renamed.connect(self.rename_folder)
        sidebar.folder_removed.connect(self.remove_folder)

    def rename(self, conversation_id: str, title: str, by: str = "user") -> None:
        """Give a conversation a title; `by` says who did."""
        shown, chats = self._controller.conversation, self._controller.chats
        if shown is not None and shown.id == conversation_id:
            self._controller.conversation = replace(shown, title=title, titled_by=by)
        self._run(lambda: chats.update_conversation(conversation_id, title=title, titled_by=by))

    def pin(self, conversation_id: str, is_pinned: bool) -> None:
        """Keep a conversation above the others, or no longer."""
        chats = self._controller.chats
        self._run(lambda: chats.update_conversation(conversation_id, is_pinned=is_pinned))

    def move(self, conversation_id: str, folder: str) -> None:
        """Put a conversation into a folder; empty takes it out."""
        chats = self._controller.chats
        self._run(lambda: chats.update_conversation(conversation_id, folder=folder))

    def make_folder(self, name: str, conversation_id: str = "") -> None:
        """Make a folder, and put a conversation into it."""
        chats = self._controller.chats

        def work() -> Any:
            changes = chats.make_folder(name)
            return changes | chats.update_conversation(conversation_id, folder=name) if conversation_id else changes

        self._run(work)

    def rename_folder(self, name: str, new_name: str) -> None:
        """Give a folder another name."""
        chats = self._controller.chats
        self._run(lambda: chats.rename_folder(name, new_name))

    def remove_folder(self, name: str) -> None:
        """Take a folder away, with an undo; its conversations stay."""
        chats = self._controller.chats

        def done(ids: list[str]) -> None:
            def back() -> Any:
                changes = chats.make_folder(name)
                for conversation_id in ids:
                    changes |= chats.update_conversation(conversation_id, folder=name)
                return changes

            text = self.tr("The folder “{name}” was removed; its conversations stay.").format(name=name)
            self._undoing.offer(text, lambda: self._run(back))

        self._context.run_op(self, lambda: chats.remove_folder(name), done)

    def delete(self, conversation_id: str) -> None:
        """Hide a conversation, with an undo; its lessons stay."""
        controller, chats = self._controller, self._controller.chats
        if controller.turn is not None and controller.turn.conversation_id == conversation_id:
            controller.stop()

        def undo() -> None:
            self._run(lambda: chats.set_deleted(conversation_id, False))

        def done(_: Any) -> None:
            self._undoing.offer(self.tr("The conversation was deleted."), undo)

        self._context.run_op(self, lambda: chats.set_deleted(conversation_id, True), done)
        if controller.conversation is not None and controller.conversation.id == conversation_id:
            controller.open(None)

    def _run(self, work: Callable[[], Any]) -> None:
        self._context.run_op(self, work)

    # ---- a title by the model --------------------------------------------------------------------------------------

    def ask_title(self, conversation: Conversation) -> None:
        """Have the model name the conversation, unless a person did or does not want it.

        The request goes on from the conversation's own messages, so that the engine reads next to nothing again.
        """
        controller, client = self._controller, self._controller.link.client
        if client is None or not controller.settings.asks_title or conversation.titled_by == "user":
            return
        path = controller.turns.path()
        request = {"role": "user", "content": TITLE_REQUEST}
        body = {
            "messages": [*prompt_messages(controller.settings.filled_prompt, path), request],
            "max_tokens": TITLE_TOKENS,
            "temperature": 0,
            "stream": False,
        }

        def done(value: Any) -> None:
            title = clean_title(_content(value))
            shown = controller.conversation
            renamed = shown is not None and shown.id == conversation.id and shown.titled_by == "user"
            if title and not renamed:
                self.rename(conversation.id, title, "model")

        # The beginning of the question is a good title too: a model that gives none is no news.
        client.post("/v1/chat/completions", body, done, lambda _: None)


def _content(value: Any) -> str:
    try:
        return str(value["choices"][0]["message"]["content"] or "")
    except (KeyError, IndexError, TypeError):
        return ""


def clean_title(text: str) -> str:
    """The first line of what a model said, without quotes, marks of Markdown and a final stop."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    title = lines[0].strip(MARKS) if lines else ""
    title = re.sub(r"^title\**\s*:", "", title, flags=re.IGNORECASE).strip(MARKS)
    return title if len(title) <= TITLE_LENGTH else title[:TITLE_LENGTH].rsplit(" ", 1)[0] + "…"
