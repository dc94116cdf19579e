"""`Checks`: loads the code of plugins in child processes, two at a time, and says how each fared. No widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from fmstudio.core.paths import cache
from fmstudio.jobs.health import check_plugin
from fmstudio.jobs.outcome import Problem

if TYPE_CHECKING:
    from fmstudio.jobs.health import Health
    from fmstudio.jobs.launcher import Process
    from fmstudio.ui.context import AppContext

AT_ONCE = 2
LIMIT_S = 120


class Checks(QObject):
    """Checks one plugin once; a plugin that does not come to an end is given up.

    Signals:
        begun: (plugin id) its child was started.
        ended: (plugin id, Problem or None) it failed, or it works.
    """

    begun = Signal(str)
    ended = Signal(str, object)

    def __init__(self, context: AppContext, parent: QObject, *, limit_s: float = LIMIT_S) -> None:
        super().__init__(parent)
        self._context = context
        self._limit_s = limit_s
        self._waiting: list[str] = []
        self._running: dict[str, Process | None] = {}

    @property
    def is_busy(self) -> bool:
        """Whether any check waits or runs."""
        return bool(self._waiting or self._running)

    def add(self, plugin_id: str) -> None:
        """Check a plugin as soon as there is room."""
        if plugin_id not in self._waiting and plugin_id not in self._running:
            self._waiting.append(plugin_id)
            QTimer.singleShot(0, self, self._fill)

    def _fill(self) -> None:
        while self._waiting and len(self._running) < AT_ONCE:
            self._begin(self._waiting.pop(0))

    def _begin(self, plugin_id: str) -> None:
        context = self._context

        def report(health: Health) -> None:
            context.background.on_main(lambda: self._end(plugin_id, health.problem))

        self._running[plugin_id] = None
        self.begun.emit(plugin_id)
        log = cache("logs", f"check-{plugin_id}.log")
        log.unlink(missing_ok=True)  # the details shall tell of this check, not of an earlier one
        process = check_plugin(context.launcher, plugin_id, report, python=context.settings.python, log_path=log)
        if plugin_id in self._running:  # it may have ended at once
            self._running[plugin_id] = process
            QTimer.singleShot(int(self._limit_s * 1000), self, lambda: self._give_up(plugin_id, process))

    def _give_up(self, plugin_id: str, process: Process) -> None:
        if self._running.get(plugin_id) is not process:
            return
        message = f"Loading the plugin “{plugin_id}” did not end within {self._limit_s:g} s; its process was stopped."
        remedy = "Switch the plugin off or tell its author; everything else works."
        self._end(plugin_id, Problem(message, remedy, is_user_error=True))
        process.kill()

    def _end(self, plugin_id: str, problem: Problem | None) -> None:
        from shiboken6 import isValid

        if not isValid(self) or plugin_id not in self._running:
            return
        del self._running[plugin_id]
        self.ended.emit(plugin_id, problem)
        self._fill()
