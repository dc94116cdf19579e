"""Writing a stream's events from the model's thread, between two tokens, past the event loop.

Waking the event loop's thread to send a few bytes takes half a millisecond of the model's time; writing them to the
socket takes a tenth of that. The event loop sends what comes before and after, and takes over from a slow client.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import MutableMapping
from typing import Any

TRANSPORT = "fmstudio.transport"
"""Key of the connection's transport in an ASGI scope (see `GuardedProtocol`)."""


class DirectWriter:
    """Sends parts of a chunked HTTP/1.1 body over a connection on which nothing else is written meanwhile.

    Args:
        transport: Of the connection, with nothing left to write.

    Raises:
        OSError: There is no such connection any more.
    """

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._socket: socket.socket = transport.get_extra_info("socket").dup()
        self._socket.setblocking(False)
        self._left = b""

    def write(self, data: bytes) -> bool:
        """Model's thread: send at once; False when the client does not keep up or is gone, and no more may be written."""
        if not data:  # an empty part would end the body
            return True
        part = b"%x\r\n%b\r\n" % (len(data), data)
        try:
            sent = self._socket.send(part)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:  # gone: the event loop notices by itself
            return False
        self._left = part[sent:]
        return not self._left

    def close(self) -> None:
        """Event loop: go back to the transport, which sends what is left. Closing twice does nothing."""
        left, self._left = self._left, b""
        if left and not self._transport.is_closing():
            self._transport.write(left)
        self._socket.close()


def open_direct(scope: MutableMapping[str, Any]) -> DirectWriter | None:
    """Event loop: give a writer for the connection of a request whose response has begun, None where it has to wait."""
    transport = scope.get(TRANSPORT)
    if transport is None or scope.get("http_version") != "1.1":
        return None
    if transport.is_closing() or transport.get_write_buffer_size():
        return None
    try:
        return DirectWriter(transport)
    except (OSError, AttributeError):  # closed meanwhile, or a transport without a socket of its own
        return None
