"""Find inside the inspector: every place a text stands is marked, Enter goes from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QRect, Qt, Signal, Slot
from PySide6.QtGui import QColor, QKeyEvent, QTextCharFormat, QTextCursor, QTextDocument
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QPlainTextEdit, QScrollArea, QTextEdit, QWidget

from fmstudio.ui.pages.data.cell_views import is_value_label
from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.json_tree import JsonTree, Path
from fmstudio.ui.widgets.parts import label, row, tool_button

MOST_MARKS = 2_000

Text = QTextEdit | QPlainTextEdit
View = Text | JsonTree | QLabel


@dataclass(frozen=True)
class Place:
    """Where a text was found: `at` is a piece of a document, a branch of a tree, or (start, length) in a line."""

    view: View
    at: QTextCursor | Path


class FindBar(QFrame):
    """A line above the texts of a scroll area.

    Signals:
        closed: Esc, or the close button.
    """

    closed = Signal()

    def __init__(self, area: QScrollArea, body: QWidget) -> None:
        super().__init__()
        self._area, self._body = area, body
        self._places: list[Place] = []
        self._at = -1
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("Find in this row"))
        self.field.setAccessibleName(self.tr("Find in this row"))
        self.field.textChanged.connect(self.search)
        self.field.returnPressed.connect(lambda: self.step(1))
        self.status = label("", "caption")
        before = tool_button("chevron-up", self.tr("Previous match"), lambda: self.step(-1), shortcut="Shift+Enter")
        after = tool_button("chevron-down", self.tr("Next match"), lambda: self.step(1), shortcut="Enter")
        close = tool_button("close", self.tr("Close"), self.close_bar, shortcut="Esc")
        layout = row(self.field, self.status, before, after, close, gap=2, margins=(16, 6, 8, 6))
        layout.setStretch(0, 1)
        self.setLayout(layout)
        self.hide()

    def open_bar(self) -> None:
        """Show the bar, ready to type."""
        self.show()
        self.field.setFocus()
        self.field.selectAll()
        self.search()

    @Slot()
    def close_bar(self) -> None:
        """Hide the bar and take its marks away."""
        self.hide()
        self.closed.emit()

    @Slot()
    def search(self) -> None:
        """Mark all places of what is typed."""
        needle = self.field.text()
        self._places = mark_all(self._body, [needle] if needle else [])
        self._at = -1
        self.status.setText(self.tr("0 found") if needle else "")
        if self._places:
            self.step(1)

    def step(self, by: int) -> None:
        """Go to the next or the previous place."""
        if not self._places:
            return
        if self._at >= 0:
            before = self._places[self._at].view
            show_marks([p for p in self._places if p.view is before], before)
        self._at = (self._at + by) % len(self._places)
        place = self._places[self._at]
        more = "+" if len(self._places) == MOST_MARKS else ""
        self.status.setText(f"{self._at + 1:,} / {len(self._places):,}{more}")
        where = place.view.mapTo(self._body, _bring(place).center())
        self._area.ensureVisible(where.x(), where.y(), 20, 80)
        show_marks([p for p in self._places if p.view is place.view], place.view, current=place)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Shift+Enter goes back, Esc closes."""
        if event.key() == Qt.Key.Key_Escape:
            self.close_bar()
        elif event.key() == Qt.Key.Key_Return and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.step(-1)
        else:
            super().keyPressEvent(event)


def mark_all(body: QWidget, needles: Sequence[str]) -> list[Place]:
    """Mark these texts in all views of a widget, and give the places from top to bottom, `MOST_MARKS` at most."""
    places: list[Place] = []
    for view in _views(body):
        mine = _places_in(view, needles)
        places += mine[: MOST_MARKS - len(places)]
        show_marks(mine, view)
    return places


def _places_in(view: View, needles: Sequence[str]) -> list[Place]:
    if isinstance(view, JsonTree):
        return [Place(view, path) for path in view.places_of(needles, MOST_MARKS)]
    if isinstance(view, QLabel):
        return [Place(view, span) for needle in needles if (span := _span(view.text(), needle))]
    cursors = [cursor for needle in needles for cursor in _find(view.document(), needle)]
    return [Place(view, cursor) for cursor in sorted(cursors, key=QTextCursor.selectionStart)]


def _bring(place: Place) -> QRect:
    """Bring a place into sight inside its own view, and give its rectangle there."""
    view, at = place.view, place.at
    if isinstance(view, JsonTree) and isinstance(at, tuple):
        return view.go_to(at)
    if isinstance(view, QLabel) or isinstance(at, tuple):
        return view.rect()
    inner = QTextCursor(at)
    inner.setPosition(at.selectionStart())
    if isinstance(view, QPlainTextEdit):
        view.setTextCursor(inner)
        view.ensureCursorVisible()
    assert isinstance(view, QTextEdit | QPlainTextEdit)
    return view.cursorRect(inner)


def show_marks(places: Sequence[Place], view: View, *, current: Place | None = None) -> None:
    """Draw the marks of one view; the current one stronger."""
    if isinstance(view, JsonTree):
        view.mark([place.at for place in places if isinstance(place.at, tuple)])
        return
    if isinstance(view, QLabel):
        view.setSelection(*(current.at if current is not None and isinstance(current.at, tuple) else (0, 0)))
        return
    theme = Theme.current()
    selections = []
    for place in places:
        if isinstance(place.at, tuple):
            continue
        found = QTextEdit.ExtraSelection()
        style = QTextCharFormat()
        is_current = current is not None and place is current
        style.setBackground(QColor(theme.hex("accent" if is_current else "match")))
        style.setForeground(QColor(theme.hex("on_accent" if is_current else "text")))
        found.format, found.cursor = style, place.at
        selections.append(found)
    view.setExtraSelections(selections)


def _views(root: QWidget) -> Iterator[View]:
    """A widget itself and the views in it, in the order they are seen: findChildren gives all of one class first."""
    found: list[View] = [root] if isinstance(root, QTextEdit | QPlainTextEdit | JsonTree | QLabel) else []
    for kind in (QTextEdit, QPlainTextEdit, JsonTree, QLabel):
        found += root.findChildren(kind)
    found = [view for view in found if not isinstance(view, QLabel) or is_value_label(view)]
    places = {view: view.mapTo(root, view.rect().topLeft()) for view in found if view.isVisibleTo(root)}
    yield from sorted(places, key=lambda view: (places[view].y(), places[view].x()))


def _find(document: QTextDocument, needle: str) -> Iterator[QTextCursor]:
    cursor = document.find(needle, 0)
    count = 0
    while not cursor.isNull() and count < MOST_MARKS:
        yield cursor
        count += 1
        cursor = document.find(needle, cursor)


def _span(text: str, needle: str) -> tuple[int, int] | None:
    """Start and length of a text in one line; all of a number of which it is digits, whatever is between them."""
    at = text.lower().find(needle.lower())
    if at >= 0:
        return at, len(needle)
    plain = text.replace(",", "").replace("\u200b", "").lower()
    return (0, len(text)) if needle.lower() in plain else None
