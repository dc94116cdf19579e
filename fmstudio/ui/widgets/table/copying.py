"""Selected rows as plain numbers, and rows for the clipboard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QItemSelectionModel, QMimeData

from fmstudio.ui.widgets.table.values import tsv_text

MOST_COPIED = 100_000


def selected_rows(selection: QItemSelectionModel) -> list[int]:
    """Numbers of the selected rows in order, at most `MOST_COPIED`."""
    found: set[int] = set()
    for part in selection.selection().toList():
        found.update(range(part.top(), min(part.bottom(), part.top() + MOST_COPIED) + 1))
    return sorted(found)[:MOST_COPIED]


def selected_count(selection: QItemSelectionModel) -> int:
    """How many rows are selected, without listing them."""
    spans = {(part.top(), part.bottom()) for part in selection.selection().toList()}
    return sum(bottom - top + 1 for top, bottom in spans)


def clipboard_data(records: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> QMimeData:
    """Rows for the clipboard: cells with tabs (or JSON Lines) as text, JSON Lines beside it."""
    lines = "\n".join(json.dumps(record, ensure_ascii=False, default=str) for record in records)
    cells = "\n".join("\t".join(tsv_text(record.get(name)) for name in columns) for record in records)
    mime = QMimeData()
    mime.setText(lines if as_json else cells)
    mime.setData("application/x-ndjson", lines.encode())
    return mime
