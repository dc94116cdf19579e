"""Search by meaning: a question in, the rows that mean the most alike out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QLineEdit, QStackedLayout, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.paged_table import PagedTable
from fmstudio.ui.widgets.parts import button, column, holder, icon_label, label, row

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext

MOST_HITS = 50


class SearchView(QWidget):
    """A field and the hits, best first.

    Signals:
        record_chosen: (mapping or None, title) the chosen hit.
        embed_wanted: The dataset has no embedding yet and the user wants one.
    """

    record_chosen = Signal(object, str)
    embed_wanted = Signal()

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._dataset: Dataset | None = None
        self._hits: list[dict[str, Any]] = []
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("What are you looking for? Words need not match."))
        self.field.setAccessibleName(self.tr("Search by meaning"))
        self.field.returnPressed.connect(self.search)
        self.button = button(self.tr("Search"), self.search, tip=self.tr("Search (Enter)"))
        self.status = label("", "muted")
        self.table = PagedTable(self.tr("Rows found"))
        self.table.row_chosen.connect(self._on_row)
        bar = row(icon_label("search", "muted", 16), self.field, self.button, self.status)
        bar.setStretch(1, 1)
        self._results = holder(column(bar, self.table, gap=8))
        self._empty = EmptyState(
            "embed", self.tr("Search by meaning"),
            self.tr("Embedding gives each row a place, so that rows that mean the same lie close together. It runs as a job."),
            (self.tr("Embed this dataset"), self.embed_wanted.emit),
        )  # fmt: skip
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._results)
        self._stack.addWidget(self._empty)

    def show_dataset(self, dataset: Dataset) -> None:
        """Search in this dataset from now on."""
        if self._dataset is None or (dataset.id, dataset.version) != (self._dataset.id, self._dataset.version):
            self.table.rows.load(None)
            self.status.setText("")
        self._dataset = dataset
        has_embedding = any(c.is_side for c in dataset.columns)
        self._stack.setCurrentWidget(self._results if has_embedding else self._empty)

    @Slot()
    def search(self) -> None:
        """Find the nearest rows to what the field says."""
        project, dataset, query = self.ctx.project, self._dataset, self.field.text().strip()
        if project is None or dataset is None or not query:
            return
        self.status.setText(self.tr("Searching…"))
        self.ctx.run_query(lambda: project.search_params(dataset.id), self._ask, key="search", owner=self)

    def _ask(self, params: dict[str, Any]) -> None:
        request = {**params, "query": self.field.text().strip(), "k": MOST_HITS}
        self.ctx.request("search", request, self._on_hits, self._fail, key="search", owner=self)

    def _fail(self, problem: Any) -> None:
        self.status.setText("")
        self.ctx.show_problem(problem)

    def _on_hits(self, answer: dict[str, Any]) -> None:
        project, dataset, hits = self.ctx.project, self._dataset, answer["hits"]
        if project is None or dataset is None:
            return
        ids = [hit["row_id"] for hit in hits]
        near = {hit["row_id"]: hit["similarity"] for hit in hits}

        def show(page: Any) -> None:
            self._hits = [{"similarity": round(near[r["row_id"]], 3), **r} for r in page.records()]
            names = ["similarity", *(name for name in page.columns if name != "row_id")]
            self.table.rows.load_records(self._hits, names)
            self.status.setText(f"{len(self._hits)} nearest of {words.plural(answer['rows'], 'row')}")

        self.ctx.run_query(lambda: project.rows_by_id(dataset.id, ids), show, key="hits", owner=self)

    @Slot(int)
    def _on_row(self, number: int) -> None:
        is_there = 0 <= number < len(self._hits)
        self.record_chosen.emit(self._hits[number] if is_there else None, f"Hit {number + 1}" if is_there else "")
