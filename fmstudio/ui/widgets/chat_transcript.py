"""`Transcript`: the turns of a conversation in a scrolling column, following a growing answer.

Only the newest turns have widgets; earlier ones are built when one scrolls up to them. A growing answer changes its
own card and nothing else, so a frame costs the same in a long conversation as in a short one.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QPushButton, QScrollArea, QVBoxLayout, QWidget

from fmstudio.ui.widgets.chat_card_data import CardData
from fmstudio.ui.widgets.chat_message import MessageCard

PAGE = 20
AT_ONCE = 4
"""Cards that are built before anything is shown; the rest of a page comes one by one, so that the window never waits."""
FILL_MS, ANCHOR_MS = 4, 60
COLUMN_WIDTH = 860
NEAR_END = 24


class Transcript(QScrollArea):
    """The turns of one conversation.

    Signals:
        rated, corrected, edited, regenerate_wanted, version_wanted, branched, acted: As `MessageCard`'s.
        left(): The focus goes down from the last turn.
    """

    rated = Signal(str, int)
    corrected = Signal(str, str)
    edited = Signal(str, str)
    regenerate_wanted = Signal(str)
    version_wanted = Signal(str, int)
    branched = Signal(str, str)
    acted = Signal(str, str)
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("transcript")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(self.tr("Conversation"))
        self._cards: list[MessageCard] = []
        self._data: list[CardData] = []
        self._first = 0
        self._wanted = PAGE
        self._filler = QTimer(self, interval=FILL_MS, singleShot=True)
        self._filler.timeout.connect(self._fill)
        self._tail: MessageCard | None = None
        self._extra: QWidget | None = None
        self._follows = True
        self._anchor: int | None = None
        self._column = QWidget()
        self._column.setObjectName("transcriptColumn")
        self._layout = QVBoxLayout(self._column)
        self._layout.setSpacing(12)
        self._layout.setContentsMargins(24, 16, 24, 24)
        self._more = QPushButton(self.tr("Show earlier turns"))
        self._more.clicked.connect(self.show_earlier)
        self._more.hide()
        self._layout.addWidget(self._more, 0, Qt.AlignmentFlag.AlignHCenter)
        self._layout.addStretch()
        self.setWidget(self._column)
        bar = self.verticalScrollBar()
        bar.rangeChanged.connect(self._on_range)
        bar.valueChanged.connect(self._on_scrolled)

    # ---- turns -----------------------------------------------------------------------------------------------------

    @property
    def cards(self) -> list[MessageCard]:
        """The cards that are built, in order."""
        return list(self._cards)

    @property
    def tail(self) -> MessageCard | None:
        """The card of the answer being made."""
        return self._tail

    def show_turns(self, turns: Sequence[CardData]) -> None:
        """Show these turns; cards of turns that are shown already are kept."""
        same = 0
        while same < min(len(turns), len(self._data)) and turns[same].id == self._data[same].id:
            same += 1
        keeps = same > self._first and bool(self._cards)
        if not keeps:
            self._clear()
            self._first = max(0, len(turns) - AT_ONCE)
            self._wanted = PAGE
            same = self._first
        while len(self._cards) > same - self._first:
            self._drop(self._cards.pop())
        for card, data in zip(self._cards, turns[self._first :], strict=False):
            card.show_data(data)
        for data in turns[same:]:
            self._append(data)
        self._data = list(turns)
        self._more.setVisible(self._first > 0)
        if not keeps:
            self.scroll_to_end()
            self._filler.start()

    def _append(self, data: CardData) -> None:
        tail = self._tail
        if tail is not None and data.who == "assistant" and data.text == tail.body.source:
            # The answer that grew here is now stored: its card stays, so nothing flickers.
            self._tail = None
            self._cards.append(tail)
            tail.body.set_source(data.text)
            tail.show_data(data)
            return
        card = self._make(data)
        self._cards.append(card)
        self._layout.insertWidget(len(self._cards), card)

    def _make(self, data: CardData) -> MessageCard:
        card = MessageCard(data)
        card.rated.connect(self.rated)
        card.corrected.connect(self.corrected)
        card.edited.connect(self.edited)
        card.regenerate_wanted.connect(self.regenerate_wanted)
        card.version_wanted.connect(self.version_wanted)
        card.branched.connect(self.branched)
        card.acted.connect(self.acted)
        card.moved.connect(self._move_focus)
        return card

    def focus_turn(self, place: int = -1) -> None:
        """Give a turn the focus, so that its keys work; the last one when nothing is said."""
        if self._cards:
            card = self._cards[place]
            card.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self.ensureWidgetVisible(card, 0, 24)

    def card_of(self, message_id: str) -> MessageCard | None:
        """The card of a turn, when it is built."""
        return next((card for card in self._cards if card.data.id == message_id), None)

    @Slot(str, int)
    def _move_focus(self, message_id: str, by: int) -> None:
        place = next((i for i, card in enumerate(self._cards) if card.data.id == message_id), -1) + by
        if place >= len(self._cards):
            self.left.emit()
            return
        if place < 0 and self._first > 0:
            self.show_earlier()
        self.focus_turn(max(0, place))

    def update_turn(self, data: CardData) -> None:
        """Show a turn's new rating or correction."""
        self._data = [data if old.id == data.id else old for old in self._data]
        for card in self._cards:
            if card.data.id == data.id:
                card.show_data(data)

    @Slot()
    def show_earlier(self) -> None:
        """Build the cards of one more page of earlier turns, without moving what is read."""
        self._wanted = len(self._cards) + PAGE
        self._fill()

    @Slot()
    def _fill(self) -> None:
        """Build the card of one earlier turn; the next one comes when the window had time for other things."""
        if self._first == 0 or len(self._cards) >= self._wanted:
            return
        if self._anchor is None:
            self._anchor = self.verticalScrollBar().maximum() - self.verticalScrollBar().value()
            self._first -= 1
            card = self._make(self._data[self._first])
            self._cards.insert(0, card)
            self._layout.insertWidget(1, card)
            self._more.setVisible(self._first > 0)
            QTimer.singleShot(ANCHOR_MS, self, self._release_anchor)  # where nothing moved, nothing is to be held
        self._filler.start()

    # ---- the growing answer ----------------------------------------------------------------------------------------

    def show_tail(self, speaker: str, text: str, note: str) -> None:
        """Show the answer being made, below all turns."""
        if self._tail is None:
            self._tail = self._make(CardData("", "assistant", speaker, ""))
            self._layout.insertWidget(len(self._cards) + 1, self._tail)
        self._tail.show_growing(text, note)

    def drop_tail(self) -> None:
        """Take the card of the answer being made away."""
        if self._tail is not None:
            self._drop(self._tail)
            self._tail = None

    def show_extra(self, widget: QWidget | None) -> None:
        """Show a widget below the last turn (a problem card), or none."""
        if self._extra is not None:
            self._drop(self._extra)
        self._extra = widget
        if widget is not None:
            self._layout.insertWidget(self._layout.count() - 1, widget)
            self._follows = True

    # ---- scrolling -------------------------------------------------------------------------------------------------

    @Slot()
    def scroll_to_end(self) -> None:
        """Show the newest turn and follow it from now on."""
        self._follows = True
        QTimer.singleShot(0, self, self._to_end)

    @Slot()
    def _to_end(self) -> None:
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    @Slot(int, int)
    def _on_range(self, _: int, maximum: int) -> None:
        if self._anchor is not None:
            self.verticalScrollBar().setValue(maximum - self._anchor)
            QTimer.singleShot(0, self, self._release_anchor)
        elif self._follows:
            self.verticalScrollBar().setValue(maximum)

    @Slot()
    def _release_anchor(self) -> None:
        self._anchor = None

    @Slot(int)
    def _on_scrolled(self, value: int) -> None:
        self._follows = value >= self.verticalScrollBar().maximum() - NEAR_END
        is_built = self._first > 0 and len(self._cards) >= self._wanted
        if value == 0 and is_built and self.verticalScrollBar().maximum() > 0:
            QTimer.singleShot(0, self, self.show_earlier)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the column readable: never wider than a comfortable line."""
        side = max(24, (self.viewport().width() - COLUMN_WIDTH) // 2)
        self._layout.setContentsMargins(side, 16, side, 24)
        super().resizeEvent(event)

    def _clear(self) -> None:
        for card in self._cards:
            self._drop(card)
        self._cards = []
        self._data = []

    def _drop(self, widget: QWidget) -> None:
        widget.hide()
        self._layout.removeWidget(widget)
        widget.deleteLater()
