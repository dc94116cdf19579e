"""`JsonTree`: nested values as a tree whose branches are filled when they are opened."""

from __future__ import annotations

import json
from typing import Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.table.values import one_line

VALUE = Qt.ItemDataRole.UserRole
FILLED = Qt.ItemDataRole.UserRole + 1
MOST_CHILDREN = 500
MOST_ROWS_SEEN = 18
OPEN_UP_TO = 12
"""A branch with at most so many children is opened at once, at the first two levels."""


class JsonTree(QTreeWidget):
    """Keys and values; Ctrl+C copies the chosen branch as JSON."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.setColumnCount(2)
        self.setHeaderHidden(True)
        self.setAccessibleName(self.tr("Nested value"))
        self.setUniformRowHeights(True)
        self.setIndentation(14)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.header().setStretchLastSection(True)
        self.itemExpanded.connect(self._fill)
        for key, child in _children(value):
            self._add(self.invisibleRootItem(), key, child)
        self._open(self.invisibleRootItem(), 2)
        self.itemExpanded.connect(self._fit)
        self.itemCollapsed.connect(self._fit)
        self._fit()

    def _add(self, parent: QTreeWidgetItem, key: str, value: Any) -> None:
        item = QTreeWidgetItem(parent, [key, _short(value)])
        item.setData(0, VALUE, json.dumps(value, ensure_ascii=False, default=str))
        item.setForeground(0, Theme.current().color("muted"))
        item.setToolTip(1, value[:1_500] if isinstance(value, str) and len(value) > 40 else "")
        if isinstance(value, dict | list | tuple) and value:
            item.setChildIndicatorPolicy(QTreeWidgetItem.ChildIndicatorPolicy.ShowIndicator)
        else:
            item.setData(0, FILLED, True)

    @Slot(QTreeWidgetItem)
    def _fill(self, item: QTreeWidgetItem) -> None:
        if item.data(0, FILLED):
            return
        item.setData(0, FILLED, True)
        for key, child in _children(json.loads(item.data(0, VALUE))):
            self._add(item, key, child)

    def _open(self, parent: QTreeWidgetItem, levels: int) -> None:
        for place in range(min(parent.childCount(), OPEN_UP_TO)):
            item = parent.child(place)
            if item is not None and not item.data(0, FILLED) and levels > 1:
                item.setExpanded(True)
                self._fill(item)
                self._open(item, levels - 1)

    @Slot()
    def _fit(self) -> None:
        count, index = 0, self.model().index(0, 0)
        while index.isValid() and count < MOST_ROWS_SEEN:
            count, index = count + 1, self.indexBelow(index)
        height = max(20, self.sizeHintForRow(0))
        self.setFixedHeight(max(1, count) * height + 8)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Ctrl+C copies the chosen branch."""
        item = self.currentItem()
        if event.matches(QKeySequence.StandardKey.Copy) and item is not None:
            value = json.loads(item.data(0, VALUE))
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
            QGuiApplication.clipboard().setText(text)
            return
        super().keyPressEvent(event)


def _children(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        pairs = [(str(key), child) for key, child in value.items()]
    elif isinstance(value, list | tuple):
        pairs = [(str(place), child) for place, child in enumerate(value)]
    else:
        pairs = [("", value)]
    rest = len(pairs) - MOST_CHILDREN
    return [*pairs[:MOST_CHILDREN], ("…", f"{rest:,} more")] if rest > 0 else pairs


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{len(value):,}}}"
    if isinstance(value, list | tuple):
        return f"[{len(value):,}]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return one_line(str(value)[:300])
