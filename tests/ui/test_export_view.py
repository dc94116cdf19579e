"""A dataset goes out: formats that fit, the first records as they will be, a real job, the result and earlier exports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton

from fmstudio.project import Project
from fmstudio.project.catalog import insert
from fmstudio.ui.pages.data import DataPage
from fmstudio.ui.pages.data.export_panel import ExportPanel
from fmstudio.ui.widgets.code_view import CodeView
from fmstudio.ui.widgets.message_bar import ProblemCard
from tests.ui.data_kit import LONG, OpenData, add_dataset

Key, Control, LEFT = Qt.Key, Qt.KeyboardModifier.ControlModifier, Qt.MouseButton.LeftButton


@pytest.fixture
def open_data(qtbot: Any) -> Iterator[OpenData]:
    opener = OpenData(qtbot)
    yield opener
    opener.close()


def _talks(folder: Path) -> None:
    project = Project.create(folder)
    talks = [[("user", f"How {i}?"), ("assistant", "So.")] if i else [("user", "Hello?")] for i in range(10)]
    records = [{"messages": [{"role": r, "content": c} for r, c in talk]} for talk in talks]
    add_dataset(project, "talks", records, "conversation")
    project.close()


def _open(page: DataPage, qtbot: Any) -> ExportPanel:
    qtbot.keyClick(page, Key.Key_E, Control)
    panel = page.view.panels.export
    qtbot.waitUntil(lambda: panel.isVisible() and panel.formats.currentItem() is not None, timeout=LONG)
    return panel


def _choose(panel: ExportPanel, exporter: str) -> None:
    panel.formats.show_formats(list(panel.formats.formats.values()), exporter)


def test_what_fits_is_offered_and_what_does_not_says_why(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, [{"text": "x", "n": 1}])
    formats = _open(page, qtbot).formats
    assert formats.formats["csv"].reason == ""
    reason = formats.formats["dpo"].reason
    assert "preference pairs" in reason and reason.endswith("this dataset holds: table.")
    item = next(
        formats.item(i) for i in range(formats.count()) if formats.item(i).data(Qt.ItemDataRole.UserRole) == "dpo"
    )
    assert not item.flags() & Qt.ItemFlag.ItemIsEnabled and item.toolTip() == reason


def test_conversations_are_looked_at_and_exported_with_keys(
    open_data: OpenData, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    _talks(project_folder)
    page = open_data(project_folder, [{}] * 10, "talks")
    project = page.ctx.project
    assert project is not None
    page.ctx.run_op(None, lambda: project.edits.delete_rows("d-talks", [1]))
    panel = _open(page, qtbot)
    _choose(panel, "messages")
    qtbot.waitUntil(lambda: '"How 2?"' in panel.preview.text, timeout=LONG)  # with the edit: row 1 is gone
    first = json.loads(panel.preview.text.splitlines()[1])
    assert first["messages"][0] == {"role": "user", "content": "How 2?"}
    assert panel.form is not None
    panel.form.fields["only_answered"].set(True)
    qtbot.waitUntil(lambda: "1 of these 5 would be left out" in panel.preview.told.text(), timeout=LONG)
    target = tmp_path / "talks.jsonl"
    panel.target.field.setText(str(target))
    qtbot.keyClick(panel, Key.Key_Return, Control)
    qtbot.waitUntil(panel.result.isVisible, timeout=LONG)
    assert panel.result.title.text().startswith("8 rows written, ")
    assert panel.result.title.text().endswith("1 row left out")
    assert len(target.read_text().splitlines()) == 8
    qtbot.mouseClick(panel.result.copy_button, LEFT)
    assert QGuiApplication.clipboard().text() == str(target)
    qtbot.waitUntil(panel.earlier.isVisible, timeout=LONG)
    assert panel.target.overwrite.isVisible() and not panel.target.overwrite.isChecked()
    qtbot.mouseClick(panel.run_button, LEFT)  # it is there already
    qtbot.waitUntil(lambda: bool(panel.findChildren(ProblemCard)), timeout=LONG)
    assert "already there" in panel.findChildren(ProblemCard)[0].problem.message
    panel.target.overwrite.setChecked(True)
    qtbot.mouseClick(panel.run_button, LEFT)
    qtbot.waitUntil(panel.stop_button.hasFocus, timeout=LONG)
    qtbot.waitUntil(panel.result.isVisible, timeout=LONG)
    assert panel.run_button.hasFocus()
    assert open_data.problems == []


def test_the_filter_of_the_table_is_offered_and_earlier_exports_come_back(
    open_data: OpenData, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, [{"text": f"t{i}", "n": i} for i in range(20)])
    page.view.tabs.use_filter("n < 3")
    qtbot.waitUntil(lambda: page.view.rows.count.text() == "3 of 20 rows", timeout=LONG)
    panel = _open(page, qtbot)
    assert panel.only_filtered.isVisible() and panel.only_filtered.text() == "Only the rows of the filter (3 rows)"
    _choose(panel, "csv")
    qtbot.waitUntil(lambda: panel.preview.text.startswith("text,n\nt0,0"), timeout=LONG)
    assert panel.target.field.text().endswith("rows.csv")
    panel.target.field.setText(str(tmp_path / "few.csv"))
    panel.run()
    qtbot.waitUntil(panel.result.isVisible, timeout=LONG)
    assert (tmp_path / "few.csv").read_text().splitlines() == ["text,n", "t0,0", "t1,1", "t2,2"]
    qtbot.waitUntil(panel.earlier.isVisible, timeout=LONG)
    _choose(panel, "jsonl")
    panel.target.field.clear()
    again = next(b for b in panel.earlier.findChildren(QAbstractButton) if b.accessibleName() == "The same again…")
    qtbot.mouseClick(again, LEFT)
    chosen = panel.formats.current()
    assert chosen is not None and chosen.id == "csv" and panel.target.field.text() == str(tmp_path / "few.csv")
    assert panel.target.overwrite.isChecked()
    qtbot.keyClick(panel, Key.Key_Escape)
    assert page.view.panels.front is None and open_data.problems == []


def test_the_place_keeps_its_name_when_the_format_changes(
    open_data: OpenData, project_folder: Path, qtbot: Any, tmp_path: Path
) -> None:
    page = open_data(project_folder, [{"text": "x", "n": 1}])
    panel = _open(page, qtbot)
    steps = [
        ("csv", "tickets.v2.csv", "jsonl", "tickets.v2.jsonl"),
        ("jsonl", "rows.jsonl.gz", "csv", "rows.csv"),
        ("csv", "tickets.dat", "jsonl", "tickets.dat"),
        ("hf_dataset", "tickets.2024", "parquet", "tickets.2024.parquet"),
        ("parquet", "tickets.2024.parquet", "hf_dataset", "tickets.2024"),
    ]
    for exporter, typed, other, expected in steps:
        _choose(panel, exporter)
        panel.target.field.setFocus()
        panel.target.field.selectAll()
        qtbot.keyClicks(panel.target.field, str(tmp_path / typed))
        _choose(panel, other)
        assert panel.target.path() == str(tmp_path / expected)
    panel.target.field.selectAll()
    qtbot.keyClicks(panel.target.field, "alone")
    assert Path(panel.target.path()).is_absolute() and Path(panel.target.path()).name == "alone"


def test_many_earlier_exports_squeeze_no_preview_and_columns_are_called_so(
    open_data: OpenData, project_folder: Path, qtbot: Any, tmp_path: Path
) -> None:
    page = open_data(project_folder, [{f"column {i}": i for i in range(12)}])
    project = page.ctx.project
    assert project is not None
    record = {
        "dataset_id": "d-rows",
        "version": 1,
        "exporter": "csv",
        "rows": 1,
        "bytes": 1,
        "sha256": "",
        "job_id": "",
    }
    for number in range(12):
        own = {"id": f"x{number}", "path": str(tmp_path / f"{number}.csv"), "created": float(number)}
        with project._catalog.transaction() as connection:
            insert(connection, "exports", {**record, **own})
    panel = _open(page, qtbot)
    _choose(panel, "xlsx")
    qtbot.waitUntil(lambda: panel.preview.title.text() == "The columns", timeout=LONG)
    qtbot.wait(100)
    (view,) = panel.preview.findChildren(CodeView)
    assert view.height() > 12 * view.fontMetrics().lineSpacing()


def test_the_licence_is_asked_for_where_it_is_written(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, [{"text": "x"}])
    panel = _open(page, qtbot)
    _choose(panel, "csv")
    assert not panel.license.isVisibleTo(panel)
    panel.extras["provenance"].click()
    assert panel.license.isVisibleTo(panel)
    panel.extras["provenance"].click()
    assert not panel.license.isVisibleTo(panel)


def test_a_folder_with_its_card_is_shown_before_it_is_made(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, [{"text": "x", "split": "train"}, {"text": "y", "split": "test"}])
    panel = _open(page, qtbot)
    _choose(panel, "hf_dataset")
    assert panel.license.isVisible()
    panel.license.set_value("cc-by-4.0")
    qtbot.waitUntil(lambda: "cc-by-4.0" in panel.preview.text, timeout=LONG)
    assert "data/train-00000-of-00001.parquet" in panel.preview.told.text()
    assert not Path(panel.target.field.text()).suffix
