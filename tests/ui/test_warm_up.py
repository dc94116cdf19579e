"""The Data page is built in a quiet moment after a project was opened, and never while the user does something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from fmstudio.ui.warm_up import QUIET_MS
from tests.ui.conftest import OpenWindow


def test_the_data_page_is_there_before_it_is_opened(open_window: OpenWindow, project_folder: Path, qtbot: Any) -> None:
    window = open_window(project_folder)
    assert "data" not in window.pages
    focused, shown = window.focusWidget(), window.stack.currentWidget()
    qtbot.waitUntil(lambda: "data" in window.pages, timeout=20_000)
    assert (window.focusWidget(), window.stack.currentWidget(), window.current_id) == (focused, shown, "home")
    page = window.pages["data"]
    QTest.keyClick(window, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert window.stack.currentWidget() is page


def test_it_waits_while_keys_are_pressed(open_window: OpenWindow, project_folder: Path, qtbot: Any) -> None:
    window = open_window(project_folder)
    for _ in range(4 * QUIET_MS // 100):
        QTest.keyClick(window, Qt.Key.Key_Shift)
        qtbot.wait(100)
    assert "data" not in window.pages
    qtbot.waitUntil(lambda: "data" in window.pages, timeout=20_000)


def test_without_a_project_nothing_is_built(open_window: OpenWindow, qtbot: Any) -> None:
    window = open_window()
    qtbot.wait(3 * QUIET_MS)
    assert set(window.pages) == {"home"}
