"""Asking endpoints of the library from the command line: where their keys come from, and their answers."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.core.settings import Settings

if TYPE_CHECKING:
    from fmstudio.jobs.sse import ChatEvent
    from fmstudio.project.models import ModelEntry

KEY_VARIABLE = "FMSTUDIO_ENDPOINT_KEY"


def key_of(entry: ModelEntry) -> str:
    """An endpoint's key: from the variable, else from the keyring, else the person is asked.

    Raises:
        UserError: It wants one, and nobody can be asked.
    """
    from fmstudio.core.keyring_store import read_key

    found = os.environ.get(KEY_VARIABLE, "") or read_key(entry.id)
    return found or (ask_key(entry.name) if entry.facts.get("has_key") else "")


def ask_key(name: str) -> str:
    """Ask for a key without showing it.

    Raises:
        UserError: There is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise UserError(f"{name} wants a key, and no keyring has it.", remedy=f"Set the variable {KEY_VARIABLE}.")
    return getpass.getpass(f"Key for {name}: ", sys.stderr).strip()


def endpoint_events(entry: ModelEntry, body: dict[str, Any]) -> Iterator[ChatEvent]:
    """Ask a server and yield what it answers, as it comes.

    Raises:
        UserError: The network is off and the server is elsewhere, or it does not answer, or refuses.
    """
    from fmstudio.jobs.endpoint_check import TIMEOUT_S, opened
    from fmstudio.jobs.sse import post_chat_to

    key, allowed = key_of(entry), Settings.load().allow_network
    with opened(str(entry.facts["url"]), allow_network=allowed, purpose=f"Chat with {entry.name}") as place:
        wanted = {**body, "model": str(entry.facts["model"])}
        try:
            for event in post_chat_to(place.url, key, wanted, connect_timeout_s=TIMEOUT_S):
                place.received += len(event.text.encode())
                yield event
        except OSError as error:
            raise UserError(
                f"{entry.name} does not answer at {place.url}: {error.strerror or error}.",
                remedy="Start the server, or check the address: fmstudio models test.",
            ) from error
