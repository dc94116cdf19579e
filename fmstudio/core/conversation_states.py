"""Where the engine keeps evaluated conversations between its runs, and how the app removes them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from fmstudio.api.conversation_files import files_of
from fmstudio.core.paths import cache


def conversations_folder() -> Path:
    """The folder, in the cache: everything there is made again when it is needed."""
    return cache("conversations")


def forget_conversation(conversation_id: str) -> None:
    """Delete what is kept of a conversation, whatever model evaluated it."""
    for path in files_of(conversations_folder(), conversation_id):
        with suppress(OSError):  # an engine that removed it first, or the disk: it is only a cache
            path.unlink()
