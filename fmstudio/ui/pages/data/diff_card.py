"""`DiffCard`: one row that differs, as a card: its changed cells with their words, or the whole row that came or went."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QFocusEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from fmstudio.ui.pages.data.diff_words import SIGNS, Bubble, CardData, CellDiff
from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.parts import ElidedLabel, button, column, holder, label, row
from fmstudio.ui.widgets.table.values import ROLE_WORDS
from fmstudio.ui.widgets.word_diff_view import Piece, WordDiffView, shortened

LEVELS = {"added": "positive", "removed": "danger", "changed": "warning"}
WORDS = {"added": "Added", "removed": "Removed", "changed": "Changed"}
MOST_COLUMNS = 8
MOST_CHARS = 400_000
EDGE = 4


class DiffCard(QFrame):
    """A row that differs.

    Signals:
        chosen: (place) it was clicked.
    """

    chosen = Signal(int)

    def __init__(self, place: int, data: CardData) -> None:
        super().__init__()
        self.place, self.data = place, data
        self._is_current = False
        kind = data.row.kind
        self._token = LEVELS[kind]
        self.setProperty("card", "true")
        self.setAccessibleName(f"{WORDS[kind]} row {data.row.row_id}")
        pill = label(f"{SIGNS[kind]} {WORDS[kind]}", "pill", level=LEVELS[kind])
        title = label(f"Row id {data.row.row_id:,}", "strong", selectable=True)
        by = ElidedLabel("  ·  ".join(data.row.operations), "caption")
        by.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        head = row(pill, title, gap=8)
        head.addWidget(by, 1)
        layout = column(head, gap=8, margins=(18, 10, 14, 12))
        if data.row.reason:
            layout.addWidget(label(f"Why: {data.row.reason}", "muted", wrap=True, selectable=True))
        self._add_cells(layout, data.cells[:MOST_COLUMNS])
        rest = data.cells[MOST_COLUMNS:]
        if rest:
            _add_more(layout, f"Show {len(rest):,} more columns", lambda: self._add_cells(layout, rest))
        if not data.cells:
            layout.addWidget(label(self.tr("This row has no values."), "muted"))
        self.setLayout(layout)

    def set_current(self, is_current: bool) -> None:
        """Mark it as the one keys work on."""
        if is_current != self._is_current:
            self._is_current = is_current
            self.update()

    def _add_cells(self, layout: QVBoxLayout, cells: Sequence[CellDiff]) -> None:
        for cell in cells:
            inside = column(label(cell.column, "caption"), gap=2)
            if cell.bubbles:
                _add_bubbles(inside, cell.bubbles)
            else:
                _add_text(inside, cell.pieces)
            layout.addLayout(inside)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: choose it."""
        self.chosen.emit(self.place)
        super().mousePressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Qt: what gets the focus is chosen."""
        super().focusInEvent(event)
        self.chosen.emit(self.place)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: a bar at the left says added, removed or changed, besides the word; a frame marks the current card."""
        super().paintEvent(event)
        theme, painter = Theme.current(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shape = QPainterPath()
        shape.addRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        painter.save()
        painter.setClipPath(shape)
        painter.fillRect(0, 0, EDGE, self.height(), theme.color(self._token))
        painter.restore()
        if self._is_current:
            painter.setPen(QPen(theme.color("focus"), 2))
            painter.drawPath(shape)
        painter.end()


def _add_text(layout: QVBoxLayout, pieces: Sequence[Piece]) -> None:
    short = shortened(pieces)
    view = WordDiffView(short)
    layout.addWidget(view)
    if short != list(pieces):
        total = sum(len(text) for _, text in pieces)
        whole = list(pieces) if total <= MOST_CHARS else shortened(pieces, MOST_CHARS)
        _add_more(layout, f"Show all {total:,} characters", lambda: view.show_pieces(whole))


def _add_bubbles(layout: QVBoxLayout, bubbles: Sequence[Bubble]) -> None:
    """Changed messages as bubbles; runs of messages that stayed are folded to a line."""
    at = 0
    has_change = any(bubble.kind != "same" for bubble in bubbles)
    while at < len(bubbles):
        end = at
        while end < len(bubbles) and bubbles[end].kind == "same":
            end += 1
        if has_change and end > at:
            _add_folded(layout, bubbles[at:end])
            at = end
        else:
            layout.addWidget(_bubble(bubbles[at]))
            at += 1


def _add_folded(layout: QVBoxLayout, bubbles: Sequence[Bubble]) -> None:
    inside = column(gap=4)
    layout.addWidget(holder(inside))

    def unfold() -> None:
        for bubble in bubbles:
            inside.addWidget(_bubble(bubble))

    count = len(bubbles)
    _add_more(inside, "1 message is the same" if count == 1 else f"{count:,} messages are the same", unfold)


def _bubble(bubble: Bubble) -> QWidget:
    frame = QFrame()
    frame.setProperty("bubble", bubble.role if bubble.role in ("user", "assistant") else "system")
    said = "" if bubble.kind == "same" else f"  {SIGNS[bubble.kind]} {WORDS[bubble.kind].lower()}"
    inside = column(
        label(f"{ROLE_WORDS.get(bubble.role, bubble.role)}{said}", "caption"), gap=2, margins=(12, 6, 12, 8)
    )
    _add_text(inside, bubble.pieces)
    frame.setLayout(inside)
    left, right = (24, 0) if bubble.role == "user" else (0, 24)
    return holder(column(frame, margins=(left, 0, right, 0)))


def _add_more(layout: QVBoxLayout, text: str, act: object) -> None:
    """A quiet button at the end of a layout that goes when it has done what it says."""
    more = button(text, kind="quiet", icon="chevron-down")
    line = holder(row(more, None))

    def do() -> None:
        line.hide()
        line.deleteLater()
        if callable(act):
            act()

    more.clicked.connect(do)
    layout.addWidget(line)
