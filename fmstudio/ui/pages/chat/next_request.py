"""What the next request is made of, for the context meter."""

from __future__ import annotations

from fmstudio.ui.pages.chat.client import EngineClient
from fmstudio.ui.pages.chat.context_counter import ToCount
from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.settings import filled
from fmstudio.ui.pages.chat.thread import prompt_messages
from fmstudio.ui.widgets.chat_composer import Composer


def next_request(c: ConversationController, composer: Composer) -> tuple[EngineClient, ToCount, int] | None:
    """Who counts, what, and the length of the context; None while no model is loaded or an answer is being made."""
    client = c.link.client
    if client is None or not c.link.dialect.counts_messages:
        return None
    path, system = c.turns.path(), c.settings.filled_prompt
    messages = [] if c.is_busy else prompt_messages(system, path)
    draft = filled(composer.text, c.settings.variables)
    if not c.is_busy and (draft.strip() or composer.attachments):
        waiting = "\n\n".join([*(str(item.get("text", "")) for item in composer.attachments), draft])
        messages = [*messages, {"role": "user", "content": waiting}]
    files = [item for message in path for item in message.facts.get("attachments") or ()]
    attached = "\n\n".join(str(item.get("text", "")) for item in [*files, *composer.attachments])
    return client, ToCount(messages, system.strip(), attached), c.link.n_ctx
