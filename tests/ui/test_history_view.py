"""The past of a dataset on the Data page: slider, versions, names, branches, restore. Real projects, real events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QInputDialog

from fmstudio.project import Project
from fmstudio.ui.pages.data.versions_view import VersionsView
from tests.ui.data_kit import LONG
from tests.ui.history_kit import Contexts, with_past
from tests.unit.edit_kit import leave_out_packaged_models, make_dataset, simple_table

LEFT, ALT, CTRL = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def contexts(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contexts]:
    leave_out_packaged_models(monkeypatch)
    made = Contexts(qtbot)
    yield made
    made.close()


def open_past(qtbot: Any, contexts: Contexts, folder: Path, dataset: str) -> VersionsView:
    context = contexts(folder)
    view = VersionsView(context)
    qtbot.addWidget(view)
    view.resize(760, 560)
    view.show()
    view.activateWindow()
    assert context.project is not None
    view.show_dataset(context.project.datasets.get(dataset))
    qtbot.waitUntil(lambda: view.history.list.current_item() is not None, timeout=LONG)
    qtbot.waitUntil(lambda: view.history.table.rows.total > 0, timeout=LONG)
    return view


def until_rows(qtbot: Any, view: VersionsView, total: int) -> None:
    qtbot.waitUntil(lambda: view.history.table.rows.total == total, timeout=LONG)


def shown_texts(view: VersionsView) -> list[str]:
    return [item.text for item in view.history.list.lines.items]


def test_the_slider_shows_the_rows_as_they_were_and_changes_nothing(
    qtbot: Any, contexts: Contexts, tmp_path: Path
) -> None:
    dataset = with_past(tmp_path / "p", 40)
    view = open_past(qtbot, contexts, tmp_path / "p", dataset)
    project = view.ctx.project
    assert project is not None
    history = view.history
    assert shown_texts(view)[0] == "Edit 1 cell in topic"
    assert history.list.lines.items[0].stand == "undone"
    assert history.list.current_item() == history.now and history.banner.isHidden()
    until_rows(qtbot, view, project.count(dataset))
    before = project.datasets.get(dataset)
    for _ in range(2):
        qtbot.keyClick(view, Qt.Key.Key_Left, ALT)
    until_rows(qtbot, view, 28)
    assert history.slider.value() == history.slider.maximum() - 3
    assert history.banner.isVisible() and "earlier state" in history.banner_text.text()
    history.slider.setFocus()
    qtbot.keyClick(history.slider, Qt.Key.Key_Home)
    until_rows(qtbot, view, 40)
    assert not history.older.isEnabled()
    assert project.datasets.get(dataset) == before
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    until_rows(qtbot, view, before.rows)
    assert history.banner.isHidden()
    qtbot.keyClick(view, Qt.Key.Key_Right, ALT)
    qtbot.waitUntil(history.banner.isVisible, timeout=LONG)
    assert "undone at present" in history.banner_text.text()


def test_an_earlier_state_becomes_the_current_one_and_back(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    dataset = with_past(tmp_path / "p", 40)
    view = open_past(qtbot, contexts, tmp_path / "p", dataset)
    project, history = view.ctx.project, view.history
    assert project is not None and history.now is not None
    now = history.now.operation_id
    rows = project.count(dataset)
    history.slider.setValue(0)
    until_rows(qtbot, view, 40)
    qtbot.mouseClick(history.go, LEFT)
    qtbot.waitUntil(lambda: project.count(dataset) == 40, timeout=LONG)
    qtbot.waitUntil(lambda: history.banner.isHidden(), timeout=LONG)
    assert contexts.said and contexts.said[-1].startswith("support is now as it was")
    assert sum(item.stand == "undone" for item in history.list.lines.items) == len(history.list.lines.items) - 1
    history.list.choose(now)
    assert history.go.text() == "Do it again, up to here"
    history.list.setFocus()
    qtbot.keyClick(history.list, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: project.count(dataset) == rows, timeout=LONG)
    qtbot.waitUntil(lambda: history.now is not None and history.now.operation_id == now, timeout=LONG)


def test_a_click_on_the_slider_goes_where_it_was_made(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    view = open_past(qtbot, contexts, tmp_path / "p", with_past(tmp_path / "p", 40))
    slider = view.history.slider
    most = slider.maximum()
    assert most > 6
    for wanted in (1, most, 3, 0, most - 1):
        place = 8 + round((slider.width() - 16) * wanted / most)
        qtbot.mouseClick(slider, LEFT, pos=QPoint(place, slider.height() // 2))
        assert slider.value() == wanted
        item = view.history.list.current_item()
        assert item is not None and item.operation_id == view.history._points[wanted].operation_id


def test_amounts_of_versions_stand_at_the_right_and_empty_columns_are_left_out(
    qtbot: Any, contexts: Contexts, tmp_path: Path
) -> None:
    view = open_past(qtbot, contexts, tmp_path / "p", with_past(tmp_path / "p", 40))
    rows = view.table.rows
    align = Qt.ItemDataRole.TextAlignmentRole
    sides = {name: rows.headerData(i, Qt.Orientation.Horizontal, align) for i, name in enumerate(rows.shown)}
    right = {name for name, side in sides.items() if int(side) & int(Qt.AlignmentFlag.AlignRight)}
    assert right == {"version", "rows", "change", "dropped", "size"}
    plain = make_dataset(view.ctx.project, "plain", simple_table(4))  # type: ignore[arg-type]
    assert view.ctx.project is not None
    view.show_dataset(view.ctx.project.datasets.get(plain))
    qtbot.waitUntil(lambda: rows.shown == ("version", "state", "made by", "rows", "made", "size"), timeout=LONG)


def test_an_edit_can_be_shown_by_its_rows_alone(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    dataset = with_past(tmp_path / "p", 40)
    view = open_past(qtbot, contexts, tmp_path / "p", dataset)
    history = view.history
    edit = next(item for item in history.list.lines.items if item.text == "Edit 2 cells in 2 columns")
    history.list.choose(edit.operation_id)
    qtbot.waitUntil(history.only_touched.isVisible, timeout=LONG)
    history.only_touched.click()
    until_rows(qtbot, view, 2)
    assert history.table.rows.marked == {(3, "messages"), (4, "topic")}


def test_what_was_overtaken_is_told_but_not_offered(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p")
    dataset = make_dataset(project, "rows", simple_table(4))
    project.edits.set_cells(dataset, {1: {"text": "one"}})
    project.undo(dataset)
    project.edits.set_cells(dataset, {1: {"text": "two"}})
    project.close()
    view = open_past(qtbot, contexts, tmp_path / "p", dataset)
    lost = view.history.list.lines.items[1]
    assert lost.stand == "superseded" and "overtaken" in lost.detail
    view.history.list.choose(lost.operation_id)
    assert view.history.go.isHidden() and view.history.banner.isVisible()
    assert "overtaken" in view.history._gone_text.text()
    assert view.history.slider.maximum() == 1


def test_a_long_history_stays_whole_and_is_walked_by_keys(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p")
    dataset = make_dataset(project, "rows", simple_table(5))
    for number in range(300):
        project.datasets.name_version(dataset, 1, f"name {number}")
    project.close()
    view = open_past(qtbot, contexts, tmp_path / "p", dataset)
    history = view.history
    assert len(history.list.lines.items) == 301
    history.list.setFocus()
    qtbot.keyClick(history.list, Qt.Key.Key_End)
    assert history.slider.value() == 0 and history.moment.text() == "1 of 301"
    assert view.choices["history"].text() == "History 301"


def test_versions_are_named_branched_restored_and_compared(
    qtbot: Any, contexts: Contexts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = with_past(tmp_path / "p", 40)
    view = open_past(qtbot, contexts, tmp_path / "p", dataset)
    project, pane = view.ctx.project, view.versions
    assert project is not None
    qtbot.mouseClick(view.choices["versions"], LEFT)
    qtbot.waitUntil(lambda: view.table.rows.record(2) is not None, timeout=LONG)
    assert [view.table.rows.record(i)["version"] for i in range(3)] == [3, 2, 1]  # type: ignore[index]
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("gold", True))
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_F2)
    qtbot.waitUntil(lambda: project.datasets.version(dataset, 3).name == "gold", timeout=LONG)
    qtbot.waitUntil(lambda: (view.table.rows.record(0) or {}).get("name") == "gold", timeout=LONG)

    view.table.selectRow(1)
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("side way", True))
    qtbot.mouseClick(pane.branch, LEFT)
    qtbot.waitUntil(lambda: "side way" in [d.name for d in project.datasets.all()], timeout=LONG)
    assert project.count("side way") == project.datasets.version(dataset, 2).rows

    view.table.selectRow(2)
    qtbot.mouseClick(pane.restore, LEFT)
    qtbot.waitUntil(lambda: project.datasets.get(dataset).version == 1, timeout=LONG)
    qtbot.waitUntil(lambda: (view.table.rows.record(2) or {}).get("state") == "current", timeout=LONG)
    assert not pane.restore.isEnabled()

    view.table.selectRow(0)
    last = view.table.visualRect(view.table.rows.index(2, 0)).center()
    qtbot.mouseClick(view.table.viewport(), LEFT, CTRL, QPoint(last))
    assert pane.chosen_pair() == (1, 3) and pane.compare.accessibleName() == "Compare the two"
    view.resize(650, 560)  # what a window of 1100 pixels leaves
    buttons = (pane.look, pane.compare, pane.restore, pane.branch, pane.name, pane.lineage)
    assert [b.text() for b in buttons if b.width() < b.sizeHint().width()] == [], "no text is cut"
    qtbot.mouseClick(pane.compare, LEFT)
    assert view.stack.currentWidget() is view.diff
    assert (view.diff.sides.before.currentData(), view.diff.sides.after.currentData()) == (1, 3)


def test_a_version_tells_its_story_and_its_columns(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    dataset = with_past(tmp_path / "p", 40)
    view = open_past(qtbot, contexts, tmp_path / "p", dataset)
    view.show_part("versions")
    wanted: list[int] = []
    jobs: list[str] = []
    view.version_wanted.connect(wanted.append)
    view.job_wanted.connect(jobs.append)
    qtbot.waitUntil(lambda: view.versions.chosen() is not None, timeout=LONG)
    qtbot.mouseClick(view.versions.columns.show_statistics, LEFT)
    qtbot.waitUntil(lambda: view.versions.columns._body.count() == 1, timeout=LONG)
    qtbot.waitUntil(
        lambda: "topic" in [w.text() for w in view.versions.columns.findChildren(type(view.history.title))],
        timeout=LONG,
    )
    qtbot.mouseClick(view.versions.look, LEFT)
    qtbot.mouseClick(view.versions.job, LEFT)
    assert wanted == [3] and len(jobs) == 1 and jobs[0]


def test_a_moment_whose_files_were_freed_says_so(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    dataset = with_past(tmp_path / "p", 40)
    project = Project.open(tmp_path / "p")
    project.datasets.name_version(dataset, 1, "")
    project.disk.collect([g for g in project.disk.collectable(1) if g.kind == "version"], 1)
    assert [v.number for v in project.datasets.versions(dataset) if v.is_collected] == [1, 2]
    project.close()
    view = open_past(qtbot, contexts, tmp_path / "p", dataset)
    items = view.history.list.lines.items
    edit = next(item for item in items if item.is_edit and item.version == 1)
    assert (edit.stand, edit.can_go) == ("done", False)
    view.history.list.choose(edit.operation_id)
    assert view.history.banner_text.text().startswith("The rows of version 1 were deleted to free disk space.")
    assert not view.history.go.isVisible()
    assert view.history._gone_text.text() == view.history.banner_text.text()
