"""Memory of the window's process with a dataset of a million rows open and scrolled through; and what it must not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import Figure
from tests.helpers import ROOT, fmstudio_json

ROWS = 1_000_000
HEAVY = ("torch", "transformers", "llama_cpp", "peft", "trl", "pyarrow", "numpy", "sentence_transformers")
"""Packages that belong in workers."""
MOST_MB = 200.0
TIMEOUT_S = 300

DRIVER = """
import json, sys, time
from pathlib import Path
import psutil
from PySide6.QtWidgets import QApplication
from fmstudio.app import build_window
from fmstudio.ui.process import QProcessLauncher
from fmstudio.ui.widgets.paged_table import PagedTable

folder, rows, pages = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(",")
app = QApplication([])
window = build_window(app, QProcessLauncher())
window.resize(1280, 800)
window.show()

def wait_for(condition, what):
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"waited in vain for {what}")
        app.processEvents()
        time.sleep(0.002)

empty = psutil.Process().memory_info().rss
window.context.open_project(folder)
wait_for(lambda: window.context.project is not None, "the project")
window.show_page("data", {})
wait_for(lambda: any(t.model() and t.model().rowCount() == rows for t in window.findChildren(PagedTable)), "the table")
table = next(t for t in window.findChildren(PagedTable) if t.model().rowCount() == rows)
for place in range(41):
    row = min(rows - 1, place * rows // 40)
    table.scrollTo(table.model().index(row, 0), table.ScrollHint.PositionAtTop)
    wait_for(lambda: table.model().record(row) is not None, f"row {row}")
for page in pages:
    window.show_page(page, {})
    wait_for(lambda: window.context.background.pending == 0, page)
window.show_page("data", {})
rss = psutil.Process().memory_info().rss
print(json.dumps({"rss": rss, "before_project": empty, "modules": sorted(sys.modules), "pages": sorted(window.pages)}))
sys.stdout.flush()
window.context.close()
"""


def run() -> list[Figure]:
    """Import a million rows with the command line, open them in the window, visit 41 places."""
    with tempfile.TemporaryDirectory(prefix="fmstudio-memory-") as folder:
        project = make_project(Path(folder), ROWS)
        found = watch_window(project, ROWS, ("home", "data"))
    ours = found["rss"] / 1e6
    goal = f"≤ {MOST_MB:.0f} MB"
    heavy = sum(name in found["modules"] for name in HEAVY)
    return [
        Figure("window with 1 M rows open and scrolled", ours, None, "MB", goal, ours <= MOST_MB),
        Figure("heavy packages imported by the window", heavy, None, "packages", "none", heavy == 0),
    ]


def make_project(folder: Path, rows: int) -> Path:
    """A project with one dataset of that many rows of about 200 bytes, imported by a real job."""
    import duckdb

    source = folder / "rows.parquet"
    duckdb.connect().execute(
        f"COPY (SELECT md5(i::VARCHAR) || repeat(md5((i * 7)::VARCHAR), 4) AS text, i % 97 AS label, i * 0.5 AS score"
        f" FROM range({rows}) t(i)) TO '{source}' (FORMAT parquet, COMPRESSION zstd)"
    )
    project = folder / "project"
    fmstudio_json("project", "new", str(project))
    imported = fmstudio_json("import", str(source), "--project", str(project))
    if imported["rows"] != rows:
        raise RuntimeError(f"{imported['rows']} rows were imported instead of {rows}")
    return project


def watch_window(project: Path, rows: int, pages: tuple[str, ...]) -> dict[str, Any]:
    """Open the window on a project in a process of its own, scroll through the rows, and visit pages.

    Returns:
        ``rss`` and ``before_project`` in bytes, ``modules`` loaded by then, ``pages`` built by then.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(project), str(rows), ",".join(pages)],
        env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"the window failed: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
