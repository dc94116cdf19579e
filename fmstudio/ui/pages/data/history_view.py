"""`HistoryView`: everything that happened to a dataset, a slider over it, and the rows as they were at any moment of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QSlider,
    QSplitter,
    QStackedWidget,
    QStyle,
    QStyleOptionSlider,
    QWidget,
)

from fmstudio.ui.pages.data.history_items import HistoryItem
from fmstudio.ui.pages.data.history_list import HistoryList
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.paged_table import PagedTable, RowsPage
from fmstudio.ui.widgets.parts import ElidedLabel, button, column, holder, icon_label, label, row, tool_button

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext

MOST_TOUCHED = 2_000
"""Cells up to which the rows an edit touched can be shown alone."""


class TimeSlider(QSlider):
    """A slider on which a click goes to where it was made, not a page nearer."""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: go to the moment under the mouse; the handle is dragged as ever."""
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        handle, groove = (
            self.style().subControlRect(QStyle.ComplexControl.CC_Slider, option, part, self)
            for part in (QStyle.SubControl.SC_SliderHandle, QStyle.SubControl.SC_SliderGroove)
        )
        if event.button() != Qt.MouseButton.LeftButton or handle.contains(event.position().toPoint()):
            super().mousePressEvent(event)
            return
        place = round(event.position().x()) - groove.x() - handle.width() // 2
        room = groove.width() - handle.width()
        self.setValue(QStyle.sliderValueFromPosition(self.minimum(), self.maximum(), place, room, option.upsideDown))
        event.accept()


class HistoryView(QWidget):
    """Slider, list and the rows of the chosen moment. Looking changes nothing.

    Signals:
        job_wanted: (job id) the user wants to see the job that did it.
    """

    job_wanted = Signal(str)

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._dataset: Dataset | None = None
        self._points: list[HistoryItem] = []
        self._touched: set[tuple[int, str]] = set()
        self._question = 0
        self.slider = TimeSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(self.tr("Moment in the history"))
        self.slider.setToolTip(self.tr("Move through the history (Alt+Left, Alt+Right)"))
        self.slider.setPageStep(5)
        self.older = tool_button("chevron-left", self.tr("One step back"), lambda: self.step(-1), shortcut="Alt+Left")
        self.newer = tool_button(
            "chevron-right", self.tr("One step forward"), lambda: self.step(1), shortcut="Alt+Right"
        )
        self.moment = label("", "muted")
        self.list = HistoryList()
        self.table = PagedTable(self.tr("Rows at the chosen moment"))
        self.title = ElidedLabel("", "heading")
        self.facts = ElidedLabel("", "muted")
        self.job = button(self.tr("Show the job"), self._show_job, kind="quiet")
        self.only_touched = QCheckBox(self.tr("Only the rows it touched"))
        self._build()
        self._connect()

    def _build(self) -> None:
        self.banner = QFrame()
        self.banner.setProperty("card", "sunken")
        self.banner_text = label("", wrap=True)
        self.back = button(self.tr("Go back to now"), self.go_to_now, tip=self.tr("Show the present state (Esc)"))
        self.go = button(
            self.tr("Make this the current state"), self._go, kind="primary", tip=self.tr("Can be undone (Enter)")
        )
        inside = row(icon_label("history", "warning"), gap=10, margins=(12, 8, 8, 8))
        inside.addWidget(self.banner_text, 1)
        inside.addLayout(row(self.back, self.go, gap=6))
        self.banner.setLayout(inside)
        self._gone_text = label("", "muted", wrap=True)
        self._gone_text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._gone = holder(column(None, row(None, icon_label("history", "muted", 28), None), self._gone_text, None))
        self._stack = QStackedWidget()
        self._stack.addWidget(self.table)
        self._stack.addWidget(self._gone)
        head = row(column(self.title, self.facts, gap=1), self.only_touched, self.job)
        head.setStretch(0, 1)
        right = column(head, self._stack, gap=6, margins=(4, 0, 0, 0))
        right.setStretch(1, 1)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.list)
        split.addWidget(holder(right))
        split.setStretchFactor(0, 2)
        split.setStretchFactor(1, 3)
        split.setSizes([300, 420])
        split.setChildrenCollapsible(False)
        time_line = row(self.older, self.slider, self.newer, self.moment, gap=6)
        time_line.setStretch(1, 1)
        layout = column(time_line, self.banner, split, gap=8)
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self.banner.hide()

    def _connect(self) -> None:
        self.slider.valueChanged.connect(self._on_slider)
        self.list.chosen.connect(self._on_chosen)
        self.list.go_wanted.connect(lambda _: self._go())
        self.only_touched.toggled.connect(lambda _: self._load_rows())

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_history(self, dataset: Dataset, items: Sequence[HistoryItem]) -> None:
        """Show the history of a dataset (oldest first); the moment looked at stays when it is still there."""
        before = self.list.current_item()
        is_same = self._dataset is not None and self._dataset.id == dataset.id
        now_before = next((item.operation_id for item in self._points if item.stand == "now"), 0)
        self._dataset = dataset
        self._points = [item for item in items if item.can_go]
        self.list.lines.show_items(list(reversed(items)))
        self.slider.blockSignals(True)
        self.slider.setRange(0, max(0, len(self._points) - 1))
        self.slider.setEnabled(len(self._points) > 1)
        self.slider.blockSignals(False)
        now = self.now
        stays = is_same and before is not None and before.operation_id != now_before
        there = {item.operation_id for item in items}
        if before is not None and stays and before.operation_id in there:
            self.list.choose(before.operation_id)
        elif now is not None:
            self.list.choose(now.operation_id)

    @property
    def now(self) -> HistoryItem | None:
        """The newest line that stands."""
        return next((item for item in self._points if item.stand == "now"), None)

    @property
    def is_looking_back(self) -> bool:
        """Whether another moment than the present one is shown."""
        item, now = self.list.current_item(), self.now
        return item is not None and now is not None and item.operation_id != now.operation_id

    def step(self, by: int) -> None:
        """Go some steps along the slider."""
        self.slider.setValue(self.slider.value() + by)

    @Slot()
    def go_to_now(self) -> None:
        """Show the present state."""
        if self.now is not None:
            self.list.choose(self.now.operation_id)

    @Slot(int)
    def _on_slider(self, place: int) -> None:
        if 0 <= place < len(self._points):
            self.list.choose(self._points[place].operation_id)

    @Slot(object)
    def _on_chosen(self, item: HistoryItem) -> None:
        ids = [point.operation_id for point in self._points]
        if item.operation_id in ids:
            place = ids.index(item.operation_id)
            self.slider.blockSignals(True)
            self.slider.setValue(place)
            self.slider.blockSignals(False)
            self.moment.setText(f"{place + 1:,} of {len(ids):,}" + ("  ·  now" if item.stand == "now" else ""))
            self.slider.setAccessibleDescription(item.spoken)
            self.older.setEnabled(place > 0)
            self.newer.setEnabled(place < len(ids) - 1)
        self.title.setText(item.text)
        after = f"{words.plural(item.rows, 'row')} after it" if item.can_go else ""
        self.facts.setText("  ·  ".join(part for part in (after, item.change_text, item.detail) if part))
        self.job.setVisible(bool(item.job_id))
        self._show_banner(item)
        self._touched = set()
        self.only_touched.blockSignals(True)
        self.only_touched.setChecked(False)
        self.only_touched.blockSignals(False)
        self.only_touched.hide()
        self._load_rows()
        if item.is_edit and item.can_go:
            self._load_touched(item)

    def _show_banner(self, item: HistoryItem) -> None:
        self.banner.setVisible(self.is_looking_back)
        self.go.setVisible(item.can_go)
        if not item.can_go:
            text = self._why_gone(item)
        elif item.stand == "undone":
            text = self.tr("This is undone at present. You are looking at how the rows would be with it.")
        else:
            text = self.tr("You are looking at an earlier state. Nothing has changed: these are the rows as they were.")
        self.banner_text.setText(text)
        redo = self.tr("Do it again, up to here") if item.stand == "undone" else self.tr("Make this the current state")
        self.go.setText(redo)
        self.go.setAccessibleName(redo)

    def _why_gone(self, item: HistoryItem) -> str:
        """Why the rows of a moment cannot be shown."""
        if item.stand == "superseded":
            return self.tr("This was undone, then overtaken by new work. It is told here; it cannot be brought back.")
        if item.version is None:
            return self.tr("The dataset was deleted here, so this moment has no rows.")
        return self.tr(
            "The rows of version {} were deleted to free disk space. What happened is still told here."
        ).format(item.version)

    # ---- rows ------------------------------------------------------------------------------------------------------

    def _load_rows(self) -> None:
        project, dataset, item = self.ctx.project, self._dataset, self.list.current_item()
        if project is None or dataset is None or item is None:
            return
        self._question += 1
        question = self._question
        if not item.can_go:
            self._say(self._why_gone(item))
            return
        self._stack.setCurrentWidget(self.table)
        where = self._where()

        def fail(problem: Problem) -> None:
            if question == self._question:
                self._say(f"{problem.message} {problem.remedy}".strip())

        def fetch(offset: int, limit: int, deliver: Callable[[RowsPage], None]) -> None:
            def take(page: RowsPage) -> None:
                deliver(page)
                if question == self._question and not page.total:
                    self._say(self.tr("None of these rows is there at this moment.") if where else self.tr("No rows."))

            self.ctx.run_query(
                lambda: project.past.page(dataset.id, item.operation_id, offset=offset, limit=limit, where=where),
                take, fail, owner=self,
            )  # fmt: skip

        self.table.rows.marked.clear()
        self.table.rows.marked.update(self._touched)
        self.table.rows.load(fetch, frozenset({"row_id"}))

    def _where(self) -> str:
        if not self.only_touched.isChecked() or not self._touched:
            return ""
        return f"row_id IN ({', '.join(map(str, sorted({row_id for row_id, _ in self._touched})))})"

    def _load_touched(self, item: HistoryItem) -> None:
        project, dataset = self.ctx.project, self._dataset
        if project is None or dataset is None:
            return

        def mark(cells: set[tuple[int, str]]) -> None:
            if self.list.current_item() == item and cells:
                self._touched = cells
                self.table.rows.marked.update(cells)
                self.table.viewport().update()
                self.only_touched.setVisible(len(cells) <= MOST_TOUCHED)

        self.ctx.run_query(lambda: project.past.touched(dataset.id, item.operation_id), mark, key="touched", owner=self)

    def _say(self, text: str) -> None:
        self._gone_text.setText(text)
        self._stack.setCurrentWidget(self._gone)

    # ---- what can be done ------------------------------------------------------------------------------------------

    @Slot()
    def _go(self) -> None:
        project, dataset, item = self.ctx.project, self._dataset, self.list.current_item()
        if project is None or dataset is None or item is None or not item.can_go or not self.is_looking_back:
            return
        now = self.now
        back_to = now.operation_id if now is not None else 0

        def work() -> Any:
            return project.datasets.go_to(dataset.id, item.operation_id)

        def undo() -> None:
            self.ctx.run_op(None, lambda: project.datasets.go_to(dataset.id, back_to))

        def done(_: Any) -> None:
            self.ctx.notify(
                "positive", f"{dataset.name} is now as it was after “{item.text}”.", (self.tr("Go back"), undo)
            )

        self.ctx.run_op(None, work, done)

    def _show_job(self) -> None:
        item = self.list.current_item()
        if item is not None and item.job_id:
            self.job_wanted.emit(item.job_id)
