"""`DiffCards`: rows that differ as a list of cards that only ever holds a few pages of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from fmstudio.ui.pages.data.diff_card import DiffCard
from fmstudio.ui.pages.data.diff_words import CardData
from fmstudio.ui.widgets.parts import column, holder, label

PAGE = 5
MOST_HELD = 30
NEAR = 700
"""Pixels from either end at which the next page is fetched."""

Deliver = Callable[[Sequence[CardData], int], None]
Fetch = Callable[[int, int, Deliver], None]
"""(offset, limit, deliver(cards, how many there are in all))"""


class DiffCards(QScrollArea):
    """The cards, with something above the first of them.

    Signals:
        current_changed: (place, total) another card is the current one; -1 = none.
    """

    current_changed = Signal(int, int)

    def __init__(self, head: QWidget) -> None:
        super().__init__()
        self._head = head
        self._fetch: Fetch | None = None
        self._first, self.total, self.current = 0, 0, -1
        self._generation = 0
        self._is_busy = False
        self._wanted = -1
        self._cards: list[DiffCard] = []
        self._anchor: tuple[DiffCard, int] | None = None
        self._column = column(gap=10)
        self._note = label("", "muted")
        self._note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWidget(holder(column(head, self._column, self._note, None, gap=10, margins=(0, 0, 8, 12))))
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(self.tr("Rows that differ"))
        bar = self.verticalScrollBar()
        bar.setSingleStep(24)
        bar.valueChanged.connect(self._on_scrolled)
        bar.rangeChanged.connect(lambda *_: self._hold())

    # ---- what callers use ------------------------------------------------------------------------------------------

    def load(self, fetch: Fetch | None) -> None:
        """Show other rows, from the first."""
        self._fetch = fetch
        self._generation += 1
        self._is_busy, self._wanted = False, -1
        self._drop(self._cards)
        self._first, self.total = 0, 0
        self._set_current(-1)
        self._head.show()
        self._note.setText("")
        self.verticalScrollBar().setValue(0)
        self._ask(0)

    def held(self) -> Sequence[DiffCard]:
        """The cards now in memory."""
        return self._cards

    def card(self) -> DiffCard | None:
        """The current card; None when there is none or it is out of memory."""
        return next((card for card in self._cards if card.place == self.current), None)

    def step(self, by: int) -> None:
        """Go to the next or the previous card."""
        self.go_to(max(0, self.current + by) if self.current >= 0 else 0)

    def go_to(self, place: int) -> None:
        """Make a card the current one and bring it into sight; fetched when it is not held."""
        if not self.total:
            return
        place = max(0, min(place, self.total - 1))
        found = next((card for card in self._cards if card.place == place), None)
        if found is not None:
            self._set_current(place)
            self._bring(found)
            return
        self._wanted = place
        end = self._first + len(self._cards)
        if place == end or place == self._first - 1:
            self._ask(end if place == end else self._first - PAGE)
            return
        self._drop(self._cards)
        self._first = place - place % PAGE
        self._ask(self._first)

    # ---- pages -----------------------------------------------------------------------------------------------------

    def _ask(self, offset: int) -> None:
        if self._fetch is None or self._is_busy:
            return
        offset, generation = max(0, offset), self._generation
        self._is_busy = True

        def deliver(cards: Sequence[CardData], total: int) -> None:
            if generation == self._generation:
                self._is_busy = False
                self._take(offset, cards, total)

        self._fetch(offset, PAGE, deliver)

    def _take(self, offset: int, found: Sequence[CardData], total: int) -> None:
        self.total = total
        is_before = bool(self._cards) and offset < self._first
        self._keep_place(0 if is_before else -1)
        for number, data in enumerate(found):
            card = DiffCard(offset + number, data)
            card.chosen.connect(self._set_current)
            self._column.insertWidget(number if is_before else self._column.count(), card)
            self._cards.insert(number if is_before else len(self._cards), card)
        if is_before:
            self._first = offset
            self._drop(self._cards[MOST_HELD:])
        elif len(self._cards) > MOST_HELD:
            surplus = self._cards[: len(self._cards) - MOST_HELD]
            self._drop(surplus)
        if self._cards:
            self._first = self._cards[0].place
        self._head.setVisible(self._first == 0)
        rest = total - self._first - len(self._cards)
        self._note.setText(self.tr("{} more below").format(f"{rest:,}") if rest > 0 else "")
        wanted, self._wanted = self._wanted, -1
        if wanted >= 0:
            self._anchor = None
            QTimer.singleShot(0, self, lambda: self.go_to(wanted))
        elif self.current < 0:
            self.current_changed.emit(-1, total)
        QTimer.singleShot(0, self, self._hold)
        QTimer.singleShot(60, self, self._settle)

    def _drop(self, cards: Sequence[DiffCard]) -> None:
        for card in list(cards):
            self._cards.remove(card)
            self._column.removeWidget(card)
            card.hide()
            card.deleteLater()

    # ---- keeping what is in sight in its place ----------------------------------------------------------------------

    def _keep_place(self, which: int) -> None:
        """Remember where a card that stays is on the screen; pages that come and go above it shall not move it."""
        if self._cards:
            card = self._cards[which]
            top = card.mapTo(self.viewport(), card.rect().topLeft()).y()
            self._anchor = card, top

    @Slot()
    def _hold(self) -> None:
        if self._anchor is None:
            return
        card, wanted = self._anchor
        if card not in self._cards:
            self._anchor = None
            return
        now = card.mapTo(self.viewport(), card.rect().topLeft()).y()
        bar = self.verticalScrollBar()
        if now != wanted:
            bar.setValue(bar.value() + now - wanted)

    @Slot()
    def _settle(self) -> None:
        self._hold()
        self._anchor = None
        self._look()

    @Slot(int)
    def _on_scrolled(self, _: int) -> None:
        self._look()

    def _look(self) -> None:
        """Fetch the page that is about to come into sight."""
        bar = self.verticalScrollBar()
        if not self._cards or self._is_busy or self._anchor is not None:
            return  # what is being held in its place looks again when it has settled
        end = self._first + len(self._cards)
        if end < self.total and bar.value() > bar.maximum() - NEAR:
            self._ask(end)
        elif self._first > 0 and bar.value() < NEAR:
            self._ask(self._first - PAGE)

    def _bring(self, card: DiffCard) -> None:
        self._anchor = None
        top, bar = card.y(), self.verticalScrollBar()
        room = self.viewport().height()
        if top < bar.value() or top + min(card.height(), room) > bar.value() + room:
            bar.setValue(max(0, top - 12))

    @Slot(int)
    def _set_current(self, place: int) -> None:
        self.current = place
        for card in self._cards:
            card.set_current(card.place == place)
        self.current_changed.emit(place, self.total)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: what is at the top stays there when texts wrap in another way."""
        if self._anchor is None and self.verticalScrollBar().value() > 0:
            seen = [card for card in self._cards if not card.visibleRegion().isEmpty()]
            if seen:
                self._keep_place(self._cards.index(seen[0]))
                QTimer.singleShot(60, self, self._settle)
        super().resizeEvent(event)

    # ---- keys and wheel --------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Home and End go to the first and last card, Space a page on, the arrows scroll."""
        if event.key() == Qt.Key.Key_Home:
            self.go_to(0)
            self.verticalScrollBar().setValue(0)
        elif event.key() == Qt.Key.Key_End:
            self.go_to(self.total - 1)
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Qt: the user scrolls; nothing is held in its place any more."""
        self._anchor = None
        super().wheelEvent(event)
