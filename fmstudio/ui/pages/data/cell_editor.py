"""Editing a row in the inspector: a field for each column, each message of a conversation by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QComboBox, QCompleter, QFrame, QLineEdit, QPlainTextEdit, QWidget

from fmstudio.project.filters import kind_of
from fmstudio.ui.pages.data.cell_views import value_view
from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.parts import ElidedLabel, button, clear, column, holder, label, row, tool_button
from fmstudio.ui.widgets.table.values import (
    CellKind,
    edit_text,
    full_text,
    kind_of_values,
    parse_text,
    plain_content,
    whole_range,
)

ROLES = ("system", "user", "assistant", "tool")
NEXT_ROLE = {"system": "user", "user": "assistant", "assistant": "user", "tool": "assistant"}
SHORTEST, TALLEST = 3, 18
KINDS: dict[str, CellKind] = {
    "messages": "messages", "texts": "tags", "number": "number", "boolean": "boolean", "time": "time",
}  # fmt: skip


class TextBox(QPlainTextEdit):
    """A text as tall as it needs, up to a limit; Tab leaves it.

    Signals:
        done, cancelled: Ctrl+Enter, Esc.
    """

    done = Signal()
    cancelled = Signal()

    def __init__(self, text: str, name: str, *, is_mono: bool = False) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setTabChangesFocus(True)
        self.setProperty("sized", "true")
        if is_mono:
            self.setProperty("role", "mono")
            self.setFont(Theme.current().mono())
        self.setPlainText(text)
        self._before, self._shown = text, self.toPlainText()
        self.textChanged.connect(self._fit)
        self._fit()

    @Slot()
    def _fit(self) -> None:
        wide = max(20, (self.width() or 300) // 7)
        lines = sum(1 + len(line) // wide for line in self.toPlainText()[:4_000].split("\n"))
        self.setFixedHeight(min(max(lines, SHORTEST), TALLEST) * self.fontMetrics().lineSpacing() + 20)

    def text(self) -> str:
        """The text as it is kept: what was not touched is what it was, to the last line end and space.

        Qt ends every line with one character, and `toPlainText` gives a no-break space as a plain one.
        """
        if self.toPlainText() == self._shown:
            return self._before
        text = self.document().toRawText().replace("\u2029", "\n")
        is_crlf = "\r\n" in self._before and not re.search(r"(?<!\r)\n", self._before)
        return text.replace("\n", "\r\n") if is_crlf else text

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: another width, other lines."""
        super().resizeEvent(event)
        if event.oldSize().width() != event.size().width():
            self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Ctrl+Enter is done, Esc cancels."""
        is_control = event.modifiers() == Qt.KeyboardModifier.ControlModifier
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and is_control:
            self.done.emit()
        elif event.matches(QKeySequence.StandardKey.Cancel):
            self.cancelled.emit()
        else:
            super().keyPressEvent(event)


class MessagesEditor(QWidget):
    """Messages one by one: role, text, order; more can be added. Parts of a message it does not show are kept.

    Signals:
        done, cancelled: Ctrl+Enter, Esc in a text.
    """

    done = Signal()
    cancelled = Signal()

    def __init__(self, messages: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self._before = [dict(message) for message in messages]
        self._list = column(gap=8)
        add = button(self.tr("Add message"), self.add, icon="plus", kind="quiet")
        self.setLayout(column(self._list, row(add, None), gap=8))
        self.boxes: list[tuple[QComboBox, TextBox, dict[str, Any]]] = []
        for message in self._before:
            self._add(message)
        self._lay_out()

    def value(self) -> list[dict[str, Any]]:
        """The messages as they are now."""
        found = []
        for role, text, before in self.boxes:
            content = before.get("content")
            is_same = text.text() == plain_content(content)
            found.append({**before, "role": role.currentText().strip(), "content": content if is_same else text.text()})
        return found

    @Slot()
    def add(self) -> None:
        """Add an empty message at the end, of the role whose turn it is."""
        last = self.boxes[-1][0].currentText() if self.boxes else "assistant"
        keys = self._before[0].keys() if self._before else ()
        fresh = {**dict.fromkeys(keys), "role": NEXT_ROLE.get(last, "user"), "content": ""}
        self._add(fresh)
        self._lay_out()
        self.boxes[-1][1].setFocus()

    def _add(self, message: Mapping[str, Any]) -> None:
        role = QComboBox()
        role.setEditable(True)
        role.setCompleter(QCompleter(role))  # Qt's own would write a role over another one that is typed
        role.setAccessibleName(self.tr("Role"))
        role.addItems(ROLES)
        role.setCurrentText(str(message.get("role", "")))
        text = TextBox(plain_content(message.get("content")), self.tr("Message"))
        text.done.connect(self.done)
        text.cancelled.connect(self.cancelled)
        self.boxes.append((role, text, dict(message)))

    def _lay_out(self) -> None:
        for role, text, _ in self.boxes:
            for widget in (role, text):
                widget.setParent(None)
        clear(self._list)
        for place, (role, text, _) in enumerate(self.boxes):
            up = tool_button("up", self.tr("Move up"), lambda p=place: self._move(p, -1))  # type: ignore[misc]
            down = tool_button("down", self.tr("Move down"), lambda p=place: self._move(p, 1))  # type: ignore[misc]
            gone = tool_button("trash", self.tr("Remove message"), lambda p=place: self._remove(p))  # type: ignore[misc]
            up.setEnabled(place > 0)
            down.setEnabled(place < len(self.boxes) - 1)
            frame = QFrame()
            frame.setLayout(column(row(role, None, up, down, gone, gap=2), text, gap=4))
            self._list.addWidget(frame)
            role.show()
            text.show()

    def _move(self, place: int, by: int) -> None:
        self.boxes.insert(place + by, self.boxes.pop(place))
        self._lay_out()

    def _remove(self, place: int) -> None:
        for widget in self.boxes.pop(place)[:2]:
            widget.deleteLater()
        self._lay_out()


class RowForm(QWidget):
    """All columns of a row to be edited; gives only what was changed.

    Args:
        record: The row as it is kept.
        types: The columns' types.
        locked: Columns that are not shown.
        typed: Values that fields begin with instead of those of the row.

    Signals:
        done, cancelled: Save or Ctrl+Enter; Cancel or Esc.
    """

    done = Signal()
    cancelled = Signal()

    def __init__(
        self,
        record: Mapping[str, Any],
        types: Mapping[str, str],
        locked: frozenset[str],
        typed: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._before = {name: value for name, value in record.items() if name not in locked}
        self._types = types
        self._fields: dict[str, QWidget] = {}
        self._kinds: dict[str, CellKind] = {}
        self._shown: dict[str, str] = {}
        self.error = label("", "danger", wrap=True, selectable=True)
        self.error.hide()
        layout = column(gap=5)
        for name, value in self._before.items():
            field = self._field(name, (typed or {}).get(name, value))
            if typed and name in typed:
                self._shown.pop(name, None)  # it counts as touched
            layout.addWidget(ElidedLabel(name, "caption"))
            layout.addWidget(field if field is not None else value_view(name, value, types.get(name, "")))
            layout.addSpacing(6)
        save = button(self.tr("Save"), self.done.emit, kind="primary", tip=self.tr("Save (Ctrl+Enter)"))
        cancel = button(self.tr("Cancel"), self.cancelled.emit, tip=self.tr("Leave it as it was (Esc)"))
        self.buttons = holder(row(save, cancel, None))
        layout.addWidget(self.error)
        self.setLayout(layout)

    def _field(self, name: str, value: Any) -> QWidget | None:
        type_name = self._types.get(name, "")
        kind: CellKind = KINDS.get(kind_of(type_name)) or kind_of_values([value], name, type_name)
        if kind in ("image", "bytes", "vector"):
            return None  # shown, but not edited by hand
        self._kinds[name] = kind
        field: QWidget
        if kind == "messages":
            field = MessagesEditor(value or ())
        elif kind == "boolean":
            box = QComboBox()
            for text, choice in (("true", True), ("false", False), ("null", None)):
                box.addItem(text, choice)
            box.setCurrentIndex(box.findData(value))
            field = box
        elif kind in ("number", "time", "tags"):
            field = QLineEdit(edit_text(value) if value is not None else "")
            field.setPlaceholderText(self.tr("tags, with commas") if kind == "tags" else "null")
            field.returnPressed.connect(self.done)
        else:
            text = full_text(value)
            field = TextBox(text, name, is_mono=kind in ("json", "code", "nested"))
            if value is None:
                field.setPlaceholderText("null")
        if isinstance(field, MessagesEditor | TextBox):
            field.done.connect(self.done)
            field.cancelled.connect(self.cancelled)
        field.setAccessibleName(name)
        self._fields[name] = field
        if isinstance(field, TextBox | QLineEdit):
            self._shown[name] = field.text()
        return field

    def focus(self, name: str) -> QWidget | None:
        """Put the keyboard into a column's field (or the first one), and give that field."""
        field = self._fields.get(name) or next(iter(self._fields.values()), None)
        if isinstance(field, MessagesEditor):
            if field.boxes:
                field.boxes[0][1].setFocus()
        elif field is not None:
            field.setFocus()
        return field

    def changes(self) -> dict[str, Any]:
        """What was changed: column → new value.

        Raises:
            ValueError: A value cannot be read; the message names the column.
        """
        found = {}
        for name, field in self._fields.items():
            try:
                value = self._value(name, field)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            before = self._before[name]
            if value is not before and (value != before or type(value) is not type(before)):
                found[name] = value
        return found

    def _value(self, name: str, field: QWidget) -> Any:
        before = self._before[name]
        if isinstance(field, MessagesEditor):
            value = field.value()
            return before if value == list(before or ()) else value
        if isinstance(field, QComboBox):
            return field.currentData()
        text = field.text() if isinstance(field, TextBox | QLineEdit) else ""
        if text == self._shown.get(name):  # what was not touched stays, also where its text says less than the value
            return before
        if isinstance(before, str) or kind_of(self._types.get(name, "")) == "text":
            return text
        value = parse_text(text, self._kinds[name], limits=whole_range(self._types.get(name, "")))
        return before if isinstance(before, tuple) and value == list(before) else value

    def show_error(self, text: str) -> None:
        """Say what is wrong."""
        self.error.setText(text)
        self.error.setVisible(bool(text))
