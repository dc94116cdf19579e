"""`Aside`: small work for what is shown (colouring code, drawing formulas), on one thread beside the main one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from PySide6.QtCore import QObject

from fmstudio.ui.background import Bridge


class Aside(QObject):
    """One thing after the other, in the order they were asked for; the work must not touch widgets.

    The thread holds nothing up when the program ends, whatever it is at then.
    """

    _shared: Aside | None = None

    def __init__(self) -> None:
        super().__init__()
        self._bridge = Bridge(self)
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @classmethod
    def shared(cls) -> Aside:
        """The one that all widgets share."""
        from shiboken6 import isValid

        if cls._shared is None or not isValid(cls._shared):
            cls._shared = cls()
        return cls._shared

    def run(self, work: Callable[[], Any], done: Callable[[Any], None], owner: QObject) -> None:
        """Do `work` on the thread, then `done` with its result on the main one, unless `owner` is gone by then."""
        from shiboken6 import isValid

        def deliver(value: Any) -> None:
            if isValid(owner):
                done(value)

        def task() -> None:
            value = work()
            self._bridge.post(lambda: deliver(value))

        self._tasks.put(task)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="aside", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                task()
            except Exception:
                # What is shown stays as it was, plain; the next thing must still be done.
                logging.getLogger(__name__).exception("work beside the main thread failed")
