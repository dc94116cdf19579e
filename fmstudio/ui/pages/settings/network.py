"""The network switch, and the ledger of every connection that was made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from fmstudio.api.errors import UserError
from fmstudio.core.addresses import HUB, hub_address
from fmstudio.core.connections import Connection, connections, forget_connections
from fmstudio.ui.theme import ROW_HEIGHT
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.paged_table import PagedTable
from fmstudio.ui.widgets.parts import button, column, label, row

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext

COLUMNS = ("when", "purpose", "received", "address")
MOST_ROWS = 8
HEAD_HEIGHT = 50


class NetworkSetting(QWidget):
    """Switch; below it the connections, newest first, and a button that clears them."""

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self._context = context
        self.allow = QCheckBox(self.tr("Fetch data and models from addresses I name"))
        self.allow.setChecked(context.settings.allow_network)
        self.allow.toggled.connect(self._on_allow)
        self.hub = QLineEdit(context.settings.hub)
        self.hub.setAccessibleName(self.tr("Mirror of the hub"))
        self.hub.setPlaceholderText(HUB)
        self.hub.setToolTip(self.tr("Where names such as owner/model lead; empty = the Hugging Face hub itself"))
        self.hub.editingFinished.connect(self._on_hub)
        self.hub_said = label("", "danger", wrap=True)
        self.hub_said.hide()
        self.count = label("", "muted")
        self.clear_button = button(self.tr("Clear the list"), self.clear, icon="trash")
        self.table = PagedTable(self.tr("Connections"))
        head = row(self.count, None, self.clear_button, gap=8)
        mirror = row(label(self.tr("Mirror of the hub")), self.hub, gap=12)
        mirror.setStretch(1, 1)
        self.setLayout(column(self.allow, mirror, self.hub_said, head, self.table, gap=8))

    @Slot(bool)
    def _on_allow(self, is_allowed: bool) -> None:
        self._context.settings.allow_network = is_allowed
        self._context.settings.save()

    @Slot()
    def _on_hub(self) -> None:
        """Keep the mirror's address; a wrong one is said and not kept."""
        try:
            address = hub_address(self.hub.text())
        except UserError as error:
            self.hub_said.setText(str(error))
            self.hub_said.show()
            return
        self.hub_said.hide()
        self.hub.setText(address)
        if address != self._context.settings.hub:
            self._context.settings.hub = address
            self._context.settings.save()

    def measure(self) -> None:
        """Read the ledger off the main thread."""
        self.allow.setChecked(self._context.settings.allow_network)
        self._context.run_query(connections, self._show, key="connections", owner=self)

    @Slot()
    def clear(self) -> None:
        """Clear the ledger off the main thread."""
        self._context.run_query(_cleared, self._show, key="connections", owner=self)

    def _show(self, found: list[Connection]) -> None:
        made = words.plural(len(found), "connection")
        self.count.setText(made if found else self.tr("No connection was ever made."))
        self.clear_button.setVisible(bool(found))
        self.table.setVisible(bool(found))
        records = [
            {
                "when": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.created)),
                "purpose": one.purpose,
                "received": "not known" if one.bytes is None else words.size(one.bytes),
                "address": one.address,
            }
            for one in found
        ]
        self.table.rows.load_records(records, COLUMNS)
        self.table.setFixedHeight(HEAD_HEIGHT + ROW_HEIGHT * min(len(records), MOST_ROWS))


def _cleared() -> list[Connection]:
    forget_connections()
    return connections()
