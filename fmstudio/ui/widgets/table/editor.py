"""Editing a short value in its cell: a line for texts, numbers and tags, a choice for yes and no."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractItemModel, QLocale, QModelIndex, QPersistentModelIndex, Signal
from PySide6.QtWidgets import QComboBox, QLineEdit, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from fmstudio.ui.widgets.table.model import PagedRows
from fmstudio.ui.widgets.table.values import edit_text, parse_text

CHOICES = (("true", True), ("false", False), ("null", None))
_Index = QModelIndex | QPersistentModelIndex


class CellEditor(QStyledItemDelegate):
    """Makes the editors; Enter commits, Esc leaves the value as it was. What cannot be read is said, not guessed.

    Signals:
        said: (reason) a typed value was not taken.
    """

    said = Signal(str)

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
        line = QLineEdit(parent)
        line.setAccessibleName(f"Value of {name}")
        line.setProperty("cell", "true")
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
        elif isinstance(editor, QLineEdit):
            editor.setText(edit_text(value))
            editor.selectAll()

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: _Index) -> None:
        """Qt: take the value out."""
        assert isinstance(model, PagedRows)
        if isinstance(editor, QComboBox):
            model.setData(index, editor.currentData())
            return
        assert isinstance(editor, QLineEdit)
        before = model.value(index.row(), index.column())
        if before is None and not editor.text():
            return  # opening an empty cell and leaving it changes nothing
        try:
            is_whole = _is_whole(model.types.get(model.shown_column(index.column()), ""))
            value = parse_text(editor.text(), model.kind(index.column()), is_whole=is_whole)
        except ValueError as error:
            self.said.emit(str(error))
            return
        model.setData(index, value)

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: _Index) -> None:
        """Qt: the editor fills the cell, and is never too narrow to type in."""
        rect = option.rect.adjusted(0, 0, -1, -1)
        rect.setWidth(max(rect.width(), 120))
        editor.setGeometry(rect)


def _is_whole(type_name: str) -> bool:
    name = type_name.lower()
    return name.startswith(
        ("int", "uint", "tinyint", "smallint", "bigint", "hugeint", "ubigint", "utinyint", "usmallint")
    )
