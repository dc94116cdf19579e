"""One plugin: what it is, what it adds, where it lies, and whether it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout

from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import ElidedLabel, clear, column, label, row

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.plugin_manager import Plugin

Health = Literal["waiting", "checking", "works", "failed", "off"]

KIND_WORDS = {
    "importer": ("Importer", "Importers"),
    "operator": ("Recipe step", "Recipe steps"),
    "embedder": ("Embedder", "Embedders"),
    "chat_backend": ("Chat engine", "Chat engines"),
    "trainer": ("Trainer", "Trainers"),
    "evaluator": ("Evaluator", "Evaluators"),
    "exporter": ("Exporter", "Exporters"),
    "dataset_exporter": ("Export format", "Export formats"),
    "page": ("Page", "Pages"),
}
HEALTH_WORDS: dict[Health, tuple[str, str]] = {
    "waiting": ("", "to be checked"),
    "checking": ("accent", "checking…"),
    "works": ("positive", "works"),
    "failed": ("danger", "failed"),
    "off": ("", "off"),
}
SOURCE_WORDS = {
    "built-in": "ships with FM Studio",
    "user": "from your plugin folder",
    "entry point": "installed package",
}


class PluginCard(QFrame):
    """A plugin.

    Args:
        is_wanted: Whether a third-party plugin shall be on from the next start.

    Signals:
        switched: (plugin id, is on) the user wants a third-party plugin on or off.
    """

    switched = Signal(str, bool)

    def __init__(self, plugin: Plugin, *, is_wanted: bool) -> None:
        super().__init__()
        self.plugin = plugin
        self.health: Health = "waiting"
        self.problem_card: ProblemCard | None = None
        self.switch: QCheckBox | None = None
        self.setProperty("card", "true")
        self.setAccessibleName(plugin.name)
        self.pill = label("", "pill")
        version = self.tr("version {number}").format(number=plugin.version) if plugin.version else ""
        source = self.tr(SOURCE_WORDS.get(plugin.source, plugin.source))
        facts = label(" · ".join(filter(None, [version, source])), "caption")
        head = row(label(plugin.name, "heading"), facts, None, gap=10)
        if plugin.source != "built-in":
            head.addWidget(self._make_switch(plugin, is_wanted))
        head.addWidget(self.pill)
        self._later = label("", "warning")
        self._problem = column(gap=0)
        layout = column(head, gap=8, margins=(16, 12, 16, 14))
        if plugin.description:
            layout.addWidget(label(plugin.description, "muted", wrap=True))
        layout.addLayout(self._contributions(plugin))
        layout.addWidget(self._later)
        layout.addLayout(self._problem)
        self.setLayout(layout)
        self._say_later(is_wanted)

    def _make_switch(self, plugin: Plugin, is_wanted: bool) -> QCheckBox:
        switch = self.switch = QCheckBox(self.tr("On"))
        switch.setChecked(is_wanted)
        switch.setAccessibleName(self.tr("{plugin} is on").format(plugin=plugin.name))
        switch.setToolTip(self.tr("Takes effect when FM Studio starts next"))
        switch.toggled.connect(self._on_switch)
        return switch

    def _contributions(self, plugin: Plugin) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        grid.setColumnMinimumWidth(0, 96)
        grid.setColumnStretch(1, 1)
        lines: list[tuple[str, str]] = []
        for kind, (one, many) in KIND_WORDS.items():
            titles = [c.title for c in plugin.contributions if c.kind == kind]
            if titles:
                lines.append((self.tr(many if len(titles) > 1 else one), ", ".join(titles)))
        for place, (name, value) in enumerate(lines):
            grid.addWidget(label(name, "caption"), place, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label(value, wrap=True), place, 1)
        folder = ElidedLabel(str(plugin.folder), "caption", Qt.TextElideMode.ElideMiddle)
        grid.addWidget(label(self.tr("Folder"), "caption"), len(lines), 0)
        grid.addWidget(folder, len(lines), 1)
        return grid

    def set_health(self, health: Health, problem: Problem | None = None) -> None:
        """Show whether it works; `problem` says why not."""
        self.health = health
        level, word = HEALTH_WORDS[health]
        self.pill.setText(self.tr(word))
        restyle(self.pill, level=level)
        clear(self._problem)
        self.problem_card = None
        if problem is not None:
            self.problem_card = ProblemCard(problem, stacked=True)
            self._problem.addWidget(self.problem_card)

    def _on_switch(self, is_on: bool) -> None:
        self._say_later(is_on)
        self.switched.emit(self.plugin.id, is_on)

    def _say_later(self, is_wanted: bool) -> None:
        self._later.setVisible(self.switch is not None and is_wanted != self.plugin.enabled)
        on, off = self.tr("On from the next start."), self.tr("Off from the next start.")
        self._later.setText(on if is_wanted else off)
