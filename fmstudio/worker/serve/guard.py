"""Who may talk to the engine: programs of this machine that hold the key, and no web page.

Key: constant-time comparison. Host: loopback names with our own port only, which defeats DNS rebinding. Origin: a
browser sends it; only pages served from this machine pass.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from fmstudio.worker.serve.replies import error_body

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
OPEN_PATHS = frozenset({"/health"})


class Guard:
    """ASGI middleware in front of every route.

    Args:
        port: Asked at each request, since it is only known once the server listens.
    """

    def __init__(self, app: App, *, key: str, port: Callable[[], int]) -> None:
        self._app, self._port = app, port
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403 or 401."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        refused = self._refusal(
            scope["path"], *(_header(headers, name) for name in (b"host", b"origin", b"authorization"))
        )
        if refused is None:
            await self._app(scope, receive, send)
            return
        status, code, message = refused
        await _send_error(send, status, error_body(message, "invalid_request_error", code=code))

    def _refusal(
        self, path: str, host: bytes | None, origin: bytes | None, authorization: bytes | None
    ) -> tuple[int, str, str] | None:
        if not self._is_our_host(host):
            return 403, "forbidden_host", "This engine answers only to 127.0.0.1 and localhost."
        if origin is not None and not _is_local_origin(origin):
            return 403, "forbidden_origin", "This engine does not answer pages from another site."
        if path in OPEN_PATHS:
            return None
        scheme, _, given = (authorization or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._key):
            return 401, "invalid_api_key", "The key is missing or wrong: send it as “Authorization: Bearer …”."
        return None

    def _is_our_host(self, host: bytes | None) -> bool:
        port = self._port()
        allowed = {f"{name}:{port}" for name in _LOOPBACK} | (set(_LOOPBACK) if port == 80 else set())
        return host is not None and host.decode("latin-1").lower() in allowed


def _header(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    values = [value for key, value in headers if key == name]
    # Two of them are a smuggling attempt: neither is believed.
    return values[0] if len(values) == 1 else (b"" if values else None)


def _is_local_origin(origin: bytes) -> bool:
    try:
        parts = urlsplit(origin.decode("latin-1"))
        return parts.scheme in ("http", "https") and parts.hostname in ("127.0.0.1", "localhost", "::1")
    except ValueError:
        return False


async def _send_error(send: Send, status: int, body: dict[str, Any]) -> None:
    data = json.dumps(body, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    # Who was refused keeps no connection, and what it goes on sending is not read.
    headers.append((b"connection", b"close"))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
