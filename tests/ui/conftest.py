"""A real window over a real project in the test's home; workers are real child processes."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from PySide6.QtWidgets import QApplication

from fmstudio.app import build_window
from fmstudio.ui.process import QProcessLauncher
from fmstudio.ui.shell import MainWindow

OpenWindow = Callable[..., MainWindow]


@pytest.fixture(autouse=True)
def collect_on_this_thread() -> Iterator[None]:
    """Qt objects may only be destroyed on the main thread; the app sees to it with `MainThreadCollector`."""
    gc.disable()
    yield
    gc.collect()
    gc.enable()


@pytest.fixture
def open_window(qtbot: Any, qapp: QApplication) -> Iterator[OpenWindow]:
    """Open a window, on a project folder when one is given (made when it is not there)."""
    launchers: list[QProcessLauncher] = []

    def open_it(folder: Path | None = None, **more: Any) -> MainWindow:
        launcher = QProcessLauncher()
        launchers.append(launcher)
        window = build_window(qapp, launcher, **more)
        qtbot.addWidget(window)
        window.show()
        window.activateWindow()
        qtbot.waitUntil(window.isActiveWindow, timeout=20_000)
        if folder is not None:
            window.context.open_project(folder, create=not (folder / "project.toml").exists())
            qtbot.waitUntil(lambda: window.context.project is not None, timeout=20_000)
        return window

    yield open_it
    for widget in QApplication.topLevelWidgets():
        if isinstance(widget, MainWindow) and widget.context.project is not None:
            widget.context.close()
    _end_children(qtbot, launchers)
    gc.collect()


def _end_children(qtbot: Any, launchers: list[QProcessLauncher]) -> None:
    for child in psutil.Process(os.getpid()).children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    qtbot.waitUntil(lambda: not any(launcher.running for launcher in launchers), timeout=20_000)


@pytest.fixture
def project_folder(tmp_path: Path) -> Path:
    """Where this test's project goes."""
    return tmp_path / "project"
