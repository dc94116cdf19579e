"""Columns may have any names: also those that the app's own SQL uses for itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from fmstudio.project import Project
from fmstudio.project.filters import FilterColumn, words_where
from tests.unit.edit_kit import commit, leave_out_packaged_models, make_dataset, recipe_job, shown

ROWS = 4
NAMES = ("m", "t", "x", "w", "i", "a", "b", "d", "base", "given", "id", "kind", "columns", "v0", "s0", "value", "grp")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with ``data``: messages, texts and a number in every column of `NAMES`."""
    leave_out_packaged_models(monkeypatch)
    project = Project.create(tmp_path / "project")
    columns = {
        "row_id": pa.array(range(ROWS), pa.int64()),
        "messages": [[{"role": "user", "content": f"hello {i}"}] for i in range(ROWS)],
        "texts": [["one", f"two {i}"] for i in range(ROWS)],
        **{name: [float(i) for i in range(ROWS)] for name in NAMES},
    }
    make_dataset(project, "data", pa.table(columns))
    yield project
    project.close()


def test_all_that_reads_rows(project: Project) -> None:
    columns = [FilterColumn(column.name, column.type) for column in project.datasets.get("data").columns]
    for words, found in (("hello", ROWS), ("messages:2", 1), ("texts:two", ROWS), ("x:>1", 2), ("m:0..1", 2)):
        assert project.count("data", words_where(words, columns)) == found
    assert project.page("data", where="x >= 1", order_by="base DESC, a").total == 3
    assert {one.name for one in project.statistics.columns("data")} >= {*NAMES, "messages", "texts"}
    for name in ("messages", "texts", "m", "x"):
        assert project.statistics.column("data", name).rows == ROWS


def test_edits_commits_and_differences(project: Project) -> None:
    dataset = project.datasets.get("data").id
    values = dict.fromkeys(NAMES, 9.5) | {"messages": [{"role": "user", "content": "bye"}], "texts": ["other"]}
    project.edits.set_cells(dataset, {1: values, 2: {"m": None}})
    project.edits.add_rows(dataset, [{"x": 1.0, "given": 2.0}])
    assert project.count("data", "x = 9.5 AND base = 9.5 AND given = 9.5") == 1
    before = shown(project, "data")
    commit(project, dataset)
    assert shown(project, "data") == before
    summary = project.diffs.summary(dataset, 1, 2)
    assert (summary.added, summary.changed) == (1, 2)
    project.publish(recipe_job(project, dataset, pa.Table.from_pylist([{**row, "z": 1} for row in before[:2]])))
    assert project.diffs.summary(dataset, 1, 3).removed == 2
    project.transforms.preview(dataset, "replace", {"find": "hello", "replacement": "bye"})
    project.transforms.preview(dataset, "split", {"method": "near duplicates"})
