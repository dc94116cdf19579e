"""The Settings page: each change holds at once and is on disk."""

from __future__ import annotations

import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt

from fmstudio.core.paths import cache
from fmstudio.core.settings import Settings
from fmstudio.ui.context import AppContext
from fmstudio.ui.pages.settings import SettingsPage
from fmstudio.ui.theme import Theme, tokens
from tests.helpers import write_slow_importer
from tests.ui.chat_kit import make_context

LONG = 120_000


@pytest.fixture
def context(tmp_path: Path, own_home: Path, qtbot: Any) -> Iterator[AppContext]:
    write_slow_importer(own_home)
    made = make_context(tmp_path / "project", qtbot)
    yield made
    qtbot.waitUntil(lambda: not made.launcher.running, timeout=LONG)
    made.close()
    Theme.current().choose("light")


@pytest.fixture
def page(context: AppContext, qtbot: Any) -> SettingsPage:
    made = SettingsPage(context)
    qtbot.addWidget(made)
    made.resize(1000, 800)
    made.show()
    made.page_shown()
    return made


def background(page: SettingsPage) -> str:
    """Colour of the first section, as drawn."""
    picture = page.grab().toImage()
    place = page.themes["dark"].mapTo(page, page.themes["dark"].rect().topRight())
    return str(picture.pixelColor(place.x() + 60, place.y() + 4).name().upper())


def test_the_theme_changes_at_once_and_is_saved(page: SettingsPage, qtbot: Any) -> None:
    Theme.current().choose("light")
    assert background(page) == tokens("light")["surface"]
    qtbot.mouseClick(page.themes["dark"], Qt.MouseButton.LeftButton)
    assert Theme.current().name == "dark"
    assert background(page) == tokens("dark")["surface"]
    assert Settings.load().theme == "dark"
    assert [choice for choice, button in page.themes.items() if button.isChecked()] == ["dark"]
    qtbot.mouseClick(page.themes["light"], Qt.MouseButton.LeftButton)
    assert background(page) == tokens("light")["surface"]
    assert Settings.load().theme == "light"


def enter(page: SettingsPage, path: str, qtbot: Any) -> None:
    """Type a path and press Enter; wait until it was tried."""
    page.python.path.setFocus()
    page.python.path.clear()
    qtbot.keyClicks(page.python.path, path)
    qtbot.keyClick(page.python.path, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.python.note.text() != "Trying it…", timeout=LONG)


def test_a_program_that_is_no_python_is_refused(page: SettingsPage, tmp_path: Path, qtbot: Any) -> None:
    missing = str(tmp_path / "python")
    enter(page, missing, qtbot)
    assert page.python.problem_card is not None
    assert "cannot be started" in page.python.problem_card.problem.message
    assert Settings.load().worker_python == ""
    assert page.python.note.text() == "In use: FM Studio's own"
    qtbot.mouseClick(page.python.own, Qt.MouseButton.LeftButton)
    assert page.python.problem_card is None
    assert page.python.path.text() == ""


def bare_python(folder: Path) -> str:
    """An environment that has Python and nothing else."""
    venv.create(folder, with_pip=False)
    return str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))


def test_a_python_without_the_packages_is_refused_with_their_names(
    page: SettingsPage, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    python = bare_python(tmp_path / "bare")
    enter(page, python, qtbot)
    assert page.python.problem_card is not None
    problem = page.python.problem_card.problem
    assert "pyarrow" in problem.message
    assert f"{python} -m pip install" in problem.remedy
    assert "pyyaml" in problem.remedy
    assert Settings.load().worker_python == ""


@pytest.mark.skipif(sys.platform == "win32", reason="the other interpreter is a shell script")
def test_a_python_that_works_is_saved_and_runs_the_next_job(
    context: AppContext, page: SettingsPage, tmp_path: Path, qtbot: Any
) -> None:
    other = tmp_path / "other-python"
    other.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    other.chmod(0o755)
    enter(page, str(other), qtbot)
    assert page.python.problem_card is None
    assert page.python.note.text().startswith("It works: Python 3.")
    assert Settings.load().worker_python == str(other)
    path = tmp_path / "crawl.slow"
    path.write_text("2", "utf-8")
    assert context.project is not None
    started: list[list[str]] = []
    start = context.launcher.start

    def watched(argv: Any, **more: Any) -> Any:
        started.append(list(argv))
        return start(argv, **more)

    context.launcher.start = watched  # type: ignore[method-assign]
    job = context.submit(context.project.specs.import_files([path]))
    qtbot.waitUntil(lambda: job.state == "succeeded", timeout=LONG)
    assert started[0][0] == str(other)
    qtbot.mouseClick(page.python.own, Qt.MouseButton.LeftButton)
    assert Settings.load().worker_python == ""
    assert "own is in use" in page.python.note.text()


def test_the_cache_is_measured_and_cleared(page: SettingsPage, qtbot: Any) -> None:
    big = cache("schemas", "big.json")
    big.write_bytes(b"x" * 2_000_000)
    icon = cache("icons", "check-000000.svg")
    icon.write_text("<svg/>", "utf-8")
    page.page_shown()
    qtbot.waitUntil(lambda: page.cache_size.text().startswith("Cache: 2.0 MB"), timeout=LONG)
    qtbot.mouseClick(page.clear_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.cache_size.text() == "The cache is empty", timeout=LONG)
    assert not big.exists()
    assert not page.clear_button.isEnabled()
    assert icon.exists(), "the style sheet in force refers to it"


def test_a_mirror_of_the_hub_is_kept_and_a_wrong_address_is_not(page: SettingsPage, qtbot: Any) -> None:
    network = page.network
    network.hub.setText("http://hub.example.org")
    network.hub.editingFinished.emit()
    assert "https" in network.hub_said.text() and Settings.load().hub == ""
    network.hub.setText("https://hub.example.org/")
    qtbot.keyClick(network.hub, Qt.Key.Key_Return)
    assert not network.hub_said.isVisible()
    assert (network.hub.text(), Settings.load().hub) == ("https://hub.example.org", "https://hub.example.org")


def test_the_room_for_conversations_is_saved(page: SettingsPage, qtbot: Any) -> None:
    assert page.conversations.value() == Settings().conversation_mb
    page.conversations.setFocus()
    page.conversations.selectAll()
    qtbot.keyClicks(page.conversations, "512")
    qtbot.keyClick(page.conversations, Qt.Key.Key_Return)
    assert Settings.load().conversation_mb == 512
    page.conversations.setValue(0)
    assert page.conversations.text() == "none"
