"""Requests to other machines, only where the user allowed it: https, public addresses, a limit on size, resumable.

Each name is resolved once and the connection goes to that address, so that no second answer of a name server can lead
into the local network. Each connection stands in the ledger (`fmstudio.core.connections`) before it is opened.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import quote, unquote, urljoin, urlsplit

from fmstudio.api.errors import Cancelled, UserError
from fmstudio.core.addresses import HUB, is_loopback
from fmstudio.core.connections import note_end, note_opening
from fmstudio.core.settings import Settings

MOST_BYTES = 50 << 30
"""Largest download in all, unless the caller says otherwise."""
LOOPBACK = "FMSTUDIO_LOOPBACK_HUB"
"""Variable with the address of a hub on this very machine; then this machine may be fetched from, without TLS (tests)."""
HUB_VARIABLE = "HF_ENDPOINT"
"""Variable by which the hub's own tools are told of a mirror."""
TOKEN_VARIABLE = "HF_TOKEN"
"""Variable by which the hub's own tools are told the user's token."""
_PIECE = 1 << 20
_TIMEOUT_S = 30.0
_MOST_HOPS = 5
_MOST_LISTING = 64 << 20
_HEADERS = {"User-Agent": "fmstudio", "Accept-Encoding": "identity", "Connection": "close"}
_REDIRECTS = (301, 302, 303, 307, 308)


class Watcher(Protocol):
    """What is told how far a download is, and asked whether it shall go on: a `TaskContext`, or less."""

    @property
    def cancelled(self) -> bool:
        """Whether to stop."""

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Hear how far it is."""


@dataclass(frozen=True)
class Network:
    """What may be fetched.

    Attributes:
        is_allowed: The user's setting.
        most_bytes: Largest download in all.
        hub: Where names on the hub lead.
        loopback: Allow plain http to this machine alone (a hub on this machine, and nothing else).
        purpose: What the ledger says the connections are for.
        timeout_s: Longest silence of a server.
    """

    is_allowed: bool
    most_bytes: int = MOST_BYTES
    hub: str = HUB
    loopback: bool = False
    purpose: str = "Import"
    timeout_s: float = _TIMEOUT_S

    @classmethod
    def of_settings(cls, purpose: str, most_bytes: int = MOST_BYTES, timeout_s: float = _TIMEOUT_S) -> Network:
        """What the user's settings allow; the hub is the one in the settings, else the one in ``HF_ENDPOINT``."""
        settings, own = Settings.load(), os.environ.get(LOOPBACK, "")
        hub = (own or settings.hub or os.environ.get(HUB_VARIABLE, "") or HUB).rstrip("/")
        return cls(settings.allow_network, most_bytes, hub, bool(own) or _is_own(hub), purpose, timeout_s)

    def require_allowed(self, name: str) -> None:
        """Refuse where the user has not switched the network on.

        Raises:
            UserError: Says how to allow it.
        """
        if not self.is_allowed:
            raise UserError(
                f"{name} is on the network, and FM Studio does not use it.",
                remedy="Switch the network on in Settings (or: fmstudio network on), or download the file yourself.",
                can_retry=True,
            )


class TooLarge(UserError):
    """A download is larger than what is allowed here."""


class Refused(OSError):
    """A server answered with a code that is no success; `status` has it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"the server answered {status} {reason}".strip())
        self.status = status


@dataclass(frozen=True, slots=True)
class Document:
    """A small answer, whole."""

    body: bytes
    headers: http.client.HTTPMessage


class WebClient:
    """Requests under the rules of a `Network`.

    Args:
        watcher: For progress and cancelling.
        token: The user's token for the hub; goes to the hub's own host only, never on to where it redirects.
    """

    def __init__(self, network: Network, watcher: Watcher | None = None, token: str = "") -> None:
        self.network, self._watcher, self._token = network, watcher, token
        self._left = network.most_bytes
        self._received = 0

    def read(self, url: str, most_bytes: int = _MOST_LISTING, *, method: str = "GET") -> Document:
        """Fetch a small document.

        Raises:
            OSError: The server cannot be reached, or refuses.
            UserError: The address is not allowed.
        """
        with self.get(url, {}, method=method) as response:
            body = response.read(most_bytes)
            self._received += len(body)
            return Document(body, response.headers)

    def save(
        self, response: http.client.HTTPResponse, part: Path, have: int, *, before: int = 0, total: int | None = None
    ) -> None:
        """Write what comes to a file, after the `have` bytes that are there.

        Args:
            before: Bytes of other files that count as done. total: Bytes in all; None = of this file.

        Raises:
            OSError: The connection ended early, or the disk is full.
            TooLarge: More comes than is allowed.
            Cancelled: The watcher wants no more; what came stays.
        """
        whole = have + int(response.headers.get("Content-Length") or 0)
        self._check_left(whole - have)
        done = have
        with part.open("ab" if have else "wb") as file:
            while piece := response.read(_PIECE):
                if self._watcher is not None and self._watcher.cancelled:
                    raise Cancelled
                self._left -= len(piece)
                self._received += len(piece)
                self._check_left(0)
                file.write(piece)
                done += len(piece)
                if self._watcher is not None:
                    self._watcher.progress(before + done, total or whole or None, "bytes fetched")
        if whole and done < whole:
            raise OSError(f"the connection ended after {done:,} of {whole:,} bytes")

    def _check_left(self, size: int) -> None:
        if size > self._left or self._left < 0:
            raise TooLarge(
                f"The download is larger than {self.network.most_bytes >> 20:,} MiB.", remedy="Download it yourself."
            )

    @contextmanager
    def get(self, url: str, headers: dict[str, str], *, method: str = "GET") -> Iterator[http.client.HTTPResponse]:
        """The answer to a request, after redirections; all connections stand in the ledger.

        Raises:
            Refused: The answer is no success.
            OSError: There is no answer.
            UserError: The address is not allowed.
        """
        for _ in range(_MOST_HOPS):
            with self._connected(url, {**headers, **self._authorization(url)}, method) as response:
                target = response.headers.get("Location")
                if response.status in _REDIRECTS and target:
                    url = urljoin(url, target)
                    continue
                if response.status not in (http.client.OK, http.client.PARTIAL_CONTENT):
                    raise Refused(response.status, response.reason)
                yield response
                return
        raise OSError(f"the server redirected {_MOST_HOPS} times over")

    def _authorization(self, url: str) -> dict[str, str]:
        is_hub = urlsplit(url)[:2] == urlsplit(self.network.hub)[:2]
        return {"Authorization": f"Bearer {self._token}"} if self._token and is_hub else {}

    @contextmanager
    def _connected(self, url: str, headers: dict[str, str], method: str) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection(url)
        parts = urlsplit(url)
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{parts.query}" if parts.query else "")
        before = self._received
        # Queries hold keys and signatures, which belong into no list.
        number = note_opening(f"{url.partition('?')[0]}{'?…' if parts.query else ''}", self.network.purpose)
        try:
            connection.request(method, path, headers={**_HEADERS, **headers})
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()
            note_end(number, self._received - before)

    def _connection(self, url: str) -> _Connection:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_plain = parts.scheme == "http" and self.network.loopback
        if parts.scheme != "https" and not is_plain:
            raise UserError(f"{url} is not fetched: only https is.", remedy="Use the address that begins with https.")
        return _Connection(host, parts.port or (80 if is_plain else 443), self.network, is_plain=is_plain)


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was looked at, under the name it belongs to."""

    def __init__(self, host: str, port: int, network: Network, *, is_plain: bool) -> None:
        super().__init__(host, port, timeout=network.timeout_s)
        self._network, self._is_plain = network, is_plain

    def connect(self) -> None:
        """Look the name up and open the socket; with TLS unless plain."""
        address = _public_address(self.host, self.port, self._network, is_plain=self._is_plain)
        raw = socket.create_connection((address, self.port), self._network.timeout_s)
        self.sock = raw if self._is_plain else ssl.create_default_context().wrap_socket(raw, server_hostname=self.host)


def _public_address(host: str, port: int, network: Network, *, is_plain: bool) -> str:
    """Resolve a name to an address that is not of a local network.

    Raises:
        UserError: All its addresses are, or one is.
    """
    found: list[Any] = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        ip = ipaddress.ip_address(address)
        is_own = network.loopback and ip.is_loopback
        if not (ip.is_global and not ip.is_multicast) and not is_own:
            raise UserError(
                f"{host} is not fetched from: {address} belongs to a local network.", remedy="Use a public address."
            )
        if is_plain and not is_own:
            raise UserError(f"{host} is not fetched from: only https is.", remedy="Use https.")
    return str(found[0])


def _is_own(hub: str) -> bool:
    return hub.startswith("http://") and is_loopback(hub)


def file_name(url: str) -> str:
    """The name for a file behind an address, safe on every disk."""
    name = unquote(PurePosixPath(urlsplit(url).path).name)
    return safe_name(name) or safe_name(urlsplit(url).hostname or "") or "download"


def safe_name(name: str) -> str:
    """A name without what disks or shells take for something else."""
    return re.sub(r"[^\w.\- ]", "_", name).strip(". ")[-150:]
