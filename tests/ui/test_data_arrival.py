"""A dataset that arrives comes to the front, but takes nobody away from other work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton

from fmstudio.ui.pages.data import DataPage
from fmstudio.ui.shell import MainWindow
from tests.helpers import write_jsonl, write_slow_importer
from tests.ui.conftest import OpenWindow
from tests.ui.test_data_journey import LEFT, LONG, drop, import_by_drop


@pytest.fixture
def window(open_window: OpenWindow, project_folder: Path, own_home: Path) -> MainWindow:
    """A window in which imports of ``.slow`` files take their time."""
    write_slow_importer(own_home)
    return open_window(project_folder)


def with_dataset(qtbot: Any, window: MainWindow, path: Path, rows: int) -> DataPage:
    return import_by_drop(qtbot, window, write_jsonl(path, [{"text": letter} for letter in "abc"[:rows]]), rows)


def begin_slow_import(qtbot: Any, window: MainWindow, page: DataPage, path: Path) -> None:
    path.write_text("40", "utf-8")
    drop(window, path)
    qtbot.waitUntil(page.importing.import_button.isEnabled, timeout=LONG)
    qtbot.mouseClick(page.importing.import_button, LEFT)
    qtbot.waitUntil(lambda: not page.is_importing, timeout=LONG)


def names(page: DataPage) -> list[str]:
    return [dataset.name for dataset in page._datasets]


def test_it_comes_to_the_front_of_those_who_wait(window: MainWindow, tmp_path: Path, qtbot: Any) -> None:
    page = with_dataset(qtbot, window, tmp_path / "kept.jsonl", 2)
    begin_slow_import(qtbot, window, page, tmp_path / "crawl.slow")
    qtbot.waitUntil(lambda: page.view.dataset.name == "crawl", timeout=LONG)


def test_who_writes_a_filter_stays_and_is_told(window: MainWindow, tmp_path: Path, qtbot: Any) -> None:
    page = with_dataset(qtbot, window, tmp_path / "kept.jsonl", 2)
    begin_slow_import(qtbot, window, page, tmp_path / "crawl.slow")
    page.focus_filter()
    QTest.keyClicks(window.focusWidget(), "text = 'a'")
    qtbot.waitUntil(lambda: "crawl" in names(page), timeout=LONG)
    qtbot.wait(100)
    assert page.view.dataset.name == "kept"
    assert page.view.rows.filter.hasFocus() or page.view.rows.filter.isAncestorOf(window.focusWidget())
    shown = [b for b in window.findChildren(QAbstractButton) if b.text() == "Show it" and b.isVisible()]
    assert len(shown) == 1
    qtbot.mouseClick(shown[0], LEFT)
    qtbot.waitUntil(lambda: page.view.dataset.name == "crawl", timeout=LONG)


def test_who_went_on_to_another_dataset_stays_there(window: MainWindow, tmp_path: Path, qtbot: Any) -> None:
    with_dataset(qtbot, window, tmp_path / "first.jsonl", 1)
    page = with_dataset(qtbot, window, tmp_path / "second.jsonl", 2)
    begin_slow_import(qtbot, window, page, tmp_path / "crawl.slow")
    page.list.list.setCurrentRow(0)
    qtbot.waitUntil(lambda: page.view.dataset.name == "first", timeout=LONG)
    qtbot.waitUntil(lambda: "crawl" in names(page), timeout=LONG)
    qtbot.wait(100)
    assert page.view.dataset.name == "first"
