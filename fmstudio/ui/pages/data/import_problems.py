"""What does not fit or looks wrong among the rows that were read: rejects, suspicious values, columns of mixed types."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QPushButton, QStackedWidget, QWidget

from fmstudio.ui.theme import ROW_HEIGHT
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.paged_table import PagedTable
from fmstudio.ui.widgets.parts import button, column, row

HEAD_HEIGHT = 50
"""Pixels of a table's header and its horizontal scroll bar."""
COLUMNS = {
    "rejects": ("line", "row", "byte", "reason", "raw"),
    "flags": ("column", "row", "value", "reason"),
    "types": ("column", "row", "type", "value", "what is wrong"),
}


class ImportProblems(QWidget):
    """Three lists behind buttons with their counts; hidden while there is nothing to tell.

    Signals:
        row_wanted: (row) the user chose something that lies in this row of the file, from 1.
    """

    row_wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.rejects = PagedTable(self.tr("Pieces that do not fit"))
        self.flags = PagedTable(self.tr("Values that look wrong"))
        self.types = PagedTable(self.tr("Columns of mixed types"))
        self.tables = {"rejects": self.rejects, "flags": self.flags, "types": self.types}
        self.tabs: dict[str, QPushButton] = {}
        self.stack = QStackedWidget()
        group, line = QButtonGroup(self), row(gap=4)
        for name, table in self.tables.items():
            tab = button("", partial(self.show_list, name), kind="choice")
            tab.setAccessibleName(table.accessibleName())
            group.addButton(tab)
            self.tabs[name] = tab
            line.addWidget(tab)
            self.stack.addWidget(table)
            table.row_chosen.connect(partial(self._on_chosen, table))
        line.addStretch(1)
        self.setLayout(column(line, self.stack, gap=6))

    def show_found(self, found: dict[str, Any]) -> None:
        """Show what `inspect_file` found."""
        types = [
            {**example, "column": conflict["column"], "what is wrong": conflict["message"]}
            for conflict in found["type_conflicts"]
            for example in conflict["examples"]
        ]
        titles = {
            "rejects": f"{words.plural(found['rejected'], 'piece')} cannot be imported",
            "flags": f"{words.plural(found['flagged'], 'suspicious value')}",
            "types": f"{words.plural(len(found['type_conflicts']), 'column')} of mixed types",
        }
        records = {"rejects": found["rejects"], "flags": found["flags"], "types": types}
        for name, rows in records.items():
            self.tabs[name].setText(titles[name])
            self.tabs[name].setVisible(bool(rows))
            told = [column for column in COLUMNS[name] if any(one.get(column) not in (None, "") for one in rows)]
            self.tables[name].rows.load_records(rows, told)
        first = next((name for name, rows in records.items() if rows), "")
        self.setVisible(bool(first))
        most = max((len(rows) for rows in records.values()), default=0)
        self.setFixedHeight(34 + HEAD_HEIGHT + ROW_HEIGHT * min(max(most, 2), 5))
        if first:
            self.show_list(first)

    def show_list(self, name: str) -> None:
        """Bring ``rejects``, ``flags`` or ``types`` to the front."""
        self.tabs[name].setChecked(True)
        self.stack.setCurrentWidget(self.tables[name])

    def _on_chosen(self, table: PagedTable, number: int) -> None:
        record = table.rows.record(number) if number >= 0 else None
        if record and record.get("row"):
            self.row_wanted.emit(int(record["row"]))
