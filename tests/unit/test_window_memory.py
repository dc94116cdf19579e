"""What the window asks of a project brings no Arrow and no numpy into its process: they cost 40 MB of its 200."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmstudio.project import Project
from tests.helpers import ROOT
from tests.unit.edit_kit import leave_out_packaged_models, make_dataset, recipe_job, simple_table

ASKED = """
import sys
from pathlib import Path
from fmstudio.project import Project
from fmstudio.project.models import ModelLibrary

ModelLibrary.add_packaged = lambda self: None
project = Project.open(Path(sys.argv[1]))
D = "d-data"

def page(**asked):
    return len(project.page(D, **asked).rows)

edits = project.edits
asked = {
    "page": lambda: page(),
    "filter and sort": lambda: page(where="n > 2", order_by="text DESC"),
    "edit": lambda: edits.set_cells(D, {0: {"text": "new", "messages": [{"role": "user", "content": "hi"}], "x": 1.5}}),
    "tag": lambda: edits.tag(D, [1, 2], add=["good"]),
    "rate": lambda: edits.rate(D, [1], 1),
    "duplicate": lambda: edits.duplicate_rows(D, [3]),
    "split": lambda: edits.split_row(D, 4, "text", ["one", "two"]),
    "delete": lambda: edits.delete_rows(D, [5]),
    "filter over edits": lambda: page(where="text <> ''"),
    "undo": project.undo, "redo": project.redo,
    "commit": lambda: project.specs.commit(D),
    "recipe": lambda: project.specs.recipe(D, {"name": "r", "steps": []}),
    "statistics": lambda: (project.statistics.columns(D), project.statistics.column(D, "text")),
    "diff": lambda: (project.diffs.summary(D, 1), list(project.diffs.rows(D, 1))),
    "history": lambda: (project.datasets.history(D), project.past.page(D, 1), edits.row_history(D, 0)),
    "lineage": lambda: (project.lineage_graph.of("dataset", D), project.lineage_graph.of_row(D, 1)),
    "disk": lambda: (project.disk.usage(), project.disk.collectable()),
    "console": lambda: (project.console.tables(), project.console.run("SELECT count(*) FROM data")),
    "preview": lambda: project.transforms.preview(D, "compute", {"column": "y", "expression": "n + 1"}),
    "replace": lambda: project.transforms.preview(D, "replace", {"find": "text", "replacement": "t"}),
    "splits": lambda: [
        project.transforms.preview(D, "split", {"method": method, "column": column})
        for method, column in (("random", ""), ("stratified", "n"), ("grouped", "n"), ("time", "n"), ("near duplicates", ""))
    ],
    "merge": lambda: project.transforms.preview(D, "merge", {"datasets": ["data"]}),
    "join": lambda: project.transforms.preview(D, "join", {"dataset": "data", "key": "n"}),
    "sample": lambda: project.transforms.preview(D, "sample", {"rows": 5, "stratify_by": "n"}),
    "export": lambda: project.specs.export_dataset(D, "jsonl", Path(sys.argv[1]).parent / "out.jsonl"),
    "branch": lambda: project.datasets.branch(D, 1, "other"),
}
for name, ask in asked.items():
    ask()
    heavy = [module for module in ("numpy", "pyarrow", "pandas") if module in sys.modules]
    if heavy:
        sys.exit(f"{name} brings in {', '.join(heavy)}")
project.close()
"""


def test_no_arrow_and_no_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out_packaged_models(monkeypatch)
    project = Project.create(tmp_path / "project")
    make_dataset(project, "data", simple_table(20))
    project.publish(recipe_job(project, "d-data", simple_table(19)))
    project.close()
    done = subprocess.run(
        [sys.executable, "-c", ASKED, str(tmp_path / "project")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
