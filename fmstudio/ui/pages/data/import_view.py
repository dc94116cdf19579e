"""The import preview: what a file holds, how its columns are read, its first rows, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from fmstudio.core.addresses import is_remote, name_of
from fmstudio.jobs.outcome import Problem
from fmstudio.ui.pages.data.import_detection import DetectionCard
from fmstudio.ui.pages.data.import_figures import ImportFigures
from fmstudio.ui.pages.data.import_known import KnownFile
from fmstudio.ui.pages.data.import_mapping import KINDS, MappingForm
from fmstudio.ui.pages.data.import_panes import ImportPanes
from fmstudio.ui.pages.data.import_problems import ImportProblems
from fmstudio.ui.pages.data.import_rows import FirstRows
from fmstudio.ui.pages.data.import_source import ImportSource
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import ElidedLabel, button, clear, column, label, row

if TYPE_CHECKING:
    from fmstudio.project.importing import KnownSource
    from fmstudio.ui.context import AppContext

COMPARED_AT_ONCE = 50_000_000
"""Bytes up to which a file is compared with the dataset it may update without being asked to."""


class ImportView(QWidget):
    """Shows one import before it is made; every change of the mapping is previewed at once.

    Signals:
        submitted: (Job) the import was started.
        closed: The user gave the import up.
        dataset_wanted: (dataset id) the user looks at a dataset instead.
    """

    submitted = Signal(object)
    closed = Signal()
    dataset_wanted = Signal(str)

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._files: list[str] = []
        self._mapping: dict[str, Any] | None = None
        self._found: dict[str, Any] = {}
        self._is_waiting = False
        self._sources: list[KnownSource] = []
        self._shapes: dict[str, Any] = {}
        self.title = ElidedLabel("", "title")
        self.facts = label("", "muted", wrap=True)
        self.source, self.form, self.detection = ImportSource(), MappingForm(), DetectionCard()
        self.first, self.figures, self.problems = FirstRows(), ImportFigures(), ImportProblems()
        self.known = KnownFile()
        self.notes = column(gap=4)
        self._problem = column(gap=0)
        self.import_button = button(
            self.tr("Import"), self.submit, kind="primary", icon="import", tip=self.tr("Start the import (Ctrl+Enter)")
        )
        self.cancel_button = button(self.tr("Cancel"), self.closed.emit, tip=self.tr("Give this import up (Esc)"))
        self._build()
        self._connect()

    def _build(self) -> None:
        head = row(column(self.title, self.facts, gap=2), self.cancel_button, self.import_button)
        head.setStretch(0, 1)
        form = column(self.source, self.detection, self.form, self.notes, None, gap=14, margins=(0, 0, 14, 0))
        self._first_title = label("", "strong", wrap=True)
        preview = column(self._first_title, self.first, self.figures, self.problems, gap=10)
        preview.addStretch(0)
        preview.setStretch(1, 1)
        self.panes = ImportPanes(form, preview)
        layout = column(head, self.known, self._problem, self.panes, gap=12, margins=(24, 20, 24, 20))
        layout.setStretch(3, 1)
        self.setLayout(layout)

    def _connect(self) -> None:
        self.source.changed.connect(self._on_source)
        self.source.name.textChanged.connect(self._check_name)
        self.source.each.toggled.connect(self._check_name)
        self.form.changed.connect(self._on_mapping)
        self.form.incomplete.connect(self._on_incomplete)
        self.detection.chosen.connect(self._on_mapping)
        self.detection.forgotten.connect(self._on_forgotten)
        self.problems.row_wanted.connect(lambda number: self.first.choose(number - 1))
        self.figures.count_wanted.connect(self._count_tokens)
        self.known.target_changed.connect(self._on_target)
        self.known.compare_wanted.connect(self._compare)
        self.known.open_wanted.connect(self.dataset_wanted.emit)

    # ---- what tests and the page look at ---------------------------------------------------------------------------

    @property
    def table(self) -> Any:
        """The table of first rows."""
        return self.first.table

    @property
    def rejects(self) -> Any:
        """The table of pieces that cannot be imported."""
        return self.problems.rejects

    @property
    def kind(self) -> Any:
        """The chooser of the kind of data."""
        return self.form.kind

    @property
    def targets(self) -> Any:
        """Target → chooser of its column."""
        return self.form.targets

    @property
    def name(self) -> Any:
        """The field for the dataset's name."""
        return self.source.name

    @property
    def importer(self) -> Any:
        """The chooser of the format."""
        return self.source.importer

    # ---- looking at a file -----------------------------------------------------------------------------------------

    def open_files(self, files: list[str], unseen: str = "") -> None:
        """Preview these files, read as the first one is.

        Args:
            unseen: Why there is no preview: they are imported by what is in them, with nothing to correct.
        """
        self._files, self._mapping, self._found, self._is_waiting = files, None, {}, False
        more = f" and {words.plural(len(files) - 1, 'more file')}" if len(files) > 1 else ""
        self.title.setText(f"Import {name_of(files[0])}{more}")
        self.facts.setText(self.tr("Reading the first rows…"))
        self.source.start(files)
        clear(self.notes)
        self.known.forget()
        self.first.clear_rows()
        self._show_parts_of_page(False)
        self.import_button.setText(self.tr("Import"))
        self.import_button.setEnabled(False)
        clear(self._problem)
        if unseen:
            self.facts.setText(f"{unseen} There is no preview; it is read by what is in it.")
            self.import_button.setText(self.tr("Import without a preview"))
            self.import_button.setEnabled(True)
            return
        project = self.ctx.project
        if project is None:
            self._ask()
            return
        self.ctx.run_query(
            lambda: (project.imports.sources(), project.imports.mappings(), project.models.all()),
            self._take_known,
            key="import known",
            owner=self,
        )

    def _take_known(self, known: tuple[list[KnownSource], dict[str, Any], list[Any]]) -> None:
        self._sources, self._shapes, models = known
        self.figures.show_models(models)
        self._ask()

    def _ask(self) -> None:
        self._is_waiting = True
        self.import_button.setEnabled(False)
        params = {**self._request(), "others": self._files[1:], "known_shapes": self._shapes}
        self.ctx.request("inspect_file", params, self._show, self._fail, key="inspect", owner=self)

    def _request(self) -> dict[str, Any]:
        """What the session requests need to read the file as it is shown."""
        params: dict[str, Any] = {
            "path": self._files[0],
            "mapping": self._mapping,
            "importer_params": self.source.params,
            "part": self.source.shown_part,
        }
        if importer := self.source.importer.currentData():
            params["importer"] = importer
        return params

    def _fail(self, problem: Problem) -> None:
        if not self._is_waiting:
            return
        clear(self._problem)
        self._problem.addWidget(ProblemCard(problem))
        if not self._found:
            self.facts.setText("")
            self.first.clear_rows()
            self._show_parts_of_page(False)
            if self.source.importer.count() == 0:
                self.source.offer_formats([(c.id, c.title) for c in self.ctx.plugins.contributions("importer")])
        else:
            self._show_as_before()

    def _show_as_before(self) -> None:
        """Leave the rows there, for they help to choose, but do not say that they will be imported like that."""
        self._first_title.setText(f"First rows, as they were read before: {KINDS[self._found['kind']].lower()}")
        self.figures.hide()
        self.problems.hide()

    def _show_parts_of_page(self, is_visible: bool) -> None:
        for widget in (self.detection, self.form, self._first_title, self.first, self.figures, self.problems):
            widget.setVisible(is_visible)

    def _show(self, found: dict[str, Any]) -> None:
        if not self._is_waiting:
            return  # the user has changed something since, and it is not complete
        clear(self._problem)
        is_first_look = not self._found
        self._found = found
        self._show_parts_of_page(True)
        self._first_title.setText(self.tr("First rows, as they will be imported"))
        self.source.show_found(found)
        self.form.show_mapping(found)
        self.detection.show_found(found, self._mapping is not None)
        self.first.show_rows(found["rows"], [column["name"] for column in found["columns"]], found["pictures"])
        self.figures.show_found(found)
        self.problems.show_found(found)
        shown_above = f"Encoding: {found['detected_encoding']}"
        self._show_notes([note for note in found["notes"] if note != shown_above])
        self._show_facts(found)
        self.known.show_keys(found["update_keys"])
        self.import_button.setEnabled(True)
        self._check_name()
        if is_first_look:
            self._look_known()
        elif self.known.update_of:
            self._on_target()

    def _show_facts(self, found: dict[str, Any]) -> None:
        guess = "" if found["estimated_rows"] <= len(found["rows"]) else "about "
        parts = [f"{guess}{words.plural(found['estimated_rows'], 'row')}", words.size(found["bytes"])]
        if found["files"] > 1:
            parts.append(words.plural(found["files"], "file"))
        parts.append(f"read as {KINDS[found['kind']].lower()}")
        self.facts.setText(", ".join(parts))

    def _show_notes(self, notes: list[str]) -> None:
        clear(self.notes)
        if notes:
            self.notes.addWidget(label(self.tr("Noticed"), "strong"))
        for note in notes:
            self.notes.addWidget(label(note, "muted", wrap=True))

    # ---- correcting ------------------------------------------------------------------------------------------------

    @Slot()
    def _on_source(self) -> None:
        self._mapping = None
        self._ask()

    @Slot(dict)
    def _on_mapping(self, mapping: dict[str, Any]) -> None:
        self._mapping = mapping
        self._ask()

    @Slot(str)
    def _on_incomplete(self, text: str) -> None:
        self._is_waiting = False
        self.import_button.setEnabled(False)
        self.facts.setText(text)
        self.detection.show_incomplete(str(self.kind.currentData()), text, self._found)
        self._show_as_before()

    @Slot()
    def _on_forgotten(self) -> None:
        project, key = self.ctx.project, self._found.get("shape_key", "")
        self._shapes.pop(key, None)
        self._mapping = None
        if project is not None:
            self.ctx.run_op(self, lambda: project.imports.forget(key), lambda _: self._ask())

    @Slot(str)
    def _count_tokens(self, model: str) -> None:
        params = {**self._request(), "model": model, "mapping": self._found["mapping"]}
        name = self.figures.model.currentText()

        def fail(problem: Problem) -> None:
            self.figures.count.setEnabled(True)
            self.ctx.show_problem(problem)

        self.ctx.request(
            "count_tokens",
            params,
            lambda stats: self.figures.show_tokens(stats, f"counted with {name}, without its chat template"),
            fail,
            key="count tokens",
            owner=self,
        )

    # ---- files that are known --------------------------------------------------------------------------------------

    def _look_known(self) -> None:
        path = self._files[0]
        if len(self._files) > 1 or not self._sources or not (is_remote(path) or Path(path).is_file()):
            return
        self.known.look(self.ctx, path, self._found["bytes"], self._sources)

    @Slot()
    def _on_target(self) -> None:
        is_update = bool(self.known.update_of)
        self.import_button.setText(self.tr("Update") if is_update else self.tr("Import"))
        self.source.name.setEnabled(not is_update)
        self._check_name()
        if is_update and self._found and self._found["bytes"] <= COMPARED_AT_ONCE:
            self._compare()

    @Slot()
    def _check_name(self) -> None:
        self.source.check_name(self.ctx, is_new=not self.known.update_of)

    @Slot()
    def _compare(self) -> None:
        project = self.ctx.project
        if project is None or not self.known.update_of:
            return
        self.known.show_busy()
        arguments = self._arguments()

        def ask(spec: Any) -> None:
            params = spec.steps[0].params
            fail = lambda problem: self.known.show_failure(str(problem))  # noqa: E731
            self.ctx.request("preview_update", params, self.known.show_counts, fail, key="compare", owner=self)

        self.ctx.run_query(lambda: project.specs.import_files(**arguments), ask, key="compare", owner=self)

    def _arguments(self) -> dict[str, Any]:
        """Arguments for `JobSpecs.import_files`."""
        found = self._found
        is_kept = bool(found) and (self._mapping is not None or found["remembered"] or bool(self.known.update_of))
        return {
            "files": self._files,
            "name": self.source.name.text().strip(),
            "importer": str(self.source.importer.currentData() or ""),
            "mapping": found["mapping"] if is_kept and not self.source.is_each else self._mapping,
            "importer_params": self.source.params,
            "parts": self.source.chosen_parts,
            "each_its_own": self.source.is_each,
            "update_of": self.known.update_of,
            "update_key": self.known.key if self.known.update_of else "",
            "is_corrected": self._mapping is not None,
            # Of several, only the one that is shown was corrected; others of its shape go with it.
            "shape": found.get("shape_key", "") if self.source.is_each else "",
            "known_shapes": self._shapes if self.source.is_each else {},
        }

    def submit(self) -> None:
        """Start the import as previewed."""
        project = self.ctx.project
        if project is None or not self.import_button.isEnabled():
            return
        self.import_button.setEnabled(False)
        arguments = self._arguments()

        def fail(problem: Problem) -> None:
            self.import_button.setEnabled(True)
            self.ctx.show_problem(problem)

        self.ctx.build_and_submit(lambda: project.specs.import_files(**arguments), self.submitted.emit, fail)
