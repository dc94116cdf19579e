"""`ExportPanel`: choose a format, what goes out and where to, look at the first records, run it as a job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QFrame, QScrollArea, QWidget

from fmstudio.project.exports import ExportInclude
from fmstudio.ui.pages.data.export_formats import LICENSES, FormatList, formats_for
from fmstudio.ui.pages.data.export_preview_pane import ExportPreviewPane
from fmstudio.ui.pages.data.export_records import EarlierExports, ExportResult
from fmstudio.ui.pages.data.export_target import ExportTarget
from fmstudio.ui.schemas import Schemas, load_schemas
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.param_controls import ChoiceBox
from fmstudio.ui.widgets.param_form import ParamForm
from fmstudio.ui.widgets.parts import ElidedLabel, button, clear, column, holder, label, row, tool_button

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.jobs.spec import Job
    from fmstudio.project.datasets import Dataset
    from fmstudio.project.exports import ExportRecord
    from fmstudio.ui.context import AppContext

LOOK_DELAY_MS = 350
SETTINGS_WIDTH = 330
EXTRAS = (
    ("dropped", "Rows that were dropped, with the reasons"),
    ("rejected", "Pieces of the files that could not be read"),
    ("provenance", "Where each row came from (provenance)"),
)


class ExportPanel(QWidget):
    """The settings at the left, what comes out at the right.

    Signals:
        closed: The user is done with it.
    """

    closed = Signal()

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self.dataset: Dataset | None = None
        self.form: ParamForm | None = None
        self._schemas: Schemas = {}
        self._errors: dict[str, str] = {}
        self._where, self._where_rows = "", -1
        self._job_id = ""
        self._used: dict[str, Any] = {}
        self.formats = FormatList()
        self.title = ElidedLabel("", "title")
        self.close_button = tool_button("close", self.tr("Close"), self.close_panel, shortcut="Esc")
        self.only_filtered = QCheckBox(self.tr("Only the rows of the filter"))
        self.extras = {name: QCheckBox(title) for name, title in EXTRAS}
        self.target = ExportTarget()
        self.license = ChoiceBox(LICENSES, self._later, is_open=True)
        self.license.setAccessibleName(self.tr("Licence"))
        self.license.setToolTip(self.tr("Stands in the dataset card and the provenance"))
        self.run_button = button(
            self.tr("Export"), self.run, kind="primary", icon="export", tip=self.tr("Export as a job (Ctrl+Enter)")
        )
        self.stop_button = button(self.tr("Stop"), self._stop, icon="stop")
        self.status = label("", "muted", wrap=True)
        self.preview, self.result, self.earlier = ExportPreviewPane(), ExportResult(), EarlierExports()
        self._soon = QTimer(self, singleShot=True, interval=LOOK_DELAY_MS)
        self._soon.timeout.connect(self._look)
        self._build()
        self._connect()

    def _build(self) -> None:
        self.formats.setMinimumHeight(150)
        self.formats.setMaximumHeight(230)
        self._form_place = column(gap=0)
        self._license_part = holder(column(label(self.tr("Licence")), self.license, gap=2))
        where = column(label(self.tr("Rows"), "heading"), self.only_filtered, gap=2)
        beside = column(label(self.tr("Beside the file"), "heading"), *self.extras.values(), gap=2)
        self._rows_part = holder(where)
        inner = column(
            self.formats, self._form_place, self._license_part, self._rows_part, beside, None,
            gap=12, margins=(0, 0, 10, 0),
        )  # fmt: skip
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(holder(inner))
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        left = QFrame()
        left.setFixedWidth(SETTINGS_WIDTH)
        run = row(self.run_button, self.stop_button, self.status, gap=8)
        run.setStretch(2, 1)
        part = column(scroll, self.target, run, gap=10, margins=(0, 0, 12, 0))
        part.setStretch(0, 1)
        left.setLayout(part)
        shown = QScrollArea()
        shown.setWidgetResizable(True)
        shown.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._problem = column(gap=0)
        right = column(self.result, self._problem, self.preview, self.earlier, None, gap=12, margins=(0, 0, 8, 0))
        shown.setWidget(holder(right))
        shown.setAccessibleName(self.tr("What comes out"))
        body = row(left, shown, gap=12)
        body.setStretch(1, 1)
        head = row(self.title, self.close_button, gap=8)
        head.setStretch(0, 1)
        layout = column(head, body, gap=8)
        layout.setStretch(1, 1)
        self.setLayout(layout)
        self.stop_button.hide()

    def _connect(self) -> None:
        self.formats.chosen.connect(self._on_format)
        self.only_filtered.toggled.connect(lambda _: self._later())
        self.extras["provenance"].toggled.connect(lambda _: self._show_license())
        self.earlier.again_wanted.connect(self._again)
        self.ctx.job_changed.connect(self._on_job)

    # ---- opening ---------------------------------------------------------------------------------------------------

    def open_on(self, dataset: Dataset, where: str = "", where_rows: int = -1) -> None:
        """Open for a dataset; `where` is the filter in the table now, `where_rows` how many rows it shows."""
        is_other = self.dataset is None or dataset.id != self.dataset.id
        self.dataset, self._where, self._where_rows = dataset, where, where_rows
        self.title.setText(f"Export {dataset.name}")
        self._show_rows_part()
        if is_other:
            self.result.hide()
            clear(self._problem)
            self.target.forget()
        self._show_formats()
        load_schemas(self.ctx, "dataset_exporter", self._on_schemas, self)
        self._load_earlier()
        self.formats.setFocus()

    def close_panel(self) -> None:
        """Leave it; a running export goes on."""
        self._soon.stop()
        self.closed.emit()

    def _show_rows_part(self) -> None:
        rows = f" ({words.plural(self._where_rows, 'row')})" if self._where_rows >= 0 else ""
        self.only_filtered.setText(f"{self.tr('Only the rows of the filter')}{rows}")
        self.only_filtered.setToolTip(self._where)
        self._rows_part.setVisible(bool(self._where))
        self.only_filtered.setChecked(bool(self._where))

    def _on_schemas(self, schemas: Schemas, errors: dict[str, str]) -> None:
        is_news = (schemas, errors) != (self._schemas, self._errors)
        self._schemas, self._errors = schemas, errors
        if is_news:
            self._show_formats()

    def _show_formats(self) -> None:
        """Offer the formats; what each can be told comes later, from a worker."""
        if self.dataset is None:
            return
        found = self.formats.current()
        formats = formats_for(self.ctx.plugins.contributions("dataset_exporter"), self.dataset.kind, self._errors)
        self.formats.show_formats(formats, found.id if found is not None else "")

    def _load_earlier(self) -> None:
        project, dataset = self.ctx.project, self.dataset
        if project is not None and dataset is not None:
            self.ctx.run_query(
                lambda: project.exports.all(dataset.id), self._show_earlier, key="earlier exports", owner=self
            )

    def _show_earlier(self, records: list[ExportRecord]) -> None:
        titles = {one.id: one.title for one in self.ctx.plugins.contributions("dataset_exporter")}
        self.earlier.show_records(records, titles)

    def _again(self, record: ExportRecord) -> None:
        formats = list(self.formats.formats.values())
        self.formats.show_formats(formats, record.exporter)
        self.target.use(record.path, replace=not record.is_missing)
        self.run_button.setFocus()

    # ---- settings --------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_format(self, exporter: str) -> None:
        if self.form is not None:
            before = self.form.values()
            self._used.update(before)
        clear(self._form_place)
        schema = self._schemas.get(exporter, {})
        self.form = ParamForm(schema, self._used, is_stacked=True) if schema.get("properties") else None
        if self.form is not None:
            self.form.changed.connect(self._later)
            self._form_place.addWidget(self.form)
        self._show_license()
        self._propose_target()
        self._later()

    def _show_license(self) -> None:
        """Ask for the licence where it is written down."""
        chosen = self.formats.current()
        has_card = chosen is not None and chosen.id == "hf_dataset"
        self._license_part.setVisible(has_card or self.extras["provenance"].isChecked())

    def _propose_target(self) -> None:
        chosen, dataset = self.formats.current(), self.dataset
        if chosen is not None and dataset is not None:
            self.target.propose(dataset.name, chosen.suffix)

    def where(self) -> str:
        """The condition of the rows that go out; empty = all."""
        return self._where if self.only_filtered.isChecked() else ""

    # ---- preview and run -------------------------------------------------------------------------------------------

    def _later(self) -> None:
        self._soon.start()

    @Slot()
    def _look(self) -> None:
        project, dataset, chosen = self.ctx.project, self.dataset, self.formats.current()
        if project is None or dataset is None or chosen is None or not self._is_valid():
            return
        params, where, license_ = self._params(), self.where(), self.license.value()
        self.preview.show_busy()

        def build() -> dict[str, Any]:
            from fmstudio.project.export_preview import preview_request

            return preview_request(project, dataset.id, chosen.id, params, where, license_)

        def ask(request: dict[str, Any]) -> None:
            self.ctx.request(
                "preview_export", request, self.preview.show_answer, self.preview.show_problem,
                key="preview export", owner=self,
            )  # fmt: skip

        self.ctx.run_query(build, ask, self.preview.show_problem, key="preview export", owner=self)

    def _is_valid(self) -> bool:
        return self.form is None or self.form.is_valid()

    def _params(self) -> dict[str, Any]:
        return self.form.values() if self.form is not None else {}

    @Slot()
    def run(self) -> None:
        """Export as a job."""
        project, dataset, chosen = self.ctx.project, self.dataset, self.formats.current()
        target = self.target.path()
        if project is None or dataset is None or chosen is None or not self.run_button.isEnabled():
            return
        if not self._is_valid():
            return
        if not target:
            self.status.setText(self.tr("Say where to."))
            self.target.field.setFocus()
            return
        wanted = {name: box.isChecked() for name, box in self.extras.items()}
        include = ExportInclude(
            self.where(), rejected=wanted["rejected"], dropped=wanted["dropped"], provenance=wanted["provenance"]
        )
        params, license_, overwrite = self._params(), self.license.value(), self.target.overwrite.isChecked()
        clear(self._problem)
        self.result.hide()
        had_focus = self.run_button.hasFocus()
        self.run_button.setEnabled(False)

        def build() -> Any:
            return project.specs.export_dataset(
                dataset.id, chosen.id, Path(target),
                params=params, include=include, license=license_, overwrite=overwrite,
            )  # fmt: skip

        def start(spec: Any) -> None:
            self._job_id = spec.id
            self.stop_button.show()
            if had_focus:  # it was switched off, and the keyboard with it
                self.stop_button.setFocus()
            self.status.setText(self.tr("Waiting…"))
            self.ctx.submit(spec)

        def refuse(problem: Problem) -> None:
            self._on_refused(problem)
            if had_focus:
                self.run_button.setFocus()

        self.ctx.run_query(build, start, refuse, owner=self)

    def _on_refused(self, problem: Problem) -> None:
        self.run_button.setEnabled(True)
        self.status.setText("")
        clear(self._problem)
        self._problem.addWidget(ProblemCard(problem, stacked=True))

    def _stop(self) -> None:
        if self.ctx.queue is not None and self._job_id:
            self.ctx.queue.cancel(self._job_id)

    @Slot(object)
    def _on_job(self, job: Job) -> None:
        if not self._job_id or job.id != self._job_id:
            return
        if not job.is_finished:
            self.status.setText(_progress(job))
            return
        self._job_id = ""
        had_focus = self.stop_button.hasFocus()
        self.run_button.setEnabled(True)
        if had_focus:
            self.run_button.setFocus()
        self.stop_button.hide()
        self.status.setText("")
        if job.state == "succeeded":
            result = job.results[job.spec.steps[-1].name]
            self.result.show_result(result)
            self.target.written(Path(result["path"]))
            self._load_earlier()
        elif job.error is not None:
            self._on_refused(job.error)
        else:
            self.status.setText(self.tr("Stopped. Nothing was written."))


def _progress(job: Job) -> str:
    from fmstudio.ui.widgets.job_tray import progress_text

    return progress_text(job)
