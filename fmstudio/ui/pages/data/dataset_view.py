"""One dataset: its name and what can be done with it, and five ways to look at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QButtonGroup,
    QInputDialog,
    QMenu,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QWidget,
)

from fmstudio.ui.pages.data.inspector import RowInspector
from fmstudio.ui.pages.data.rows_view import RowsView
from fmstudio.ui.pages.data.search_view import SearchView
from fmstudio.ui.pages.data.versions_view import VersionsView
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.paged_table import PagedTable, RowsPage
from fmstudio.ui.widgets.parts import ElidedLabel, button, column, row, tool_button

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext

TABS = (
    ("rows", "Rows"),
    ("search", "Search"),
    ("versions", "Versions"),
    ("dropped", "Dropped"),
    ("rejects", "Rejected"),
)
KIND_WORDS = {
    "conversation": "conversations",
    "prompt_completion": "prompts and completions",
    "preference": "preference pairs",
    "unpaired_preference": "answers with a verdict",
    "image_caption": "pictures with captions",
    "text": "texts",
    "table": "table",
}
FIRST_DROPPED = ("reason", "step", "operator")


class DatasetView(QWidget):
    """Header, tabs and inspector of the chosen dataset.

    Signals:
        undo_wanted, redo_wanted: The user wants to step through this dataset's changes.
    """

    undo_wanted = Signal()
    redo_wanted = Signal()

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self.dataset: Dataset | None = None
        self.name = ElidedLabel("", "title")
        self.facts = ElidedLabel("", "muted")
        self.undo = tool_button(
            "undo", self.tr("Undo the last change to this dataset"), self.undo_wanted.emit, shortcut="Ctrl+Z"
        )
        self.redo = tool_button(
            "redo", self.tr("Redo the change that was undone"), self.redo_wanted.emit, shortcut="Ctrl+Shift+Z"
        )
        self.clean = button(
            self.tr("Clean…"), self._open_recipes, icon="clean", tip=self.tr("Preview and run a recipe on this dataset")
        )
        self.embed = button(
            self.tr("Embed"), icon="embed", tip=self.tr("Give each row a place by its meaning, to search and map")
        )
        self.embed.setMenu(self._embed_menu())
        self.train = button(
            self.tr("Train…"), self._open_training, icon="training", tip=self.tr("Train an adapter on this dataset")
        )
        self.more = tool_button("more", self.tr("More actions"))
        self.more.setMenu(self._more_menu())
        self.more.setPopupMode(self.more.ToolButtonPopupMode.InstantPopup)
        self.rows, self.search, self.versions = RowsView(context), SearchView(context), VersionsView(context)
        self.dropped, self.rejects = PagedTable(self.tr("Dropped rows")), PagedTable(self.tr("Rejected pieces"))
        self.inspector = RowInspector(context)
        self._tabs: dict[str, QPushButton] = {}
        self._build()
        self._connect()

    def _build(self) -> None:
        head = row(
            column(self.name, self.facts, gap=2), self.undo, self.redo, self.clean, self.embed, self.train, self.more
        )
        head.setStretch(0, 1)
        tabs = row(gap=4)
        group = QButtonGroup(self)
        for tab, title in TABS:
            made = button(title, lambda tab=tab: self.show_tab(tab))  # type: ignore[misc]
            made.setCheckable(True)
            made.setProperty("choice", "true")
            group.addButton(made)
            self._tabs[tab] = made
            tabs.addWidget(made)
        tabs.addStretch(1)
        self.stack = QStackedWidget()
        self._no_dropped = EmptyState(
            "clean",
            self.tr("No row was dropped"),
            self.tr("Rows that a recipe drops are kept here, with the step and the reason."),
        )
        self._no_rejects = EmptyState(
            "import",
            self.tr("Everything could be read"),
            self.tr("Pieces of an imported file that cannot be read are kept here, with their place and the reason."),
        )
        for widget in (
            self.rows,
            self.search,
            self.versions,
            self.dropped,
            self.rejects,
            self._no_dropped,
            self._no_rejects,
        ):
            self.stack.addWidget(widget)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.stack)
        split.addWidget(self.inspector)
        split.setStretchFactor(0, 1)
        split.setSizes([700, 300])
        split.setChildrenCollapsible(True)
        self.stack.setContentsMargins(0, 0, 0, 12)
        layout = column(head, tabs, split, gap=10, margins=(24, 18, 0, 0))
        layout.setStretch(2, 1)
        head.setContentsMargins(0, 0, 24, 0)
        self.setLayout(layout)
        self.show_tab("rows")

    def _connect(self) -> None:
        self.rows.record_chosen.connect(
            lambda record, title: self.inspector.show_record(record, title, can_edit=self.rows.can_edit)
        )
        self.rows.terms_changed.connect(self.inspector.show_terms)
        self.rows.edit_wanted.connect(self._edit_row)
        self.inspector.step_wanted.connect(self.rows.step)
        self.inspector.row_wanted.connect(self.rows.show_row)
        self.inspector.saved.connect(self.rows.commands.set_values)
        self.search.record_chosen.connect(self.inspector.show_record)
        self.search.embed_wanted.connect(lambda: self.embed_with(self._embedders()[0][0]))
        self.versions.version_wanted.connect(self._look_at)
        self.versions.job_wanted.connect(lambda job_id: self.ctx.navigate("jobs", job_id=job_id))
        for table, title in ((self.dropped, "Dropped row"), (self.rejects, "Rejected piece")):
            table.row_chosen.connect(
                lambda n, table=table, title=title: self.inspector.show_record(
                    table.rows.record(n) if n >= 0 else None, f"{title} {n + 1:,}"
                )
            )

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_dataset(self, dataset: Dataset) -> None:
        """Show a dataset as it is now."""
        self.dataset = dataset
        self.name.setText(dataset.name)
        facts = [words.plural(dataset.rows, "row"), KIND_WORDS.get(dataset.kind, dataset.kind)]
        facts += [f"version {dataset.version} of {dataset.versions}", words.size(dataset.bytes)]
        self.facts.setText("  ·  ".join(facts))
        self.inspector.show_dataset(dataset)
        self.rows.show_dataset(dataset)
        self.search.show_dataset(dataset)
        self.versions.show_dataset(dataset)
        self._load_dropped(dataset)
        self._load_rejects(dataset)

    def show_tab(self, tab: str) -> None:
        """Bring one of `TABS` to the front."""
        widgets: dict[str, QWidget] = {
            "rows": self.rows, "search": self.search, "versions": self.versions,
            "dropped": self.dropped if self.dropped.rows.total else self._no_dropped,
            "rejects": self.rejects if self.rejects.rows.total else self._no_rejects,
        }  # fmt: skip
        self._tab = tab
        self._tabs[tab].setChecked(True)
        self.stack.setCurrentWidget(widgets[tab])
        self.inspector.setVisible(tab != "versions")
        self.stack.setContentsMargins(0, 0, 24 if tab == "versions" else 4, 12)
        if tab == "search":
            self.search.field.setFocus()

    def _edit_row(self, row_id: int, name: str) -> None:
        """Edit a value where there is room for it."""
        if (self.inspector.record or {}).get("row_id") == row_id:
            self.inspector.edit(name)

    def _load_dropped(self, dataset: Dataset) -> None:
        project = self.ctx.project

        def fetch(offset: int, limit: int, deliver: Callable[[RowsPage], None]) -> None:
            def take(page: RowsPage) -> None:
                deliver(page)
                self._count("dropped", page.total)

            if project is not None:
                self.ctx.run_query(
                    lambda: _reasons_first(project.dropped(dataset.id, dataset.version, offset=offset, limit=limit)),
                    take, owner=self,
                )  # fmt: skip

        self.dropped.rows.load(fetch, frozenset({"row_id"}))

    def _load_rejects(self, dataset: Dataset) -> None:
        project = self.ctx.project
        if project is None:
            return

        def show(records: list[dict[str, Any]]) -> None:
            self.rejects.rows.load_records(records, ["reason", "line", "row", "raw", "file"])
            self._count("rejects", len(records))

        self.ctx.run_query(lambda: project.rejects(dataset.id, 10_000), show, key="rejects", owner=self)

    def _count(self, tab: str, total: int) -> None:
        title = dict(TABS)[tab]
        self._tabs[tab].setText(f"{title} {words.number(total)}" if total else title)
        if self._tab == tab:
            self.show_tab(tab)

    def _look_at(self, number: int) -> None:
        self.rows.show_version(None if self.dataset and number == self.dataset.version else number)
        self.show_tab("rows")

    # ---- what can be done ------------------------------------------------------------------------------------------

    def _embedders(self) -> list[tuple[str, str]]:
        return [(c.id, c.title) for c in self.ctx.plugins.contributions("embedder")] or [("wordllama", "WordLlama")]

    def _embed_menu(self) -> QMenu:
        menu = QMenu(self)
        for embedder, title in self._embedders():
            menu.addAction(title).triggered.connect(lambda _=False, embedder=embedder: self.embed_with(embedder))
        return menu

    def _more_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.addAction(self.tr("Rename…")).triggered.connect(lambda: self.rename())
        menu.addSeparator()
        menu.addAction(self.tr("Delete")).triggered.connect(lambda: self.delete())
        return menu

    def embed_with(self, embedder: str) -> None:
        """Embed the current version as a job."""
        project, dataset = self.ctx.project, self.dataset
        if project is not None and dataset is not None:
            self.ctx.build_and_submit(lambda: project.specs.embed(dataset.id, embedder))

    @Slot()
    def rename(self) -> None:
        """Ask for another name."""
        project, dataset = self.ctx.project, self.dataset
        if project is None or dataset is None:
            return
        name, is_ok = QInputDialog.getText(self, "Rename the dataset", "Name", text=dataset.name)
        if is_ok and name.strip() != dataset.name:
            self.ctx.run_op(self, lambda: project.datasets.rename(dataset.id, name))

    @Slot()
    def delete(self) -> None:
        """Delete the dataset; it can be undone, so nobody is asked."""
        project, dataset = self.ctx.project, self.dataset
        if project is None or dataset is None:
            return

        def undo() -> None:
            from fmstudio.project import Changes

            def bring_back() -> Any:
                project.undo(dataset.id)
                return Changes(datasets=frozenset({dataset.id}))

            self.ctx.run_op(self, bring_back)

        self.ctx.run_op(
            self, lambda: project.datasets.delete(dataset.id),
            lambda _: self.ctx.notify("info", f"{dataset.name} is deleted. Its files are kept.", ("Undo", undo)),
        )  # fmt: skip

    def _open_recipes(self) -> None:
        if self.dataset is not None:
            self.ctx.navigate("recipes", dataset_id=self.dataset.id)

    def _open_training(self) -> None:
        if self.dataset is not None:
            self.ctx.navigate("training", dataset_id=self.dataset.id)


def _reasons_first(page: Any) -> RowsPage:
    """Put why a row was dropped before what it was."""
    from fmstudio.ui.widgets.paged_table import FixedPage

    first = [i for name in FIRST_DROPPED for i, c in enumerate(page.columns) if c == name]
    order = [*first, *(i for i in range(len(page.columns)) if i not in first)]
    rows = [tuple(cells[i] for i in order) for cells in page.rows]
    return FixedPage(tuple(page.columns[i] for i in order), rows, page.offset, page.total)
