"""A file the project knows: say so, and offer to update the dataset instead of importing it once more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame

from fmstudio.core.addresses import name_of
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.parts import button, column, icon_label, label, row

if TYPE_CHECKING:
    from fmstudio.project.importing import KnownSource
    from fmstudio.ui.context import AppContext


class KnownFile(QFrame):
    """Shows what is known of a file; chooses between a new dataset and the next version of one.

    Signals:
        target_changed: The user chose otherwise; see `update_of` and `key`.
        compare_wanted: Count what an update would change.
        open_wanted: (dataset id) look at the dataset instead.
    """

    target_changed = Signal()
    compare_wanted = Signal()
    open_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("message", "info")
        self.text = label("", "strong", wrap=True)
        self.detail = label("", "muted", wrap=True)
        self.target, self.by = QComboBox(), QComboBox()
        self.target.setAccessibleName(self.tr("What becomes of this file"))
        self.by.setAccessibleName(self.tr("Match rows by"))
        self.by.setToolTip(self.tr("With a column that names each row, changed rows are told from new ones"))
        self.compare = button(
            self.tr("Compare"), self.compare_wanted.emit, tip=self.tr("Read the whole file and count what changes")
        )
        self.show_dataset = button(self.tr("Show the dataset"), self._on_open, kind="quiet")
        self._by_label = label(self.tr("match rows by"), "muted")
        controls = row(self.target, self._by_label, self.by, self.compare, self.show_dataset, None, gap=8)
        texts = column(self.text, self.detail, controls, gap=4)
        line = row(icon_label("history", "accent"), gap=12, margins=(16, 10, 16, 10))
        line.addLayout(texts, 1)
        self.setLayout(line)
        self.target.currentIndexChanged.connect(self._on_target)
        self.by.currentIndexChanged.connect(self._on_by)
        self._known: list[KnownSource] = []
        self._path = ""
        self._is_filling = False
        self.hide()

    @property
    def update_of(self) -> str:
        """Id of the dataset to update; empty = a new dataset."""
        return str(self.target.currentData() or "") if self._known else ""

    @property
    def key(self) -> str:
        """Column that names a row; empty = the whole content."""
        return str(self.by.currentData() or "")

    def forget(self) -> None:
        """Nothing is known."""
        self._known, self._path = [], ""
        self.target.clear()
        self.hide()

    def look(self, context: AppContext, path: str, size: int, sources: list[KnownSource]) -> None:
        """Find out whether a file (of `size` bytes) is among those imported before, and offer what follows."""
        self._path = path

        def take(identity: dict[str, Any]) -> None:
            same = [source for source in sources if source.sha256 == identity["sha256"]]
            if same and self._path == path:
                self.show_same_content(same)
            elif self._path == path:
                self._offer_update(sources)

        if any(source.bytes == size for source in sources):
            context.request("identify_file", {"path": path}, take, lambda _: None, key="identify", owner=self)
        else:
            self._offer_update(sources)

    def _offer_update(self, sources: list[KnownSource]) -> None:
        name = name_of(self._path)
        known = [source for source in sources if self._path == source.path or name == source.name]
        if known:
            self.show_same_name(known)

    def show_same_content(self, known: list[KnownSource]) -> None:
        """The file's bytes were imported before."""
        first = known[0]
        when = time.strftime("%Y-%m-%d", time.localtime(first.created))
        self.text.setText(
            f"You imported this file on {when} as “{first.dataset}”: {words.size(first.bytes)}, byte for byte the same."
        )
        self._fill(known, is_same=True)

    def show_same_name(self, known: list[KnownSource]) -> None:
        """A file of this name was imported, with other content."""
        first = known[0]
        when = time.strftime("%Y-%m-%d", time.localtime(first.created))
        self.text.setText(f"A file of this name became “{first.dataset}” on {when}; its content is another now.")
        self._fill(known, is_same=False)

    def _fill(self, known: list[KnownSource], *, is_same: bool) -> None:
        self._known = known
        self._is_filling = True
        self.target.clear()
        self.target.addItem(self.tr("Import as a new dataset"), "")
        for source in known:
            self.target.addItem(f"Make version {source.version + 1} of “{source.dataset}”", source.dataset_id)
        self.target.setCurrentIndex(0)
        self._is_filling = False
        self.target.setVisible(not is_same)
        self.detail.setText(
            "" if is_same else self.tr("An update keeps the ids of the rows that stay, with their tags and ratings.")
        )
        self.detail.setVisible(not is_same)
        self._on_target()
        self.show()

    def show_keys(self, keys: list[str]) -> None:
        """Offer the columns that could name a row."""
        chosen = self.key
        self._is_filling = True
        self.by.clear()
        self.by.addItem(self.tr("their whole content"), "")
        for key in keys:
            self.by.addItem(key, key)
        self.by.setCurrentIndex(max(0, self.by.findData(chosen)))
        self._is_filling = False

    def show_counts(self, counts: dict[str, Any]) -> None:
        """Tell what an update would change."""
        changed = f"{counts['changed']:,} changed, " if self.key else ""
        text = f"Rows: {counts['unchanged']:,} unchanged, {changed}{counts['added']:,} new, {counts['removed']:,} gone."
        if counts.get("rejected"):
            text += f" {words.plural(counts['rejected'], 'piece')} of the file cannot be read."
        self.detail.setText(" ".join([text, *counts.get("notes", [])]))
        self.detail.show()
        self.compare.setEnabled(True)

    def show_busy(self) -> None:
        """Say that the file is being read."""
        self.detail.setText(self.tr("Reading the whole file to compare…"))
        self.detail.show()
        self.compare.setEnabled(False)

    def show_failure(self, text: str) -> None:
        """Say why an update cannot be made."""
        self.detail.setText(text)
        self.compare.setEnabled(True)

    @Slot()
    def _on_target(self) -> None:
        is_update = bool(self.target.currentData())
        for widget in (self._by_label, self.by, self.compare):
            widget.setVisible(is_update)
        if not self._is_filling:
            self.target_changed.emit()

    @Slot()
    def _on_by(self) -> None:
        if not self._is_filling:
            self.target_changed.emit()

    def _on_open(self) -> None:
        self.open_wanted.emit(self._known[0].dataset_id)
