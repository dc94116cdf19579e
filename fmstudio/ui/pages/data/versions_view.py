"""What happened to a dataset, its versions, and what differs between them: three ways to look at its past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QButtonGroup, QPushButton, QStackedWidget, QWidget

from fmstudio.ui.pages.data.diff_view import DiffView
from fmstudio.ui.pages.data.history_items import HistoryItem, read_history
from fmstudio.ui.pages.data.history_versions import VersionsPane, step_line
from fmstudio.ui.pages.data.history_view import HistoryView
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.paged_table import PagedTable
from fmstudio.ui.widgets.parts import button, column, row

if TYPE_CHECKING:
    from fmstudio.project import Changes
    from fmstudio.project.datasets import Dataset, Version
    from fmstudio.ui.context import AppContext

__all__ = ["VersionsView", "step_line"]

PARTS = (("history", "History"), ("versions", "Versions"), ("compare", "Compare"))


class VersionsView(QWidget):
    """History with its time slider, versions, and the comparison of two of them.

    Signals:
        version_wanted: (number) the user wants to see the rows of a version.
        job_wanted: (job id) the user wants to see the job that made it.
        lineage_wanted: The user wants to see where the data came from and what used it.
        version_lineage_wanted: (number) the same, of one version.
    """

    version_wanted = Signal(int)
    job_wanted = Signal(str)
    lineage_wanted = Signal()
    version_lineage_wanted = Signal(int)

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._dataset: Dataset | None = None
        self._is_stale = False
        self.history = HistoryView(context)
        self.versions = VersionsPane(context)
        self.diff = DiffView(context)
        self.stack = QStackedWidget()
        self.choices: dict[str, QPushButton] = {}
        self._build()
        self._connect()

    def _build(self) -> None:
        line, group = row(gap=4), QButtonGroup(self)
        for part, title in PARTS:
            made = button(title, lambda part=part: self.show_part(part), kind="choice")  # type: ignore[misc]
            group.addButton(made)
            self.choices[part] = made
            line.addWidget(made)
        line.addStretch(1)
        tip = self.tr("Where the data came from, and what used it")
        line.addWidget(button(self.tr("Lineage"), self.lineage_wanted.emit, kind="quiet", icon="link", tip=tip))
        for widget in (self.history, self.versions, self.diff):
            self.stack.addWidget(widget)
        layout = column(line, self.stack, gap=8)
        layout.setStretch(1, 1)
        self.setLayout(layout)
        self.show_part("history")
        self._again = QTimer(self, singleShot=True, interval=0)
        self._again.timeout.connect(self._load)

    def _connect(self) -> None:
        self.history.job_wanted.connect(self.job_wanted)
        self.versions.job_wanted.connect(self.job_wanted)
        self.versions.version_wanted.connect(self.version_wanted)
        self.versions.lineage_wanted.connect(self.version_lineage_wanted)
        self.versions.compare_wanted.connect(self.compare)
        self.ctx.data_changed.connect(self._on_changes)
        for keys, act in (
            ("Alt+Left", lambda: self._step(-1)),
            ("Alt+Right", lambda: self._step(1)),
            ("Esc", self.history.go_to_now),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)

    @property
    def table(self) -> PagedTable:
        """The table of versions."""
        return self.versions.table

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_dataset(self, dataset: Dataset) -> None:
        """Show the past of a dataset; it is read when it comes into sight."""
        self._dataset = dataset
        self._refresh()

    def show_part(self, part: str) -> None:
        """Bring ``history``, ``versions`` or ``compare`` to the front."""
        widgets: dict[str, QWidget] = {"history": self.history, "versions": self.versions, "compare": self.diff}
        self.choices[part].setChecked(True)
        self.stack.setCurrentWidget(widgets[part])

    def focus(self) -> None:
        """Put the keyboard into what is in front."""
        front = self.stack.currentWidget()
        focused = {self.history: self.history.list, self.versions: self.table, self.diff: self.diff.cards}
        focused[front].setFocus()  # type: ignore[index]

    @Slot(int, int)
    def compare(self, before: int, after: int) -> None:
        """Show what differs between two versions."""
        self.show_part("compare")
        self.diff.compare(before, after)

    def _step(self, by: int) -> None:
        self.show_part("history")
        self.history.step(by)

    def _refresh(self) -> None:
        self._is_stale = True
        if self.isVisible():
            self._again.start()

    @Slot()
    def _load(self) -> None:
        project, dataset = self.ctx.project, self._dataset
        if project is None or dataset is None or not self._is_stale:
            return
        self._is_stale = False

        def read() -> Any:
            found = project.datasets.get(dataset.id)
            pending = bool(project.edits.pending(dataset.id))
            return found, read_history(project, dataset.id), project.datasets.versions(dataset.id), pending

        self.ctx.run_query(read, lambda found: self._show(*found), key="past", owner=self)

    def _show(self, dataset: Dataset, items: list[HistoryItem], versions: list[Version], has_edits: bool) -> None:
        if self._dataset is None or dataset.id != self._dataset.id:
            return
        self._dataset = dataset
        self.choices["history"].setText(f"{self.tr('History')} {words.number(len(items))}")
        self.choices["versions"].setText(f"{self.tr('Versions')} {words.number(len(versions))}")
        self.history.show_history(dataset, items)
        self.versions.show_versions(dataset, versions)
        self.diff.show_dataset(dataset, versions, has_edits)

    @Slot(object, object)
    def _on_changes(self, changes: Changes, origin: object) -> None:
        if self._dataset is not None and self._dataset.id in changes.datasets:
            self._refresh()

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: read what has changed meanwhile."""
        super().showEvent(event)
        if self._is_stale:
            self._again.start()
