"""`MemoryWatch`: what a loaded model really takes, measured while the engine holds it and kept beside the estimate."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Slot

if TYPE_CHECKING:
    from fmstudio.models.fit_report import Measured
    from fmstudio.project import Project
    from fmstudio.ui.context import AppContext

INTERVAL_MS = 5_000


def engine_facts(engine: Any, path: Path) -> dict[str, Any] | None:
    """``pid``, ``n_ctx``, ``kv_type``, ``vram`` and ``notes`` of the engine, when it is ready and holds this model."""
    if engine is None or getattr(engine, "state", "") != "ready" or getattr(engine, "model", None) != path:
        return None
    info = getattr(engine, "info", {})
    kv_type = getattr(engine, "params", {}).get("kv_type")
    return {
        "pid": getattr(engine, "pid", None),
        "n_ctx": info.get("n_ctx"),
        "vram": info.get("vram"),
        "notes": info.get("notes"),
        "kv_type": kv_type,
    }


class MemoryWatch(QObject):
    """Looks every few seconds; only a measurement that tells more than the last is written down."""

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self._context = context
        self._timer = QTimer(self, interval=INTERVAL_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    @Slot()
    def look(self) -> None:
        """Measure, off the main thread; nothing to do while no model is loaded."""
        engine, project = self._context.engine, self._context.project
        path = getattr(engine, "model", None)
        facts = engine_facts(engine, path) if path is not None else None
        if project is not None and path is not None and facts is not None:
            self._context.run_query(
                partial(_news, project, path, facts),
                partial(self._keep, project),
                lambda _: None,
                key="memory-watch",
                owner=self,
            )

    def _keep(self, project: Project, news: tuple[str, Measured] | None) -> None:
        if news is None:
            return
        from fmstudio.project.changes import Changes

        def write() -> Changes:
            project.models.note_metrics(news[0], {"memory": news[1].to_dict()})
            return Changes(models=True)

        self._context.run_op(self, write)


def _news(project: Project, path: Path, facts: dict[str, Any]) -> tuple[str, Measured] | None:
    """Id of the model and what it takes now, when that is worth keeping."""
    from fmstudio.models.fit_report import Measured, is_news, measure

    entry = next((m for m in project.models.all() if m.path == path), None)
    found = measure(path, facts) if entry is not None else None
    if entry is None or found is None or not is_news(found, Measured.of(entry.metrics.get("memory"))):
        return None
    return entry.id, found
