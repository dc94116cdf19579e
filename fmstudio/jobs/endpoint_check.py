"""Asking an OpenAI-compatible server for its models: the test of an endpoint. No redirects, bounded in time and size."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fmstudio.api.errors import UserError

TIMEOUT_S = 10.0
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """Names of the models a server offers, and how many bytes it took to say so."""

    models: tuple[str, ...]
    received: int


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
        raise UserError(
            f"No server answers at {url}: {error or type(error).__name__}.", remedy="Start it, or check the address."
        ) from error
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
