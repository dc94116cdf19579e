"""Listening on loopback: uvicorn on a thread of its own, with limits against slow and half-open clients."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from fmstudio.worker.serve.direct import TRANSPORT

HEADER_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 65
MAX_IDLE = 128
"""Connections that ask nothing; beyond it the oldest are closed, so that nobody can keep others out by being idle."""
MAX_CONNECTIONS = 512
"""Connections in all, well below the 1 024 files a process may commonly have open; beyond it, requests get a 503."""


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with limits it has none of: for the time of a request's head, and for idle connections.

    The application finds the connection in its scope, for `DirectWriter`.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._idle_since = self.loop.time()
        self._make_room()
        if isinstance(raw := transport.get_extra_info("socket"), socket.socket) or raw is not None:
            # Tokens are small and must not wait for more to come.
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        app = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, TRANSPORT: transport}, receive, send)

        self.app = with_transport
        self._head_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._give_up)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        waits_for_head = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if not waits_for_head:
            self._stop_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_response_complete(self) -> None:
        """See `H11Protocol`."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def _make_room(self) -> None:
        """Close the connection that has been idle for longest, when there are too many; never this new one."""
        if len(self.connections) <= MAX_IDLE:
            return
        others = (each for each in self.connections if isinstance(each, GuardedProtocol) and each is not self)
        idle = [each for each in others if each.cycle is None or each.cycle.response_complete]
        if len(idle) >= MAX_IDLE:
            min(idle, key=lambda each: each._idle_since)._give_up()

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.connections.discard(self)
            self.transport.close()


class Listener:
    """The HTTP server: starts listening at once, serves on its own thread until `close`.

    Attributes:
        port: The port it got; the one asked for, or a free one for 0.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._thread: threading.Thread | None = None

    def start(self, app: Any, on_ready: Callable[[int], None]) -> None:
        """Serve; `on_ready` is called, on the server's thread, once requests are accepted."""
        config = uvicorn.Config(
            app,
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=64 * 1024,
        )
        self._server = _Server(config, lambda: on_ready(self.port))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="engine-http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving and wait for the thread, a few seconds at most."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(5)
        self._socket.close()


class _Server(uvicorn.Server):
    """Off the main thread: takes no signals, and says when it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()
