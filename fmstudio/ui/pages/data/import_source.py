"""Which file, format, encoding, parts and files together: the upper half of the import form."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QFormLayout, QLineEdit, QWidget

from fmstudio.core.addresses import title_of
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.narrow_combo import NarrowCombo
from fmstudio.ui.widgets.parts import ElidedLabel, button, clear, column, label, row

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext

ENCODINGS = (
    "utf-8", "cp1252", "latin-1", "utf-16", "cp1250", "cp1251", "koi8-r", "iso-8859-15", "shift_jis", "euc_jp",
    "gb18030", "big5", "euc_kr", "mac_roman", "cp437",
)  # fmt: skip


class ImportSource(QWidget):
    """Name, format, encoding, the parts of a file, and whether several become one dataset.

    Signals:
        changed: The format, the encoding or the part that is shown was changed; the preview must be made anew.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.name, self.importer, self.encoding = QLineEdit(), NarrowCombo(10), NarrowCombo(10)
        self.name.setAccessibleName(self.tr("Name of the dataset"))
        self.importer.setAccessibleName(self.tr("File format"))
        self.encoding.setAccessibleName(self.tr("Encoding"))
        self.encoding.setToolTip(self.tr("Choose another when characters look wrong"))
        self.name_note = label("", "caption", wrap=True)
        self.each = QCheckBox(self.tr("Each a dataset of its own"))
        self.each_note = label("", "caption", wrap=True)
        self.parts: dict[str, QCheckBox] = {}
        self.shown_part = ""
        self._parts_box = column(gap=2)
        self._form = QFormLayout()
        self._form.setHorizontalSpacing(16)
        self._form.setVerticalSpacing(6)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, control in (("Name", self.name), ("Format", self.importer), ("Encoding", self.encoding)):
            self._form.addRow(title, control)
        self._form.insertRow(1, "", self.name_note)
        self._form.setRowVisible(self.name_note, False)
        self.setLayout(column(self._form, self._parts_box, self.each, self.each_note, gap=6))
        self.importer.currentIndexChanged.connect(self._on_change)
        self.encoding.currentIndexChanged.connect(self._on_change)
        self._is_filling = False
        self._part_ids: list[str] = []
        self._files = 1
        self._must_be_each = False

    def start(self, files: list[str]) -> None:
        """Forget the file of before."""
        self._is_filling = True
        self._files = len(files)
        self.name.setText(title_of(files[0]))
        self.importer.clear()
        self.encoding.clear()
        self._form.setRowVisible(self.importer, False)
        self._form.setRowVisible(self.encoding, False)
        clear(self._parts_box)
        self.parts, self._part_ids, self.shown_part = {}, [], ""
        self.each.setChecked(False)
        self.each.setVisible(len(files) > 1)
        self.each_note.setVisible(False)
        self._is_filling = False

    def check_name(self, context: AppContext, *, is_new: bool) -> None:
        """Say what the dataset will be called when another one has its name; `is_new`: it is none that is updated."""
        name, project = self.name.text().strip(), context.project
        is_asked = is_new and bool(name) and not self.is_each

        def show(free: str) -> None:
            self.name_note.setText(f"“{name}” is there already; this one will be called “{free}”.")
            self._form.setRowVisible(self.name_note, is_asked and free != name)

        if project is not None:
            context.run_query(lambda: project.datasets.log.free_name(name), show, key="free name", owner=self)

    def show_found(self, found: dict[str, Any]) -> None:
        """Show what `inspect_file` found."""
        self._is_filling = True
        self._form.setRowVisible(self.importer, True)
        self.importer.clear()
        for importer in found["importers"]:
            self.importer.addItem(importer["title"], importer["id"])
        self.importer.setCurrentIndex(max(0, self.importer.findData(found["importer"])))
        self._show_encoding(found)
        self._show_parts(found)
        self._show_others(found["others"])
        self._is_filling = False

    def offer_formats(self, formats: list[tuple[str, str]]) -> None:
        """Offer formats (id, title) for a file that could not be read as what it seemed to be."""
        self._is_filling = True
        self._form.setRowVisible(self.importer, True)
        self.importer.clear()
        self.importer.addItem(self.tr("Try another format…"), "")
        for importer, title in formats:
            self.importer.addItem(title, importer)
        self._is_filling = False

    def _show_encoding(self, found: dict[str, Any]) -> None:
        self._form.setRowVisible(self.encoding, found["encoding"] is not None)
        self.encoding.clear()
        detected = found["detected_encoding"] if not found["encoding"] else ""
        self.encoding.addItem(f"Detected: {detected.split(' (')[0]}" if detected else "Detect", "")
        for name in ENCODINGS:
            self.encoding.addItem(name, name)
        chosen = found["encoding"] or ""
        if self.encoding.findData(chosen) < 0:
            self.encoding.addItem(chosen, chosen)
        self.encoding.setCurrentIndex(self.encoding.findData(chosen))

    def _show_parts(self, found: dict[str, Any]) -> None:
        ids = [part["id"] for part in found["parts"]]
        self.shown_part = found["part"]
        if ids == self._part_ids:
            return
        clear(self._parts_box)
        self.parts, self._part_ids = {}, ids
        if len(ids) > 1:
            self._parts_box.addWidget(label(f"{words.plural(len(ids), 'table')} in this file", "strong"))
        for part in found["parts"] if len(ids) > 1 else ():
            facts = [words.plural(part["rows"], "row")] if part["rows"] is not None else []
            facts += [part["detail"]] if part["detail"] else []
            box = QCheckBox(part["title"])
            box.setToolTip(", ".join(facts))
            box.setChecked(part["id"] == found["part"])
            box.toggled.connect(self._on_parts)
            look = button(
                self.tr("Look"),
                partial(self._look, part["id"]),
                kind="quiet",
                name=f"Look at {part['title']}",
            )
            self.parts[part["id"]] = box
            line = row(box, ElidedLabel(", ".join(facts), "caption"), look, gap=8)
            line.setStretch(1, 1)
            self._parts_box.addLayout(line)
        self.each.setVisible(self._files > 1 or len(ids) > 1)
        self.each.setChecked(len(ids) > 1 or self.each.isChecked())

    def _show_others(self, others: list[dict[str, Any]]) -> None:
        reasons = [other["reason"] for other in others if not other["agrees"]]
        self._must_be_each = bool(reasons)
        if self._must_be_each:
            self.each.hide()
        self.each_note.setText(" ".join(["Each becomes a dataset of its own:", *reasons[:2]]) if reasons else "")
        self.each_note.setVisible(self._must_be_each)

    @property
    def chosen_parts(self) -> list[str]:
        """Ids of the parts to import; empty where the file is one table."""
        return [part for part, box in self.parts.items() if box.isChecked()]

    @property
    def is_each(self) -> bool:
        """Whether every file and part becomes a dataset of its own."""
        return self._must_be_each or (self.each.isVisibleTo(self) and self.each.isChecked())

    @property
    def params(self) -> dict[str, Any]:
        """Parameters for the importer."""
        chosen = self.encoding.currentData() if self._form.isRowVisible(self.encoding) else ""
        return {"encoding": chosen} if chosen else {}

    def _look(self, part: str) -> None:
        self.shown_part = part
        self.changed.emit()

    @Slot()
    def _on_parts(self) -> None:
        if not self._is_filling and not self.chosen_parts:
            self.parts[self.shown_part].setChecked(True)  # an import of nothing is no import

    @Slot()
    def _on_change(self) -> None:
        if not self._is_filling:
            self.changed.emit()
