"""Projects with a dataset in them, made without a worker: for tests and pictures of the Data page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from fmstudio.core.parquet import RowsWriter
from fmstudio.core.settings import Settings
from fmstudio.project import Project
from fmstudio.project.catalog import insert
from fmstudio.project.datasets import log_operation
from fmstudio.ui.context import AppContext
from fmstudio.ui.pages.data import DataPage
from fmstudio.ui.process import QProcessLauncher

LONG = 20_000


def add_dataset(project: Project, name: str, records: list[dict[str, Any]], kind: str = "table") -> str:
    """Put rows into a project as an imported dataset, in the store's own layout; gives its id."""
    dataset_id = f"d-{name}"
    folder = project.datasets.version_folder(dataset_id, 1)
    batch = pa.RecordBatch.from_pylist([{"row_id": i, **record} for i, record in enumerate(records)])
    with RowsWriter(folder) as writer:
        writer.write(batch)
        written = writer.close()
    now = time.time()
    dataset = {"id": dataset_id, "name": name, "kind": kind, "current_version": 1, "is_deleted": False}
    version = {"dataset_id": dataset_id, "number": 1, "parent": None, "rows": written.rows, "dropped": 0, "rejected": 0}
    facts = {"columns": written.columns, "operation": "Import", "statistics": {}, "job_id": "", "created": now}
    source = {"files": [{"path": f"/data/{name}.jsonl", "bytes": 1, "sha256": ""}]}
    with project._catalog.transaction() as connection:
        insert(connection, "datasets", {**dataset, "created": now, "source": source})
        insert(connection, "versions", {**version, "bytes": written.bytes, **facts})
        log_operation(connection, "import", dataset_id, None, 1, f"Import {name}")
    return dataset_id


class OpenData:
    """Opens Data pages over projects of their own, without the window around them; closes them at the end."""

    def __init__(self, qtbot: Any) -> None:
        self._qtbot = qtbot
        self._contexts: list[AppContext] = []
        self.said: list[str] = []
        self.problems: list[str] = []

    def __call__(self, folder: Path, records: list[dict[str, Any]], name: str = "rows") -> DataPage:
        """A page that shows these rows; the project is made when it is not there."""
        if not folder.exists():
            project = Project.create(folder)
            add_dataset(project, name, records)
            project.close()
        context = AppContext(Settings(), QProcessLauncher())
        self._contexts.append(context)
        context.notified.connect(lambda _, text, action: self.said.append(text))
        context.problem_shown.connect(lambda problem, _: self.problems.append(problem.message))
        context.open_project(folder)
        self._qtbot.waitUntil(lambda: context.project is not None, timeout=LONG)
        page = DataPage(context)
        self._qtbot.addWidget(page)
        page.resize(1200, 700)
        page.show()
        page.page_shown()
        self._qtbot.waitUntil(lambda: page.view.rows.table.rows.total == len(records), timeout=LONG)
        return page

    def close(self) -> None:
        """Let go of everything."""
        for context in self._contexts:
            context.close()
