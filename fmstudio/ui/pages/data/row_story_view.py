"""Below a row: where it came from, what happened to it, and which rows mean nearly the same. Read when it is opened."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.parts import button, clear, column, holder, label
from fmstudio.ui.widgets.table.values import cell_text, full_text

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project.datasets import Dataset
    from fmstudio.project.edits import RowChange
    from fmstudio.ui.context import AppContext

FILE_COLUMNS, LINE_COLUMNS = ("source_file", "file"), ("source_line", "line")
MOST_SIMILAR = 6
QUERY_CHARS = 2_000


class RowStory(QWidget):
    """Three parts that open on a click.

    Signals:
        row_wanted: (row id) a similar row is to be shown.
        lineage_wanted: (row id) the user wants to see where the row came from and what used it.
    """

    row_wanted = Signal(int)
    lineage_wanted = Signal(int)

    def __init__(self, context: AppContext, dataset: Dataset, record: Mapping[str, Any]) -> None:
        super().__init__()
        self.ctx, self._dataset, self._record = context, dataset, record
        self._row_id = int(record["row_id"])
        name = label(self.tr("Row id {}").format(f"{self._row_id:,}"), "caption", selectable=True)
        name.setToolTip(self.tr("Its name for life; ids begin at 0. The table counts the rows it shows, from 1."))
        layout = column(name, gap=2)
        layout.addWidget(label(source_words(dataset, record), "caption", wrap=True, selectable=True))
        self._part(layout, self.tr("History"), self._load_history)
        if any(column.is_side for column in dataset.columns):
            self._part(layout, self.tr("Rows that mean nearly the same"), self._load_similar)
        tip = self.tr("Where this row came from, and which models, exports and chats used it")
        ask = button(self.tr("Lineage of this row…"), self._ask_lineage, kind="quiet", icon="link", tip=tip)
        layout.addLayout(_left(ask))
        self.setLayout(layout)

    def _ask_lineage(self) -> None:
        self.lineage_wanted.emit(self._row_id)

    def _part(self, layout: QVBoxLayout, title: str, load: Callable[[QVBoxLayout], None]) -> None:
        inside = column(gap=4, margins=(8, 0, 0, 4))
        body = holder(inside)
        body.hide()
        head = button(title, kind="quiet", icon="chevron-right")
        head.setCheckable(True)

        def toggle() -> None:
            body.setVisible(head.isChecked())
            if head.isChecked() and not inside.count():
                inside.addWidget(label(self.tr("Reading…"), "caption"))
                load(inside)

        head.clicked.connect(toggle)
        layout.addLayout(_left(head))
        layout.addWidget(body)

    # ---- history ---------------------------------------------------------------------------------------------------

    def _load_history(self, inside: QVBoxLayout) -> None:
        project, dataset, row_id = self.ctx.project, self._dataset, self._row_id
        if project is None:
            return

        def show(changes: list[RowChange]) -> None:
            clear(inside)
            for change in reversed(changes):
                inside.addWidget(label(change_words(change), "caption", wrap=True, selectable=True))
            if not changes:
                inside.addWidget(label(self.tr("Nothing has happened to this row yet."), "caption", wrap=True))

        self.ctx.run_query(
            lambda: project.edits.row_history(dataset.id, row_id), show, self._failed(inside), owner=self
        )

    def _failed(self, inside: QVBoxLayout) -> Callable[[Problem], None]:
        def show(problem: Problem) -> None:
            clear(inside)
            inside.addWidget(label(f"{problem.message} {problem.remedy}".strip(), "danger", wrap=True, selectable=True))

        return show

    # ---- similar rows ----------------------------------------------------------------------------------------------

    def _load_similar(self, inside: QVBoxLayout) -> None:
        project, dataset = self.ctx.project, self._dataset
        text = main_text(self._record)
        if project is None:
            return
        fail = self._failed(inside)

        def ask(params: dict[str, Any]) -> None:
            request = {**params, "query": text[:QUERY_CHARS], "k": MOST_SIMILAR + 1}
            self.ctx.request("search", request, read, fail, key="similar", owner=self)

        def read(answer: dict[str, Any]) -> None:
            near = {hit["row_id"]: hit["similarity"] for hit in answer["hits"] if hit["row_id"] != self._row_id}
            ids = list(near)[:MOST_SIMILAR]
            self.ctx.run_query(
                lambda: project.rows_by_id(dataset.id, ids), lambda page: show(ids, page, near), fail, owner=self
            )

        def show(ids: list[int], page: Any, near: dict[int, float]) -> None:
            clear(inside)
            for row_id, record in zip(ids, page.records(), strict=False):
                shown = cell_text(main_text(record))[:70]
                found = button(f"{near[row_id]:.2f}  {shown}", lambda i=row_id: self.row_wanted.emit(i), kind="quiet")  # type: ignore[misc]
                found.setToolTip(full_text(main_text(record))[:1_500])
                inside.addLayout(_left(found))

        self.ctx.run_query(lambda: project.search_params(dataset.id), ask, fail, owner=self)


def _left(widget: QWidget) -> QVBoxLayout:
    from PySide6.QtCore import Qt

    layout = column(gap=0)
    layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignLeft)
    return layout


def main_text(record: Mapping[str, Any]) -> str:
    """The text of a row that says most: its longest, or all of its messages."""
    texts = [
        full_text(value) for name, value in record.items() if name != "row_id" and isinstance(value, str | list | tuple)
    ]
    return max(texts, key=len, default="")


def source_words(dataset: Dataset, record: Mapping[str, Any]) -> str:
    """Where a row came from, as far as it is known."""
    file = next((str(record[name]) for name in FILE_COLUMNS if record.get(name)), "")
    line = next((record[name] for name in LINE_COLUMNS if isinstance(record.get(name), int)), None)
    files = [Path(str(item.get("path", ""))).name for item in dataset.source.get("files", [])]
    if not file and len(files) == 1:
        file = files[0]
    if not file:
        return (
            f"From one of {words.plural(len(files), 'file')}: {', '.join(files[:4])}"
            if files
            else "Made in this project"
        )
    return f"From {file}, line {line:,}" if line is not None else f"From {file}"


def change_words(change: RowChange) -> str:
    """One thing that happened to a row, in a line or two."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(change.created))
    head = f"{when} · version {change.version} · {change.title}"
    if not change.column:
        return head
    before, after = (_value_words(value) for value in (change.before, change.after))
    return f"{head}\n{change.column}: {before} → {after}"


def _value_words(value: Any) -> str:
    if value is None:
        return "null"
    text = cell_text(value)
    return f"“{text[:60]}{'…' if len(text) > 60 else ''}”" if isinstance(value, str) else text[:60]
