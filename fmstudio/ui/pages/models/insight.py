"""What is found out about the chosen model while one looks at it: what fits, what is measured, what belongs to it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from fmstudio.models.fit_report import Measured, report_fit
from fmstudio.ui.measuring import engine_facts

if TYPE_CHECKING:
    from fmstudio.models.fit_report import FitReport
    from fmstudio.project import Project
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.pages.models.details import ModelDetails

WATCH_MS = 3000


def related(project: Project, entry: ModelEntry) -> list[tuple[str, str]]:
    """(id, name) of a base model's adapters; of an adapter the bases it fits when there are several to choose from."""
    if entry.kind == "base":
        return [(one.id, one.name) for one in project.models.adapters_of(entry)]
    if entry.kind != "adapter" or (entry.job_id and entry.base_id):  # trained here: its base is known
        return []
    ids = project.models.check(entry.path).bases
    names = {one.id: one.name for one in project.models.all()}
    return [(base_id, names[base_id]) for base_id in ids] if len(ids) > 1 or not entry.base_id else []


class Insight(QObject):
    """Asks off the main thread and tells the details panel."""

    def __init__(self, context: AppContext, details: ModelDetails) -> None:
        super().__init__(details)
        self._context, self._details = context, details
        self._timer = QTimer(self, interval=WATCH_MS)
        self._timer.timeout.connect(self._look_again)
        self._kept: Measured | None = None

    def look(self, entry: ModelEntry) -> None:
        """Find out about another entry."""
        self._kept = Measured.of(entry.metrics.get("memory"))
        self._look_at_fit(entry)
        project = self._context.project
        if project is not None and not entry.is_missing and entry.kind in ("adapter", "base"):
            self._context.run_query(
                partial(related, project, entry),
                partial(self._show_related, entry),
                lambda _: None,
                key="model-related",
                owner=self,
            )

    def watch(self, is_shown: bool) -> None:
        """Look again every few seconds while the page is in sight."""
        if is_shown:
            self._timer.start()
        else:
            self._timer.stop()

    def _look_again(self) -> None:
        entry = self._details.entry
        if entry is not None and engine_facts(self._context.engine, entry.path) is not None:
            self._look_at_fit(entry)

    def _look_at_fit(self, entry: ModelEntry) -> None:
        if entry.kind == "base" and entry.format == "gguf" and not entry.is_missing:
            engine = engine_facts(self._context.engine, entry.path)
            self._context.run_query(
                partial(report_fit, entry.path, engine, self._kept),
                partial(self._show_fit, entry.id),
                lambda _: None,
                key="model-fit",
                owner=self,
            )

    def _show_fit(self, model_id: str, report: FitReport) -> None:
        if self._details.entry is not None and self._details.entry.id == model_id:
            self._details.show_fit(report)

    def _show_related(self, entry: ModelEntry, found: list[tuple[str, str]]) -> None:
        if self._details.entry is None or self._details.entry.id != entry.id:
            return
        if entry.kind == "adapter":
            self._details.show_bases(found)
        else:
            self._details.show_adapters([name for _, name in found])
