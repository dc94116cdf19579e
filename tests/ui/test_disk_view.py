"""Disk space: what takes it, what can go and why, freeing it. Real projects, real events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QScrollArea

from fmstudio.api.errors import UserError
from fmstudio.project import Project
from fmstudio.ui.pages.data.disk_view import DiskView
from fmstudio.ui.widgets.share_bar import ShareBar
from tests.ui.data_kit import LONG
from tests.ui.history_kit import Contexts, with_past
from tests.unit.edit_kit import leave_out_packaged_models, make_dataset, simple_table

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def contexts(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contexts]:
    leave_out_packaged_models(monkeypatch)
    made = Contexts(qtbot)
    yield made
    made.close()


def aged(folder: Path) -> str:
    """A project in which versions 1 and 2 are out of reach of undo; give the dataset's id."""
    dataset = with_past(folder, 400)
    project = Project.open(folder)
    project.datasets.name_version(dataset, 1, "")
    for number in range(30):
        project.datasets.name_version(dataset, 3, f"name {number}")
    project.close()
    return dataset


def open_disk(qtbot: Any, contexts: Contexts, folder: Path) -> DiskView:
    view = DiskView(contexts(folder))
    qtbot.addWidget(view)
    view.resize(800, 560)
    view.show()
    view.activateWindow()
    qtbot.waitUntil(lambda: view.stack.currentWidget() is view._whole, timeout=LONG)
    return view


def test_old_versions_go_only_when_the_user_checks_them(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    dataset = aged(tmp_path / "p")
    view = open_disk(qtbot, contexts, tmp_path / "p")
    project = view.ctx.project
    assert project is not None
    offered = {item.version: item for item in view.garbage.items if item.kind == "version"}
    assert set(offered) == {1, 2}, "the current version is never offered"
    assert not [item for item in view.garbage.checked() if item.kind == "version"]
    assert any("support" in bar.accessibleName() for bar in view.usage.findChildren(ShareBar))
    place = next(i for i, item in enumerate(view.garbage.items) if item.version == 1)
    view.list.setCurrentIndex(view.garbage.index(place))
    view.list.setFocus()
    qtbot.keyClick(view.list, Qt.Key.Key_Space)
    assert offered[1] in view.garbage.checked() and "1 old version" in view.meaning.text()
    assert view.free.text().startswith("Free ")
    qtbot.mouseClick(view.free, LEFT)
    qtbot.waitUntil(view.result.isVisible, timeout=LONG)
    assert "freed" in view.result.text()
    folder = project.datasets.version_folder(dataset, 1)
    assert not list(folder.glob("rows-*.parquet")) and project.count(dataset) > 0
    assert list(project.datasets.version_folder(dataset, 2).glob("rows-*.parquet"))
    qtbot.waitUntil(lambda: {i.version for i in view.garbage.items if i.kind == "version"} == {2}, timeout=LONG)
    qtbot.mouseClick(view.all_button, LEFT)
    qtbot.mouseClick(view.free, LEFT)
    qtbot.waitUntil(lambda: view._chooser.currentWidget() is view._nothing, timeout=LONG)
    assert view.free.isHidden()


def test_sizes_keep_their_units_in_little_room(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    aged(tmp_path / "p")
    view = open_disk(qtbot, contexts, tmp_path / "p")
    view.resize(570, 560)
    for parts in view.usage.findChildren(QPushButton):
        qtbot.mouseClick(parts, LEFT)
    area = next(one for one in view.findChildren(QScrollArea) if one.isAncestorOf(view.usage))
    qtbot.waitUntil(lambda: view.width() == 570 and view.usage.isVisible(), timeout=LONG)
    QApplication.processEvents()
    assert area.widget().width() == area.viewport().width()
    sizes = [one for one in view.usage.findChildren(QLabel) if one.isVisible() and one.text().endswith("B")]
    assert sizes and all(one.fontMetrics().horizontalAdvance(one.text()) <= one.width() for one in sizes)


def test_a_failure_changes_nothing_and_is_told(
    qtbot: Any, contexts: Contexts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(tmp_path / "p")
    view = open_disk(qtbot, contexts, tmp_path / "p")

    def refuse(items: object) -> object:
        raise UserError("The files cannot be moved to the trash: busy.")

    assert view.ctx.project is not None
    monkeypatch.setattr(view.ctx.project.disk, "collect", refuse)
    qtbot.mouseClick(view.all_button, LEFT)
    count = len(view.garbage.items)
    qtbot.mouseClick(view.free, LEFT)
    qtbot.waitUntil(lambda: bool(contexts.problems), timeout=LONG)
    assert view.free.isEnabled() and len(view.garbage.items) == count and view.result.isHidden()
    qtbot.mouseClick(view.none_button, LEFT)
    assert not view.free.isEnabled() and view.free.text() == "Nothing chosen"


def test_when_counting_fails_there_is_a_way_on(
    qtbot: Any, contexts: Contexts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(tmp_path / "p")
    view = open_disk(qtbot, contexts, tmp_path / "p")
    assert view.ctx.project is not None

    def refuse() -> object:
        raise UserError("The folder cannot be read.")

    monkeypatch.setattr(view.ctx.project.disk, "usage", refuse)
    view.refresh()
    qtbot.waitUntil(lambda: view.stack.currentWidget() is view._failed, timeout=LONG)
    monkeypatch.undo()
    view.refresh()
    qtbot.waitUntil(lambda: view.stack.currentWidget() is view._whole, timeout=LONG)


def test_a_deleted_dataset_is_brought_back(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    dataset = with_past(tmp_path / "p", 40)
    project = Project.open(tmp_path / "p")
    make_dataset(project, "other", simple_table(3))
    project.datasets.delete(dataset)
    project.edits.delete_rows("d-other", [1])  # Ctrl+Z would take this back first
    project.close()
    view = open_disk(qtbot, contexts, tmp_path / "p")

    def backs() -> list[QPushButton]:
        return [b for b in view.usage.findChildren(QPushButton) if b.text() == "Bring back"]

    assert [b.accessibleName() for b in backs()] == ["Bring back support (deleted)"]
    qtbot.mouseClick(backs()[0], LEFT)
    assert view.ctx.project is not None
    qtbot.waitUntil(lambda: contexts.said[-1:] == ["support is back."], timeout=LONG)
    names = {d.name: d.rows for d in view.ctx.project.datasets.all()}
    assert names.keys() == {"support", "other"} and names["other"] == 2
    qtbot.waitUntil(lambda: not backs(), timeout=LONG)
