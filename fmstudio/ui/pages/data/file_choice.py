"""Asks for files or a folder to import."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QFileDialog, QWidget

if TYPE_CHECKING:
    from fmstudio.plugin_manager import Contribution

ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst")


def ask_files(parent: QWidget, importers: Iterable[Contribution]) -> list[str]:
    """Paths of the chosen files; none when the user leaves it. Offers the suffixes of all importers, and archives."""
    suffixes = {str(suffix) for importer in importers for suffix in importer.facts.get("suffixes", [])}
    names = " ".join(f"*{suffix}" for suffix in sorted(suffixes | set(ARCHIVES)))
    kinds = f"{_tr('Data')} ({names});;{_tr('All files')} (*)"
    files, _ = QFileDialog.getOpenFileNames(parent, _tr("Import"), "", kinds)
    return files


def ask_folder(parent: QWidget) -> list[str]:
    """The chosen folder as a list of one; none when the user leaves it."""
    folder = QFileDialog.getExistingDirectory(parent, _tr("Import a folder"))
    return [folder] if folder else []


def _tr(text: str) -> str:
    return QCoreApplication.translate("file_choice", text)
