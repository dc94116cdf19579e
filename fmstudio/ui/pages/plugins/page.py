"""The Plugins page: a card per plugin. Each one's code is loaded in a child process to see whether it works."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QScrollArea

from fmstudio.api.page import Page
from fmstudio.core.paths import user_plugins
from fmstudio.jobs.outcome import Problem
from fmstudio.ui.pages.plugins.card import PluginCard
from fmstudio.ui.pages.plugins.checks import Checks
from fmstudio.ui.widgets.parts import PAGE_MARGIN, ElidedLabel, button, card, column, holder, icon_label, label, row
from fmstudio.ui.widgets.words import plural

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext

WIDEST = 1000


class PluginsPage(Page):
    """All plugins that were found, working or not."""

    id, title, icon = "plugins", "Plugins", "plugins"

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self.ctx = context
        self.cards: list[PluginCard] = []
        self.checks = Checks(context, self)
        self.checks.begun.connect(self._on_begun)
        self.checks.ended.connect(self._on_ended)
        self.summary = label("", "muted", wrap=True)
        self.again = button(self.tr("Check again"), self.check_all, icon="retry")
        self.again.setToolTip(self.tr("Load the code of every plugin once more, each in a process of its own"))
        self.show_failed = button(self.tr("Show what failed"), self._scroll_to_failed, kind="quiet", icon="down")
        self._list = column(gap=12)
        self._scroll = QScrollArea()
        self._lay_out()

    def _lay_out(self) -> None:
        heading = column(label(self.tr("Plugins"), "display"), self.summary, gap=4)
        head = row(heading, self.show_failed, self.again, gap=8)
        head.setStretch(0, 1)
        for made in (self.show_failed, self.again):
            head.setAlignment(made, Qt.AlignmentFlag.AlignTop)
        content = column(head, gap=12, margins=(PAGE_MARGIN, 20, PAGE_MARGIN, PAGE_MARGIN))
        if self.ctx.safe_mode:
            words = self.tr("Safe mode: plugins that did not ship with FM Studio are left out. Start it without "
                            "--safe-mode to have them again.")  # fmt: skip
            line = row(icon_label("warning", "warning"), label(words, wrap=True), gap=10)
            line.setStretch(1, 1)
            content.addWidget(card(line, padding=12))
        content.addLayout(self._list)
        content.addWidget(self._own_folder())
        content.addStretch(1)
        inner = self._inner = holder(content)
        inner.setMaximumWidth(WIDEST)
        scroll = self._scroll
        scroll.setWidgetResizable(True)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        scroll.setWidget(inner)
        self.setLayout(column(scroll))

    def _own_folder(self) -> Any:
        text = self.tr("Put a plugin's folder here; it is found when FM Studio starts next. A plugin is code that runs "
                       "with your rights: use those you trust.")  # fmt: skip
        path = ElidedLabel(str(user_plugins()), "mono", Qt.TextElideMode.ElideMiddle)
        line = row(
            path,
            button(self.tr("Open folder"), self._open_folder, icon="folder"),
            button(self.tr("How to write a plugin"), self.show_help, kind="quiet", icon="help"),
            gap=8,
        )
        line.setStretch(0, 1)
        return card(label(self.tr("Your plugin folder"), "heading"), label(text, "muted", wrap=True), line)

    # ---- page ------------------------------------------------------------------------------------------------------

    def page_shown(self, **args: Any) -> None:
        """Check the plugins the first time the page is shown."""
        if not self.cards:
            disabled = self.ctx.settings.disabled_plugins
            for plugin in self.ctx.plugins.plugins:
                made = PluginCard(plugin, is_wanted=plugin.id not in disabled)
                made.switched.connect(self._on_switched)
                self.cards.append(made)
                self._list.addWidget(made)
            self.check_all()

    @Slot()
    def check_all(self) -> None:
        """Show manifest errors at once, and load the code of every other plugin that is on in a child process."""
        if self.checks.is_busy:
            return
        for made in self.cards:
            plugin = made.plugin
            if plugin.error:
                remedy = self.tr("Mend or remove the plugin; everything else works.")
                made.set_health("failed", Problem(plugin.error, remedy, f"{plugin.error}\n{plugin.folder}", True))
            elif not plugin.enabled:
                made.set_health("off")
            else:
                made.set_health("waiting")
                self.checks.add(plugin.id)
        self._show_summary()

    # ---- health ----------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_begun(self, plugin_id: str) -> None:
        self._card(plugin_id).set_health("checking")
        self._show_summary()

    @Slot(str, object)
    def _on_ended(self, plugin_id: str, problem: Problem | None) -> None:
        made = self._card(plugin_id)
        if problem is not None:
            plugin = made.plugin
            facts = f"{plugin.name} {plugin.version} ({plugin.source}), {plugin.folder}"
            problem = replace(problem, details=f"{facts}\n{problem.details}".strip())
        made.set_health("failed" if problem else "works", problem)
        self._show_summary()

    def _card(self, plugin_id: str) -> PluginCard:
        return next(c for c in self.cards if c.plugin.id == plugin_id and not c.plugin.error)

    def _show_summary(self) -> None:
        states = [made.health for made in self.cards]
        open_ones = states.count("waiting") + states.count("checking")
        self.again.setEnabled(not open_ones)
        self.show_failed.setVisible("failed" in states)
        parts = [plural(len(states), "plugin")]
        if open_ones:
            checkable = len(states) - states.count("off") - sum(1 for c in self.cards if c.plugin.error)
            words = self.tr("checking {number} of {count}…")
            parts.append(words.format(number=min(checkable, checkable - open_ones + 1), count=checkable))
        else:
            parts.append(self.tr("{count} working").format(count=states.count("works")))
        if states.count("failed"):
            parts.append(self.tr("{count} failed; everything else works").format(count=states.count("failed")))
        if states.count("off"):
            parts.append(self.tr("{count} off").format(count=states.count("off")))
        self.summary.setText(" · ".join(parts))

    # ---- actions ---------------------------------------------------------------------------------------------------

    @Slot(str, bool)
    def _on_switched(self, plugin_id: str, is_on: bool) -> None:
        settings = self.ctx.settings
        others = [other for other in settings.disabled_plugins if other != plugin_id]
        settings.disabled_plugins = others if is_on else [*others, plugin_id]
        settings.save()

    def _scroll_to_failed(self) -> None:
        """Bring the first plugin that failed to the top."""
        first = next((made for made in self.cards if made.health == "failed"), None)
        if first is not None:
            place = first.mapTo(self._inner, QPoint(0, 0)).y()
            self._scroll.verticalScrollBar().setValue(place - 12)

    def _open_folder(self) -> None:
        user_plugins().mkdir(parents=True, exist_ok=True)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(user_plugins())))

    @Slot()
    def show_help(self) -> None:
        """Show the help page for authors of plugins."""
        from fmstudio.ui.widgets.help_view import HelpView

        view = HelpView(self.window())
        view.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        view.show_page("writing-plugins")
        view.show()
