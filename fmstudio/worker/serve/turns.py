"""The model's queue: requests of many connections take turns on the one thread that owns the model.

Model side: plain threads. Connection side: asyncio. `Turn` is the only thing both touch.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fmstudio.api import Chunk, EmbedRequest, GenerateRequest, UserError

MAX_WAITING = 32
MAX_ACTIVE = 4
SLICE_S = 1.0  # saving one conversation and bringing another back takes some 10 ms a slice
FLUSH_S = 0.050  # twenty events a second: tokens that come faster travel together, the first one at once
SEND_S = 0.003  # longest wait for the connection to send: a slow client must not slow the model down
_IDLE_POLL_S = 0.1
IDLE_POLLS = 5  # half a second: the next of several requests comes sooner, a person later
Wanted = GenerateRequest | EmbedRequest


def _nothing() -> None:
    pass


class TooBusyError(Exception):
    """The queue is full."""


class Turn:
    """One generation: chunks flow from the model's thread to a connection, a cancel flows back.

    Sending takes a core from the model's threads, so news go out at most once per `FLUSH_S`; a chunk that comes sooner
    waits for the next one, or for the end. They go out between two tokens: interrupted in the middle of one, the native
    threads wait for each other many times what sending takes. Either the model's thread writes them itself
    (`write_with`), or it wakes the event loop and lets it send before it computes on.

    Args:
        is_streamed: Whether anybody wants to know before the end.
    """

    def __init__(self, request: Wanted, loop: asyncio.AbstractEventLoop, is_streamed: bool = True) -> None:
        self.request = request
        self._is_streamed = is_streamed
        self._write: Callable[[list[Chunk]], bool] | None = None
        self.cancelled = threading.Event()
        self.error: Exception | None = None
        self._loop = loop
        self._chunks: deque[Chunk] = deque()
        self._news = asyncio.Event()
        self._is_over = False
        self._has_text = False
        self._flushed = 0.0
        self._sent = threading.Event()

    def put(self, chunk: Chunk) -> None:
        """Model's thread: hand over a chunk."""
        self._chunks.append(chunk)
        if not self._is_streamed:
            return
        is_first = not self._has_text and bool(chunk.text)
        if is_first or time.monotonic() - self._flushed >= FLUSH_S:
            self._has_text = self._has_text or is_first
            self._flush()
            self._flushed = time.monotonic()

    def _flush(self) -> None:
        if (write := self._write) is not None:
            if not write(self._pending()):
                self._write = None
                self._wake()
            return
        self._sent.clear()
        self._wake()
        self._sent.wait(SEND_S)

    def _pending(self) -> list[Chunk]:
        return [self._chunks.popleft() for _ in range(len(self._chunks))]

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

    def write_with(self, write: Callable[[list[Chunk]], bool]) -> None:
        """Connection: from now on the model's thread hands chunks to `write`, until that says no or the turn is over."""
        self._write = write

    async def take(self) -> list[Chunk]:
        """Connection: wait for news that nobody else writes; an empty list means that the turn is over.

        Raises:
            UserError, Exception: What the backend raised.
        """
        self._sent.set()
        while True:
            await self._news.wait()
            self._news.clear()
            is_over = self._is_over
            if is_over:
                self._news.set()
            elif self._write is not None:
                continue
            chunks = self._pending()
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


@dataclass(slots=True, eq=False)
class _Active:
    """A turn under way."""

    turn: Turn
    chunks: Iterator[Chunk]


@dataclass(slots=True)
class ModelQueue:
    """Who may use the model, and when; the thread that calls `run` owns it.

    First come, first served. Where the backend allows it, up to `MAX_ACTIVE` turns share the model in slices of
    `SLICE_S`, so that a short question does not wait for a long answer, and short calls come between.

    Attributes:
        generate: The backend's `generate`, or `embed` where that is asked for.
        observe: Told the last chunk of every turn, for the counters.
        takes_turns: See `ChatBackend.takes_turns`.
        idle: Called when nothing was asked for during `IDLE_POLLS` polls, and again after as many more.
    """

    generate: Callable[[Wanted, Callable[[], bool]], Iterator[Chunk]]
    observe: Callable[[Chunk], None]
    takes_turns: bool = False
    idle: Callable[[], None] = _nothing
    _waiting: deque[Turn | _Call] = field(default_factory=deque)
    _active: deque[_Active] = field(default_factory=deque)
    _news: threading.Event = field(default_factory=threading.Event)
    _idle_polls: int = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._waiting)

    @property
    def processing(self) -> int:
        """Turns under way."""
        return len(self._active)

    def submit(self, request: Wanted, is_streamed: bool = True) -> Turn:
        """Event loop: queue a generation, or a request for embeddings; see `Turn`.

        Raises:
            TooBusyError: The queue is full.
        """
        turn = Turn(request, asyncio.get_running_loop(), is_streamed)
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
        if len(self._waiting) >= MAX_WAITING:
            raise TooBusyError
        self._waiting.append(item)
        self._news.set()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; turns that are under way then are cancelled."""
        while not stop.is_set():
            self._admit(stop)
            if self._active:
                self._work(self._active[0], stop)
                self._active.rotate(-1)
            else:
                self._rest()
        while self._active:
            self._work(self._active[0], stop)

    def _rest(self) -> None:
        """Wait for news; when none has come for a while, use the time."""
        self._idle_polls = 0 if self._news.wait(_IDLE_POLL_S) else self._idle_polls + 1
        self._news.clear()
        if self._idle_polls and self._idle_polls % IDLE_POLLS == 0:
            try:
                self.idle()
            except Exception as error:  # noqa: BLE001 - nobody waits for it: it must not end the engine
                print(f"While idle: {type(error).__name__}: {error}", file=sys.stderr, flush=True)

    def _admit(self, stop: threading.Event) -> None:
        """Start what may start now, in the order it came."""
        while self._waiting:
            may_share = self.takes_turns or not self._active
            if isinstance(self._waiting[0], _Call):
                if not may_share:
                    return
            elif not may_share or len(self._active) >= MAX_ACTIVE:
                return
            item = self._waiting.popleft()
            if isinstance(item, _Call):
                _do(item)
            elif item.cancelled.is_set():
                item.finish()
            else:
                self._start(item, stop)

    def _start(self, turn: Turn, stop: threading.Event) -> None:
        try:
            chunks = self.generate(turn.request, lambda: turn.cancelled.is_set() or stop.is_set())
        except Exception as caught:  # noqa: BLE001 - whatever a backend raises belongs to the client that asked
            turn.finish(caught)
            return
        self._active.append(_Active(turn, chunks))

    def _work(self, active: _Active, stop: threading.Event) -> None:
        """Let a turn work to its end, or for a slice if another wants the model too."""
        turn, waiting, put = active.turn, self._waiting, active.turn.put
        until = time.monotonic() + SLICE_S
        error: Exception | None = None
        try:
            for chunk in active.chunks:
                if chunk.finish_reason == "cancelled" and not turn.cancelled.is_set():
                    self.observe(chunk)
                    error = _ended_in_the_middle()  # nobody who asked wanted that: it must not look like an answer
                    break
                put(chunk)
                if chunk.finish_reason is not None:
                    self.observe(chunk)
                elif (waiting or len(self._active) > 1) and self._may_leave(until) and not stop.is_set():
                    return
        except Exception as caught:  # noqa: BLE001 - whatever a backend raises belongs to the client that asked
            error = caught
        self._active.remove(active)
        turn.finish(error)

    def _may_leave(self, until: float) -> bool:
        if not self.takes_turns:
            return False
        return time.monotonic() >= until or bool(self._waiting and isinstance(self._waiting[0], _Call))


def _ended_in_the_middle() -> UserError:
    return UserError(
        "The model engine was asked to end in the middle of the answer.", remedy="Load the model again and go on."
    )


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
