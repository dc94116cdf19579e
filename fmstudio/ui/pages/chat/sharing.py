"""`Sharing`: chats from other programs in, chats of this project out; files are chosen here, read and written elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

if TYPE_CHECKING:
    from fmstudio.project.chat_import import Imported
    from fmstudio.ui.context import AppContext

FORMATS = {
    "Markdown (*.md)": ".md", "Web page (*.html)": ".html", "JSON Lines (*.jsonl)": ".jsonl",
    "Parquet (*.parquet)": ".parquet",
}  # fmt: skip


class Sharing(QObject):
    """Imports and exports chats."""

    def __init__(self, context: AppContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._context, self._parent = context, parent

    @Slot()
    def choose_import(self) -> None:
        """Choose exports of ChatGPT, Claude, LM Studio, Jan or Open WebUI, then read them."""
        title = self.tr("Import chats of ChatGPT, Claude, LM Studio, Jan or Open WebUI")
        files = self.tr("Exports (*.json *.jsonl *.zip);;All (*)")
        names, _ = QFileDialog.getOpenFileNames(self._parent, title, "", files)
        if names:
            self.import_files([Path(name) for name in names])

    def import_files(self, paths: list[Path]) -> None:
        """Read exports of other programs into this project."""
        project = self._context.project
        if project is None:
            return
        chats = project.chats

        def work() -> Any:
            from fmstudio.project.chat_import import import_chats

            return import_chats(chats, paths)

        self._context.run_op(None, work, self._tell_imported)

    def _tell_imported(self, came: Imported) -> None:
        words = self.tr("{chats} chats with {messages} messages came in from {sources}.")
        text = words.format(chats=came.conversations, messages=f"{came.messages:,}", sources=", ".join(came.sources))
        more = [self.tr("{count} were here already.").format(count=came.known)] if came.known else []
        level = "warning" if came.notes else "positive"
        self._context.notify(level, " ".join([text, *more, *came.notes[:3]]))

    @Slot(str)
    def choose_export(self, conversation_id: str) -> None:
        """Choose a file and write a conversation to it; empty = all of them."""
        name, chosen = QFileDialog.getSaveFileName(
            self._parent, self.tr("Export chats"), "chats.md", ";;".join(FORMATS)
        )
        if name:
            path = Path(name)
            self.export(conversation_id, path if path.suffix else path.with_suffix(FORMATS.get(chosen, ".md")))

    def export(self, conversation_id: str, target: Path) -> None:
        """Write a conversation, or all, in the format the file's name asks for."""
        project = self._context.project
        if project is None:
            return
        chats = project.chats

        def work() -> Any:
            from fmstudio.project.chat_export import export_chats

            return export_chats(chats, target, [conversation_id] if conversation_id else [])

        def done(count: int) -> None:
            words = self.tr("{count} chats were written to {path}.")
            self._context.notify("positive", words.format(count=count, path=target))

        self._context.run_query(work, done)
