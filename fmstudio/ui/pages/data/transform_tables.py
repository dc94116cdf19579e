"""`BeforeAfter`: a few rows as they are and as they would be, side by side, and the chosen row's changes word by word."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QTextBrowser, QVBoxLayout, QWidget

from fmstudio.project.cell_values import is_same
from fmstudio.project.diff_words import word_diff
from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.paged_table import FixedPage, PagedTable, RowsPage, full_text
from fmstudio.ui.widgets.parts import column, holder, label

if TYPE_CHECKING:
    from fmstudio.recipes.transform_preview import TransformPreview

ROW_ID = "row_id"
SIDE_BY_SIDE_FROM = 620
"""Narrower than that, the tables stand one above the other."""
MOST_COMPARED = 60_000
"""Longer values are shown without marks."""
CHANGE_HEIGHT = 128

Record = dict[str, Any]


class BeforeAfter(QWidget):
    """Two tables that scroll together where a row before is a row after."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = PagedTable(self.tr("Rows before")), PagedTable(self.tr("Rows afterwards"))
        self._titles = (label("", "strong"), label("", "strong"))
        self.change = QTextBrowser()
        self.change.setAccessibleName(self.tr("What changes in the chosen row"))
        self.change.setFixedHeight(CHANGE_HEIGHT)
        self.change.setProperty("card", "sunken")
        self._preview: TransformPreview | None = None
        self._is_following = False
        self._split = QSplitter(Qt.Orientation.Horizontal)
        for title, table in zip(self._titles, (self.before, self.after), strict=True):
            table.verticalHeader().hide()
            part = column(title, table, gap=4)
            part.setStretch(1, 1)
            self._split.addWidget(holder(part))
        self._split.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._split, 1)
        layout.addWidget(self.change)
        self.change.hide()
        self._connect()

    def _connect(self) -> None:
        for one, other in ((self.before, self.after), (self.after, self.before)):
            one.verticalScrollBar().valueChanged.connect(
                lambda value, other=other: self._follow(other.verticalScrollBar().setValue, value)
            )
            one.row_chosen.connect(lambda row, other=other: self._choose(other, row))
        Theme.current().changed.connect(self._show_change)

    def show_preview(self, preview: TransformPreview) -> None:
        """Show the rows of a preview, columns that change first."""
        self._preview = preview
        changed = _changed_cells(preview)
        touched = [c.name for c in preview.columns if c.is_new or any(name == c.name for _, name in changed)]
        rest = [c.name for c in preview.columns if c.name not in touched and c.name != ROW_ID]
        names_before = list(dict.fromkeys(name for record in preview.before for name in record if name != ROW_ID))
        shown_before = [*(n for n in touched if n in names_before), *(n for n in names_before if n not in touched)]
        shown_after = [*touched, *rest]
        self._is_following = True
        self._load(self.before, preview.before, shown_before, changed)
        self._load(self.after, preview.after, shown_after, changed)
        self._is_following = False
        for title, text in zip(self._titles, _titles(preview), strict=True):
            title.setText(text)
        self.change.setVisible(preview.is_aligned and bool(changed))
        if changed:
            self.after.selectRow(0)
        self._show_change()

    def clear(self) -> None:
        """Show nothing."""
        self._preview = None
        self.before.rows.load(None)
        self.after.rows.load(None)
        self.change.hide()

    def _load(
        self, table: PagedTable, records: Sequence[Record], names: Sequence[str], marked: set[tuple[int, str]]
    ) -> None:
        shown = (*names, ROW_ID) if any(ROW_ID in record for record in records) else tuple(names)
        rows = [tuple(record.get(name) for name in shown) for record in records]

        def fetch(offset: int, limit: int, deliver: Callable[[RowsPage], None]) -> None:
            deliver(FixedPage(shown, rows[offset : offset + limit], offset, len(rows)))

        table.rows.marked = set(marked) if self._preview is not None and self._preview.is_aligned else set()
        table.rows.load(fetch, frozenset({ROW_ID}))

    def _follow(self, move: Callable[[int], None], value: int) -> None:
        if self._preview is not None and self._preview.is_aligned and not self._is_following:
            self._is_following = True
            move(value)
            self._is_following = False

    def _choose(self, other: PagedTable, row: int) -> None:
        if self._preview is None or self._is_following or row < 0:
            return
        if self._preview.is_aligned:
            self._follow(other.selectRow, row)
        self._show_change()

    @Slot()
    def _show_change(self) -> None:
        preview, row = self._preview, max(0, self.after.currentIndex().row())
        if preview is None or self.change.isHidden() or row >= min(len(preview.before), len(preview.after)):
            return
        self.change.setHtml(_change_html(preview.before[row], preview.after[row]))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: side by side where there is room."""
        super().resizeEvent(event)
        is_wide = self.width() >= SIDE_BY_SIDE_FROM
        wanted = Qt.Orientation.Horizontal if is_wide else Qt.Orientation.Vertical
        if self._split.orientation() != wanted:
            self._split.setOrientation(wanted)


def _changed_cells(preview: TransformPreview) -> set[tuple[int, str]]:
    """Row id and column of each cell that differs."""
    if not preview.is_aligned:
        return set()
    return {
        (int(new[ROW_ID]), name)
        for old, new in zip(preview.before, preview.after, strict=False)
        if ROW_ID in new
        for name, value in new.items()
        if name != ROW_ID and (name not in old or not is_same(old[name], value))
    }


def _titles(preview: TransformPreview) -> tuple[str, str]:
    if preview.is_aligned:
        return "Before", "Afterwards"
    if preview.dropped and preview.makes != "datasets":
        stay = preview.rows_after
        return f"Rows that go ({words.number(preview.dropped)})", f"Rows that stay ({words.number(stay)})"
    return "Now", "Afterwards"


def _change_html(before: Record, after: Record) -> str:
    """What changes in a row: what goes struck through, what comes on a colour."""
    theme = Theme.current()
    parts = []
    for name, value in after.items():
        if name == ROW_ID or (name in before and before[name] == value):
            continue
        old, new = full_text(before.get(name)), full_text(value)
        head = f"<span style='color:{theme.hex('faint')}'>{html.escape(name)}</span>&nbsp; "
        parts.append(f"<p style='margin:0 0 6px 0; white-space:pre-wrap'>{head}{_words_html(old, new)}</p>")
    return "".join(parts) or f"<p style='color:{theme.hex('muted')}'>This row stays as it is.</p>"


def _words_html(old: str, new: str) -> str:
    theme = Theme.current()
    if len(old) + len(new) > MOST_COMPARED:
        return html.escape(new[:MOST_COMPARED]) + " …"
    styles = {
        "removed": f"background:{theme.hex('danger_soft')}; color:{theme.hex('danger')}; text-decoration:line-through",
        "added": f"background:{theme.hex('positive_soft')}; color:{theme.hex('positive')}",
    }
    found = []
    for kind, text in word_diff(old, new):
        safe = html.escape(text)
        found.append(f"<span style='{styles[kind]}'>{safe}</span>" if kind in styles else _shortened(safe))
    return "".join(found)


def _shortened(text: str, most: int = 160) -> str:
    """What stays the same between two changes, its middle left out when it is long."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"
