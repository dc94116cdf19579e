"""Adding models: looked at on a reader thread, written down on the writer's, hashed in the background."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project import Project
    from fmstudio.project.models import CheckedModel, ModelEntry
    from fmstudio.ui.context import AppContext

MODEL_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".gguf", ".safetensors"})


def looks_like_model(path: Path) -> bool:
    """Whether a dropped path is this page's business, by its name alone."""
    if path.is_dir():
        return (path / "config.json").exists() or (path / "adapter_config.json").exists()
    return path.suffix.lower() in MODEL_SUFFIXES or path.name in ("config.json", "adapter_config.json")


def look(project: Project, path: Path, copy: bool = False) -> CheckedModel:
    """Look at a file or folder, and copy it into the project where that was asked for. For a reader thread.

    Raises:
        UserError: It is damaged, no model, would execute code when opened, or an adapter for a model not here.
    """
    checked = project.models.check(path)
    if copy:
        place = project.folder / "models" / f"copy-{secrets.token_hex(4)}"
        return project.models.check(project.models.copy_in(path, place))
    return checked


def register(project: Project, checked: CheckedModel, name: str = "") -> tuple[Any, ModelEntry]:
    """Write it down. For the writer thread: takes a millisecond."""
    from fmstudio.project.changes import Changes

    return Changes(models=True), project.models.register(checked, name)


class Adding(QObject):
    """Takes files into the library.

    Signals:
        changed: The number of files that are being looked at.
        added: (ModelEntry) it is in the library.
        refused: (Path, Problem) it is not, and why.
        hashed: A model's hash is known now.
    """

    changed = Signal(int)
    added = Signal(object)
    refused = Signal(object, object)
    hashed = Signal()

    def __init__(self, context: AppContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._context, self._window = context, parent
        self.pending = 0
        self._hashing: set[str] = set()

    def ask_files(self, *, copy: bool = False) -> None:
        """Choose GGUF files to add; `copy` puts copies into the project."""
        title = self.tr("Copy models into the project") if copy else self.tr("Add models")
        names, _ = QFileDialog.getOpenFileNames(
            self._window, title, "", self.tr("Models (*.gguf *.safetensors);;All (*)")
        )
        self.add([Path(name) for name in names], copy=copy)

    def ask_folder(self) -> None:
        """Choose a Hugging Face or adapter folder to add."""
        name = QFileDialog.getExistingDirectory(self._window, self.tr("Add a model or adapter folder"))
        if name:
            self.add([Path(name)])

    def add(self, paths: list[Path], *, copy: bool = False, name: str = "") -> None:
        """Look at each and register it; a refusal names the file and the reason."""
        project = self._context.project
        if project is None:
            return
        for path in paths:
            refused = partial(self._on_refused, path)

            def write(checked: CheckedModel, refused: Callable[[Problem], None] = refused) -> None:
                self._context.run_op(self, partial(register, project, checked, name), self._on_added, refused)

            self._context.run_query(partial(look, project, path, copy), write, refused, owner=self)
        self._count(len(paths))

    def _count(self, more: int) -> None:
        self.pending += more
        self.changed.emit(self.pending)

    def _on_added(self, entry: ModelEntry) -> None:
        self._count(-1)
        self.added.emit(entry)
        self.fingerprint(entry)

    def _on_refused(self, path: Path, problem: Problem) -> None:
        self._count(-1)
        self.refused.emit(path, problem)

    def fingerprint(self, entry: ModelEntry) -> None:
        """Hash a model's file in the background; what it is called with may be used meanwhile."""
        project = self._context.project
        has_file = entry.format != "endpoint" and not entry.is_missing
        if project is None or not has_file or entry.facts.get("fingerprint") or entry.id in self._hashing:
            return
        self._hashing.add(entry.id)
        context = self._context

        def done(_: ModelEntry) -> None:
            self._hashing.discard(entry.id)
            self.hashed.emit()

        context.run_query(
            partial(project.models.with_fingerprint, entry, lambda: context.project is not project),
            done,
            lambda _: self._hashing.discard(entry.id),
            owner=self,
        )
