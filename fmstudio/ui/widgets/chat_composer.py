"""`Composer`: where a question is written; Ctrl+Enter sends, Esc stops."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QMimeData, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QFrame, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from fmstudio.ui.widgets.parts import clear, holder, icon_label, label, row, tool_button

LINES_AT_MOST = 9


class MessageInput(QPlainTextEdit):
    """A text field where Ctrl+Enter sends.

    Args:
        takes_escape: Esc leaves the field instead of being the page's.

    Signals:
        sent(): Ctrl+Enter was pressed.
        escaped(): Esc was pressed, when it is taken.
        went_up(): Ctrl+Up was pressed: the focus shall go to the turns above.
        files_dropped(list): Paths of files that were dropped or pasted.
        image_pasted(QImage): A picture that was pasted.
    """

    sent = Signal()
    escaped = Signal()
    went_up = Signal()
    files_dropped = Signal(object)
    image_pasted = Signal(object)

    def __init__(self, text: str = "", *, takes_escape: bool = False) -> None:
        super().__init__(text)
        self._takes_escape = takes_escape

    def event(self, event: QEvent) -> bool:
        """Claim our keys before a shortcut of the page around gets them."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._is_ours(event):
            event.accept()
            return True
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._leaves_undo(event):
            event.ignore()
            return False
        return super().event(event)

    def _leaves_undo(self, event: QKeyEvent) -> bool:
        """With nothing typed to take back, Ctrl+Z is the page's."""
        return event.matches(QKeySequence.StandardKey.Undo) and not self.document().isUndoAvailable()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Ctrl+Enter sends, Esc leaves; everything else is typing."""
        if self._leaves_undo(event):
            event.ignore()
        elif not self._is_ours(event):
            super().keyPressEvent(event)
        elif event.key() == Qt.Key.Key_Escape:
            self.escaped.emit()
        elif event.key() == Qt.Key.Key_Up:
            self.went_up.emit()
        else:
            self.sent.emit()

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Take files and pictures besides text."""
        return bool(_paths(source)) or source.hasImage() or super().canInsertFromMimeData(source)

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Files and pictures become attachments, everything else is text."""
        if paths := _paths(source):
            self.files_dropped.emit(paths)
        elif source.hasImage() and not source.hasText():
            self.image_pasted.emit(source.imageData())
        else:
            self.insertPlainText(source.text())

    def _is_ours(self, event: QKeyEvent) -> bool:
        if event.key() == Qt.Key.Key_Escape:
            return self._takes_escape
        if event.key() == Qt.Key.Key_Up:
            return event.modifiers() == Qt.KeyboardModifier.ControlModifier and not self._takes_escape
        is_enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        return is_enter and bool(
            event.modifiers() & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.MetaModifier)
        )


def _paths(source: QMimeData) -> list[Path]:
    return [Path(url.toLocalFile()) for url in source.urls() if url.isLocalFile()]


class Attachment(QFrame):
    """One attached file above the input: its name, how long it is, and a way to take it off."""

    def __init__(self, name: str, detail: str, on_remove: Callable[[], None]) -> None:
        super().__init__()
        self.setProperty("bubble", "assistant")
        self.setAccessibleName(f"{name}, {detail}")
        remove = tool_button("close", self.tr("Take {name} off").format(name=name), on_remove)
        self.setLayout(row(icon_label("file", side=14), label(name), label(detail, "caption"), remove, gap=6,
                           margins=(8, 2, 2, 2)))  # fmt: skip


class Composer(QFrame):
    """The input below a conversation, with Send and Stop.

    Signals:
        sent(str): The question; the input is emptied by `clear`, once the question is saved.
        stopped(): The answer being made shall end.
        draft_changed(): The text or its attachments changed.
        attach_wanted(): A file shall be attached.
        files_dropped(list): Paths of files that were dropped.
        image_pasted(QImage): A picture that was pasted.
        went_up(): The focus shall go to the turns above.
    """

    sent = Signal(str)
    stopped = Signal()
    draft_changed = Signal()
    attach_wanted = Signal()
    files_dropped = Signal(object)
    image_pasted = Signal(object)
    went_up = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("composer")
        self._is_busy = False
        self.input = MessageInput()
        self.input.setPlaceholderText(self.tr("Ask something. Ctrl+Enter sends, Esc stops the answer."))
        self.input.setAccessibleName(self.tr("Your message"))
        self.input.setTabChangesFocus(True)
        self.input.setFrameShape(QFrame.Shape.NoFrame)
        self.input.setToolTip(
            self.tr("Ctrl+Enter sends, Ctrl+Up goes to the turns above; drop files or paste a picture to attach them")
        )
        self.input.sent.connect(self._send)
        self.input.files_dropped.connect(self.files_dropped)
        self.input.image_pasted.connect(self.image_pasted)
        self.input.went_up.connect(self.went_up)
        self.input.textChanged.connect(self._on_text)
        self.hint = QLabel()
        self.hint.setProperty("role", "caption")
        self._send_button = QPushButton(self.tr("Send"))
        self._send_button.setProperty("kind", "primary")
        self._send_button.setToolTip(self.tr("Send (Ctrl+Enter)"))
        self._send_button.clicked.connect(self._send)
        self._stop_button = QPushButton(self.tr("Stop"))
        self._stop_button.setToolTip(self.tr("Stop the answer (Esc)"))
        self._stop_button.clicked.connect(self.stopped)
        self.attach = tool_button(
            "plus", self.tr("Attach text files or pictures"), self.attach_wanted.emit, shortcut="Ctrl+Shift+A"
        )
        self.extras = row(gap=4)
        foot = row(self.attach, self.extras, gap=4)
        foot.addWidget(self.hint, 1)
        foot.addWidget(self._stop_button)
        foot.addWidget(self._send_button)
        self._chips = row(gap=6)
        self._chip_holder = holder(self._chips)
        self._chip_holder.hide()
        self.attachments: list[dict[str, Any]] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.setSpacing(4)
        layout.addWidget(self._chip_holder)
        layout.addWidget(self.input)
        layout.addLayout(foot)
        self.set_busy(False)
        self._fit()

    @property
    def text(self) -> str:
        """What is written."""
        return self.input.toPlainText()

    def set_text(self, text: str) -> None:
        """Put text into the input, replacing what is there."""
        self.input.setPlainText(text)

    def clear(self) -> None:
        """Empty the input."""
        self.set_attachments([])
        self.input.clear()

    def set_attachments(self, attachments: list[dict[str, Any]]) -> None:
        """Show these attachments: each with ``name``, ``detail`` and what it is sent as."""
        self.attachments = list(attachments)
        clear(self._chips)
        for item in attachments:
            self._chips.addWidget(Attachment(item["name"], item.get("detail", ""), partial(self._take_off, item)))
        self._chips.addStretch(1)
        self._chip_holder.setVisible(bool(attachments))
        self.draft_changed.emit()

    def _take_off(self, item: dict[str, Any]) -> None:
        self.set_attachments([other for other in self.attachments if other is not item])

    def insert(self, text: str) -> None:
        """Put text where the cursor is and go on writing."""
        self.input.insertPlainText(text)
        self.input.setFocus()

    def set_busy(self, is_busy: bool) -> None:
        """Show Stop while an answer is being made, Send otherwise; one can go on writing."""
        self._is_busy = is_busy
        self._stop_button.setVisible(is_busy)
        self._send_button.setVisible(not is_busy)
        self._enable()

    def _enable(self) -> None:
        self._send_button.setEnabled(not self._is_busy and bool(self.text.strip()))

    @Slot()
    def _send(self) -> None:
        if not self._is_busy and self.text.strip():
            self.sent.emit(self.text)

    @Slot()
    def _on_text(self) -> None:
        self._enable()
        self._fit()
        self.draft_changed.emit()

    def _fit(self) -> None:
        lines = min(LINES_AT_MOST, max(2, int(self.input.document().size().height())))
        margins = 2 * int(self.input.document().documentMargin()) + 2
        self.input.setFixedHeight(lines * self.input.fontMetrics().lineSpacing() + margins)
