"""What Home shows while no project is open."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QPushButton, QWidget

from fmstudio.core.settings import Settings
from fmstudio.ui.widgets.parts import button, card, clear, column, holder, icon_label, label, row

RECENT_SHOWN = 5


class Welcome(QWidget):
    """Three doors, the recent projects, and a place to drop a file.

    Signals:
        sample_wanted, new_wanted, open_wanted: A door was chosen.
        folder_chosen: (folder) a recent project was chosen.
    """

    sample_wanted = Signal()
    new_wanted = Signal()
    open_wanted = Signal()
    folder_chosen = Signal(str)

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        title = label(self.tr("Turn your data into a model of your own"), "display")
        text = label(
            self.tr("Bring in conversations or texts, clean them, train a small adapter, and talk to the result. "
            "Everything happens on this computer."), "muted", wrap=True,
        )  # fmt: skip
        text.setMaximumWidth(560)
        self.sample = button(self.tr("Open the sample project"), self.sample_wanted.emit, kind="primary", icon="play")
        self.new = button(
            self.tr("New project…"), self.new_wanted.emit, icon="plus", tip=self.tr("Choose a folder for a new project")
        )
        self.open = button(self.tr("Open…"), self.open_wanted.emit, icon="folder", tip=self.tr("Open a project folder"))
        for door in (self.sample, self.new, self.open):
            door.setProperty("scale", "large")
        self._state = label("", "muted")
        self._recent = column(gap=0)
        self.recent_card = card(label(self.tr("Recent projects"), "heading"), holder(self._recent), gap=6)
        self._drop_title = label(self.tr("Drop a file anywhere"), "heading")
        hint = label(self.tr("Data (JSONL, JSON, CSV, Parquet, YAML, text) · a GGUF model or adapter · a recipe · a project folder"),
                     "caption", wrap=True)  # fmt: skip
        words = column(self._drop_title, hint, gap=2)
        inside = row(icon_label("drop", "accent", 28), words, gap=16)
        inside.setStretch(1, 1)
        self.drop_card = card(inside, style="drop", padding=20)
        middle = column(
            None, title, text, 12, row(self.sample, self.new, self.open, self._state, None, gap=8), 20,
            self.drop_card, 8, self.recent_card, None, None, gap=8,
        )  # fmt: skip
        inner = holder(middle)
        inner.setMaximumWidth(760)
        outer = row(inner, margins=(40, 24, 40, 24))
        outer.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        outer.setStretch(0, 1)
        self.setLayout(outer)
        self.refresh()

    def refresh(self) -> None:
        """Show the recent projects that are still there."""
        clear(self._recent)
        there = [Path(text) for text in self._settings.recent if (Path(text) / "project.toml").is_file()]
        for folder in there[:RECENT_SHOWN]:
            self._recent.addWidget(self._recent_line(folder))
        self.recent_card.setVisible(bool(there))

    def _recent_line(self, folder: Path) -> QPushButton:
        made = button("", lambda: self.folder_chosen.emit(str(folder)), kind="quiet", name=f"Open {folder.name}")
        made.setToolTip(str(folder))
        place = label(str(folder.parent), "caption")
        line = row(icon_label("folder", "muted", 16), label(folder.name), place, None, gap=10, margins=(6, 0, 6, 0))
        made.setLayout(line)
        for child in made.findChildren(QWidget):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        return made

    @Slot(str)
    def set_opening(self, folder: str) -> None:
        """Say that a project is being opened; empty when that has ended."""
        self._state.setText(f"Opening {Path(folder).name}…" if folder else "")
        for door in (self.sample, self.new, self.open):
            door.setEnabled(not folder)

    def set_waiting(self, is_waiting: bool) -> None:
        """Say that a dropped file waits for a project."""
        self._drop_title.setText("Your file waits for a project" if is_waiting else "Drop a file anywhere")
