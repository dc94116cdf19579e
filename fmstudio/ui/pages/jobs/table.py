"""The table of all jobs, newest first, updated in place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from fmstudio.ui import icons
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.job_line import STATES
from fmstudio.ui.widgets.job_tray import seconds_of
from fmstudio.ui.widgets.paged_table import style_header

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job

HEADERS = ("Job", "State", "Progress", "Duration", "Begun")
WIDTHS = (0, 124, 84, 100, 120)
ROOM_FOR = {4: 570, 3: 450}
"""Column → narrowest table it is shown in."""
NUMBERS = (2, 3)
_Index = QModelIndex | QPersistentModelIndex


class JobsModel(QAbstractTableModel):
    """Jobs as rows; holds the queue's own objects and reads them when asked."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []

    def set_jobs(self, jobs: list[Job]) -> None:
        """Show these jobs."""
        self.beginResetModel()
        self.jobs = jobs
        self.endResetModel()

    def refresh(self, job: Job) -> bool:
        """Redraw one job; False when it is not in the table."""
        for row, known in enumerate(self.jobs):
            if known.id == job.id:
                self.jobs[row] = job
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(HEADERS) - 1))
                return True
        return False

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Qt: number of jobs."""
        return 0 if parent.isValid() else len(self.jobs)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Qt: number of columns."""
        return 0 if parent.isValid() else len(HEADERS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: column names."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self.tr(HEADERS[section])
        return _alignment(section) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: text and state icon of a job."""
        job, column = self.jobs[index.row()], index.column()
        icon, token, word = STATES[job.state]
        if role == Qt.ItemDataRole.DisplayRole:
            return (job.title, word, progress_words(job), _duration(job), words.ago(job.spec.created))[column]
        if role == Qt.ItemDataRole.DecorationRole and column == 1:
            return icons.icon(icon, token)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.spec.created)) if column == 4 else job.title
        return None


class JobsTable(QTableView):
    """Jobs to choose from.

    Signals:
        chosen: (Job or None) another job is the current one.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.jobs = JobsModel()
        self.setModel(self.jobs)
        self.setAccessibleName(self.tr("Jobs"))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setMouseTracking(True)
        self.setTabKeyNavigation(False)
        style_header(self, numbered=False)
        header = self.horizontalHeader()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for section, width in enumerate(WIDTHS):
            if width:
                self.setColumnWidth(section, width)
        self.selectionModel().currentRowChanged.connect(self._on_row)

    def show_jobs(self, jobs: list[Job], current_id: str) -> None:
        """Show these jobs, with one chosen (the newest when it is not there)."""
        self.jobs.set_jobs(jobs)
        ids = [job.id for job in jobs]
        if ids:
            self.selectRow(ids.index(current_id) if current_id in ids else 0)
        else:
            self.chosen.emit(None)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: where there is no room for all columns, titles and states go first."""
        super().resizeEvent(event)
        for section, width in ROOM_FOR.items():
            self.setColumnHidden(section, event.size().width() < width)

    @Slot(QModelIndex, QModelIndex)
    def _on_row(self, current: QModelIndex, previous: QModelIndex) -> None:
        self.chosen.emit(self.jobs.jobs[current.row()] if current.isValid() else None)


def progress_words(job: Job) -> str:
    """``42 %``, ``412`` of an unknown number, ``stopping…``, or nothing when there is nothing to say."""
    if job.is_finished:
        return ""
    if job.cancel_requested is not None:
        return "stopping…"
    share = share_done(job)
    if share is not None:
        return f"{100 * share:.0f} %"
    return words.number(job.progress.done) if job.progress.done else ""


def share_done(job: Job) -> float | None:
    """How much of the running step is done, 0 to 1; None when its length is not known."""
    progress = job.progress
    if not progress.total or progress.done > progress.total:
        return None
    return progress.done / progress.total


def _duration(job: Job) -> str:
    return words.duration(seconds_of(job)) if job.started else ""


def _alignment(column: int) -> int:
    side = Qt.AlignmentFlag.AlignRight if column in NUMBERS else Qt.AlignmentFlag.AlignLeft
    return int(side | Qt.AlignmentFlag.AlignVCenter)
