"""`PresetsBox`: choose, save, export and import presets; a preset that was changed says so."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFileDialog, QInputDialog, QMenu, QWidget

from fmstudio.ui.pages.chat.settings import ChatSettings
from fmstudio.ui.widgets.parts import button, row, tool_button

if TYPE_CHECKING:
    from fmstudio.project.chat_presets import Preset
    from fmstudio.ui.context import AppContext

FILES = "Presets (*.json)"


class PresetsBox(QWidget):
    """A picker of presets with a Save button and a menu.

    Signals:
        chosen(Preset): Use this preset.
        save_wanted(str): Save the settings under this name.
        version_menu_wanted(Preset), export_wanted(Preset), delete_wanted(Preset), import_wanted(): From the menu.
    """

    chosen = Signal(object)
    save_wanted = Signal(str)
    versions_wanted = Signal(object)
    export_wanted = Signal(object)
    delete_wanted = Signal(object)
    import_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.presets: list[Preset] = []
        self._settings = ChatSettings()
        self.box = QComboBox()
        self.box.setAccessibleName(self.tr("Preset"))
        self.box.setMinimumWidth(72)  # a long name does not push the panel beyond its edge
        self.box.setToolTip(self.tr("Sampler, system prompt and adapters under a name"))
        self.box.activated.connect(self._on_chosen)
        self.save = button(
            self.tr("Save"), self._save, tip=self.tr("Save these settings as a preset, or its next version")
        )
        self.more = tool_button("more", self.tr("Versions, export and import of presets"), self._show_menu)
        layout = row(gap=4)
        layout.addWidget(self.box, 1)
        layout.addWidget(self.save)
        layout.addWidget(self.more)
        self.setLayout(layout)
        self.show_presets([])

    def show_presets(self, presets: Sequence[Preset]) -> None:
        """List the presets there are."""
        self.presets = list(presets)
        self.box.clear()
        self.box.addItem(self.tr("No preset") if presets else self.tr("None yet"), "")
        for preset in presets:
            self.box.addItem(f"{preset.name} v{preset.version}", preset.id)
        self.show_settings(self._settings)

    def show_settings(self, settings: ChatSettings) -> None:
        """Mark the preset these settings came from, and whether they still are what it holds."""
        self._settings = settings
        name = settings.preset.rsplit(" v", 1)[0]
        current = next((preset for preset in self.presets if preset.name == name), None)
        self.box.setCurrentIndex(self.box.findData(current.id) if current else 0)
        is_changed = current is None or current.settings != _plain(settings.for_preset())
        self.save.setEnabled(is_changed)

    @property
    def current(self) -> Preset | None:
        """The preset that is marked."""
        return next((preset for preset in self.presets if preset.id == self.box.currentData()), None)

    @Slot()
    def _on_chosen(self) -> None:
        if (preset := self.current) is not None:
            self.chosen.emit(preset)

    @Slot()
    def _save(self) -> None:
        current = self.current
        text = self.tr("Name of the preset; the name of one that is there makes its next version")
        name, is_kept = QInputDialog.getText(self, self.tr("Save preset"), text, text=current.name if current else "")
        if is_kept and name.strip():
            self.save_wanted.emit(name.strip())

    @Slot()
    def _show_menu(self) -> None:
        menu = QMenu(self)
        if (current := self.current) is not None:
            menu.addAction(self.tr("Earlier versions…"), partial(self.versions_wanted.emit, current))
            menu.addAction(self.tr("Export…"), partial(self.export_wanted.emit, current))
            menu.addAction(self.tr("Delete"), partial(self.delete_wanted.emit, current))
            menu.addSeparator()
        menu.addAction(self.tr("Import…"), self.import_wanted.emit)
        menu.exec(self.more.mapToGlobal(self.more.rect().bottomLeft()))

    def show_versions(self, versions: Sequence[Preset]) -> None:
        """Offer the versions of a preset."""
        menu = QMenu(self)
        for preset in versions:
            note = f": {preset.note}" if preset.note else ""
            menu.addAction(f"{preset.name} v{preset.version}{note}", partial(self.chosen.emit, preset))
        menu.exec(self.more.mapToGlobal(self.more.rect().bottomLeft()))


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    import json

    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


class PresetKeeper(QObject):
    """Does what the box asks, with the project."""

    def __init__(self, context: AppContext, box: PresetsBox, settings: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._context, self._box, self._settings = context, box, settings
        box.save_wanted.connect(self.save)
        box.versions_wanted.connect(self._list_versions)
        box.export_wanted.connect(self._export)
        box.delete_wanted.connect(self._delete)
        box.import_wanted.connect(self._import)

    def load(self) -> None:
        """Read the presets there are."""
        project = self._context.project
        if project is None:
            self._box.show_presets([])
        else:
            self._context.run_query(project.presets.all, self._box.show_presets, key="chat-presets", owner=self)

    def save(self, name: str) -> None:
        """Save the settings in force under a name."""
        project, settings = self._context.project, self._settings()
        if project is not None:
            stored = settings.for_preset()
            self._context.run_op(self, lambda: project.presets.save(name, stored), self._box.chosen.emit)

    def _list_versions(self, preset: Preset) -> None:
        project = self._context.project
        if project is not None:
            self._context.run_query(
                lambda: project.presets.versions(preset.id),
                self._box.show_versions,
                key="chat-preset-versions",
                owner=self,
            )

    def _export(self, preset: Preset) -> None:
        project = self._context.project
        path, _ = QFileDialog.getSaveFileName(self._box, self.tr("Export preset"), f"{preset.name}.json", FILES)
        if path and project is not None:
            self._context.run_query(
                lambda: project.presets.export(preset, Path(path)),
                lambda made: self._context.notify("positive", self.tr("Written to {path}.").format(path=made)),
            )

    def _delete(self, preset: Preset) -> None:
        project = self._context.project
        if project is None:
            return

        def undo() -> None:
            self._context.run_op(self, lambda: project.presets.set_deleted(preset.id, False))

        def done(_: Any) -> None:
            text = self.tr("The preset “{name}” was deleted.").format(name=preset.name)
            self._context.notify("info", text, (self.tr("Undo"), undo))

        self._context.run_op(self, lambda: project.presets.set_deleted(preset.id, True), done)

    def _import(self) -> None:
        project = self._context.project
        path, _ = QFileDialog.getOpenFileName(self._box, self.tr("Import preset"), "", FILES)
        if path and project is not None:
            self._context.run_op(self, lambda: project.presets.import_file(Path(path)), self._box.chosen.emit)
