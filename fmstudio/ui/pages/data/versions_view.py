"""Versions of a dataset, what made each, and where the rows came from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.paged_table import PagedTable
from fmstudio.ui.widgets.parts import button, card, clear, column, holder, label, row

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset, Version
    from fmstudio.ui.context import AppContext

COLUMNS = ("version", "made by", "rows", "dropped", "size", "made", "")


class VersionsView(QWidget):
    """A table of versions; below it the chosen one's story.

    Signals:
        version_wanted: (number) the user wants to see the rows of a version.
        job_wanted: (job id) the user wants to see the job that made it.
    """

    version_wanted = Signal(int)
    job_wanted = Signal(str)

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._versions: list[Version] = []
        self._dataset: Dataset | None = None
        self.table = PagedTable(self.tr("Versions"))
        self.table.verticalHeader().hide()
        self.table.row_chosen.connect(self._on_row)
        self._story = column(gap=4)
        self.look = button(self.tr("Look at its rows"), self._look)
        self.job = button(self.tr("Show the job"), self._show_job, kind="quiet")
        story = card(holder(self._story), row(self.look, self.job, None), gap=10)
        layout = column(self.table, story, gap=10)
        layout.setStretch(0, 1)
        self.setLayout(layout)

    def show_dataset(self, dataset: Dataset) -> None:
        """List the versions of a dataset, newest first."""
        self._dataset = dataset
        project = self.ctx.project
        if project is not None:
            self.ctx.run_query(lambda: project.datasets.versions(dataset.id), self._show, key="versions", owner=self)

    def _show(self, versions: list[Version]) -> None:
        self._versions = versions[::-1]
        current = self._dataset.version if self._dataset else 0
        records = [
            {
                "version": v.number, "made by": v.operation, "rows": v.rows, "dropped": v.dropped,
                "size": words.size(v.bytes), "made": time.strftime("%Y-%m-%d %H:%M", time.localtime(v.created)),
                "": "current" if v.number == current else "undone" if v.number > current else "",
            }
            for v in self._versions
        ]  # fmt: skip
        self.table.rows.load_records(records, COLUMNS)
        self.table.selectRow(next((i for i, v in enumerate(self._versions) if v.number == current), 0))

    def _chosen(self) -> Version | None:
        number = self.table.currentIndex().row()
        return self._versions[number] if 0 <= number < len(self._versions) else None

    @Slot(int)
    def _on_row(self, number: int) -> None:
        clear(self._story)
        version = self._chosen()
        if version is None:
            return
        self._story.addWidget(label(f"Version {version.number}: {version.operation}", "heading"))
        for line in self._lines(version):
            self._story.addWidget(label(line, "muted", wrap=True, selectable=True))

    def _lines(self, version: Version) -> list[str]:
        if version.parent is None:
            source: dict[str, Any] = self._dataset.source if self._dataset else {}
            lines = [
                f"From {Path(str(item.get('path', ''))).name}, {words.size(item.get('bytes', 0))}, "
                f"SHA-256 {str(item.get('sha256', ''))[:16]}…"
                for item in source.get("files", [])[:5]
            ]
            rejected = f", {words.plural(version.rejected, 'piece')} rejected" if version.rejected else ""
            return [*lines, f"{words.plural(version.rows, 'row')}{rejected}"]
        steps = version.statistics.get("steps", [])
        return [f"Made from version {version.parent}", *(step_line(step) for step in steps)]

    def _look(self) -> None:
        version = self._chosen()
        if version is not None:
            self.version_wanted.emit(version.number)

    def _show_job(self) -> None:
        version = self._chosen()
        if version is not None and version.job_id:
            self.job_wanted.emit(version.job_id)


def step_line(step: dict[str, Any]) -> str:
    """One step of a recipe in words: what it did to how many rows."""
    parts = []
    if step.get("dropped"):
        parts.append(f"{words.plural(int(step['dropped']), 'row')} dropped")
    if step.get("changed"):
        parts.append(f"{words.plural(int(step['changed']), 'row')} changed")
    if step.get("columns"):
        parts.append(f"added {', '.join(step['columns'])}")
    name = step.get("title", step.get("operator", ""))
    return f"{step.get('step', '')}. {name}: {', '.join(parts) or 'nothing to change'}"
