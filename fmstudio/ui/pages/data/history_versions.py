"""The versions of a dataset: named, branched, restored, compared; and what each is made of."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint, Qt, Signal, Slot
from PySide6.QtWidgets import QInputDialog, QMenu, QScrollArea, QWidget

from fmstudio.ui.pages.data.history_columns import VersionColumns
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.paged_table import PagedTable
from fmstudio.ui.widgets.parts import button, card, clear, column, holder, label, row

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset, Version
    from fmstudio.ui.context import AppContext

COLUMNS = ("version", "state", "name", "made by", "rows", "change", "dropped", "made", "size")
SELDOM = frozenset({"name", "change", "dropped"})
"""Columns that are left out while no version has anything in them, so that the others have room."""
NONE = "–"
MOST_FILES = 5


class VersionsPane(QWidget):
    """A table of versions, newest first; below it the chosen one's story.

    Signals:
        version_wanted: (number) the user wants to see the rows of a version.
        job_wanted: (job id) the user wants to see the job that made it.
        compare_wanted: (number before, number after) two versions are to be compared.
        lineage_wanted: (number) where a version came from and what used it.
        changed: Something was asked to be changed here; the history is another now.
    """

    version_wanted = Signal(int)
    job_wanted = Signal(str)
    compare_wanted = Signal(int, int)
    lineage_wanted = Signal(int)

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._dataset: Dataset | None = None
        self._versions: list[Version] = []
        self.table = PagedTable(self.tr("Versions"))
        self.table.verticalHeader().hide()
        self.table.rows.amounts = frozenset({"change", "size"})
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.compare = button(
            self.tr("Compare"), self.compare_chosen, icon="inspector",
            tip=self.tr("Two chosen versions (Ctrl+click), or the chosen one with the one it was made from (Ctrl+D)"),
        )  # fmt: skip
        self.look = button(self.tr("Look at its rows"), self._look, tip=self.tr("Show this version as a table (Enter)"))
        self.restore = button(
            self.tr("Restore"), self.restore_chosen, tip=self.tr("Make this version the current one; can be undone")
        )
        self.branch = button(
            self.tr("Branch…"), self.branch_chosen, tip=self.tr("A new dataset that begins as this version (Ctrl+B)")
        )
        self.name = button(self.tr("Name…"), self.name_chosen, tip=self.tr("Give this version a name (F2)"))
        self.lineage = button(
            self.tr("Lineage"), self._lineage, kind="quiet", tip=self.tr("Where it came from and what used it")
        )
        self.job = button(self.tr("Show the job"), self._show_job, kind="quiet")
        self._story = column(gap=4)
        self.columns = VersionColumns(context)
        self._build()
        self._connect()

    def _build(self) -> None:
        actions = row(
            self.look, self.compare, self.restore, self.branch, self.name, self.lineage, self.job, None, gap=6
        )
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(holder(column(holder(self._story), self.columns, None, gap=10, margins=(16, 12, 16, 12))))
        layout = column(self.table, actions, card(area, padding=1), gap=8)
        layout.setStretch(0, 1)
        layout.setStretch(2, 1)
        self.setLayout(layout)

    def _connect(self) -> None:
        self.table.row_chosen.connect(self._on_row)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_actions())
        self.table.customContextMenuRequested.connect(self._open_menu)
        self.table.commands.update(
            {
                "F2": self.name_chosen, "Ctrl+B": self.branch_chosen, "Ctrl+D": self.compare_chosen,
                "Return": self._look, "Enter": self._look,
            }
        )  # fmt: skip

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_versions(self, dataset: Dataset, versions: list[Version]) -> None:
        """Show versions (oldest first); the chosen one stays chosen."""
        is_same = self._dataset is not None and self._dataset.id == dataset.id
        before = self.chosen() if is_same else None
        self._dataset, self._versions = dataset, versions[::-1]
        rows = {v.number: v.rows for v in versions}
        records = [self._record(v, rows) for v in self._versions]
        told = [n for n in COLUMNS if n not in SELDOM or any(record[n] not in (NONE, 0) for record in records)]
        self.table.rows.load_records(records, told)
        wanted = before.number if before is not None else dataset.version
        self.table.selectRow(next((i for i, v in enumerate(self._versions) if v.number == wanted), 0))
        self._show_actions()

    def _record(self, version: Version, rows: dict[int, int]) -> dict[str, Any]:
        change = version.rows - rows[version.parent] if version.parent in rows else 0
        current = self._dataset.version if self._dataset else 0
        state = "current" if version.number == current else "collected" if is_collected(version) else NONE
        return {
            "version": version.number,
            "state": state, "name": version.name or NONE, "made by": version.operation, "rows": version.rows,
            "change": f"{'+' if change > 0 else '−'}{abs(change):,}" if change else NONE,
            "dropped": version.dropped, "size": words.size(version.bytes),
            "made": time.strftime("%Y-%m-%d %H:%M", time.localtime(version.created)),
        }  # fmt: skip

    def chosen(self) -> Version | None:
        """The version the actions are for: the current row of the table."""
        number = self.table.currentIndex().row()
        return self._versions[number] if 0 <= number < len(self._versions) else None

    def chosen_pair(self) -> tuple[int, int] | None:
        """Numbers (before, after) to compare: the two selected, else the chosen one and what it was made from."""
        picked = sorted(self._versions[row].number for row in self.table.selected_rows() if row < len(self._versions))
        if len(picked) == 2:
            return picked[0], picked[1]
        version = self.chosen()
        if version is None or len(picked) > 2:
            return None
        return (version.parent, version.number) if version.parent is not None else None

    @Slot(int)
    def _on_row(self, number: int) -> None:
        clear(self._story)
        version = self.chosen()
        if version is None:
            return
        named = f" “{version.name}”" if version.name else ""
        self._story.addWidget(label(f"Version {version.number}{named}: {version.operation}", "heading", wrap=True))
        for line in self._lines(version):
            self._story.addWidget(label(line, "muted", wrap=True, selectable=True))
        if self._dataset is not None:
            self.columns.show_version(self._dataset.id, version.number, is_there=not is_collected(version))
        self._show_actions()

    def _lines(self, version: Version) -> list[str]:
        if version.parent is None:
            source: dict[str, Any] = self._dataset.source if self._dataset else {}
            lines = [
                f"From {Path(str(item.get('path', ''))).name}, {words.size(item.get('bytes', 0))}, "
                f"SHA-256 {str(item.get('sha256', ''))[:16]}…"
                for item in source.get("files", [])[:MOST_FILES]
            ]
            branch = source.get("branch_of")
            if branch:
                lines = [f"A branch of {branch.get('name')}, version {branch.get('version')}"]
            rejected = f", {words.plural(version.rejected, 'piece')} rejected" if version.rejected else ""
            return [*lines, f"{words.plural(version.rows, 'row')}{rejected}"]
        gone = ["Its files were collected to free disk space; its story is kept."] if is_collected(version) else []
        steps = version.statistics.get("steps", [])
        edits = (version.statistics.get("folded") or {}).get("title", "")
        first = [f"{edits}, before anything else"] if edits else []
        return [*gone, f"Made from version {version.parent}", *first, *(step_line(step) for step in steps)]

    def _show_actions(self) -> None:
        version, current = self.chosen(), self._dataset.version if self._dataset else 0
        is_there = version is not None and not is_collected(version)
        count = self.table.selected_count()
        self.compare.setEnabled(self.chosen_pair() is not None)
        for one in (self.look, self.branch):
            one.setEnabled(is_there and count < 2)
        self.name.setEnabled(version is not None and count < 2)
        self.restore.setEnabled(is_there and count < 2 and version is not None and version.number != current)
        self.job.setVisible(bool(version is not None and version.job_id))
        # The text stays as it is: a longer one would cut the others in a narrow window.
        self.compare.setAccessibleName(self.tr("Compare the two") if count == 2 else self.tr("Compare"))

    # ---- what can be done ------------------------------------------------------------------------------------------

    @Slot()
    def compare_chosen(self) -> None:
        """Compare the two selected versions."""
        pair = self.chosen_pair()
        if pair is not None:
            self.compare_wanted.emit(*pair)

    @Slot()
    def name_chosen(self) -> None:
        """Ask for a name of the chosen version."""
        project, dataset, version = self.ctx.project, self._dataset, self.chosen()
        if project is None or dataset is None or version is None:
            return
        title = self.tr("Name version {}").format(version.number)
        name, is_ok = QInputDialog.getText(self, title, self.tr("Name (empty takes it away)"), text=version.name)
        if is_ok and name.strip() != version.name:
            self.ctx.run_op(None, lambda: project.datasets.name_version(dataset.id, version.number, name))

    @Slot()
    def restore_chosen(self) -> None:
        """Make the chosen version the current one."""
        project, dataset, version = self.ctx.project, self._dataset, self.chosen()
        if project is None or dataset is None or version is None or not self.restore.isEnabled():
            return
        said = self.tr("Version {} of {} is the current one again. Undo takes that back.")
        self.ctx.run_op(
            None, lambda: project.datasets.restore(dataset.id, version.number),
            lambda _: self.ctx.notify("positive", said.format(version.number, dataset.name)),
        )  # fmt: skip

    @Slot()
    def branch_chosen(self) -> None:
        """Ask for a name and make a dataset from the chosen version."""
        project, dataset, version = self.ctx.project, self._dataset, self.chosen()
        if project is None or dataset is None or version is None or not self.branch.isEnabled():
            return
        title = self.tr("Branch from version {}").format(version.number)
        wish = f"{dataset.name} {version.name or f'v{version.number}'}"
        name, is_ok = QInputDialog.getText(self, title, self.tr("Name of the new dataset"), text=wish)
        if not is_ok:
            return

        def done(made: str) -> None:
            open_it = (self.tr("Open it"), lambda: self.ctx.navigate("data", dataset_id=made))
            self.ctx.notify(
                "positive", f"{name.strip()} begins as version {version.number} of {dataset.name}.", open_it
            )

        self.ctx.run_op(None, lambda: project.datasets.branch(dataset.id, version.number, name), done)

    @Slot(QPoint)
    def _open_menu(self, place: QPoint) -> None:
        menu = QMenu(self)
        for one in (self.look, self.compare, self.restore, self.branch, self.name, self.lineage):
            action = menu.addAction(one.text(), one.click)
            action.setEnabled(one.isEnabled())
        menu.exec(self.table.viewport().mapToGlobal(place))

    @Slot()
    def _look(self) -> None:
        version = self.chosen()
        if version is not None and self.look.isEnabled():
            self.version_wanted.emit(version.number)

    def _lineage(self) -> None:
        version = self.chosen()
        if version is not None:
            self.lineage_wanted.emit(version.number)

    def _show_job(self) -> None:
        version = self.chosen()
        if version is not None and version.job_id:
            self.job_wanted.emit(version.job_id)


def is_collected(version: Version) -> bool:
    """Whether the files of a version were taken away to free disk space."""
    return "collected" in version.statistics


def step_line(step: dict[str, Any]) -> str:
    """One step of a recipe in words: what it did to how many rows."""
    parts = []
    if step.get("dropped"):
        parts.append(f"{words.plural(int(step['dropped']), 'row')} dropped")
    if step.get("changed"):
        parts.append(f"{words.plural(int(step['changed']), 'row')} changed")
    if step.get("columns"):
        parts.append(f"added {', '.join(step['columns'])}")
    name = step.get("title", step.get("operator", ""))
    return f"{step.get('step', '')}. {name}: {', '.join(parts) or 'nothing to change'}"
