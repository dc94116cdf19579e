"""Scrolling through 10 M rows: our table on a real project beside a plain QTableView that asks DuckDB for each page.

Both are driven the same way: wheel steps forward, jumps of the scroll bar to random places, and a slow drag; a frame is
the time that one paint event of the rows takes. The peer is what one writes first: QTableView, a list model, LIMIT and
OFFSET on the same Parquet files, fetched when a row is first asked for.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QTableView

from fmstudio.core.settings import Settings
from fmstudio.ui.context import AppContext
from fmstudio.ui.pages.data.rows_view import RowsView
from fmstudio.ui.process import QProcessLauncher
from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.paged_table import PagedTable
from tests.benchmarks import Figure
from tests.benchmarks._big_project import DATASET, big_project

ROWS = 10_000_000
WHEEL_STEPS, JUMPS, DRAG_STEPS = 120, 40, 80
PEER_JUMPS = 12
FRAME_MS, PAGE_MS, FILTER_MS = 16.0, 30.0, 300.0
PEER = "QTableView, LIMIT/OFFSET"


class _TimedTable(PagedTable):
    frames: list[float]
    worked: list[float]

    def paintEvent(self, event: QPaintEvent) -> None:
        start, began = time.perf_counter(), time.thread_time()
        super().paintEvent(event)
        self.frames.append((time.perf_counter() - start) * 1000)
        self.worked.append((time.thread_time() - began) * 1000)


class _PlainTable(QTableView):
    def __init__(self) -> None:
        super().__init__()
        self.frames: list[float] = []

    def paintEvent(self, event: QPaintEvent) -> None:
        start = time.perf_counter()
        super().paintEvent(event)
        self.frames.append((time.perf_counter() - start) * 1000)


class _PlainModel(QAbstractTableModel):
    """Rows by LIMIT and OFFSET, on the main thread."""

    def __init__(self, files: list[Path], total: int) -> None:
        super().__init__()
        self._connection = duckdb.connect()
        self._source = f"read_parquet({[str(file) for file in files]})"
        self._total = total
        self._pages: dict[int, list[tuple[Any, ...]]] = {}

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else self._total

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else 4

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        number, place = divmod(index.row(), 200)
        if number not in self._pages:
            sql = f"SELECT * FROM {self._source} LIMIT 200 OFFSET {number * 200}"
            self._pages[number] = self._connection.execute(sql).fetchall()
        return str(self._pages[number][place][index.column()])


def run() -> list[Figure]:
    """Scroll both over the same rows."""
    app = QApplication.instance() or QApplication([])
    assert isinstance(app, QApplication)
    Theme(app, "light")
    with tempfile.TemporaryDirectory(prefix="fmstudio-scrolling-") as folder:
        project = big_project(Path(folder) / "project", ROWS)
        files = project.datasets.files(DATASET)
        project.close()
        ours, worked, pages, filtered = _ours(Path(folder) / "project")
        peer = _peer(files)
    mine, theirs, work, page = _p95(ours), _p95(peer), _p95(worked), _p95(pages)
    return [
        Figure("scroll frame p95 (10 M rows)", mine, theirs, "ms", f"≤ {FRAME_MS:g} ms", mine <= FRAME_MS, PEER),
        Figure("scroll frame p95, processor time", work, None, "ms", f"≤ {FRAME_MS:g} ms", work <= FRAME_MS),
        Figure("place to rows on screen p95", page, None, "ms", f"≤ {PAGE_MS:g} ms", page <= PAGE_MS),
        Figure("words found, first rows (10 M rows)", filtered, None, "ms", "no goal at 10 M", True),
    ]


def _ours(folder: Path) -> tuple[list[float], list[float], list[float], float]:
    context = AppContext(Settings(), QProcessLauncher())
    context.open_project(folder)
    _until(lambda: context.project is not None)
    project = context.project
    assert project is not None
    view = RowsView(context)
    view.table.__class__ = _TimedTable  # the page's own table, only timed
    table = view.table
    assert isinstance(table, _TimedTable)
    table.frames, table.worked = [], []
    view.resize(1280, 800)
    view.show()
    view.show_dataset(project.datasets.get(DATASET))
    _until(lambda: table.rows.total == ROWS and context.background.pending == 0)
    table.frames.clear()
    table.worked.clear()
    _scroll(table)
    frames, worked = list(table.frames), list(table.worked)
    pages = [_place(table, number) for number in random.Random(1).sample(range(ROWS), JUMPS)]
    start = time.perf_counter()
    view.filter.setText("says 0a1b")
    view.apply_filter()
    _until(lambda: 0 < table.rows.total < ROWS, 120)
    filtered = (time.perf_counter() - start) * 1000
    view.close()
    context.close()
    return frames, worked, pages, filtered


def _peer(files: list[Path]) -> list[float]:
    table = _PlainTable()
    table.setModel(_PlainModel(files, ROWS))
    table.resize(1280, 800)
    table.show()
    QApplication.processEvents()
    table.frames.clear()
    _scroll(table, PEER_JUMPS)
    table.close()
    return table.frames


def _scroll(table: QTableView, jumps: int = JUMPS) -> None:
    """Wheel, jump and drag."""
    for _ in range(WHEEL_STEPS):
        _wheel(table)
        _breathe(8)
    bar = table.verticalScrollBar()
    for number in random.Random(0).sample(range(ROWS), jumps):
        bar.setValue(int(number / ROWS * bar.maximum()))
        _breathe(25)
    base = bar.maximum() // 2
    for step in range(DRAG_STEPS):
        bar.setValue(base + step * 37)
        _breathe(8)


def _wheel(table: QTableView) -> None:
    place = QPointF(table.viewport().rect().center())
    event = QWheelEvent(
        place, QPointF(table.viewport().mapToGlobal(place.toPoint())), QPoint(), QPoint(0, -120),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(table.viewport(), event)


def _place(table: PagedTable, number: int) -> float:
    """Milliseconds from moving the scroll bar until the rows of that place are painted."""
    start = time.perf_counter()
    table.verticalScrollBar().setValue(number)
    first = max(0, table.rowAt(0))
    _until(lambda: table.rows.cells(first) is not None)
    table.viewport().repaint()
    return (time.perf_counter() - start) * 1000


def _breathe(milliseconds: int) -> None:
    """Let the event loop run for a moment, as between two wheel steps of a hand."""
    end = time.perf_counter() + milliseconds / 1000
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.001)


def _until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.perf_counter() + seconds
    timer = QTimer()
    timer.start(1)  # so that processEvents wakes
    while not holds():
        QApplication.processEvents()
        if time.perf_counter() > end:
            raise TimeoutError
        time.sleep(0.0005)


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
