"""The model's queue: requests of many connections take turns on the one thread that owns the model.

Model side: plain threads. Connection side: asyncio. `Turn` is the only thing both touch.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fmstudio.api import Chunk, GenerateRequest, UserError

MAX_WAITING = 32
FLUSH_S = 0.050  # twenty events a second: tokens that come faster travel together, the first one at once
SEND_S = 0.003  # longest wait for the connection to send: a slow client must not slow the model down
_IDLE_POLL_S = 0.1


class TooBusyError(Exception):
    """The queue is full."""


class Turn:
    """One generation: chunks flow from the model's thread to a connection, a cancel flows back.

    Waking the event loop takes a core from the model's threads, so the model's thread wakes it at most once per
    `FLUSH_S`; a chunk that comes sooner waits for the next one, or for the end. It then lets the connection send before
    it computes on: sending takes 0.1 ms between two tokens, but interrupted in the middle of one, the native threads
    wait for each other many times that (2 cores, 100 tokens/s: 0.93 against 0.96 of a bare loop's rate).
    """

    def __init__(self, request: GenerateRequest, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.cancelled = threading.Event()
        self.error: Exception | None = None
        self._loop = loop
        self._chunks: deque[Chunk] = deque()
        self._news = asyncio.Event()
        self._is_over = False
        self._has_text = False
        self._woken = 0.0
        self._sent = threading.Event()

    def put(self, chunk: Chunk) -> None:
        """Model's thread: hand over a chunk."""
        self._chunks.append(chunk)
        now = time.monotonic()
        is_first = bool(chunk.text) and not self._has_text
        if is_first or now - self._woken >= FLUSH_S:
            self._has_text = self._has_text or is_first
            self._sent.clear()
            self._wake()
            self._sent.wait(SEND_S)
            self._woken = time.monotonic()

    def finish(self, error: Exception | None = None) -> None:
        """Model's thread: nothing more will come."""
        self.error = error
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:  # the loop is closed: the server is going down, and nobody reads any more
            self.cancelled.set()

    async def take(self) -> list[Chunk]:
        """Connection: wait for news; an empty list means that the turn is over.

        Raises:
            UserError, Exception: What the backend raised.
        """
        self._sent.set()
        while True:
            await self._news.wait()
            self._news.clear()
            is_over = self._is_over
            chunks = [self._chunks.popleft() for _ in range(len(self._chunks))]
            if is_over:
                self._news.set()
            if chunks:
                return chunks
            if is_over:
                if self.error is not None:
                    raise self.error
                return []


@dataclass(slots=True)
class _Call:
    """A short piece of work for the model's thread, answered through a future of the event loop."""

    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]

    def answer(self, result: Any, error: Exception | None) -> None:
        def deliver() -> None:
            if self.future.cancelled():
                return
            if error is None:
                self.future.set_result(result)
            else:
                self.future.set_exception(error)

        self.loop.call_soon_threadsafe(deliver)


@dataclass(slots=True)
class ModelQueue:
    """First come, first served; the thread that calls `run` owns the model.

    Attributes:
        generate: The backend's `generate`.
        observe: Told the last chunk of every turn, for the counters.
    """

    generate: Callable[[GenerateRequest, Callable[[], bool]], Any]
    observe: Callable[[Chunk], None]
    processing: bool = False
    _queue: queue.Queue[Turn | _Call] = field(default_factory=lambda: queue.Queue(MAX_WAITING))

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self._queue.qsize()

    def submit(self, request: GenerateRequest) -> Turn:
        """Event loop: queue a generation.

        Raises:
            TooBusyError: The queue is full.
        """
        turn = Turn(request, asyncio.get_running_loop())
        self._put(turn)
        return turn

    async def call(self, work: Callable[[], Any]) -> Any:
        """Event loop: have something done on the model's thread and give its result.

        Raises:
            TooBusyError: The queue is full.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._put(_Call(work, loop, future))
        return await future

    def _put(self, item: Turn | _Call) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full as error:
            raise TooBusyError from error

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a turn that is under way then is cancelled."""
        while not stop.is_set():
            try:
                item = self._queue.get(timeout=_IDLE_POLL_S)
            except queue.Empty:
                continue
            if isinstance(item, Turn):
                self._generate(item, stop)
            else:
                _do(item)

    def _generate(self, turn: Turn, stop: threading.Event) -> None:
        if turn.cancelled.is_set():
            turn.finish()
            return
        self.processing = True
        error: Exception | None = None
        try:
            for chunk in self.generate(turn.request, lambda: turn.cancelled.is_set() or stop.is_set()):
                turn.put(chunk)
                if chunk.finish_reason is not None:
                    self.observe(chunk)
        except Exception as caught:  # noqa: BLE001 - whatever a backend raises belongs to the client that asked
            error = caught
        finally:
            self.processing = False
        turn.finish(error)


def _do(call: _Call) -> None:
    try:
        result = call.work()
    except Exception as error:  # noqa: BLE001 - delivered to the client that asked
        call.answer(None, error)
    else:
        call.answer(result, None)


def user_error(error: Exception) -> UserError:
    """What to tell a client of any error: a user's mistake as it is, a bug by its name."""
    if isinstance(error, UserError):
        return error
    return UserError(f"The engine failed: {type(error).__name__}: {error}.", remedy="See the engine's log.")
