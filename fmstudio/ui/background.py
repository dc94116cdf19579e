"""Work off the main thread: one writer, a few readers, and the bridge that brings answers back.

Worker threads never touch a widget: callbacks stay on the main thread, under a ticket number.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

READERS = 3
GC_INTERVAL_MS = 2_000

Done = Callable[[Any], None]
Failed = Callable[[BaseException], None]


class Bridge(QObject):
    """Runs callables on the main thread, in the order they were posted from any thread.

    Signals:
        _posted: Something lies in the list.
    """

    _posted = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._calls: list[Callable[[], None]] = []
        self._posted.connect(self._drain, Qt.ConnectionType.QueuedConnection)

    def post(self, call: Callable[[], None]) -> None:
        """Run `call` on the main thread soon; callable from every thread."""
        with self._lock:
            self._calls.append(call)
            is_first = len(self._calls) == 1
        if is_first:
            self._posted.emit()

    @Slot()
    def _drain(self) -> None:
        with self._lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()


class Background(QObject):
    """Two executors: `write` runs one thing at a time in order, `read` a few at once."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.bridge = Bridge(self)
        self._main = threading.current_thread()
        self._writer: ThreadPoolExecutor | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._tickets: dict[int, tuple[Done, Failed, QObject | None, str]] = {}
        self._latest: dict[str, int] = {}
        self._next = 0

    @property
    def pending(self) -> int:
        """Number of calls whose answer has not arrived."""
        return len(self._tickets)

    def read(
        self, fn: Callable[[], Any], on_done: Done, on_error: Failed, *, key: str = "", owner: QObject | None = None
    ) -> None:
        """Run `fn` on a reader thread.

        Args:
            key: Of several calls with the same key only the newest one's answer arrives; older ones still waiting
                are not even started.
            owner: The answer is dropped when this object is gone by then.
        """
        self._submit(self._reader_pool(), fn, on_done, on_error, key, owner)

    def write(self, fn: Callable[[], Any], on_done: Done, on_error: Failed, *, owner: QObject | None = None) -> None:
        """Run `fn` on the one writer thread, after everything submitted before it."""
        self._submit(self._writer_pool(), fn, on_done, on_error, "", owner)

    def close(self) -> None:
        """Wait for what is being written; answers are no longer delivered."""
        self._tickets.clear()
        self._latest.clear()
        for pool in (self._readers, self._writer):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=pool is self._readers)
        self._readers = self._writer = None

    def on_main(self, call: Callable[[], None]) -> None:
        """Run `call` at once when this is the main thread, else post it there."""
        if threading.current_thread() is self._main:
            call()
        else:
            self.bridge.post(call)

    def _submit(
        self,
        pool: ThreadPoolExecutor,
        fn: Callable[[], Any],
        done: Done,
        failed: Failed,
        key: str,
        owner: QObject | None,
    ) -> None:
        self._next += 1
        ticket = self._next
        self._tickets[ticket] = (done, failed, owner, key)
        if key:
            self._latest[key] = ticket
        pool.submit(self._work, ticket, key, fn)

    def _work(self, ticket: int, key: str, fn: Callable[[], Any]) -> None:
        if key and self._latest.get(key) != ticket:
            self.bridge.post(lambda: self._deliver(ticket, None, None))
            return
        try:
            value, error = fn(), None
        except BaseException as caught:  # noqa: BLE001 - the error is delivered, not lost, on the main thread
            value, error = None, caught
        self.bridge.post(lambda: self._deliver(ticket, value, error))

    def _deliver(self, ticket: int, value: Any, error: BaseException | None) -> None:
        from shiboken6 import isValid

        done, failed, owner, key = self._tickets.pop(ticket, (None, None, None, ""))
        if done is None or failed is None or (key and self._latest.get(key) != ticket):
            return
        if owner is not None and not isValid(owner):
            return
        if error is not None:
            failed(error)
        else:
            done(value)

    def _writer_pool(self) -> ThreadPoolExecutor:
        if self._writer is None:
            from concurrent.futures import ThreadPoolExecutor

            self._writer = ThreadPoolExecutor(1, "store-write")
        return self._writer

    def _reader_pool(self) -> ThreadPoolExecutor:
        if self._readers is None:
            from concurrent.futures import ThreadPoolExecutor

            self._readers = ThreadPoolExecutor(READERS, "store-read")
        return self._readers


class MainThreadCollector(QObject):
    """Collects garbage on the main thread only: a widget freed on another thread would crash Qt."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self, interval=GC_INTERVAL_MS)
        self._timer.timeout.connect(self._collect)
        self._timer.start()

    @Slot()
    def _collect(self) -> None:
        counts, limits = gc.get_count(), gc.get_threshold()
        for generation in (2, 1, 0):
            if counts[generation] > limits[generation]:
                gc.collect(generation)
                return
