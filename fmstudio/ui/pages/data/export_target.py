"""`ExportTarget`: where an export goes; a place is proposed until the user has one of their own."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QStandardPaths, Slot
from PySide6.QtWidgets import QCheckBox, QFileDialog, QLineEdit, QWidget

from fmstudio.ui.widgets.parts import button, column, label, row


class ExportTarget(QWidget):
    """A path, *Browse…*, and whether what is there may be replaced."""

    def __init__(self) -> None:
        super().__init__()
        self._suffix = ""
        self._is_own = False
        self._last_folder: Path | None = None
        self.field = QLineEdit()
        self.field.setAccessibleName(self.tr("Where to"))
        self.browse = button(self.tr("Browse…"), self.choose, icon="folder")
        self.overwrite = QCheckBox(self.tr("Replace what is there"))
        self.overwrite.hide()
        self.field.textEdited.connect(lambda _: setattr(self, "_is_own", True))
        self.field.textChanged.connect(lambda _: self.check())
        title = label(self.tr("Where to"), "heading")
        self.setLayout(column(title, row(self.field, self.browse, gap=6), self.overwrite, gap=4))

    def path(self) -> str:
        """What stands there, in the proposed folder when it is a name alone; empty = nothing."""
        typed = self.field.text().strip()
        return str(self._folder() / Path(typed).expanduser()) if typed else ""

    def propose(self, name: str, suffix: str) -> None:
        """Propose a place for an export of that name and kind; of the user's own path only the suffix changes."""
        before, self._suffix = self._suffix, suffix
        if self._is_own and self.path():
            self.field.setText(_renamed(self.field.text().strip(), before, suffix))
            return
        from fmstudio.project.export_preview import default_target

        self.field.setText(str(default_target(self._folder(), name, suffix)))

    def forget(self) -> None:
        """Propose a place again."""
        self._is_own = False

    def use(self, path: str, *, replace: bool) -> None:
        """Write to this place."""
        self.field.setText(path)
        self._is_own = True
        self.overwrite.setChecked(replace)

    def written(self, path: Path) -> None:
        """An export went there: the next one may go beside it."""
        self._last_folder, self._is_own = path.parent, True
        self.check()

    def check(self) -> None:
        """Ask about replacing where something is already."""
        is_taken = bool(self.path()) and Path(self.path()).exists()
        self.overwrite.setVisible(is_taken)
        if not is_taken:
            self.overwrite.setChecked(False)
        self.field.setToolTip(self.field.text())

    def _folder(self) -> Path:
        """Where exports go: where the last one went, else among the user's documents."""
        if self._last_folder is not None and self._last_folder.is_dir():
            return self._last_folder
        documents = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation))
        return documents if documents.is_dir() else Path.home()

    @Slot()
    def choose(self) -> None:
        """Ask where it shall go."""
        kind = f"*{self._suffix}" if self._suffix else ""
        start, options = self.field.text() or str(self._folder()), QFileDialog.Option.DontConfirmOverwrite
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Export to"), start, kind, options=options)
        if path:
            self._is_own = True
            self.field.setText(path)


def _renamed(path: str, before: str, after: str) -> str:
    """A path with the suffix of another format; one that ends in no format's own way stays as it was typed."""
    bare = path.removesuffix(".gz") if before else path
    return bare.removesuffix(before) + after if bare.endswith(before) else path
