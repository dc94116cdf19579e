"""`Attaching`: takes files, pictures and rows into the message being written, and says how large they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QFileDialog

from fmstudio.ui.pages.chat.attachments import image_attachment, read_file, read_rows
from fmstudio.ui.pages.chat.context_counter import count_of
from fmstudio.ui.pages.chat.conversation import ConversationController
from fmstudio.ui.pages.chat.rows_bar import RowsBar
from fmstudio.ui.pages.chat.turn import reads_pictures
from fmstudio.ui.widgets.chat_composer import Composer

if TYPE_CHECKING:
    from PySide6.QtGui import QImage

    from fmstudio.ui.context import AppContext

IMAGE = "image"


class Attaching(QObject):
    """Attaches files and rows of datasets to what the composer holds."""

    def __init__(self, context: AppContext, composer: Composer, controller: ConversationController) -> None:
        super().__init__(composer)
        self._context, self._composer, self._controller = context, composer, controller
        self._link = controller.link
        composer.attach_wanted.connect(self.choose_files)
        composer.files_dropped.connect(self.attach_files)
        composer.image_pasted.connect(self.attach_image)
        self.bar = RowsBar()
        self.bar.wanted.connect(self._attach_found)

    @Slot()
    def choose_files(self) -> None:
        """Choose files and attach them."""
        names, _ = QFileDialog.getOpenFileNames(self._composer, self.tr("Attach text files or pictures"))
        self.attach_files([Path(name) for name in names])

    @Slot(object)
    def attach_files(self, paths: list[Path]) -> None:
        """Attach text files and pictures to the message being written."""
        if paths:
            self._context.run_query(lambda: [read_file(path) for path in paths], self._attach, owner=self)

    @Slot(object)
    def attach_image(self, image: QImage) -> None:
        """Attach a picture from the clipboard."""
        name = self.tr("pasted picture")
        self._context.run_query(lambda: [image_attachment(name, image)], self._attach, owner=self)

    @Slot()
    def toggle_rows(self) -> None:
        """Show or hide the choice of rows."""
        project = self._context.project
        if self.bar.isVisible() or project is None:
            self.bar.hide()
        else:
            self._context.run_query(project.datasets.all, self.bar.offer, key="chat-datasets", owner=self)

    @Slot(str, str, int)
    def _attach_found(self, dataset: str, condition: str, most: int) -> None:
        """Attach the first rows that match a condition."""
        project = self._context.project
        if project is None:
            return

        def found(ids: list[int]) -> None:
            if ids:
                self.bar.hide()
                self.attach_rows(dataset, ids)
            else:
                self._context.notify("warning", self.tr("No row of the dataset matches."))

        def work() -> list[int]:
            if condition:
                return project.ids(dataset, condition, most)
            return [int(record["row_id"]) for record in project.page(dataset, limit=most, columns=["row_id"]).records()]

        self._context.run_query(work, found, owner=self)

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
        model = self._controller.library.get(self._controller.model_id)
        if model is not None and not reads_pictures(model) and any(item["kind"] == IMAGE for item in found):
            text = self.tr(
                "“{name}” reads text only. A vision model with its projector beside it (a file named mmproj…) takes"
                " pictures, and so may a server."
            )
            self._context.notify("warning", text.format(name=model.name))
            found = [item for item in found if item["kind"] != IMAGE]
        for item in found:
            self._count(item)
        self._composer.set_attachments([*self._composer.attachments, *found])
        self._composer.input.setFocus()

    def _count(self, item: dict[str, Any]) -> None:
        """Say how large an attachment is: in tokens where a model is loaded that counts, else in characters."""
        if item["kind"] == IMAGE:
            item["detail"] = f"{item['width']} × {item['height']}"
            return
        item["detail"] = self.tr("{count} characters").format(count=f"{len(item['text']):,}")
        if self._link.client is None or not self._link.dialect.counts_messages:
            return

        def counted(value: Any) -> None:
            item["tokens"] = count_of(value)
            item["detail"] = self.tr("{count} tokens").format(count=f"{item['tokens']:,}")
            self._composer.set_attachments(self._composer.attachments)

        self._link.client.post("/tokenize", {"content": item["text"]}, counted, lambda _: None)
