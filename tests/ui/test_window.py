"""The window: pages are built late, everything is reached from the keyboard, nothing heavy is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QWidget

from fmstudio.api.page import Page
from fmstudio.app import PAGES
from fmstudio.jobs.outcome import Problem
from fmstudio.ui.page_entry import PageEntry
from fmstudio.ui.shell import MainWindow
from fmstudio.ui.widgets.help_view import HelpView
from fmstudio.ui.widgets.message_bar import ProblemCard
from tests.helpers import ROOT
from tests.ui.conftest import OpenWindow

CONTROL = Qt.KeyboardModifier.ControlModifier
HEAVY = ("torch", "transformers", "llama_cpp", "peft", "trl", "sentence_transformers", "pyarrow", "numpy")

OPEN_AND_LOOK = """
import json, os, sys, time
from pathlib import Path
from PySide6.QtWidgets import QApplication
from fmstudio.app import build_window
from fmstudio.ui.process import QProcessLauncher
app = QApplication([])
window = build_window(app, QProcessLauncher())
window.show()
app.processEvents()
early = sorted(sys.modules)
window.context.open_project(Path(sys.argv[1]), create=True)
while window.context.project is None:
    app.processEvents()
for page in list(window._entries):
    window.show_page(page, {})
    for _ in range(20):
        app.processEvents(); time.sleep(0.005)
print(json.dumps([early, sorted(sys.modules), window.current_id, sorted(window._broken)]))
sys.stdout.flush()
os._exit(0)
"""


def test_the_window_imports_nothing_heavy_and_opens_lazily(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", OPEN_AND_LOOK, str(tmp_path / "p")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    early, late, current, broken = json.loads(done.stdout.splitlines()[-1])
    assert not set(early) & {*HEAVY, "duckdb", "pydantic", "fmstudio.ui.pages.data", "fmstudio.ui.pages.chat"}
    assert not set(late) & set(HEAVY)
    assert "duckdb" in late
    assert (current, broken) == ("settings", [])


def test_digits_lead_to_pages_which_are_built_when_first_shown(
    open_window: OpenWindow, project_folder: Path, qtbot: Any
) -> None:
    window = open_window(project_folder)
    assert set(window.pages) == {"home"}
    for number, entry in enumerate(PAGES[:3], 1):
        qtbot.keyClick(window, Qt.Key(Qt.Key.Key_0 + number), CONTROL)
        assert window.current_id == entry.id
        assert window.sidebar.buttons[entry.id].isChecked()
    assert set(window.pages) == {"home", "data", "recipes"}
    page = window.pages["data"]
    qtbot.keyClick(window, Qt.Key.Key_2, CONTROL)
    assert window.pages["data"] is page


def test_without_a_project_data_leads_home_and_says_why(open_window: OpenWindow, qtbot: Any) -> None:
    window = open_window()
    qtbot.mouseClick(window.sidebar.buttons["data"], Qt.MouseButton.LeftButton)
    assert window.current_id == "home"
    assert "Data" in window.messages.messages()[0].accessibleName()


def test_the_palette_runs_commands_by_keyboard(open_window: OpenWindow, qtbot: Any) -> None:
    window = open_window()
    qtbot.keyClick(window, Qt.Key.Key_K, CONTROL)
    palette = window.palette_box
    assert palette.isVisible()
    qtbot.keyClicks(palette.field, "plug go")
    assert palette.list.count() == 1
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert window.current_id == "plugins"
    assert not palette.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_K, CONTROL)
    qtbot.keyClick(palette.field, Qt.Key.Key_Escape)
    assert not palette.isVisible()


def test_the_sidebar_folds(open_window: OpenWindow, qtbot: Any) -> None:
    window = open_window()
    wide = window.sidebar.width()
    qtbot.mouseClick(window.sidebar.fold, Qt.MouseButton.LeftButton)
    assert window.sidebar.width() < wide / 2
    assert window.sidebar.buttons["data"].accessibleName() == "Data"
    qtbot.keyClick(window, Qt.Key.Key_B, CONTROL)
    assert window.sidebar.width() == wide


def test_help_opens(open_window: OpenWindow, qtbot: Any) -> None:
    window = open_window()
    qtbot.keyClick(window, Qt.Key.Key_F1)
    view = window.findChildren(HelpView)[0]
    assert view.isVisible() and view.list.currentRow() == 0
    view.show_page("recipes")
    assert view.list.currentItem().data(Qt.ItemDataRole.UserRole).name == "recipes.md"
    assert len(view.text.toPlainText()) > 200
    view.close()


def test_every_control_of_every_page_has_a_name(open_window: OpenWindow, project_folder: Path) -> None:
    window = open_window(project_folder)
    nameless = []
    for entry in PAGES:
        if entry.id in ("home", "data", "recipes", "jobs", "plugins", "settings"):
            window.show_page(entry.id, {})
            nameless += [f"{entry.id}: {w}" for w in _controls(window.pages[entry.id]) if not _name(w)]
    nameless += [str(w) for w in _controls(window.sidebar) if not _name(w)]
    assert nameless == []


def _controls(page: QWidget) -> list[QWidget]:
    kinds = (QAbstractButton, QLineEdit, QComboBox)
    found = [w for kind in kinds for w in page.findChildren(kind)]
    return [
        w for w in found if not w.objectName().startswith("qt_") and not isinstance(w.parent(), QComboBox | QLineEdit)
    ]


def _name(widget: QWidget) -> str:
    return widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")


class _BrokenPage(Page):
    id, title, icon = "broken", "Broken", "error"

    def __init__(self, context: object) -> None:
        raise RuntimeError("this page cannot be built")


def test_a_page_that_cannot_be_built_is_a_card_and_the_app_goes_on(open_window: OpenWindow) -> None:
    window = open_window()
    window.add_page(PageEntry("broken", "Broken", "error", lambda: _BrokenPage, needs_project=False))
    window.show_page("broken", {})
    shown = window.stack.currentWidget()
    assert shown is not None
    card = shown.findChild(ProblemCard)
    assert card is not None and "this page cannot be built" in card.problem.message
    window.show_page("settings", {})
    assert window.current_id == "settings"


def test_messages_are_few_and_can_be_copied(open_window: OpenWindow, qtbot: Any, qapp: object) -> None:
    from PySide6.QtGui import QGuiApplication

    window: MainWindow = open_window()
    problem = Problem("It broke.", "Mend it.", "line 7")
    window.context.show_problem(problem)
    window.context.show_problem(problem)
    assert len(window.messages.messages()) == 1
    card = window.messages.messages()[0]
    copy = next(b for b in card.findChildren(QAbstractButton) if b.text() == "Copy details")
    qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "It broke.\nMend it.\n\nline 7\n"
    for number in range(6):
        window.context.notify("warning", f"number {number}")
    assert len(window.messages.messages()) == 3


HOLD = """
import sys
from pathlib import Path
from fmstudio.project import Project
project = Project.create(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_project_that_is_open_elsewhere_is_refused_with_the_name_of_the_process(
    open_window: OpenWindow, project_folder: Path, qtbot: Any
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(project_folder)],
        env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdin is not None and holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    window = open_window()
    window.context.open_project(project_folder)
    qtbot.waitUntil(lambda: bool(window.messages.messages()), timeout=20_000)
    assert f"process {holder.pid}" in window.messages.messages()[0].accessibleName()
    assert window.context.project is None and window.current_id == "home"
    holder.communicate("")
    window.context.open_project(project_folder)
    qtbot.waitUntil(lambda: window.context.project is not None, timeout=20_000)


def test_closing_a_project_while_a_question_is_open_is_no_error(
    open_window: OpenWindow, project_folder: Path, qtbot: Any
) -> None:
    window = open_window(project_folder)
    answers: list[Any] = []
    window.context.request("describe", {"kinds": ["operator"]}, answers.append, answers.append)
    window.context.close_project()
    qtbot.waitUntil(lambda: window.context.background.pending == 0, timeout=20_000)
    qtbot.wait(200)
    assert (answers, window.messages.messages(), window.current_id) == ([], [], "home")
