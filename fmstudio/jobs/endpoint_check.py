"""Talking to an OpenAI-compatible server that is a model of the library: where that is allowed, and which models it has.

No redirects, bounded in time and size. A connection to another machine stands in the ledger before it is opened.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fmstudio.api.errors import UserError
from fmstudio.core.addresses import checked_url, is_loopback
from fmstudio.core.connections import note_end, note_opening

TIMEOUT_S = 10.0
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """Names of the models a server offers, and how many bytes it took to say so."""

    models: tuple[str, ...]
    received: int


@dataclass(slots=True)
class Opened:
    """A connection that is allowed; whoever uses it counts what comes.

    Attributes:
        url: The base address, with ``/v1``.
        received: Bytes that came, for the ledger.
    """

    url: str
    received: int = 0


@contextmanager
def opened(url: str, *, allow_network: bool, purpose: str) -> Iterator[Opened]:
    """Allow a connection to an endpoint: to this computer always, to another one where the user switched the network on.

    Raises:
        UserError: The network is off and the address leads elsewhere, or it is no address.
    """
    made = Opened(checked_url(url))
    if is_loopback(made.url):
        yield made
        return
    if not allow_network:
        raise UserError(
            "The network is off, and this address leads to another machine.",
            remedy="Switch the network on in Settings (or: fmstudio network on).",
        )
    number = note_opening(made.url, purpose)
    try:
        yield made
    finally:
        note_end(number, made.received)


def try_endpoint(url: str, key: str, allow_network: bool) -> EndpointAnswer:
    """Ask a server for its models, where that is allowed. Blocks up to `TIMEOUT_S`.

    Raises:
        UserError: It is not allowed, or the server does not answer as it should.
    """
    with opened(url, allow_network=allow_network, purpose="Test of an endpoint") as place:
        answer = ask_models(place.url, key)
        place.received = answer.received
    return answer


def ask_models(url: str, key: str = "") -> EndpointAnswer:
    """``GET <url>/models``. The caller makes sure that the network is allowed.

    Raises:
        UserError: It cannot be reached, refuses the key, or speaks otherwise.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/models", headers=headers)
        response = connection.getresponse()
        data = response.read(MOST_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", "") or str(error) or type(error).__name__
        raise UserError(f"No server answers at {url}: {reason}.", remedy="Start it, or check the address.") from error
    finally:
        connection.close()
    return EndpointAnswer(_names(url, response.status, data), len(data))


def _names(url: str, status: int, data: bytes) -> tuple[str, ...]:
    if status in (401, 403):
        raise UserError(f"The server at {url} refuses the key (code {status}).", remedy="Check the key.")
    if status != 200:
        raise UserError(f"The server at {url} answers with code {status}.", remedy="Its address usually ends in /v1.")
    try:
        listed: Any = json.loads(data)["data"] if len(data) <= MOST_BYTES else None
        return tuple(str(one["id"])[:300] for one in listed)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(
            f"What answers at {url} does not speak OpenAI's API.", remedy="Its address usually ends in /v1."
        ) from error
