"""The tables that a query can name, with their columns; a click or Enter puts a name into the query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QTreeWidget, QTreeWidgetItem

from fmstudio.ui import icons
from fmstudio.ui.pages.data.sql_highlighter import KEYWORDS
from fmstudio.ui.widgets import words

if TYPE_CHECKING:
    from fmstudio.project.console import ConsoleTable

TEXT = Qt.ItemDataRole.UserRole
ICONS = {"dataset": "data", "version": "history", "dropped": "drop", "rejects": "warning"}
KINDS = {"version": "older version", "dropped": "dropped rows", "rejects": "pieces that could not be read"}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def sql_name(name: str) -> str:
    """A name as a query has to write it."""
    is_plain = _PLAIN.fullmatch(name) is not None and name.lower() not in KEYWORDS
    return name if is_plain else '"' + name.replace('"', '""') + '"'


class SqlTables(QTreeWidget):
    """A tree: datasets first, each with its versions and what was dropped of it below its columns.

    Signals:
        name_wanted: (text) a name is to be put into the query.
    """

    name_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderHidden(True)
        self.setProperty("flat", "true")
        self.setAccessibleName(self.tr("Tables"))
        self.setIndentation(14)
        self.setToolTip(self.tr("Click, or press Enter, to put a name into the query"))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.itemClicked.connect(self._choose)
        self.itemActivated.connect(self._choose)
        self._activated = False

    def show_tables(self, tables: Sequence[ConsoleTable], open_name: str) -> None:
        """Show these, the columns of one in sight."""
        opened = {self.topLevelItem(i).text(0) for i in range(self.topLevelItemCount()) if self._is_open(i)}  # type: ignore[union-attr]
        self.clear()
        for table in tables:
            item = QTreeWidgetItem([table.name])
            item.setData(0, TEXT, sql_name(table.name))
            item.setIcon(0, icons.icon(ICONS.get(table.kind, "data")))
            about = words.plural(table.rows, "row")
            item.setToolTip(0, f"{table.name}: {about}" + (f", {KINDS[table.kind]}" if table.kind in KINDS else ""))
            for name, kind in table.columns:
                leaf = QTreeWidgetItem([f"{name}   {_short(kind)}"])
                leaf.setData(0, TEXT, sql_name(name))
                leaf.setToolTip(0, f"{name}: {kind}")
                item.addChild(leaf)
            self.addTopLevelItem(item)
            if table.name == open_name or table.name in opened:
                item.setExpanded(True)

    def _is_open(self, place: int) -> bool:
        item = self.topLevelItem(place)
        return item is not None and item.isExpanded()

    def _choose(self, item: QTreeWidgetItem) -> None:
        self.name_wanted.emit(str(item.data(0, TEXT)))


def _short(kind: str) -> str:
    """A type in few letters: nested ones without what is in them."""
    head = kind.split("(", 1)[0].lower()
    return f"{head}[]" if kind.endswith("[]") and not head.endswith("[]") else head
