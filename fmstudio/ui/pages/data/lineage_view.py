"""`LineageView`: from any row, version or dataset back to the file, and forward to all that used it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFileDialog,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QWidget,
)

from fmstudio.ui import icons
from fmstudio.ui.pages.data.lineage_words import (
    KINDS,
    boxes_of,
    door_of,
    facts_of,
    line_of,
    trimmed,
    ways_in_words,
    ways_of,
)
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.graph_view import STEP, GraphView
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import ElidedLabel, button, clear, column, holder, label, row, tool_button

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project import Changes
    from fmstudio.project.datasets import Dataset
    from fmstudio.project.lineage_graph import Graph, Node, NodeKind
    from fmstudio.ui.context import AppContext

NODE = Qt.ItemDataRole.UserRole


class LineageView(QWidget):
    """A graph, the same as a list in words, and what is known of the chosen thing.

    Signals:
        closed: The user wants to leave it (a back button is shown).
    """

    closed = Signal()

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._graph: Graph | None = None
        self._asked: tuple[NodeKind, str, str] = ("dataset", "", "")
        self._is_stale = False
        self.back = tool_button("chevron-left", self.tr("Back"), self.closed.emit, shortcut="Esc")
        self.title = ElidedLabel("", "heading")
        self.facts = label("", "muted")
        self.graph = GraphView(self.tr("Lineage"))
        self.list = QListWidget()
        self.open_button = button(self.tr("Open"), self.open_current)
        self._details = column(gap=3)
        self._problem = column()
        self.stack = QStackedWidget()
        self._build()
        self._connect()

    def _build(self) -> None:
        fit = tool_button("expand", self.tr("Show the whole graph"), self.graph.fit, shortcut="0")
        more = tool_button("plus", self.tr("Larger"), lambda: self.graph.zoom(STEP), shortcut="+")
        less = tool_button("minus", self.tr("Smaller"), lambda: self.graph.zoom(1 / STEP), shortcut="-")
        self.save_button = button(self.tr("Save"), icon="save", tip=self.tr("Save the graph as a picture"))
        menu = QMenu(self)
        menu.addAction(self.tr("As a picture (PNG)…"), lambda: self._ask_and_save("png"))
        menu.addAction(self.tr("As a drawing (SVG)…"), lambda: self._ask_and_save("svg"))
        self.save_button.setMenu(menu)
        head = row(self.back, self.title, self.facts, less, more, fit, self.save_button, gap=6)
        head.setStretch(1, 1)
        self.list.setAccessibleName(self.tr("The lineage in words"))
        self.list.setWordWrap(True)
        self.list.setResizeMode(QListWidget.ResizeMode.Adjust)  # filled before it is in sight, at another width
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(holder(column(holder(self._details), None, margins=(4, 0, 6, 0))))
        told = column(area, row(self.open_button, None), gap=8)
        told.setStretch(0, 1)
        below = row(self.list, holder(told), gap=8)
        below.setStretch(0, 3)
        below.setStretch(1, 2)
        # The graph runs from left to right: it gets the whole width, so that few of its ends are out of sight.
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.graph)
        split.addWidget(holder(below))
        split.setStretchFactor(0, 1)
        split.setSizes([300, 240])
        split.setChildrenCollapsible(False)
        self._waiting = label(self.tr("Following the threads…"), "muted")
        self._waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._failed = holder(column(holder(self._problem), None))
        self._whole = split
        for widget in (self._waiting, self._failed, split):
            self.stack.addWidget(widget)
        layout = column(head, self.stack, gap=8)
        layout.setStretch(1, 1)
        self.setLayout(layout)

    def _connect(self) -> None:
        self.graph.chosen.connect(self._on_chosen)
        self.graph.opened.connect(lambda _: self.open_current())
        self.list.currentItemChanged.connect(self._on_line)
        self.list.itemActivated.connect(lambda _: self.open_current())
        self.ctx.data_changed.connect(self._on_changes)
        shortcut = QShortcut(QKeySequence("Esc"), self)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(self.closed)

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_dataset(self, dataset: Dataset) -> None:
        """Show the lineage of a dataset: of all its versions."""
        self._ask("dataset", dataset.id, self.tr("Lineage of {}").format(dataset.name))

    def show_version(self, dataset_id: str, number: int) -> None:
        """Show the lineage of a version."""
        self._ask("version", f"{dataset_id}@{number}", self.tr("Lineage of version {}").format(number))

    def show_row(self, dataset_id: str, row_id: int) -> None:
        """Show the lineage of a row."""
        self._ask("row", f"{dataset_id}#{row_id}", self.tr("Lineage of row id {}").format(words.number(row_id)))

    def show_thing(self, kind: NodeKind, thing: str, name: str) -> None:
        """Show the lineage of anything: a file, run, model, chat or export by its id."""
        self._ask(kind, thing, self.tr("Lineage of {}").format(name))

    def _ask(self, kind: NodeKind, thing: str, title: str) -> None:
        self._asked = kind, thing, title
        self.title.setText(title)
        self.title.setAccessibleName(title)
        self.facts.setText("")
        self.stack.setCurrentWidget(self._waiting)
        self._load()

    def _load(self) -> None:
        project, (kind, thing, _) = self.ctx.project, self._asked
        if project is not None and thing:
            self._is_stale = False
            self.ctx.run_query(
                lambda: trimmed(project.lineage_graph.of(kind, thing)),
                self._show,
                self._fail,
                key="lineage",
                owner=self,
            )

    def _show(self, graph: Graph) -> None:
        before = self.graph.current if self._graph is not None and self._graph.focus == graph.focus else ""
        self._graph = graph
        self.graph.show_graph(boxes_of(graph), ways_of(graph))
        self.list.blockSignals(True)
        self.list.clear()
        for node in sorted(graph.nodes, key=lambda node: self.graph.position_of(node.id).x()):
            icon, token, _ = KINDS.get(node.kind, ("info", "muted", ""))
            item = QListWidgetItem(icons.icon(icon, token), line_of(graph, node))
            item.setData(NODE, node.id)
            self.list.addItem(item)
        self.list.blockSignals(False)
        self.facts.setText(words.plural(len(graph.nodes), "thing"))
        self.stack.setCurrentWidget(self._whole)
        self.graph.choose(before)
        self._on_chosen(self.graph.current)

    def _fail(self, problem: Problem) -> None:
        clear(self._problem)
        self._problem.addWidget(ProblemCard(problem, ((self.tr("Try again"), self._load),)))
        self.stack.setCurrentWidget(self._failed)

    # ---- the chosen thing ------------------------------------------------------------------------------------------

    def current(self) -> Node | None:
        """The thing chosen."""
        there = {node.id: node for node in self._graph.nodes} if self._graph is not None else {}
        return there.get(self.graph.current)

    @Slot(str)
    def _on_chosen(self, node_id: str) -> None:
        for place in range(self.list.count()):
            if self.list.item(place).data(NODE) == node_id:
                self.list.blockSignals(True)
                self.list.setCurrentRow(place)
                self.list.blockSignals(False)
        self._show_details()

    @Slot(object, object)
    def _on_line(self, item: QListWidgetItem | None, _: object) -> None:
        if item is not None:
            self.graph.choose(item.data(NODE))

    def _show_details(self) -> None:
        clear(self._details)
        node, graph = self.current(), self._graph
        if node is None or graph is None:
            self.open_button.hide()
            return
        self._details.addWidget(label(node.title, "strong", wrap=True, selectable=True))
        for name, value in facts_of(graph, node):
            self._details.addWidget(label(f"{name}: {value}", "caption", wrap=True, selectable=True))
        for line in ways_in_words(graph, node):
            self._details.addWidget(label(line, "caption", wrap=True))
        door = door_of(node)
        self.open_button.setVisible(door is not None)
        if door is not None:
            self.open_button.setText(door.title)
            self.open_button.setAccessibleName(f"{door.title}: {node.title}")
            self.open_button.setToolTip(self.tr("Enter, or a double click"))

    @Slot()
    def open_current(self) -> None:
        """Go to the chosen thing."""
        node = self.current()
        door = door_of(node) if node is not None else None
        if door is None:
            return
        if door.page:
            self.ctx.navigate(door.page, **dict(door.args or {}))
            return
        folder = Path(door.path).parent
        if folder.is_dir():
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
        else:
            self.ctx.notify("warning", self.tr("{} is not there any more.").format(folder))

    # ---- saving ----------------------------------------------------------------------------------------------------

    def _ask_and_save(self, suffix: str) -> None:
        name, _ = QFileDialog.getSaveFileName(self, self.tr("Save the graph"), f"{self._asked[2]}.{suffix}")
        if name:
            self.save(Path(name) if Path(name).suffix else Path(f"{name}.{suffix}"))

    def save(self, path: Path) -> None:
        """Write the graph as ``.png`` or ``.svg``; say where it is, or why not."""
        try:
            self.graph.save(path)
        except OSError as error:
            self.ctx.notify("danger", self.tr("The picture cannot be written: {}.").format(error))
        else:
            self.ctx.notify("positive", self.tr("Written: {}").format(path))

    @Slot(object, object)
    def _on_changes(self, changes: Changes, origin: object) -> None:
        self._is_stale = True
        if self.isVisible():
            self._load()

    def showEvent(self, event: Any) -> None:
        """Qt: read what has changed meanwhile."""
        super().showEvent(event)
        if self._is_stale:
            self._load()
