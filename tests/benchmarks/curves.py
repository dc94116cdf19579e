"""Cost curves of the store from 10 k to 10 M rows: printed as a table, and plotted beside it as an SVG file.

``FMSTUDIO_CURVES`` names the folder for ``cost-curves.svg`` and ``cost-curves.json`` (else that of temporary files);
``FMSTUDIO_SIZES``, e.g. ``10000,100000``, measures these sizes only: points of earlier runs stay in the file and the plot.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
from math import log10
from pathlib import Path
from xml.sax.saxutils import escape

from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.project import Project
from tests.benchmarks import Figure
from tests.benchmarks._big_project import DATASET, big_project
from tests.benchmarks.store import edit_some, filter_and_sort, page_p95, timed, undo_redo

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
GOALS = {
    "random page p95": (10_000_000, 30.0),
    "filter + sort, first page": (1_000_000, 300.0),
    "undo or redo, slowest": (10_000_000, 200.0),
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#555555", "#a67c00")  # Okabe and Ito, 2008; the last darker

Points = dict[str, dict[str, float]]
"""Curve → number of rows → ms."""


def run() -> list[Figure]:
    """Measure each size on a project of its own; goals are those of the store's other benchmarks."""
    folder = Path(os.environ.get("FMSTUDIO_CURVES", tempfile.gettempdir()))
    points: Points = read_json(folder / "cost-curves.json", {})
    sizes = [int(size) for size in os.environ.get("FMSTUDIO_SIZES", "").split(",") if size] or SIZES
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="fmstudio-curves-") as place:
            for name, ms in _measure(Path(place) / "project", rows).items():
                points.setdefault(name, {})[str(rows)] = ms
        write_json(folder / "cost-curves.json", points)
        print(f"  {rows:,} rows measured", file=sys.stderr, flush=True)
    print(_table(points), file=sys.stderr)
    (folder / "cost-curves.svg").write_text(svg(points), "utf-8")
    print(f"plotted to {folder / 'cost-curves.svg'}", file=sys.stderr)
    return [
        Figure(f"{name}, {rows:,} rows", ms, None, "ms", f"≤ {most:.0f} ms", ms <= most)
        for name, (rows, most) in GOALS.items()
        if (ms := points[name].get(str(rows))) is not None
    ]


def _measure(folder: Path, rows: int) -> dict[str, float]:
    big_project(folder, rows).close()
    opened: list[Project] = []
    opening = timed(lambda: opened.append(Project.open(folder)))
    project = opened[0]
    places = random.Random(0).sample(range(rows - 1_000), 60)
    found = {
        "open the project": opening,
        "random page p95": page_p95(project, places),
        "filter + sort, first page": _median([f"text ILIKE '%says {n:x}%'" for n in range(5)], project),
        "column headers": timed(lambda: project.statistics.columns(DATASET)),
    }
    for time in range(3):
        edit_some(project, rows, time)
    found["random page p95, edits pending"] = page_p95(project, places)
    found["undo or redo, slowest"] = undo_redo(project)
    project.close()
    return found


def _median(conditions: list[str], project: Project) -> float:
    return statistics.median(filter_and_sort(project, where)[0] for where in conditions)


def _sizes(points: Points) -> list[int]:
    return sorted({int(size) for values in points.values() for size in values})


def _table(points: Points) -> str:
    sizes = _sizes(points)
    lines = [("ms", *(f"{rows:,} rows" for rows in sizes))]
    for name, values in points.items():
        lines.append((name, *(f"{values[str(rows)]:,.1f}" if str(rows) in values else "–" for rows in sizes)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    made = []
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        made.append("  ".join([line[0].ljust(widths[0]), *cells]))
    return "\n".join(made)


# ---- the plot --------------------------------------------------------------------------------------------------------

LEFT, TOP, WIDTH, HEIGHT = 80, 30, 560, 420
LOWEST, HIGHEST = -1, 4
"""Powers of ten of the axis of milliseconds."""


def svg(points: Points) -> str:
    """The curves on logarithmic axes (rows, ms), as an SVG document."""
    sizes = _sizes(points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 230}" height="{TOP + HEIGHT + 70}"'
        ' font-family="sans-serif" font-size="13" fill="#333">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for power in range(LOWEST, HIGHEST + 1):
        y = _y(10.0**power)
        parts.append(
            f'<path d="M{LEFT} {y:.1f}h{WIDTH}" stroke="#d9dde3"/>{_text(LEFT - 10, y + 4, f"{10.0**power:g}", "end")}'
        )
    parts += [_text(_x(rows, sizes), TOP + HEIGHT + 22, f"{rows:,}", "middle") for rows in sizes]
    parts.append(_text(LEFT + WIDTH / 2, TOP + HEIGHT + 50, "rows in the dataset", "middle"))
    parts.append(_text(LEFT - 10, TOP - 10, "ms", "end"))
    for number, (name, values) in enumerate(points.items()):
        parts += _curve(number, name, {int(rows): ms for rows, ms in values.items()}, sizes)
    return "\n".join([*parts, "</svg>\n"])


def _curve(number: int, name: str, values: dict[int, float], sizes: list[int]) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    places = [(_x(rows, sizes), _y(values[rows])) for rows in sorted(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    y = TOP + 10 + 24 * number
    return [
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.5"/>',
        *(f'<circle cx="{x:.1f}" cy="{y_:.1f}" r="3.5" fill="{colour}"/>' for x, y_ in places),
        f'<path d="M{LEFT + WIDTH + 16} {y}h22" stroke="{colour}" stroke-width="2.5"/>',
        _text(LEFT + WIDTH + 44, y + 4, name, "start"),
    ]


def _x(rows: int, sizes: list[int]) -> float:
    low, high = log10(sizes[0]), log10(max(sizes[-1], sizes[0] + 1))
    return LEFT + (log10(rows) - low) / max(high - low, 1e-9) * WIDTH


def _y(ms: float) -> float:
    share = (log10(min(max(ms, 10.0**LOWEST), 10.0**HIGHEST)) - LOWEST) / (HIGHEST - LOWEST)
    return TOP + HEIGHT * (1 - share)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
