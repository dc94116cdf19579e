"""Editing a short value in its cell: a line for texts, numbers and tags, a choice for yes and no."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractItemModel, QEvent, QLocale, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QLineEdit,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets.table.model import PagedRows
from fmstudio.ui.widgets.table.values import CellKind, edit_text, parse_text, whole_range

CHOICES = (("true", True), ("false", False), ("null", None))
_Index = QModelIndex | QPersistentModelIndex
_COMMITS = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab, Qt.Key.Key_Backtab)


class CellLine(QLineEdit):
    """A value being typed; framed in red while it is known that it cannot be read."""

    def __init__(self, parent: QWidget, kind: CellKind, limits: tuple[int, int] | None) -> None:
        super().__init__(parent)
        self._kind, self._limits = kind, limits
        self.setProperty("cell", "true")
        self.textEdited.connect(lambda _: self.show_reason(""))

    def read(self) -> Any:
        """The value typed.

        Raises:
            ValueError: It cannot be read as what the column holds; the message says so in words.
        """
        return parse_text(self.text(), self._kind, limits=self._limits)

    def show_reason(self, reason: str) -> None:
        """Mark the text as one that cannot be read; empty = nothing is known against it."""
        if reason != self.toolTip():
            self.setToolTip(reason)
            self.setAccessibleDescription(reason)
            restyle(self, state="danger" if reason else "")


class CellEditor(QStyledItemDelegate):
    """Makes the editors; Enter commits, Esc leaves the value as it was.

    What cannot be read is said, not guessed, and its editor stays open, so that nothing typed has to be typed again.

    Signals:
        said: (level, sentence) a typed value was not taken; level as of a message.
    """

    said = Signal(str, str)

    def displayText(self, value: Any, locale: QLocale | QLocale.Language) -> str:
        """Qt: not used for painting."""
        return str(value)

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: _Index) -> QWidget:
        """Qt: an editor for the cell."""
        rows = index.model()
        assert isinstance(rows, PagedRows)
        name = rows.shown_column(index.column())
        if rows.kind(index.column()) == "boolean":
            box = QComboBox(parent)
            for text, value in CHOICES:
                box.addItem(text, value)
            box.setAccessibleName(f"Value of {name}")
            return box
        line = CellLine(parent, rows.kind(index.column()), whole_range(rows.types.get(name, "")))
        line.setAccessibleName(f"Value of {name}")
        if rows.kind(index.column()) == "tags":
            line.setPlaceholderText(self.tr("tags, with commas"))
        return line

    def setEditorData(self, editor: QWidget, index: _Index) -> None:
        """Qt: put the value in."""
        rows = index.model()
        assert isinstance(rows, PagedRows)
        value = rows.value(index.row(), index.column())
        if isinstance(editor, QComboBox):
            editor.setCurrentIndex(editor.findData(value))
        elif isinstance(editor, QLineEdit) and not editor.isModified():  # rows that are read again undo no typing
            editor.setText(edit_text(value))
            editor.selectAll()

    def reopen(self, table: QAbstractItemView, row_id: int, column: str, value: Any, reason: str) -> bool:
        """Open a cell's editor again on a value that was typed and that the store did not take, and say why not.

        Returns:
            False when that is not possible: the row is out of sight, or something else is being edited by now.
        """
        rows = table.model()
        assert isinstance(rows, PagedRows)
        place = rows.row_of(row_id)
        if place is None or column not in rows.shown or table.state() == QAbstractItemView.State.EditingState:
            return False
        index = rows.index(place, rows.shown.index(column))
        if not table.viewport().rect().intersects(table.visualRect(index)):
            return False
        table.setCurrentIndex(index)
        table.edit(index)
        line = table.indexWidget(index) or table.viewport().findChild(CellLine)
        if not isinstance(line, CellLine):
            return False
        line.setText(edit_text(value))
        line.setModified(True)
        self._say_why(line, reason)
        return True

    def _say_why(self, line: CellLine, reason: str) -> None:
        line.show_reason(reason)
        self.said.emit("info", f"{reason} {self.tr('Correct it, or press Esc to leave the cell as it was.')}")

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: _Index) -> None:
        """Qt: take the value out."""
        assert isinstance(model, PagedRows)
        if isinstance(editor, QComboBox):
            model.setData(index, editor.currentData())
            return
        assert isinstance(editor, CellLine)
        before = model.value(index.row(), index.column())
        if editor.text() == edit_text(before):
            return  # opening a cell and leaving it changes nothing, also where the text says less than the value
        try:
            value = editor.read()
        except ValueError as error:  # the keyboard went elsewhere: the editor closes
            self.said.emit("warning", f"{error} {self.tr('The cell was left as it was.')}")
            return
        model.setData(index, value)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: a key that would commit what cannot be read says why instead, and the editor stays open."""
        is_key = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() in _COMMITS
        if is_key and isinstance(watched, CellLine):
            try:
                watched.read()
            except ValueError as error:
                self._say_why(watched, str(error))
                return True
        return super().eventFilter(watched, event)

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: _Index) -> None:
        """Qt: the editor fills the cell, and is never too narrow to type in."""
        rect = option.rect.adjusted(0, 0, -1, -1)
        rect.setWidth(max(rect.width(), 120))
        editor.setGeometry(rect)
