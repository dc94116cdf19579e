"""`DatasetPanels`: change, export, lineage and disk use: panels that lie over the tabs, each built when first opened."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QStackedWidget, QWidget

from fmstudio.ui.widgets.parts import column, holder

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.pages.data.disk_view import DiskView
    from fmstudio.ui.pages.data.export_panel import ExportPanel
    from fmstudio.ui.pages.data.lineage_view import LineageView
    from fmstudio.ui.pages.data.transform_panel import TransformPanel


class DatasetPanels(QObject):
    """Puts panels into a stack whose first place holds the tabs.

    Signals:
        opened: A panel lies over the tabs now.
        closed: The tabs are back.
        submitted: (Job, sentence) a job was started whose result shall be shown.
        transforms_known: The transforms can be listed; see `transform`.
    """

    opened = Signal()
    closed = Signal()
    submitted = Signal(object, str)
    transforms_known = Signal()

    def __init__(self, context: AppContext, body: QStackedWidget) -> None:
        super().__init__(body)
        self.ctx = context
        self._body = body
        self._around: dict[QWidget, QWidget] = {}

    # ---- built when first opened -----------------------------------------------------------------------------------

    @cached_property
    def transform(self) -> TransformPanel:
        """The changes a job makes, with their preview."""
        from fmstudio.ui.pages.data.transform_panel import TransformPanel

        made = TransformPanel(self.ctx)
        made.loaded.connect(self.transforms_known)
        made.closed.connect(self.close)
        made.submitted.connect(self.submitted)
        self._add(made)
        made.load()
        return made

    @cached_property
    def export(self) -> ExportPanel:
        """The export of the dataset."""
        from fmstudio.ui.pages.data.export_panel import ExportPanel

        made = ExportPanel(self.ctx)
        made.closed.connect(self.close)
        self._add(made)
        return made

    @cached_property
    def lineage(self) -> LineageView:
        """Where things came from and what used them."""
        from fmstudio.ui.pages.data.lineage_view import LineageView

        made = LineageView(self.ctx)
        made.closed.connect(self.close)
        self._add(made)
        return made

    @cached_property
    def disk(self) -> DiskView:
        """What takes space."""
        from fmstudio.ui.pages.data.disk_view import DiskView

        made = DiskView(self.ctx)
        made.closed.connect(self.close)
        self._add(made)
        return made

    def _add(self, panel: QWidget) -> None:
        self._around[panel] = holder(column(panel, margins=(0, 0, 24, 12)))
        self._body.addWidget(self._around[panel])

    # ---- opening and closing ---------------------------------------------------------------------------------------

    @property
    def front(self) -> QWidget | None:
        """The panel that lies over the tabs."""
        front = self._body.currentWidget()
        return next((panel for panel, around in self._around.items() if around is front), None)

    def is_front(self, name: str) -> bool:
        """Whether that panel lies over the tabs; asked without building it."""
        return name in self.__dict__ and self.front is self.__dict__[name]

    def open_transform(self, dataset: Dataset, transform: str, params: Mapping[str, Any] | None) -> None:
        """Open a transform with its preview; without one, the list of all."""
        self._show(self.transform)
        self.transform.open_on(dataset, transform, params)

    def open_export(self, dataset: Dataset, where: str, matching: int) -> None:
        """Open the export; the filter of the table is offered (`matching` rows; -1 = there is none, or they were not counted yet)."""
        self._show(self.export)
        self.export.open_on(dataset, where, matching)

    def open_lineage(self, dataset: Dataset, version: int = 0, row_id: int | None = None) -> None:
        """Show where the dataset (or one version or row of it) came from and what used it."""
        self._show(self.lineage)
        if row_id is not None:
            self.lineage.show_row(dataset.id, row_id)
        elif version:
            self.lineage.show_version(dataset.id, version)
        else:
            self.lineage.show_dataset(dataset)
        self.lineage.list.setFocus()

    def open_disk(self) -> None:
        """Show what takes space in the project, and what can be freed."""
        self._show(self.disk)
        self.disk.refresh()
        self.disk.list.setFocus()

    def _show(self, panel: QWidget) -> None:
        self._body.setCurrentWidget(self._around[panel])
        self.opened.emit()

    @Slot()
    def close(self) -> None:
        """Show the tabs again."""
        if self.front is not None:
            self._body.setCurrentIndex(0)
            self.closed.emit()

    def run(self) -> None:
        """Ctrl+Enter: run what the panel in front is for."""
        for name in ("transform", "export"):
            if self.is_front(name):
                getattr(self, name).run()

    def escape(self) -> None:
        """Esc: leave the panel in front."""
        for name in ("transform", "export"):
            if self.is_front(name):
                getattr(self, name).close_panel()
                return
        self.close()
