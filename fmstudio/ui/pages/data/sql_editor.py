"""`SqlEditor`: where a query is written: coloured, completed, with the place of an error marked and old queries at hand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRect, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFocusEvent, QKeyEvent, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QPlainTextEdit, QTextEdit

from fmstudio.ui.pages.data.sql_highlighter import SqlHighlighter
from fmstudio.ui.theme import Theme

HINT = "SELECT * FROM … WHERE …     Ctrl+Enter runs it, Ctrl+Space completes, Ctrl+Up brings back what was run before."
COMPLETE_DELAY_MS = 160
MOST_SEEN = 9
WORD = re.compile(r'(?:"[^"]*|[^\s"(),;=<>+*/|!\'-]*)$')
"""What a completion takes the place of; as `Console.complete` reads it."""
_LINE = re.compile(r"^LINE (\d+): (.*)$", re.MULTILINE)
_NAMED = re.compile(r"Referenced column \"(.+?)\"|with name \"?(.+?)\"? does not exist|column named \"(.+?)\"")

Key, Control = Qt.Key, Qt.KeyboardModifier.ControlModifier


class SqlEditor(QPlainTextEdit):
    """A small editor for one query. Tab leaves it; it takes an offer while the list is open.

    Signals:
        run_wanted, stop_wanted: Ctrl+Enter; Esc.
        completion_wanted: (text, position) offers are wanted; answer with `show_offers`.
    """

    run_wanted = Signal()
    stop_wanted = Signal()
    completion_wanted = Signal(str, int)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(self.tr("SQL query"))
        self.setPlaceholderText(HINT)
        self.setProperty("role", "mono")
        self.setFont(Theme.current().mono())
        self.setTabChangesFocus(True)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.highlighter = SqlHighlighter(self.document())
        self.history: list[str] = []
        """Queries that were run, newest first."""
        self._place, self._draft = -1, ""
        self._text = ""
        self._is_filling = False
        self.popup = QListWidget(self)
        self.popup.setProperty("floating", "true")
        self.popup.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.popup.setAccessibleName(self.tr("Suggestions"))
        self.popup.itemClicked.connect(lambda item: self._take(item))
        self.popup.hide()
        self._later = QTimer(self, singleShot=True, interval=COMPLETE_DELAY_MS)
        self._later.timeout.connect(self._ask)
        self.textChanged.connect(self._on_text)
        self.cursorPositionChanged.connect(self._on_cursor)

    # ---- text ------------------------------------------------------------------------------------------------------

    def query(self) -> str:
        """What is to be run: the selected part, else everything."""
        chosen = self.textCursor().selectedText().replace("\u2029", "\n")
        return chosen if chosen.strip() else self.toPlainText()

    def set_query(self, sql: str) -> None:
        """Show another query; Ctrl+Z brings back the one before."""
        cursor = self.textCursor()
        cursor.select(QTextCursor.SelectionType.Document)
        self._is_filling = True
        cursor.insertText(sql)
        self._is_filling = False
        self.setTextCursor(cursor)
        self.clear_error()

    def insert(self, text: str) -> None:
        """Put a name where the cursor is, with a space before it where one is needed."""
        cursor = self.textCursor()
        before = self.toPlainText()[: cursor.selectionStart()]
        gap = " " if before and not before[-1].isspace() and before[-1] not in "(.," else ""
        self._is_filling = True
        cursor.insertText(gap + text)
        self._is_filling = False
        self.setTextCursor(cursor)
        self.setFocus()

    # ---- errors ----------------------------------------------------------------------------------------------------

    def show_error(self, details: str) -> bool:
        """Mark the place an error message names and put the cursor there; False when it names none."""
        place = error_place(self.query(), details)
        if place is None:
            return False
        cursor = self.textCursor()
        start = (cursor.selectionStart() if cursor.hasSelection() else 0) + place
        cursor.setPosition(min(start, len(self.toPlainText())))
        self.setTextCursor(cursor)
        mark = QTextEdit.ExtraSelection()
        look = QTextCharFormat()
        look.setBackground(Theme.current().color("danger_soft"))
        look.setUnderlineColor(Theme.current().color("danger"))
        look.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
        marked = QTextCursor(cursor)
        marked.movePosition(QTextCursor.MoveOperation.EndOfWord, QTextCursor.MoveMode.KeepAnchor)
        if not marked.hasSelection():
            marked.movePosition(QTextCursor.MoveOperation.NextCharacter, QTextCursor.MoveMode.KeepAnchor)
        mark.cursor, mark.format = marked, look
        self.setExtraSelections([mark])
        return True

    def clear_error(self) -> None:
        """Take the mark away."""
        if self.extraSelections():
            self.setExtraSelections([])

    # ---- old queries -----------------------------------------------------------------------------------------------

    def step_history(self, by: int) -> None:
        """Show an older (1) or a newer (-1) query; before the newest is what was being written."""
        if self._place < 0:
            self._draft = self.toPlainText()
        place = self._place + by
        while 0 <= place < len(self.history) and self.history[place] == self.toPlainText():
            place += by
        if place >= len(self.history) or (place < 0 and self._place < 0):
            return
        self._place = max(-1, place)
        self.set_query(self.history[self._place] if self._place >= 0 else self._draft)

    # ---- completion ------------------------------------------------------------------------------------------------

    def show_offers(self, offers: Sequence[str]) -> None:
        """Show what may follow; none closes the list."""
        word = self._word()
        offers = [offer for offer in offers if offer != word]
        self.popup.clear()
        if not offers or not self.hasFocus():
            self.popup.hide()
            return
        self.popup.addItems(offers)
        self.popup.setCurrentRow(0)
        if self.popup.parentWidget() is not self.window():
            self.popup.setParent(self.window())
            self.destroyed.connect(self.popup.deleteLater)
        width = min(420, max(200, self.popup.sizeHintForColumn(0) + 40))
        height = min(len(offers), MOST_SEEN) * self.popup.sizeHintForRow(0) + 8
        self.popup.setGeometry(self._beside_cursor(width, height))
        self.popup.show()
        self.popup.raise_()

    def _beside_cursor(self, width: int, height: int) -> QRect:
        """Below the word, or above it where there is no room below."""
        cursor = self.textCursor()
        cursor.setPosition(max(0, cursor.position() - len(self._word())))
        rect, window = self.cursorRect(cursor), self.window()
        below = self.viewport().mapTo(window, rect.bottomLeft())
        above = self.viewport().mapTo(window, rect.topLeft())
        y = below.y() + 4 if below.y() + height + 8 < window.height() else above.y() - height - 4
        return QRect(min(below.x(), window.width() - width - 8), y, width, height)

    def _word(self) -> str:
        match = WORD.search(self.toPlainText()[: self.textCursor().position()])
        return match[0] if match else ""

    @Slot()
    def _ask(self) -> None:
        self.completion_wanted.emit(self.toPlainText(), self.textCursor().position())

    def _take(self, item: QListWidgetItem | None) -> None:
        if item is None:
            return
        cursor = self.textCursor()
        start = cursor.position() - len(self._word())
        cursor.setPosition(start, QTextCursor.MoveMode.KeepAnchor)
        self._is_filling = True
        cursor.insertText(item.text())
        self._is_filling = False
        self.setTextCursor(cursor)
        self.popup.hide()

    @Slot()
    def _on_text(self) -> None:
        text = self.toPlainText()
        if text == self._text:  # only the colours changed
            return
        self._text = text
        self.clear_error()
        if self._is_filling:
            self._later.stop()
            self.popup.hide()
            return
        self._place = -1
        if len(self._word()) >= 2:
            self._later.start()
        else:
            self._later.stop()
            self.popup.hide()

    @Slot()
    def _on_cursor(self) -> None:
        if self.popup.isVisible() and not self._word():
            self.popup.hide()

    # ---- keys ------------------------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Qt: keys that mean this editor go before those of the page around it."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            is_own = event.key() in (Key.Key_Return, Key.Key_Enter, Key.Key_Up, Key.Key_Down, Key.Key_Space)
            if (event.modifiers() == Control and is_own) or (event.key() == Key.Key_Escape and self.popup.isVisible()):
                event.accept()
                return True
        if (
            event.type() == QEvent.Type.KeyPress
            and isinstance(event, QKeyEvent)
            and event.key() == Key.Key_Tab
            and self.popup.isVisible()
        ):
            self._take(self.popup.currentItem())  # before Qt moves the focus
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: run, stop, complete, go through old queries; the rest is writing."""
        key, modifiers = event.key(), event.modifiers()
        if modifiers == Control and key in (Key.Key_Return, Key.Key_Enter):
            self.popup.hide()
            self.run_wanted.emit()
        elif modifiers == Control and key in (Key.Key_Up, Key.Key_Down):
            self.step_history(1 if key == Key.Key_Up else -1)
        elif modifiers == Control and key == Key.Key_Space:
            self._ask()
        elif not (self.popup.isVisible() and self._popup_key(key)):
            if key == Key.Key_Escape:
                self.stop_wanted.emit()
            else:
                super().keyPressEvent(event)

    def _popup_key(self, key: int) -> bool:
        if key in (Key.Key_Down, Key.Key_Up):
            step = 1 if key == Key.Key_Down else -1
            self.popup.setCurrentRow((self.popup.currentRow() + step) % self.popup.count())
        elif key in (Key.Key_Return, Key.Key_Enter):
            self._take(self.popup.currentItem())
        elif key == Key.Key_Escape:
            self.popup.hide()
        else:
            return False
        return True

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Qt: the list goes with the keyboard."""
        self.popup.hide()
        self._later.stop()
        super().focusOutEvent(event)


def error_place(sql: str, details: str) -> int | None:
    """Where in a query DuckDB's message points to: with a ``^`` below a line, or by a name; None when it does neither."""
    match = _LINE.search(details)
    if match is None:
        return _named_place(sql, details)
    below = details[match.end() + 1 :].split("\n", 1)[0]
    if "^" not in below:
        return None
    column, excerpt = below.index("^") - (match.start(2) - match.start()), match[2].rstrip()
    if excerpt.startswith("..."):
        excerpt, column = excerpt[3:], column - 3
    excerpt = excerpt.removesuffix("...")
    lines = sql.split("\n")
    number = int(match[1]) - 1
    # The message counts from the first line that is not empty.
    order = sorted(range(len(lines)), key=lambda line: (line < number, abs(line - number)))
    for line in order:
        start = lines[line].find(excerpt)
        if start >= 0 and 0 <= column <= len(excerpt):
            return sum(len(one) + 1 for one in lines[:line]) + start + column
    return None


def _named_place(sql: str, details: str) -> int | None:
    named = _NAMED.search(details)
    name = next((part for part in named.groups() if part), "") if named is not None else ""
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql, re.IGNORECASE) if name else None
    return found.start() if found is not None else None
