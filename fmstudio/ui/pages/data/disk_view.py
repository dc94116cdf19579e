"""`DiskView`: what the project takes on the disk, and freeing what nothing refers to any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QListView, QScrollArea, QSplitter, QStackedWidget, QWidget

from fmstudio.ui.pages.data.disk_usage import DiskUsageView
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import button, card, clear, column, holder, icon_label, label, row, tool_button

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project import Changes
    from fmstudio.project.disk import DiskUsage, Garbage
    from fmstudio.ui.context import AppContext

KIND_WORDS = {
    "version": "version", "column": "side column", "orphan": "leftover", "job": "work files", "tmp": "temporary",
}  # fmt: skip
ASKED = ("version", "column")
"""Kinds that go only when the user says so: what they hold could still be looked at."""
LEAST = 232
"""Pixels in which a name, its bar and its size stand side by side."""
_Index = QModelIndex | QPersistentModelIndex


class GarbageModel(QAbstractListModel):
    """What can be collected, each with a check mark; old versions wait for the user's own mark, leftovers have one.

    Signals:
        checks_changed: Other pieces are checked now.
    """

    checks_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Garbage] = []
        self._chosen: dict[str, bool] = {}

    def show_items(self, items: Sequence[Garbage]) -> None:
        """Show other pieces; what the user checked or unchecked stays so."""
        self.beginResetModel()
        self.items = list(items)
        self.endResetModel()
        self.checks_changed.emit()

    def checked(self) -> list[Garbage]:
        """The pieces that are checked."""
        return [item for item in self.items if self._is_checked(item)]

    def _is_checked(self, item: Garbage) -> bool:
        return self._chosen.get(str(item.path), item.kind not in ASKED)

    def check_all(self, is_checked: bool) -> None:
        """Check all, or none."""
        self._chosen = {str(item.path): is_checked for item in self.items}
        if self.items:
            self.dataChanged.emit(self.index(0), self.index(len(self.items) - 1))
        self.checks_changed.emit()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Qt: number of pieces."""
        return 0 if parent.isValid() else len(self.items)

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Qt: each can be checked."""
        return super().flags(index) | Qt.ItemFlag.ItemIsUserCheckable

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: words and check mark of a piece."""
        item = self.items[index.row()]
        title = item.title or item.path.name
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{title}   {words.size(item.bytes)}\n{item.reason}"
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{KIND_WORDS.get(item.kind, item.kind)} {title}, {words.size(item.bytes)}: {item.reason}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{item.path}\n{item.reason}"
        if role == Qt.ItemDataRole.CheckStateRole:
            return Qt.CheckState.Checked if self._is_checked(item) else Qt.CheckState.Unchecked
        return None

    def setData(self, index: _Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Qt: check or uncheck a piece."""
        if role != Qt.ItemDataRole.CheckStateRole:
            return False
        self._chosen[str(self.items[index.row()].path)] = Qt.CheckState(value) == Qt.CheckState.Checked
        self.dataChanged.emit(index, index, [role])
        self.checks_changed.emit()
        return True


class GarbageList(QListView):
    """The pieces; the space bar checks and unchecks those selected."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: the space bar works on all that is selected."""
        if event.key() == Qt.Key.Key_Space and self.selectedIndexes():
            states = [index.data(Qt.ItemDataRole.CheckStateRole) for index in self.selectedIndexes()]
            is_all = all(state == Qt.CheckState.Checked for state in states)
            wanted = Qt.CheckState.Unchecked if is_all else Qt.CheckState.Checked
            for index in self.selectedIndexes():
                self.model().setData(index, wanted, Qt.ItemDataRole.CheckStateRole)
        else:
            super().keyPressEvent(event)


class DiskView(QWidget):
    """Usage at the left, what can be freed at the right.

    Signals:
        closed: The user wants to leave it.
    """

    closed = Signal()

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._is_freeing = False
        self.total = label("", "muted")
        self.usage = DiskUsageView()
        self.garbage = GarbageModel()
        self.list = GarbageList()
        self.all_button = button(self.tr("Check all"), lambda: self.garbage.check_all(True), kind="quiet")
        self.none_button = button(self.tr("Check none"), lambda: self.garbage.check_all(False), kind="quiet")
        self.free = button(self.tr("Free"), self.free_chosen, kind="primary", icon="trash")
        self.meaning = label("", "muted", wrap=True)
        self.result = label("", "positive", wrap=True)
        self._problem = column()
        self.stack = QStackedWidget()
        self._build()
        self._connect()

    def _build(self) -> None:
        back = tool_button("chevron-left", self.tr("Back"), self.closed.emit, shortcut="Esc")
        again = tool_button("retry", self.tr("Count again"), self.refresh)
        head = row(back, label(self.tr("Disk space of this project"), "heading"), self.total, None, again, gap=8)
        self.list.setModel(self.garbage)
        self.list.setSelectionMode(QListView.SelectionMode.ExtendedSelection)
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName(self.tr("What can be freed"))
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(holder(column(self.usage, None, margins=(0, 0, 8, 0))))
        area.setMinimumWidth(LEAST)
        left = column(label(self.tr("What takes it"), "strong"), area, gap=6, margins=(0, 0, 4, 0))
        left.setStretch(1, 1)
        self._nothing = holder(
            column(
                None, row(None, icon_label("success", "positive", 28), None),
                _centred(label(self.tr("Nothing to free"), "heading")),
                _centred(label(self.tr("Everything in this project is still referred to by something."), "muted", wrap=True)),
                None, gap=8,
            )
        )  # fmt: skip
        self._chooser = QStackedWidget()
        self._chooser.addWidget(self.list)
        self._chooser.addWidget(self._nothing)
        self._checks = row(self.all_button, self.none_button, None, gap=4)
        title = row(label(self.tr("What can be freed"), "strong"), None)
        title.addLayout(self._checks)
        self._below = card(self.meaning, self.result, row(self.free, None), gap=8, padding=12)
        right = column(title, self._chooser, self._below, gap=6, margins=(4, 0, 0, 0))
        right.setStretch(1, 1)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(holder(left))
        split.addWidget(holder(right))
        split.setSizes([400, 320])
        split.setChildrenCollapsible(False)
        counting = label(self.tr("Counting the files of the project…"), "muted")
        counting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._counting, self._whole = counting, split
        self._failed = holder(column(holder(self._problem), None))
        for widget in (self._counting, self._failed, split):
            self.stack.addWidget(widget)
        layout = column(head, self.stack, gap=8)
        layout.setStretch(1, 1)
        self.setLayout(layout)
        self.result.hide()

    def _connect(self) -> None:
        self.garbage.checks_changed.connect(self._show_choice)
        self.usage.back_wanted.connect(self.bring_back)
        self.ctx.data_changed.connect(self._on_changes)

    # ---- what is shown ---------------------------------------------------------------------------------------------

    @Slot()
    def refresh(self) -> None:
        """Count again."""
        project = self.ctx.project
        if project is not None:
            self.ctx.run_query(
                lambda: (project.disk.usage(), project.disk.collectable()),
                self._show,
                self._fail,
                key="disk",
                owner=self,
            )

    def _show(self, found: tuple[DiskUsage, list[Garbage]]) -> None:
        usage, garbage = found
        shared = f"  ·  {words.size(usage.shared)} saved by sharing files" if usage.shared else ""
        self.total.setText(f"{words.size(usage.total)}{shared}  ·  {words.size(usage.free)} free on the disk")
        self.usage.show_usage(usage)
        self.garbage.show_items(garbage)
        self._chooser.setCurrentWidget(self.list if garbage else self._nothing)
        self.stack.setCurrentWidget(self._whole)

    def _fail(self, problem: Problem) -> None:
        clear(self._problem)
        self._problem.addWidget(ProblemCard(problem, ((self.tr("Try again"), self.refresh),)))
        self.stack.setCurrentWidget(self._failed)

    @Slot()
    def _show_choice(self) -> None:
        chosen = self.garbage.checked()
        size = sum(item.bytes for item in chosen)
        for one in (self.all_button, self.none_button):
            one.setVisible(bool(self.garbage.items))
        self.meaning.setVisible(bool(self.garbage.items))
        self.free.setVisible(bool(self.garbage.items))
        self._below.setVisible(bool(self.garbage.items) or not self.result.isHidden())
        if self._is_freeing:
            return
        self.free.setEnabled(bool(chosen))
        self.free.setText(self.tr("Free {}").format(words.size(size)) if chosen else self.tr("Nothing chosen"))
        self.free.setAccessibleName(self.free.text())
        self.meaning.setText(_meaning(chosen))

    # ---- freeing ---------------------------------------------------------------------------------------------------

    @Slot()
    def free_chosen(self) -> None:
        """Take the checked pieces away."""
        project, chosen = self.ctx.project, self.garbage.checked()
        if project is None or not chosen or self._is_freeing:
            return
        self._is_freeing = True
        self.free.setEnabled(False)
        self.list.setEnabled(False)
        self.result.hide()
        self.free.setText(self.tr("Freeing {}…").format(words.plural(len(chosen), "piece")))
        self.ctx.run_op(self, lambda: project.disk.collect(chosen), self._freed, self._not_freed)

    def _freed(self, size: int) -> None:
        self._is_freeing = False
        self.list.setEnabled(True)
        self.result.setText(self.tr("{} freed. History, names and reasons are kept.").format(words.size(size)))
        self.result.show()
        self.refresh()

    def _not_freed(self, problem: Problem) -> None:
        self._is_freeing = False
        self.list.setEnabled(True)
        self._show_choice()
        self.ctx.show_problem(problem)

    @Slot(str)
    def bring_back(self, dataset_id: str) -> None:
        """Show a deleted dataset again."""
        project = self.ctx.project
        if project is None:
            return

        def work() -> Any:
            changes = project.datasets.bring_back(dataset_id)
            return changes, project.datasets.get(dataset_id).name

        def done(name: str) -> None:
            open_it = (self.tr("Open it"), lambda: self.ctx.navigate("data", dataset_id=dataset_id))
            self.ctx.notify("positive", self.tr("{} is back.").format(name), open_it)

        self.ctx.run_op(None, work, done)

    @Slot(object, object)
    def _on_changes(self, changes: Changes, origin: object) -> None:
        if origin is not self and self.isVisible():
            self.refresh()

    def showEvent(self, event: Any) -> None:
        """Qt: count when it comes into sight."""
        super().showEvent(event)
        self.result.hide()
        self.refresh()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Esc leaves it."""
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)


def _centred(made: Any) -> Any:
    made.setAlignment(Qt.AlignmentFlag.AlignHCenter)
    return made


def _meaning(chosen: Sequence[Garbage]) -> str:
    """What freeing these means, in plain words."""
    if not chosen:
        return "Check what may go. Only what nothing refers to is listed here."
    versions = sum(item.kind == "version" for item in chosen)
    parts = []
    if versions:
        parts.append(
            f"The rows of {words.plural(versions, 'old version')} can then no longer be looked at, compared or restored; "
            "what happened stays in the history."
        )
    if any(item.kind == "column" for item in chosen):
        parts.append("Side columns that go can be made again.")
    if any(item.kind in ("job", "tmp", "orphan") for item in chosen):
        parts.append("Work files and leftovers are of no more use; results and logs stay.")
    return " ".join([*parts, "This cannot be undone."])
