"""`JsonTree`: nested values as a tree whose branches are filled when they are opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from PySide6.QtCore import QRect, Qt, Slot
from PySide6.QtGui import QBrush, QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.table.values import one_line

VALUE = Qt.ItemDataRole.UserRole
FILLED = Qt.ItemDataRole.UserRole + 1
MOST_CHILDREN = 500
MOST_ROWS_SEEN = 18
Path = tuple[int, ...]
"""A branch: which child of the root, which child of that, and so on."""
OPEN_UP_TO = 12
"""A branch with at most so many children is opened at once, at the first two levels."""


class JsonTree(QTreeWidget):
    """Keys and values; Ctrl+C copies the chosen branch as JSON."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self._value = value
        self._marked: set[Path] = set()
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
        Theme.current().changed.connect(self._color_all)

    # ---- finding ---------------------------------------------------------------------------------------------------

    def places_of(self, needles: Sequence[str], most: int) -> list[Path]:
        """Branches whose key or value holds one of these, whatever the case, from top to bottom; also in closed ones."""
        small = [needle.lower() for needle in needles if needle]
        return list(islice(_found(self._value, small), most)) if small else []

    def mark(self, paths: Sequence[Path]) -> None:
        """Mark these branches where they are to be seen, and no others."""
        self._marked = set(paths)
        self._color_all()

    def go_to(self, path: Path) -> QRect:
        """Open all that is above a branch, choose it, and give its rectangle."""
        item = self.invisibleRootItem()
        for place in path:
            if item is not self.invisibleRootItem():
                self._fill(item)
                item.setExpanded(True)
            item = _child(item, place)
        self.setCurrentItem(item)
        self.scrollToItem(item)
        return self.visualItemRect(item)

    @Slot()
    def _color_all(self) -> None:
        waiting: list[tuple[QTreeWidgetItem, Path]] = [(self.invisibleRootItem(), ())]
        while waiting:
            parent, path = waiting.pop()
            for place in range(parent.childCount()):
                child = _child(parent, place)
                self._color(child, (*path, place))
                waiting.append((child, (*path, place)))

    def _color(self, item: QTreeWidgetItem, path: Path) -> None:
        theme = Theme.current()
        item.setForeground(0, theme.color("muted"))
        back = QBrush(theme.color("match")) if path in self._marked else QBrush()
        for part in (0, 1):
            item.setBackground(part, back)

    # ---- showing ---------------------------------------------------------------------------------------------------

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
        if self._marked:
            self._color_all()

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
        height = self.sizeHintForRow(0) if count else self.fontMetrics().lineSpacing()
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


def _child(parent: QTreeWidgetItem, place: int) -> QTreeWidgetItem:
    found = parent.child(place)
    assert found is not None
    return found


def _found(value: Any, needles: Sequence[str], path: Path = ()) -> Iterator[Path]:
    for place, (key, child) in enumerate(_children(value)):
        is_leaf = not isinstance(child, dict | list | tuple)
        text = f"{key}\n{child if isinstance(child, str) else _short(child) if is_leaf else ''}".lower()
        if any(needle in text for needle in needles):
            yield (*path, place)
        if not is_leaf:
            yield from _found(child, needles, (*path, place))


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
