"""The worker's end of the wire: claims stdout before anything else can print to it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

from fmstudio.jobs.protocol import Wire, decode, encode


class Channel:
    """Messages out on the real stdout, messages in from stdin. Thread-safe.

    From now on file descriptor 1 is stderr, so that no print, progress bar or native chatter corrupts the stream.
    A reader that went away (the app was closed) is no error: the worker goes on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        sys.stdout.flush()
        self._out: TextIO | None = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
        os.dup2(2, 1)
        sys.stdout = sys.stderr

    def send(self, message: Wire) -> None:
        """Write one message and flush."""
        with self._lock:
            if self._out is None:
                return
            try:
                self._out.write(encode(message))
                self._out.flush()
            except (OSError, ValueError):
                self._out = None

    def listen(self) -> Iterator[Wire]:
        """Yield messages from stdin until the app is gone."""
        for line in sys.stdin:
            message = decode(line)
            if message is not None:
                yield message

    def listen_in_background(self, on_message: Callable[[Wire], None], on_eof: Callable[[], None]) -> None:
        """Read stdin on a daemon thread."""

        def read() -> None:
            for message in self.listen():
                on_message(message)
            on_eof()

        threading.Thread(target=read, name="stdin", daemon=True).start()
