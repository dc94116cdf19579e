"""The import preview: what a file holds, how its columns are read, its first rows, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFormLayout, QLineEdit, QSplitter, QWidget

from fmstudio.jobs.outcome import Problem
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.paged_table import PagedTable
from fmstudio.ui.widgets.parts import ElidedLabel, button, clear, column, holder, label, row

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext

KINDS = {
    "conversation": "Conversation",
    "prompt_completion": "Prompt and completion",
    "text": "Text",
    "table": "Table (columns as they are)",
}
TARGETS = {
    "conversation": (("messages", True), ("system", False)),
    "prompt_completion": (("prompt", True), ("input", False), ("completion", True)),
    "text": (("text", True),),
    "table": (),
}
"""Kind → targets of the mapping, and whether each is needed."""


class ImportView(QWidget):
    """Shows one import before it is made; every change of the mapping is previewed at once.

    Signals:
        submitted: (Job) the import was started.
        closed: The user gave the import up.
    """

    submitted = Signal(object)
    closed = Signal()

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._files: list[str] = []
        self._mapping: dict[str, Any] | None = None
        self._found: dict[str, Any] = {}
        self._is_filling = False
        self.title = ElidedLabel("", "title")
        self.facts = label("", "muted", wrap=True)
        self.name = QLineEdit()
        self.name.setAccessibleName(self.tr("Name of the dataset"))
        self.importer, self.kind = QComboBox(), QComboBox()
        self.importer.setAccessibleName(self.tr("File format"))
        self.kind.setAccessibleName(self.tr("Kind of data"))
        for kind, title in KINDS.items():
            self.kind.addItem(title, kind)
        self.importer.currentIndexChanged.connect(self._on_importer)
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.targets: dict[str, QComboBox] = {}
        self._form = QFormLayout()
        self._form.setHorizontalSpacing(16)
        self._form.setVerticalSpacing(6)
        self._targets_at = 3
        for title, control in (("Name", self.name), ("Format", self.importer), ("Kind", self.kind)):
            self._form.addRow(title, control)
        self.notes = column(gap=4)
        self._problem = column(gap=0)
        self.table = PagedTable(self.tr("First rows as they will be imported"))
        self.rejects = PagedTable(self.tr("Pieces that do not fit"))
        self.reject_title = label("", "strong")
        self.import_button = button(
            self.tr("Import"), self.submit, kind="primary", icon="import", tip=self.tr("Start the import (Ctrl+Enter)")
        )
        self.cancel_button = button(self.tr("Cancel"), self.closed.emit, tip=self.tr("Give this import up (Esc)"))
        self._build()

    def _build(self) -> None:
        head = row(column(self.title, self.facts, gap=2), self.cancel_button, self.import_button)
        head.setStretch(0, 1)
        side = holder(column(self._form, 8, self.notes, None, gap=8, margins=(0, 0, 16, 0)))
        side.setMinimumWidth(260)
        self._reject_box = holder(column(self.reject_title, self.rejects, gap=6))
        self._reject_box.setMaximumHeight(210)
        right = column(
            label(self.tr("First rows, as they will be imported"), "strong"), self.table, self._reject_box, gap=6
        )
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(side)
        split.addWidget(holder(right))
        split.setStretchFactor(1, 1)
        split.setSizes([300, 700])
        layout = column(head, self._problem, split, gap=14, margins=(24, 20, 24, 20))
        layout.setStretch(2, 1)
        self.setLayout(layout)

    def open_files(self, files: list[str]) -> None:
        """Preview these files; several become one dataset, read as the first one is."""
        self._files = files
        self._mapping = None
        first = Path(files[0])
        more = f" and {words.plural(len(files) - 1, 'more file')}" if len(files) > 1 else ""
        self.title.setText(f"Import {first.name}{more}")
        self.facts.setText(self.tr("Reading the first rows…"))
        self.name.setText(first.stem)
        self.importer.clear()
        self._ask("")

    def _ask(self, importer: str) -> None:
        self.import_button.setEnabled(False)
        params: dict[str, Any] = {"path": self._files[0], "mapping": self._mapping}
        if importer:
            params["importer"] = importer
        self.ctx.request("inspect_file", params, self._show, self._fail, key="inspect", owner=self)

    def _fail(self, problem: Problem) -> None:
        clear(self._problem)
        self._problem.addWidget(ProblemCard(problem))
        if not self._found:
            self.facts.setText("")
            self.table.rows.load(None)
        self._reject_box.setVisible(False)

    def _show(self, found: dict[str, Any]) -> None:
        clear(self._problem)
        self._found = found
        self._is_filling = True
        self._fill_combos(found)
        self._is_filling = False
        guess = "" if found["estimated_rows"] <= len(found["rows"]) else "about "
        rows = words.plural(found["estimated_rows"], "row")
        self.facts.setText(f"{guess}{rows}, {words.size(found['bytes'])}, read as {KINDS[found['kind']].lower()}")
        self.table.rows.load_records(found["rows"], [column["name"] for column in found["columns"]])
        self._show_notes(found["notes"])
        rejects = found["rejects"]
        self._reject_box.setVisible(bool(rejects))
        self.reject_title.setText(f"{words.plural(found['rejected'], 'piece')} among these rows cannot be imported")
        self.rejects.rows.load_records(rejects, ["line", "row", "reason", "raw"])
        self.import_button.setEnabled(True)

    def _fill_combos(self, found: dict[str, Any]) -> None:
        self.importer.clear()
        for importer in found["importers"]:
            self.importer.addItem(importer["title"], importer["id"])
        self.importer.setCurrentIndex(max(0, self.importer.findData(found["importer"])))
        self.kind.setCurrentIndex(self.kind.findData(found["kind"]))
        self._show_targets(found["kind"], found["mapping"]["columns"])

    def _show_targets(self, kind: str, columns: dict[str, str]) -> None:
        while self._form.rowCount() > self._targets_at:
            self._form.removeRow(self._targets_at)
        self.targets = {}
        for target, is_needed in TARGETS[kind]:
            combo = QComboBox()
            combo.setAccessibleName(f"Column for {target}")
            if not is_needed or target not in columns:
                combo.addItem("–", "")
            for name in self._found.get("raw_columns", []):
                combo.addItem(name, name)
            combo.setCurrentIndex(max(0, combo.findData(columns.get(target, ""))))
            combo.currentIndexChanged.connect(self._on_target)
            self.targets[target] = combo
            self._form.addRow(target, combo)

    def _show_notes(self, notes: list[str]) -> None:
        clear(self.notes)
        if notes:
            self.notes.addWidget(label(self.tr("Noticed"), "strong"))
        for note in notes:
            self.notes.addWidget(label(note, "muted", wrap=True))

    @Slot()
    def _on_importer(self) -> None:
        if not self._is_filling and self.importer.currentData():
            self._mapping = None
            self._ask(self.importer.currentData())

    @Slot()
    def _on_kind(self) -> None:
        if self._is_filling or not self._found:
            return
        kind = str(self.kind.currentData())
        detected = self._found["mapping"]["columns"]
        self._is_filling = True
        self._show_targets(kind, {t: c for t, c in detected.items() if t in dict(TARGETS[kind])})
        self._is_filling = False
        self._on_target()

    @Slot()
    def _on_target(self) -> None:
        if self._is_filling:
            return
        kind = str(self.kind.currentData())
        columns = {target: combo.currentData() for target, combo in self.targets.items() if combo.currentData()}
        missing = [target for target, is_needed in TARGETS[kind] if is_needed and target not in columns]
        if missing:
            self.import_button.setEnabled(False)
            self.facts.setText(f"Choose a column for {' and '.join(missing)}.")
            return
        self._mapping = {"kind": kind, "columns": columns, "roles": self._found["mapping"].get("roles", {})}
        self._ask(str(self.importer.currentData() or ""))

    def submit(self) -> None:
        """Start the import as previewed."""
        project = self.ctx.project
        if project is None or not self.import_button.isEnabled():
            return
        self.import_button.setEnabled(False)
        files = [Path(file) for file in self._files]
        name, importer, mapping = self.name.text().strip(), str(self.importer.currentData() or ""), self._mapping
        self.ctx.build_and_submit(
            lambda: project.specs.import_files(files, name=name, importer=importer, mapping=mapping),
            self.submitted.emit,
        )
