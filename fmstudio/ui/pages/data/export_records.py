"""Exports that were made: the one just finished as a card, the earlier ones as lines; each opens its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QFrame, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.parts import ElidedLabel, button, card, clear, column, holder, label, row, tool_button

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmstudio.project.exports import ExportRecord

MOST_SHOWN = 20


def open_folder(path: str) -> None:
    """Show a file or folder where it is."""
    place = Path(path)
    folder = place if place.is_dir() else place.parent
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def copy_path(path: str) -> None:
    """Put a path on the clipboard."""
    QGuiApplication.clipboard().setText(path)


class ExportResult(QFrame):
    """What a finished export wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("card", "true")
        self._path = ""
        self.title, self.path = label("", "strong", wrap=True), ElidedLabel("", "muted")
        self.notes = label("", "caption", wrap=True, selectable=True)
        self.open_button = button(self.tr("Open folder"), lambda: open_folder(self._path), icon="folder")
        self.copy_button = button(self.tr("Copy path"), self._copy, icon="copy")
        buttons = row(self.open_button, self.copy_button, None, gap=6)
        self.setLayout(column(self.title, self.path, self.notes, buttons, gap=6, margins=(14, 12, 14, 12)))
        self.hide()

    def show_result(self, result: dict[str, Any]) -> None:
        """Show what the job says it wrote."""
        self._path = str(result["path"])
        left = sum(result.get("left_out", {}).values())
        said = f"{words.plural(int(result['rows']), 'row')} written, {words.size(result['bytes'])}"
        self.title.setText(f"{said}; {words.plural(left, 'row')} left out" if left else said)
        self.path.setText(self._path)
        reasons = [f"{words.plural(n, 'row')} left out: {why}" for why, n in result.get("left_out", {}).items()]
        beside = [Path(f["path"]).name for f in result.get("files", []) if not _is_part(f["path"], self._path)]
        extra = [f"Beside it: {', '.join(beside)}"] if beside else []
        self.notes.setText("\n".join([*reasons, *result.get("notes", []), *extra]))
        self.notes.setVisible(bool(self.notes.text()))
        self.copy_button.setText(self.tr("Copy path"))
        self.show()

    def _copy(self) -> None:
        copy_path(self._path)
        self.copy_button.setText(self.tr("Copied"))


def _is_part(path: str, target: str) -> bool:
    return Path(path) == Path(target) or Path(target) in Path(path).parents


class EarlierExports(QWidget):
    """Lines, newest first.

    Signals:
        again_wanted: (ExportRecord) the user wants the same again.
    """

    again_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._lines = column(gap=6)
        self._head = label(self.tr("Earlier exports"), "heading")
        self.setLayout(column(self._head, self._lines, gap=6))
        self.hide()

    def show_records(self, records: Sequence[ExportRecord], titles: dict[str, str]) -> None:
        """Show these; `titles` names the formats."""
        clear(self._lines)
        for record in records[:MOST_SHOWN]:
            self._lines.addWidget(self._line(record, titles.get(record.exporter, record.exporter)))
        self.setVisible(bool(records))

    def _line(self, record: ExportRecord, title: str) -> QWidget:
        name = ElidedLabel(Path(record.path).name, "strong")
        facts = [title, words.plural(record.rows, "row"), words.size(record.bytes), f"version {record.version}"]
        told = ElidedLabel("  ·  ".join([*facts, words.ago(record.created)]), "caption")
        gone = record.is_missing
        tools = [
            tool_button("retry", self.tr("The same again…"), lambda: self.again_wanted.emit(record)),
            tool_button("folder", self.tr("Open folder"), lambda: open_folder(record.path)),
            tool_button("copy", self.tr("Copy path"), lambda: copy_path(record.path)),
        ]
        tools[1].setEnabled(not gone)
        parts: list[Any] = [holder(column(name, told, gap=0)), *tools]
        if gone:
            missing = label(self.tr("gone"), "pill", level="warning")
            missing.setToolTip(self.tr("Nothing is at {} any more").format(record.path))
            parts.insert(1, missing)
        layout = row(*parts, gap=4)
        layout.setStretch(0, 1)
        made = card(layout, padding=8, style="sunken")
        made.setToolTip(record.path)
        return made
