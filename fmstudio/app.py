"""Composition root of the window: builds everything and connects it. The only wiring file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from fmstudio.core.settings import Settings
from fmstudio.jobs.launcher import Launcher
from fmstudio.ui.background import MainThreadCollector
from fmstudio.ui.context import AppContext
from fmstudio.ui.measuring import MemoryWatch
from fmstudio.ui.page_entry import PageEntry
from fmstudio.ui.process import QProcessLauncher
from fmstudio.ui.shell import MainWindow
from fmstudio.ui.theme import Theme
from fmstudio.ui.warm_up import WarmUp

PAGES = [
    PageEntry.of("home", "Home", "home", "fmstudio.ui.pages.home:HomePage", needs_project=False),
    PageEntry.of("data", "Data", "data", "fmstudio.ui.pages.data:DataPage"),
    PageEntry.of("recipes", "Recipes", "recipes", "fmstudio.ui.pages.recipes:RecipesPage"),
    PageEntry.of("models", "Models", "models", "fmstudio.ui.pages.models:ModelsPage"),
    PageEntry.of("training", "Training", "training", "fmstudio.ui.pages.training:TrainingPage"),
    PageEntry.of("chat", "Chat", "chat", "fmstudio.ui.pages.chat:ChatPage"),
    PageEntry.of("jobs", "Jobs", "jobs", "fmstudio.ui.pages.jobs:JobsPage"),
    PageEntry.of("plugins", "Plugins", "plugins", "fmstudio.ui.pages.plugins:PluginsPage", needs_project=False),
    PageEntry.of(
        "settings",
        "Settings",
        "settings",
        "fmstudio.ui.pages.settings:SettingsPage",
        needs_project=False,
        at_bottom=True,
    ),
]


def build_window(app: QApplication, launcher: Launcher, *, safe_mode: bool = False) -> MainWindow:
    """Build the window and all behind it; opens no project and imports no page but Home at first."""
    settings = Settings.load()
    theme = Theme(app, settings.theme)
    context = AppContext(settings, launcher, safe_mode=safe_mode, parent=app)
    theme.changed.connect(context.theme_changed)
    MemoryWatch(context)
    window = MainWindow(context, PAGES)
    WarmUp(window, ("data",))
    QTimer.singleShot(0, window, lambda: add_plugin_pages(window))
    return window


def add_plugin_pages(window: MainWindow) -> None:
    """Add the pages that plugins contribute, after the window is there."""
    context = window.context
    for contribution in context.plugins.contributions("page"):
        icon = str(contribution.facts.get("icon", "plugins"))
        window.add_page(PageEntry(contribution.id, contribution.title, icon, contribution.load))


def run_window(project: Path | None = None, *, safe_mode: bool = False) -> int:
    """Open the window and stay until it is closed.

    Args:
        project: Folder of a project to open.
        safe_mode: Leave out third-party plugins.

    Returns:
        Exit code; the process ends at once, so that workers that still run are left alone.
    """
    from fmstudio.ui.notify import install_excepthooks, log_to_file

    if safe_mode:
        os.environ["FMSTUDIO_SAFE_MODE"] = "1"
    app = QApplication(sys.argv[:1])
    app.setApplicationName("FM Studio")
    app.setDesktopFileName("fmstudio")
    launcher = QProcessLauncher()
    window = build_window(app, launcher, safe_mode=safe_mode)
    MainThreadCollector(window)
    window.show()
    log_to_file()
    install_excepthooks(window.context)
    if project is not None:
        QTimer.singleShot(0, window, lambda: window.context.open_project(project))
    code = app.exec()
    sys.stdout.flush()
    sys.stderr.flush()
    if launcher.running:  # a QProcess that is destroyed kills its child; these shall go on
        launcher.abandon()
        os._exit(code)
    return code
