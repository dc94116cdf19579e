"""`Attaching`: takes files and rows into the message being written, and says how many tokens they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QFileDialog

from fmstudio.ui.pages.chat.attachments import read_rows, read_text
from fmstudio.ui.pages.chat.context_counter import count_of
from fmstudio.ui.pages.chat.engine_link import EngineLink
from fmstudio.ui.widgets.chat_composer import Composer

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext


class Attaching(QObject):
    """Attaches text files and rows of datasets to what the composer holds."""

    def __init__(self, context: AppContext, composer: Composer, link: EngineLink) -> None:
        super().__init__(composer)
        self._context, self._composer, self._link = context, composer, link

    @Slot()
    def choose_files(self) -> None:
        """Choose text files and attach them."""
        names, _ = QFileDialog.getOpenFileNames(self._composer, self.tr("Attach text files"))
        self.attach_files([Path(name) for name in names])

    @Slot(object)
    def attach_files(self, paths: list[Path]) -> None:
        """Attach text files to the message being written."""
        if paths:
            self._context.run_query(lambda: [read_text(path) for path in paths], self._attach, owner=self)

    def attach_rows(self, dataset: str, row_ids: list[int]) -> None:
        """Attach rows of a dataset to the message being written."""
        project = self._context.project
        if project is None:
            return

        def work() -> list[dict[str, Any]]:
            found = project.rows_by_id(dataset, row_ids)
            names = [name for name in found.columns if name != "row_id"]
            return [read_rows(project.datasets.get(dataset).name, names, found.records())]

        self._context.run_query(work, self._attach, owner=self)

    def _attach(self, found: list[dict[str, Any]]) -> None:
        for item in found:
            self._count(item)
        self._composer.set_attachments([*self._composer.attachments, *found])
        self._composer.input.setFocus()

    def _count(self, item: dict[str, Any]) -> None:
        """Say how long an attachment is: in tokens where a model is loaded, else in characters."""
        item["detail"] = self.tr("{count} characters").format(count=f"{len(item['text']):,}")
        if self._link.client is None:
            return

        def counted(value: Any) -> None:
            item["tokens"] = count_of(value)
            item["detail"] = self.tr("{count} tokens").format(count=f"{item['tokens']:,}")
            self._composer.set_attachments(self._composer.attachments)

        self._link.client.post("/tokenize", {"content": item["text"]}, counted, lambda _: None)
