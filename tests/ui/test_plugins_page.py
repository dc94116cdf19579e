"""The Plugins page with plugins that fail in every way; their code runs in real child processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QLabel, QPushButton

from fmstudio.core.settings import Settings
from fmstudio.jobs.outcome import Problem
from fmstudio.ui.context import AppContext
from fmstudio.ui.pages.plugins import PluginsPage
from fmstudio.ui.pages.plugins.card import PluginCard
from fmstudio.ui.pages.plugins.checks import Checks
from fmstudio.ui.process import QProcessLauncher
from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.help_view import HelpView
from tests.helpers import write_plugin, write_slow_importer

TABLE = '[[importer]]\nid = "{0}"\ntitle = "{0} files"\nclass = "{0}_code:Bad"\nsuffixes = [".{0}"]\n'
KILLS = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
LONG = 120_000
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="a plugin ends its process with a POSIX signal")


@pytest.fixture
def contexts(qtbot: Any) -> Iterator[list[AppContext]]:
    """Contexts to close at the end."""
    made: list[AppContext] = []
    yield made
    for context in made:
        qtbot.waitUntil(lambda context=context: not context.launcher.running, timeout=LONG)
        context.close()


def show(contexts: list[AppContext], qtbot: Any, *, safe_mode: bool = False, only: str = "") -> PluginsPage:
    """The page as it is after a start. `only`: leave out all plugins but this one."""
    Theme.current()
    context = AppContext(Settings.load(), QProcessLauncher(), safe_mode=safe_mode)
    contexts.append(context)
    if only:
        context.plugins.plugins = [plugin for plugin in context.plugins.plugins if plugin.id == only]
    page = PluginsPage(context)
    qtbot.addWidget(page)
    page.resize(1000, 600)
    page.show()
    page.page_shown()
    return page


def cards(page: PluginsPage) -> dict[str, PluginCard]:
    return {card.plugin.id: card for card in page.cards}


def wait_checked(page: PluginsPage, qtbot: Any) -> dict[str, PluginCard]:
    qtbot.waitUntil(lambda: not page.checks.is_busy, timeout=LONG)
    return cards(page)


@needs_signals
def test_failed_plugins_are_named_with_the_reason_and_the_page_lives(
    own_home: Path, contexts: list[AppContext], qtbot: Any
) -> None:
    write_plugin(own_home, "raises", TABLE.format("raises"), "raise RuntimeError('my own fault')")
    write_plugin(own_home, "kills", TABLE.format("kills"), KILLS)
    broken = write_plugin(own_home, "broken", "", "")
    (broken / "plugin.toml").write_text("id = [unclosed", "utf-8")
    write_slow_importer(own_home)
    page = show(contexts, qtbot)
    assert cards(page)["broken"].health == "failed", "manifest errors are there at once"
    assert not page.again.isEnabled()
    qtbot.waitUntil(lambda: "checking" in page.summary.text(), timeout=LONG)
    found = wait_checked(page, qtbot)
    assert {name: card.health for name, card in found.items() if card.plugin.source == "user"} == {
        "raises": "failed", "kills": "failed", "broken": "failed", "slow": "works",
    }  # fmt: skip
    assert all(card.health == "works" for card in found.values() if card.plugin.source == "built-in")
    assert "3 failed; everything else works" in page.summary.text()
    problems = {name: card.problem_card.problem for name, card in found.items() if card.problem_card}
    assert "my own fault" in problems["raises"].message
    assert "SIGKILL" in problems["kills"].message
    assert "not valid TOML" in problems["broken"].message
    assert all(problem.remedy for problem in problems.values())
    for name, words in (("raises", "RuntimeError: my own fault"), ("kills", "SIGKILL"), ("broken", "TOML")):
        copy = next(b for b in found[name].findChildren(QPushButton) if b.text() == "Copy details")
        qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
        assert words in QGuiApplication.clipboard().text()
        assert str(own_home / "plugins" / name) in QGuiApplication.clipboard().text()
    assert page.again.isEnabled()
    qtbot.mouseClick(page.show_failed, Qt.MouseButton.LeftButton)
    assert not found["broken"].visibleRegion().isEmpty(), "the first one that failed is in view"


@needs_signals
def test_a_mended_plugin_works_when_it_is_checked_again(own_home: Path, contexts: list[AppContext], qtbot: Any) -> None:
    folder = write_plugin(own_home, "kills", TABLE.format("kills"), KILLS)
    page = show(contexts, qtbot, only="kills")
    assert wait_checked(page, qtbot)["kills"].health == "failed"
    code = "from fmstudio.api import Importer\nclass Bad(Importer):\n    def read(self, *_): yield None\n"
    (folder / "kills_code.py").write_text(code, "utf-8")
    qtbot.mouseClick(page.again, Qt.MouseButton.LeftButton)
    card = wait_checked(page, qtbot)["kills"]
    assert card.health == "works"
    assert card.problem_card is None
    assert not page.show_failed.isVisible()


def test_a_plugin_that_hangs_is_given_up(own_home: Path, contexts: list[AppContext], qtbot: Any) -> None:
    write_plugin(own_home, "hangs", TABLE.format("hangs"), "import time; time.sleep(600)")
    page = show(contexts, qtbot, only="none")
    checks = Checks(page.ctx, page, limit_s=4)
    said: list[tuple[str, Problem | None]] = []
    checks.ended.connect(lambda plugin_id, problem: said.append((plugin_id, problem)))
    checks.add("hangs")
    qtbot.waitUntil(lambda: bool(said), timeout=LONG)
    name, problem = said[0]
    assert name == "hangs"
    assert problem is not None
    assert "did not end within 4 s" in problem.message
    qtbot.waitUntil(lambda: not checks.is_busy, timeout=LONG)


def test_switching_a_plugin_off_holds_from_the_next_start(
    own_home: Path, contexts: list[AppContext], qtbot: Any
) -> None:
    write_slow_importer(own_home)
    page = show(contexts, qtbot, only="slow")
    card = wait_checked(page, qtbot)["slow"]
    assert card.switch is not None
    qtbot.mouseClick(card.switch, Qt.MouseButton.LeftButton, pos=QPoint(8, card.switch.height() // 2))
    assert Settings.load().disabled_plugins == ["slow"]
    assert "Off from the next start." in [label.text() for label in card.findChildren(QLabel) if label.isVisible()]
    next_card = wait_checked(show(contexts, qtbot, only="slow"), qtbot)["slow"]
    assert next_card.health == "off"
    assert next_card.switch is not None
    qtbot.mouseClick(next_card.switch, Qt.MouseButton.LeftButton, pos=QPoint(8, next_card.switch.height() // 2))
    assert Settings.load().disabled_plugins == []


def test_safe_mode_leaves_third_party_plugins_out_and_says_so(
    own_home: Path, contexts: list[AppContext], qtbot: Any
) -> None:
    write_slow_importer(own_home)
    page = show(contexts, qtbot, safe_mode=True, only="slow")
    assert cards(page)["slow"].health == "off"
    assert any("Safe mode" in label.text() for label in page.findChildren(QLabel))
    assert not page.checks.is_busy


def test_built_in_plugins_have_no_switch_and_say_what_they_add(contexts: list[AppContext], qtbot: Any) -> None:
    page = show(contexts, qtbot, only="fmstudio_formats")
    card = wait_checked(page, qtbot)["fmstudio_formats"]
    assert card.switch is None
    texts = [label.text() for label in card.findChildren(QLabel)]
    assert "Importers" in texts
    assert any("JSON Lines" in text and "CSV" in text for text in texts)


def test_help_for_authors_opens(contexts: list[AppContext], qtbot: Any) -> None:
    page = show(contexts, qtbot, only="none")
    page.show_help()
    views = [w for w in QApplication.topLevelWidgets() if isinstance(w, HelpView) and w.isVisible()]
    assert len(views) == 1
    assert "plugin.toml" in views[0].text.toPlainText()
    views[0].close()
