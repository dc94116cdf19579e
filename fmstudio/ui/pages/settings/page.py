"""The Settings page: few settings, each says what it does, each holds at once and is saved."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, QUrl, Slot, qVersion
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QButtonGroup, QFrame, QPushButton, QScrollArea, QSpinBox

from fmstudio import __version__
from fmstudio.api.page import Page
from fmstudio.core.paths import cache, home
from fmstudio.ui.pages.settings import cache_files
from fmstudio.ui.pages.settings.network import NetworkSetting
from fmstudio.ui.pages.settings.python_setting import PythonSetting
from fmstudio.ui.theme import CHOICES, Theme
from fmstudio.ui.widgets.parts import PAGE_MARGIN, ElidedLabel, Item, button, card, column, holder, label, row, spin_box
from fmstudio.ui.widgets.words import size

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext

WIDEST = 820
THEME_WORDS = {"system": "Like the system", "light": "Light", "dark": "Dark"}


class SettingsPage(Page):
    """Every change holds at once and is saved."""

    id, title, icon = "settings", "Settings", "settings"

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.ctx = context
        self.themes: dict[str, QPushButton] = {}
        self.python = PythonSetting(context)
        self.network = NetworkSetting(context)
        self.cache_size = label("", "muted")
        self.clear_button = button(self.tr("Clear the cache"), self.clear_cache, icon="trash")
        self.conversations = self._conversation_room()
        heading = column(
            label(self.tr("Settings"), "display"), label(self.tr("Saved as you change them."), "muted"), gap=4
        )
        content = column(
            heading, 4, self._look(), self._workers(), self._network(), self._storage(), self._about(), None,
            gap=12, margins=(PAGE_MARGIN, 20, PAGE_MARGIN, PAGE_MARGIN),
        )  # fmt: skip
        inner = holder(content)
        inner.setMaximumWidth(WIDEST)
        scroll = self._scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        scroll.setWidget(inner)
        self.setLayout(column(scroll))

    def page_shown(self, section: str = "", **args: Any) -> None:
        """Measure the cache and read the ledger; ``section="network"`` brings the switch into sight."""
        self.measure_cache()
        self.network.measure()
        if section == "network":
            QTimer.singleShot(0, self, self._show_network)

    @Slot()
    def _show_network(self) -> None:
        self._scroll.ensureWidgetVisible(self.network, 0, 80)
        self.network.allow.setFocus()

    # ---- sections --------------------------------------------------------------------------------------------------

    def _look(self) -> QFrame:
        group = QButtonGroup(self)
        line = row(gap=4)
        for choice in CHOICES:
            made = button(self.tr(THEME_WORDS[choice]), lambda choice=choice: self.choose_theme(choice), kind="choice")  # type: ignore[misc]
            made.setChecked(choice == self.ctx.settings.theme)
            group.addButton(made)
            self.themes[choice] = made
            line.addWidget(made)
        line.addStretch(1)
        return _section(self.tr("Look"), "", line)

    def _workers(self) -> QFrame:
        text = self.tr("The program that imports, cleans, trains and serves. Leave it empty to use FM Studio's own, or "
                       "name another environment, for instance one with PyTorch for your graphics card.")  # fmt: skip
        return _section(self.tr("Python of the workers"), text, self.python)

    def _network(self) -> QFrame:
        text = self.tr("Off: nothing is ever fetched from another machine. On: the files, datasets and models whose address "
                       "you give are, the servers you added are asked, and nothing else. Each connection is listed here.")  # fmt: skip
        return _section(self.tr("Network"), text, self.network)

    def _storage(self) -> QFrame:
        path = ElidedLabel(str(home()), "mono", Qt.TextElideMode.ElideMiddle)
        place = row(path, button(self.tr("Open folder"), self._open_home, icon="folder"), gap=8)
        place.setStretch(0, 1)
        text = self.tr("Settings, plugins, logs and the cache lie here; projects lie where you made them. To move it, "
                       "set the variable FMSTUDIO_HOME before FM Studio starts.")  # fmt: skip
        caches = row(self.cache_size, None, self.clear_button, gap=8)
        room = row(label(self.tr("Of it at most for evaluated conversations:")), self.conversations, None, gap=8)
        return _section(self.tr("FM Studio's folder"), text, place, caches, room)

    def _conversation_room(self) -> QSpinBox:
        made = spin_box()
        made.setRange(0, 1 << 20)
        made.setSingleStep(512)
        made.setSuffix(self.tr(" MB"))
        made.setSpecialValueText(self.tr("none"))
        made.setGroupSeparatorShown(True)
        made.setValue(self.ctx.settings.conversation_mb)
        made.setAccessibleName(self.tr("Room for evaluated conversations"))
        made.setToolTip(
            self.tr("A conversation goes on at once after the model is loaded again, without its text being read again. "
                    "Holds from the next loading on.")
        )  # fmt: skip
        made.editingFinished.connect(self._save_conversation_room)
        return made

    @Slot()
    def _save_conversation_room(self) -> None:
        self.ctx.settings.conversation_mb = self.conversations.value()
        self.ctx.settings.save()

    def _about(self) -> QFrame:
        words = self.tr("FM Studio {version}, Python {python}, Qt {qt}")
        python = ".".join(map(str, sys.version_info[:3]))
        return _section(self.tr("About"), words.format(version=__version__, python=python, qt=qVersion()))

    # ---- look ------------------------------------------------------------------------------------------------------

    def choose_theme(self, choice: str) -> None:
        """Change the look at once."""
        self.ctx.settings.theme = choice
        self.ctx.settings.save()
        self.themes[choice].setChecked(True)
        Theme.current().choose(choice)

    # ---- folder ----------------------------------------------------------------------------------------------------

    def _open_home(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(home())))

    @Slot()
    def measure_cache(self) -> None:
        """Count the bytes of the cache off the main thread."""
        folder = _cache_folder()
        self.ctx.run_query(lambda: cache_files.measure(folder), self._show_cache, key="cache-size", owner=self)

    @Slot()
    def clear_cache(self) -> None:
        """Delete the cache off the main thread."""
        folder = _cache_folder()
        self.clear_button.setEnabled(False)
        self.cache_size.setText(self.tr("Clearing the cache…"))
        self.ctx.run_query(lambda: cache_files.clear(folder), self._show_cache, key="cache-size", owner=self)

    def _show_cache(self, count: int) -> None:
        words = self.tr("Cache: {size}, made again when needed").format(size=size(count))
        self.cache_size.setText(words if count else self.tr("The cache is empty"))
        self.clear_button.setEnabled(bool(count))


def _cache_folder() -> Path:
    return cache("any").parent


def _section(title: str, text: str, *items: Item) -> QFrame:
    words = [label(text, "muted", wrap=True)] if text else []
    return card(label(title, "heading"), *words, *items, gap=10)
