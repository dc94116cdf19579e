"""`DiffView`: two versions of a dataset side by side like a pull request: counts, what did it, and the rows as cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QSize, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QGuiApplication, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QFileDialog, QHBoxLayout, QLabel, QPushButton, QStackedWidget, QWidget

from fmstudio.ui import icons
from fmstudio.ui.pages.data.diff_cards import DiffCards
from fmstudio.ui.pages.data.diff_sides import NOW, DiffSides, first_sides
from fmstudio.ui.pages.data.diff_summary import DiffSummaryPanel
from fmstudio.ui.pages.data.diff_words import SIGNS, CardData, card_of
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.elided_button import ElidedButton
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import button, clear, column, holder, icon_label, label, row, tool_button

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.project import Project
    from fmstudio.project.datasets import Dataset, Version
    from fmstudio.project.diff import DiffSummary
    from fmstudio.ui.context import AppContext

KINDS = (("all", "All"), ("added", "Added"), ("removed", "Removed"), ("changed", "Changed"))


class DiffView(QWidget):
    """Pick two sides; see what differs. J and K go from change to change."""

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._dataset: Dataset | None = None
        self._versions: list[Version] = []
        self._sides: tuple[int, int] | None = None
        self._summary: DiffSummary | None = None
        self._is_stale = False
        self._kind, self._operation, self._column = "all", None, ""  # type: tuple[str, int | None, str]
        self.sides = DiffSides()
        self.export = button(
            self.tr("Export as HTML…"), self.export_html, icon="export", tip=self.tr("One file that needs nothing else")
        )
        self.kinds: dict[str, QPushButton] = {}
        self.unchanged = label("", "muted")
        self.only = ElidedButton(self.tr("Show all"))
        icons.set_icon(self.only, "close", "text", 16)
        self.only.setToolTip(self.tr("Show all rows that differ again"))
        self.only.clicked.connect(self.show_all)
        self.place = label("", "muted")
        self.previous = tool_button("up", self.tr("Previous change"), lambda: self.cards.step(-1), shortcut="K")
        self.next = tool_button("down", self.tr("Next change"), lambda: self.cards.step(1), shortcut="J")
        self.copy = tool_button("copy", self.tr("Copy this change"), self.copy_current, shortcut="Ctrl+C")
        self.summary = DiffSummaryPanel()
        self.cards = DiffCards(self.summary)
        self._build()
        self._connect()

    def _build(self) -> None:
        pick = row(self.sides, self.export, gap=8)
        pick.setStretch(0, 1)
        kinds = row(gap=4)
        for kind, title in KINDS:
            made = button(title, lambda kind=kind: self.show_kind(kind), kind="choice")  # type: ignore[misc]
            self.kinds[kind] = made
            kinds.addWidget(made)
        kinds.addWidget(self.unchanged)
        self.only.setProperty("pill", "true")
        self._bar = _Bar(kinds, row(self.only, 8, None, self.place, self.previous, self.next, self.copy, gap=4))
        self._message_icon = icon_label("inspector", "accent", 32)
        self._message_title, self._message_text = label("", "heading"), label("", "muted", wrap=True)
        self._message_text.setFixedWidth(420)
        for one in (self._message_title, self._message_text):
            one.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._message = holder(
            column(
                None, row(None, self._message_icon, None), self._message_title,
                row(None, self._message_text, None), None, None, gap=8,
            )
        )  # fmt: skip
        self._problem = column()
        self.stack = QStackedWidget()
        failed = holder(column(holder(self._problem), None))
        self.stack.addWidget(self._message)
        self.stack.addWidget(failed)
        self.stack.addWidget(self.cards)
        self._failed = failed
        layout = column(pick, self._bar, self.stack, gap=8)
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self._bar.hide()

    def _connect(self) -> None:
        self.sides.picked.connect(self.compare)
        self.cards.current_changed.connect(self._on_current)
        self.summary.operation_chosen.connect(self.show_operation)
        self.summary.column_chosen.connect(self.show_column)
        for keys, act in (("J", self.next.click), ("K", self.previous.click), ("Ctrl+C", self.copy_current)):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)

    # ---- the two sides ---------------------------------------------------------------------------------------------

    def show_dataset(self, dataset: Dataset, versions: Sequence[Version], has_edits: bool) -> None:
        """Offer the versions of a dataset (oldest first); a comparison that is shown is made anew."""
        is_same = self._dataset is not None and self._dataset.id == dataset.id
        there = [version for version in versions if "collected" not in version.statistics]
        was_shown = self._sides if is_same else None
        self._dataset, self._versions = dataset, there
        self.sides.show_versions(dataset, there, has_edits)
        sides = was_shown
        if sides is None or not self.sides.offers(sides):
            sides = first_sides(dataset, there, has_edits)
        self._sides = None
        if sides is None:
            self._say(
                self.tr("Nothing to compare yet"),
                self.tr("There is one version and no edit that waits. Edit a row, run a recipe or a transform: then this "
                "shows what it changed, row by row."),
            )  # fmt: skip
            return
        self.compare(*sides)

    @Slot(int, int)
    def compare(self, before: int, after: int) -> None:
        """Compare two versions; `after` may be `NOW`."""
        self.sides.show_sides((before, after))
        self._sides = before, after
        self._kind, self._operation, self._column = "all", None, ""
        self._is_stale = True
        if self.isVisible():
            self._load()

    # ---- loading ---------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        project, dataset, sides = self.ctx.project, self._dataset, self._sides
        if project is None or dataset is None or sides is None:
            return
        self._is_stale = False
        self._summary = None
        self.cards.load(None)
        rows = {version.number: version.rows for version in self._versions} | {NOW: dataset.rows}
        before, after = (words.number(rows.get(side, 0)) for side in sides)
        self._say(self.tr("Comparing…"), self.tr("{} rows with {} rows.").format(before, after))
        self.ctx.run_query(
            lambda: project.diffs.summary(dataset.id, sides[0], sides[1] or None),
            self._show, self._fail, key="diff summary", owner=self,
        )  # fmt: skip

    def _show(self, summary: DiffSummary) -> None:
        self._summary = summary
        counts = {"added": summary.added, "removed": summary.removed, "changed": summary.changed}
        for kind, count in counts.items():
            self.kinds[kind].setText(f"{SIGNS[kind]}{count:,} {kind}")
            self.kinds[kind].setEnabled(bool(count))
        self.kinds["all"].setText(self.tr("All {}").format(words.number(sum(counts.values()))))
        self.unchanged.setText(f"{SIGNS['same']}{summary.unchanged:,} unchanged")
        self.export.setEnabled(True)
        self._bar.show()
        is_same = not sum(counts.values()) and not summary.columns_added and not summary.columns_removed
        if is_same and not summary.columns_retyped:
            self._say(
                self.tr("No row differs"),
                self.tr("{} and {} hold the same {} rows.").format(
                    summary.before.capitalize(), summary.after, words.number(summary.rows_after)
                ),
                is_whole=False,
            )
            return
        self.summary.show_summary(summary)
        self.stack.setCurrentWidget(self.cards)
        self._reload_cards()

    def _fail(self, problem: Problem) -> None:
        clear(self._problem)
        self._problem.addWidget(ProblemCard(problem, ((self.tr("Try again"), self._load),)))
        self._bar.hide()
        self.stack.setCurrentWidget(self._failed)

    def _say(self, title: str, text: str, *, is_whole: bool = True) -> None:
        self._message_title.setText(title)
        self._message_text.setText(text)
        self.stack.setCurrentWidget(self._message)
        self._bar.setVisible(not is_whole)
        self.export.setEnabled(not is_whole)

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: compare what was asked for while this was out of sight."""
        super().showEvent(event)
        if self._is_stale:
            self._load()

    # ---- which rows ------------------------------------------------------------------------------------------------

    def show_kind(self, kind: str) -> None:
        """Show only rows added, removed or changed; ``all`` shows all."""
        self._kind = kind
        self._reload_cards()

    @Slot(int, str)
    def show_operation(self, place: int, title: str) -> None:
        """Show only rows that an operation has to do with."""
        self._operation, self._column = place, ""
        self._reload_cards(self.tr("Only: {}").format(title))

    @Slot(str)
    def show_column(self, name: str) -> None:
        """Show only rows in which a column changed."""
        self._operation, self._column = None, name
        self._reload_cards(self.tr("Only: {} changed").format(name))

    @Slot()
    def show_all(self) -> None:
        """Take the filter by operation or column away."""
        self._operation, self._column = None, ""
        self._reload_cards()

    def _reload_cards(self, only: str = "") -> None:
        is_filtered = self._operation is not None or bool(self._column)
        if only:
            self.only.setText(only.replace("&", "&&"))
            self.only.setAccessibleName(f"{only}: {self.tr('show all again')}")
        self.only.setVisible(is_filtered)
        for kind, made in self.kinds.items():
            made.setChecked(kind == self._kind)
        project, dataset, sides = self.ctx.project, self._dataset, self._sides
        if project is not None and dataset is not None and sides is not None and self._summary is not None:
            self.cards.load(self._fetcher(project, dataset.id, sides))

    def _fetcher(self, project: Project, dataset_id: str, sides: tuple[int, int]) -> Callable[..., None]:
        kind: Any = self._kind
        operation, name = self._operation, self._column

        def fetch(offset: int, limit: int, deliver: Callable[[Sequence[CardData], int], None]) -> None:
            def read() -> tuple[list[CardData], int]:
                page = project.diffs.page(
                    dataset_id, sides[0], sides[1] or None, kind=kind, offset=offset, limit=limit, column=name,
                    operation=operation,
                )  # fmt: skip
                return [card_of(found) for found in page.rows], page.total

            self.ctx.run_query(read, lambda found: deliver(*found), self._fail, owner=self)

        return fetch

    @Slot(int, int)
    def _on_current(self, place: int, total: int) -> None:
        at = f"{place + 1:,} of " if place >= 0 else ""
        self.place.setText(f"{at}{words.plural(total, 'change')}" if self._summary is not None else "")
        self.previous.setEnabled(place > 0)
        self.next.setEnabled(place < total - 1)
        self.copy.setEnabled(place >= 0)

    # ---- copy and export -------------------------------------------------------------------------------------------

    @Slot()
    def copy_current(self) -> None:
        """Copy the selected text, else the current change as text."""
        focused = self.window().focusWidget()
        if isinstance(focused, QLabel) and focused.hasSelectedText():
            QGuiApplication.clipboard().setText(focused.selectedText())
            return
        cursor = getattr(focused, "textCursor", None)
        if cursor is not None and cursor().hasSelection():
            QGuiApplication.clipboard().setText(cursor().selection().toPlainText())
            return
        found = self.cards.card()
        if found is not None:
            QGuiApplication.clipboard().setText(found.data.text)
            self.ctx.notify("info", self.tr("The change of row id {} is copied.").format(found.data.row.row_id))

    @Slot()
    def export_html(self) -> None:
        """Ask for a file and write the difference to it."""
        project, dataset, sides = self.ctx.project, self._dataset, self._sides
        if project is None or dataset is None or sides is None:
            return
        after = f"v{sides[1]}" if sides[1] else "now"
        wish = f"{dataset.name} v{sides[0]} to {after}.html".replace("/", "-")
        name, _ = QFileDialog.getSaveFileName(self, self.tr("Export the difference"), wish, "HTML (*.html)")
        if not name:
            return
        target = Path(name) if Path(name).suffix else Path(f"{name}.html")
        self.export.setEnabled(False)

        def done(path: Path) -> None:
            self.export.setEnabled(True)
            self.ctx.notify("positive", f"Written: {path}", (self.tr("Open the folder"), lambda: _open(path.parent)))

        def fail(problem: Problem) -> None:
            self.export.setEnabled(True)
            self.ctx.show_problem(problem)

        self.ctx.run_query(
            lambda: project.diffs.html(dataset.id, sides[0], sides[1] or None, target), done, fail, owner=self
        )


class _Bar(QWidget):
    """Two groups side by side, or one below the other where there is no room."""

    def __init__(self, first: QHBoxLayout, second: QHBoxLayout) -> None:
        super().__init__()
        self._parts = first, second
        self._line = row(first, second, gap=8)
        self._line.setStretch(1, 1)
        self._line.setAlignment(first, Qt.AlignmentFlag.AlignLeft)
        self.setLayout(self._line)

    def minimumSizeHint(self) -> QSize:
        """Qt: no wider than the wider group."""
        width = max(part.minimumSize().width() for part in self._parts)
        return QSize(width, super().minimumSizeHint().height())

    def event(self, event: QEvent) -> bool:
        """Qt: the texts or the room changed."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            needed = sum(part.sizeHint().width() for part in self._parts) + self._line.spacing()
            ways = QBoxLayout.Direction
            self._line.setDirection(ways.LeftToRight if needed <= self.width() else ways.TopToBottom)
        return super().event(event)


def _open(folder: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
