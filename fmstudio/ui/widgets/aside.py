"""`Aside`: small work for what is shown (colouring code, drawing formulas), on one thread beside the main one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from fmstudio.ui.background import Bridge

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class Aside(QObject):
    """One thing after the other, in the order they were asked for; the work must not touch widgets and not fail."""

    _shared: Aside | None = None

    def __init__(self) -> None:
        super().__init__()
        self._bridge = Bridge(self)
        self._pool: ThreadPoolExecutor | None = None

    @classmethod
    def shared(cls) -> Aside:
        """The one that all widgets share."""
        from shiboken6 import isValid

        if cls._shared is None or not isValid(cls._shared):
            cls._shared = cls()
        return cls._shared

    def run(self, work: Callable[[], Any], done: Callable[[Any], None], owner: QObject) -> None:
        """Do `work` on the thread, then `done` with its result on the main one, unless `owner` is gone by then."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(1, "aside")

        def deliver(value: Any) -> None:
            from shiboken6 import isValid

            if isValid(owner):
                done(value)

        def task() -> None:
            value = work()
            self._bridge.post(lambda: deliver(value))

        self._pool.submit(task)
