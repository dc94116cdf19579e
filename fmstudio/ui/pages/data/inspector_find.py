"""Find inside the inspector: every place a text stands is marked, Enter goes from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QColor, QKeyEvent, QTextCharFormat, QTextCursor, QTextDocument
from PySide6.QtWidgets import QFrame, QLineEdit, QPlainTextEdit, QScrollArea, QTextEdit, QWidget

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.parts import label, row, tool_button

MOST_MARKS = 2_000

Text = QTextEdit | QPlainTextEdit


class FindBar(QFrame):
    """A line above the texts of a scroll area.

    Signals:
        closed: Esc, or the close button.
    """

    closed = Signal()

    def __init__(self, area: QScrollArea, body: QWidget) -> None:
        super().__init__()
        self._area, self._body = area, body
        self._places: list[tuple[Text, QTextCursor]] = []
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
        self.status.setText(self.tr("{} found").format(f"{len(self._places):,}") if needle else "")
        if self._places:
            self.step(1)

    def step(self, by: int) -> None:
        """Go to the next or the previous place."""
        if not self._places:
            return
        self._at = (self._at + by) % len(self._places)
        view, cursor = self._places[self._at]
        self.status.setText(f"{self._at + 1:,} / {len(self._places):,}")
        inner = QTextCursor(cursor)
        inner.setPosition(cursor.selectionStart())
        if isinstance(view, QPlainTextEdit):
            view.setTextCursor(inner)
            view.ensureCursorVisible()
        where = view.mapTo(self._body, view.cursorRect(inner).center())
        self._area.ensureVisible(where.x(), where.y(), 20, 80)
        show_marks([p for p in self._places if p[0] is view], current=cursor)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Shift+Enter goes back, Esc closes."""
        if event.key() == Qt.Key.Key_Escape:
            self.close_bar()
        elif event.key() == Qt.Key.Key_Return and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.step(-1)
        else:
            super().keyPressEvent(event)


def mark_all(body: QWidget, needles: Sequence[str]) -> list[tuple[Text, QTextCursor]]:
    """Mark these texts in all views of a widget, and give the places from top to bottom."""
    places: list[tuple[Text, QTextCursor]] = []
    for view in _views(body):
        mine = [(view, cursor) for needle in needles for cursor in _find(view.document(), needle)]
        mine.sort(key=lambda place: place[1].selectionStart())
        places += mine[: MOST_MARKS - len(places)]
        show_marks(mine, view=view)
    return places


def show_marks(
    places: Sequence[tuple[Text, QTextCursor]], *, view: Text | None = None, current: QTextCursor | None = None
) -> None:
    """Draw the marks of one view; the current one stronger."""
    target = view or (places[0][0] if places else None)
    if target is None:
        return
    theme = Theme.current()
    selections = []
    for _, cursor in places:
        found = QTextEdit.ExtraSelection()
        style = QTextCharFormat()
        is_current = current is not None and cursor == current
        style.setBackground(QColor(theme.hex("accent" if is_current else "match")))
        style.setForeground(QColor(theme.hex("on_accent" if is_current else "text")))
        found.format, found.cursor = style, cursor
        selections.append(found)
    target.setExtraSelections(selections)


def _views(root: QWidget) -> Iterator[Text]:
    """The views in the order they are seen: findChildren gives all of one class first."""
    found: list[Text] = [*root.findChildren(QTextEdit), *root.findChildren(QPlainTextEdit)]
    found = [view for view in found if view.isVisibleTo(root)]
    yield from sorted(found, key=lambda view: view.mapTo(root, view.rect().topLeft()).y())


def _find(document: QTextDocument, needle: str) -> Iterator[QTextCursor]:
    cursor = document.find(needle, 0)
    count = 0
    while not cursor.isNull() and count < MOST_MARKS:
        yield cursor
        count += 1
        cursor = document.find(needle, cursor)
