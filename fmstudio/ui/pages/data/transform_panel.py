"""`TransformPanel`: choose a transform, fill in its form, see what it would do, run it as a job. Lies over the table."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFrame, QLineEdit, QScrollArea, QStackedWidget, QWidget

from fmstudio.project.filter_completion import completions
from fmstudio.project.filters import FilterColumn
from fmstudio.ui.pages.data.filter_completer import FilterCompleter
from fmstudio.ui.pages.data.transform_forms import (
    OTHER_COLUMNS,
    TransformInfo,
    form_schema,
    grouped,
    load_transforms,
    missing,
)
from fmstudio.ui.pages.data.transform_gallery import TransformGallery
from fmstudio.ui.pages.data.transform_preview_pane import TransformPreviewPane
from fmstudio.ui.widgets.param_controls import CheckList, ChoiceBox
from fmstudio.ui.widgets.param_form import ParamForm
from fmstudio.ui.widgets.parts import button, column, holder, label, row, tool_button

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.jobs.spec import JobSpec
    from fmstudio.project.datasets import Dataset
    from fmstudio.recipes.transform_preview import TransformPreview
    from fmstudio.ui.context import AppContext

PREVIEW_DELAY_MS = 350
PREVIEW_ROWS = 50
FORM_WIDTH = 300


class TransformPanel(QWidget):
    """The list of transforms, or one of them with its form and preview.

    Signals:
        closed: The user is done with it.
        submitted: (Job, sentence) a transform runs.
        loaded: The transforms are known; see `transforms`.
    """

    closed = Signal()
    submitted = Signal(object, str)
    loaded = Signal()

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self.transforms: dict[str, TransformInfo] = {}
        self.dataset: Dataset | None = None
        self.form: ParamForm | None = None
        self._others: dict[str, list[str]] | None = None
        self._current = ""
        self._wanted: tuple[str, dict[str, Any]] | None = None
        self._is_ready = False
        self._asked = 0
        self.gallery = TransformGallery()
        self.gallery.chosen.connect(self._on_chosen)
        self.title, self.about = label("", "title"), label("", "muted", wrap=True)
        self.back = tool_button("chevron-left", self.tr("All changes"), self.show_gallery)
        self.close_button = tool_button("close", self.tr("Close"), self.close_panel, shortcut="Esc")
        self.run_button = button(
            self.tr("Run"), self.run, kind="primary", icon="play", tip=self.tr("Run on all rows as a job (Ctrl+Enter)")
        )
        self.preview = TransformPreviewPane()
        self._soon = QTimer(self, singleShot=True, interval=PREVIEW_DELAY_MS)
        self._soon.timeout.connect(self._ask_preview)
        self._build()

    def _build(self) -> None:
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        left = QFrame()
        left.setFixedWidth(FORM_WIDTH)
        buttons = row(self.run_button, None, gap=8)
        part = column(self.about, self._scroll, buttons, gap=10, margins=(0, 0, 12, 0))
        part.setStretch(1, 1)
        left.setLayout(part)
        body = row(left, self.preview, gap=12)
        body.setStretch(1, 1)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.gallery)
        self._stack.addWidget(holder(body))
        head = row(self.back, self.title, None, self.close_button, gap=8)
        layout = column(head, self._stack, gap=8)
        layout.setStretch(1, 1)
        self.setLayout(layout)

    # ---- opening and closing ---------------------------------------------------------------------------------------

    def load(self) -> None:
        """Get to know the transforms, once."""
        if not self.transforms:
            self.ctx.run_query(load_transforms, self._on_loaded, key="transforms", owner=self)

    def open_on(self, dataset: Dataset, transform: str = "", params: Mapping[str, Any] | None = None) -> None:
        """Open for a dataset; without a transform the list of all of them."""
        self.dataset = dataset
        self._wanted, self._others = (transform, dict(params or {})) if transform else None, None
        if self._wanted is None or not self.transforms:
            self.show_gallery()
        self.load()
        self._refresh_others()

    def close_panel(self) -> None:
        """Leave it; what was typed is forgotten."""
        self._soon.stop()
        self._current, self._is_ready = "", False
        project = self.ctx.project
        if project is not None:
            project.transforms.interrupt()
        self.closed.emit()

    def show_dataset(self, dataset: Dataset) -> None:
        """The dataset changed while the panel is open: show what the transform would do now."""
        if self.dataset is None or dataset == self.dataset:
            return
        if dataset.id != self.dataset.id:
            self.close_panel()
            self.dataset = dataset
            return
        self.dataset = dataset
        self._later()

    def _on_loaded(self, transforms: dict[str, TransformInfo]) -> None:
        self.transforms = transforms
        self.gallery.show_transforms(grouped(transforms))
        self.loaded.emit()
        self._open_wanted()

    def _refresh_others(self) -> None:
        project = self.ctx.project
        if project is not None:
            self.ctx.run_query(project.datasets.all, self._on_others, key="transform datasets", owner=self)

    def _on_others(self, datasets: list[Dataset]) -> None:
        own = self.dataset.id if self.dataset is not None else ""
        self._others = {
            d.name: [c.name for c in d.columns if not c.is_side and c.name != "row_id"] for d in datasets if d.id != own
        }
        self._open_wanted()

    def _open_wanted(self) -> None:
        if self._wanted is None or not self.transforms or self._others is None or self.dataset is None:
            return
        (transform, params), self._wanted = self._wanted, None
        if transform in self.transforms:
            self._open_form(transform, params)

    @Slot(str)
    def _on_chosen(self, transform: str) -> None:
        """Open what was chosen from the list, as soon as the columns and datasets to offer are known."""
        self._wanted = (transform, {})
        self._open_wanted()

    # ---- the form --------------------------------------------------------------------------------------------------

    @Slot()
    def show_gallery(self) -> None:
        """Show the list of all transforms."""
        self._current = ""
        self.title.setText(f"Change {self.dataset.name}" if self.dataset is not None else self.tr("Change"))
        self.back.hide()
        self._stack.setCurrentIndex(0)
        self.gallery.focus_list()

    def _open_form(self, transform: str, params: dict[str, Any]) -> None:
        if self.dataset is None:
            return
        info = self._info = self.transforms[transform]
        self._current, self._is_ready = transform, False
        self.title.setText(info.title)
        self.about.setText(info.description)
        self.back.show()
        self.form = self._make_form(info, params)
        self._scroll.setWidget(holder(column(self.form, None, margins=(0, 0, 10, 0))))
        self._order_stops(self.form)
        self._stack.setCurrentIndex(1)
        self.run_button.setEnabled(False)
        self.preview.tables.clear()
        self._focus_first()
        self._on_change()

    def _order_stops(self, form: ParamForm) -> None:
        """Let Tab lead from the form to the button below: Qt puts what is made later behind all else in the window."""
        here = [w for w in form.findChildren(QWidget) if w.window() is self.window()]  # not the lists that drop down
        stops = [w for w in here if w.focusPolicy() & Qt.FocusPolicy.TabFocus]
        for before, after in pairwise([self._scroll, *stops, self.run_button]):
            QWidget.setTabOrder(before, after)

    def _make_form(self, info: TransformInfo, params: dict[str, Any]) -> ParamForm:
        form = ParamForm(form_schema(info, self._columns(), self._others or {}), params, is_stacked=True)
        form.changed.connect(self._on_change)
        for name, raw in info.schema.get("properties", {}).items():
            control = form.fields[name].control
            if raw.get("control") == "sql" and isinstance(control, QLineEdit):
                control.setProperty("role", "mono")
                FilterCompleter(control, lambda text: completions(text, self._filter_columns(), {}, is_sql=True))
        return form

    def _columns(self) -> list[str]:
        return [c.name for c in self._own_columns()]

    def _own_columns(self) -> list[Any]:
        columns = self.dataset.columns if self.dataset is not None else ()
        return [c for c in columns if not c.is_side and c.name != "row_id"]

    def _filter_columns(self) -> list[FilterColumn]:
        return [FilterColumn(c.name, c.type) for c in self._own_columns()]

    def _focus_first(self) -> None:
        if self.form is not None and self.form.fields:
            next(iter(self.form.fields.values())).control.setFocus()

    @Slot()
    def _on_change(self) -> None:
        self._offer_their_columns()
        self._later()

    def _offer_their_columns(self) -> None:
        """Offer the columns of the dataset that is joined, once it is chosen."""
        if self._current != "join" or self.form is None:
            return
        theirs = (self._others or {}).get(str(self.form.fields["dataset"].value or ""), [])
        for name in OTHER_COLUMNS:
            control = self.form.fields[name].control
            if isinstance(control, ChoiceBox | CheckList) and control.choices() != theirs:
                control.set_choices(theirs)

    # ---- preview and run -------------------------------------------------------------------------------------------

    def _later(self) -> None:
        self._set_ready(False)
        wrong = self.form.wrong() if self.form is not None else []
        lacking = missing(self._info.schema, self.form.values()) if self.form is not None else []
        if wrong or lacking:
            self._soon.stop()
            self._asked += 1  # an answer that is still on its way is for what stood here before
            self.preview.show_waiting([name for name in lacking if name not in wrong], wrong)
        else:
            self._soon.start()

    @Slot()
    def _ask_preview(self) -> None:
        project, dataset, form, transform = self.ctx.project, self.dataset, self.form, self._current
        if project is None or dataset is None or form is None or not transform:
            return
        params = form.values()
        self._asked += 1
        asked = self._asked
        self.preview.show_busy()

        def show(preview: TransformPreview) -> None:
            if asked == self._asked and self._current and not self._soon.isActive():
                self.preview.show_preview(preview)
                self._set_ready(not preview.failure and not preview.is_idle)

        def fail(problem: Problem) -> None:
            if asked == self._asked and self._current:
                self.preview.show_problem(problem)

        self.ctx.run_query(
            lambda: project.transforms.preview(dataset.id, transform, params, PREVIEW_ROWS),
            show, fail, key="transform preview", owner=self,
        )  # fmt: skip

    @Slot()
    def run(self) -> None:
        """Run it on all rows as a job, when its preview says that it can be run."""
        project, dataset, form, transform = self.ctx.project, self.dataset, self.form, self._current
        if project is None or dataset is None or form is None or not transform or not self._is_ready:
            return
        params, title = form.values(), self._info.title
        self._set_ready(False)  # a second click or key must not run it twice
        said = f"{title}: runs as a job. The result appears here when it is done."

        def start(spec: JobSpec) -> None:
            self.submitted.emit(self.ctx.submit(spec), said)
            self.close_panel()

        def fail(problem: Problem) -> None:
            self._set_ready(True)
            self.ctx.show_problem(problem)

        self.ctx.run_query(lambda: project.specs.transform(dataset.id, transform, params), start, fail, owner=self)

    def _set_ready(self, is_ready: bool) -> None:
        self._is_ready = is_ready
        self.run_button.setEnabled(is_ready)
