"""Cost curves of the store from 10 k to 10 M rows: printed, and plotted to a PNG file."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import Figure
from tests.benchmarks._big_project import DATASET, big_project
from tests.benchmarks.store import edit_some, filter_and_sort, page_p95, timed, undo_redo

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
NAMES = ("open the project", "random page p95", "filter + sort, first page", "undo or redo, slowest", "column headers")


def run() -> list[Figure]:
    """Measure each size on a project of its own; goals are those of the store's other benchmarks."""
    curves: dict[str, list[float]] = {name: [] for name in NAMES}
    for rows in SIZES:
        with tempfile.TemporaryDirectory(prefix="fmstudio-curves-") as folder:
            for name, value in zip(NAMES, _measure(Path(folder) / "project", rows), strict=True):
                curves[name].append(value)
    _print(curves)
    target = Path(os.environ.get("FMSTUDIO_CURVES", tempfile.gettempdir())) / "fmstudio-cost-curves.png"
    plot(curves, target)
    print(f"plotted to {target}", file=sys.stderr)
    goals = {"random page p95": 30.0, "undo or redo, slowest": 200.0}
    return [
        Figure(f"{name}, 10 M rows", curves[name][-1], None, "ms", f"≤ {most:.0f} ms", curves[name][-1] <= most)
        for name, most in goals.items()
    ]


def _measure(folder: Path, rows: int) -> list[float]:
    import random

    from fmstudio.project import Project

    project = big_project(folder, rows)
    project.close()
    opened: list[Project] = []
    opening = timed(lambda: opened.append(Project.open(folder)))
    project = opened[0]
    places = random.Random(0).sample(range(rows - 1_000), 60)
    paging = page_p95(project, places)
    filtering = statistics.median(filter_and_sort(project, f"text ILIKE '%says {n:x}%'") for n in range(3))
    headers = timed(lambda: project.statistics.columns(DATASET))
    edit_some(project, rows)
    edit_some(project, rows - 500)
    edit_some(project, rows - 900)
    undoing = undo_redo(project)
    project.close()
    return [opening, paging, filtering, undoing, headers]


def _print(curves: dict[str, list[float]]) -> None:
    head = ("ms", *(f"{rows:,} rows" for rows in SIZES))
    lines = [head, *((name, *(f"{value:,.1f}" for value in values)) for name, values in curves.items())]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells), file=sys.stderr)


def plot(curves: dict[str, list[float]], target: Path) -> None:
    """Draw the curves on logarithmic axes (rows, ms) as a PNG; needs no display."""
    from math import log10

    from PySide6.QtCore import QPointF, Qt
    from PySide6.QtGui import QColor, QGuiApplication, QImage, QPainter, QPen, QPolygonF

    _app = QGuiApplication.instance() or QGuiApplication([])
    image = QImage(1000, 560, QImage.Format.Format_RGB32)
    image.fill(QColor("white"))
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    left, top, width, height = 80, 30, 620, 460
    top_ms = 4  # 10^4 ms

    def place(rows: float, ms: float) -> QPointF:
        share = (log10(max(ms, 0.1)) + 1) / (top_ms + 1)
        return QPointF(left + (log10(rows) - 4) / 3 * width, top + height * (1 - share))

    painter.setPen(QPen(QColor("#d0d4da")))
    for power in range(-1, top_ms + 1):
        y = place(1e4, 10.0**power).y()
        painter.drawLine(QPointF(left, y), QPointF(left + width, y))
        painter.setPen(QColor("#444"))
        painter.drawText(QPointF(8, y + 4), f"{10.0**power:g} ms")
        painter.setPen(QPen(QColor("#d0d4da")))
    painter.setPen(QColor("#444"))
    for rows in SIZES:
        painter.drawText(QPointF(place(rows, 1).x() - 30, top + height + 24), f"{rows:,}")
    painter.drawText(QPointF(left + width / 2 - 60, top + height + 50), "rows in the dataset")
    for number, (name, values) in enumerate(curves.items()):
        colour = QColor(("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#555555")[number])  # Okabe and Ito, 2008
        painter.setPen(QPen(colour, 2.5))
        painter.drawPolyline(QPolygonF([place(rows, ms) for rows, ms in zip(SIZES, values, strict=True)]))
        painter.drawText(QPointF(left + width + 16, top + 24 + 26 * number), name)
    painter.setPen(QPen(Qt.GlobalColor.black))
    painter.end()
    image.save(str(target))
