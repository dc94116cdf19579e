"""Selected rows as plain numbers, and rows for the clipboard, those that are not held, too."""

from __future__ import annotations

import base64
import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QItemSelectionModel, QMimeData, QObject, Signal
from PySide6.QtGui import QGuiApplication

from fmstudio.ui.widgets.table.values import tsv_text

if TYPE_CHECKING:
    from fmstudio.ui.widgets.table.model import PagedRows

MOST_COPIED = 100_000
MOST_CHARACTERS = 50_000_000
"""Of the rows as JSON: with more, other programs choke on the clipboard."""
FEWEST_ASKED, FIRST_ASKED, MOST_ASKED = 20, 200, 5_000
CHARACTERS_ASKED = 4_000_000
"""Rows are asked for in pieces of about that size, however long each is."""


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


def json_line(record: Mapping[str, Any]) -> str:
    """A row as one line of JSON; bytes in base64."""
    return json.dumps(record, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes | bytearray) else str(value)


class RowsCopier(QObject):
    """Puts rows on the clipboard: cells with tabs (or JSON Lines) as text, JSON Lines beside it.

    Signals:
        copied: (how many rows, how many were to be, whether some had to be read first)
    """

    copied = Signal(int, int, bool)

    def __init__(self, rows: PagedRows) -> None:
        super().__init__(rows)
        self._rows = rows
        self._copy = 0

    def copy(self, numbers: Sequence[int], chosen: int, columns: Sequence[str], *, as_json: bool) -> None:
        """Copy these rows; what was begun before is left.

        Args:
            chosen: How many the user chose, of which `numbers` may be the first ones.
            columns: Names of the cells, in their order.
        """
        self._copy += 1
        _Copy(self, self._rows, list(numbers), chosen, columns, as_json=as_json).go_on()

    @property
    def number(self) -> int:
        """Of the copy that was asked for last."""
        return self._copy


class _Copy:
    """One copy under way."""

    def __init__(
        self,
        copier: RowsCopier,
        rows: PagedRows,
        numbers: list[int],
        chosen: int,
        columns: Sequence[str],
        *,
        as_json: bool,
    ) -> None:
        self._copier, self._rows, self._numbers, self._chosen = copier, rows, numbers, chosen
        self._columns, self._as_json, self._me = columns, as_json, copier.number
        self._lines: list[str] = []
        self._cells: list[str] = []
        self._size = 0
        self._has_read = False

    def go_on(self, read: Mapping[int, tuple[Any, ...]] | None = None) -> None:
        """Take what is held or was just read; ask for the next rows that are neither, or end."""
        found = dict(read or {})
        while len(self._lines) < len(self._numbers) and self._size < MOST_CHARACTERS:
            number = self._numbers[len(self._lines)]
            cells = found.get(number) or self._rows.cells(number)
            if cells is None:
                self._ask(number)
                return
            self._add(dict(zip(self._rows.columns, cells, strict=True)))
        self._end()

    def _end(self) -> None:
        mime = QMimeData()
        lines = "\n".join(self._lines)
        mime.setText(lines if self._as_json else "\n".join(self._cells))
        mime.setData("application/x-ndjson", lines.encode())
        QGuiApplication.clipboard().setMimeData(mime)
        self._copier.copied.emit(len(self._lines), self._chosen, self._has_read)

    def _add(self, record: dict[str, Any]) -> None:
        self._lines.append(json_line(record))
        self._size += len(self._lines[-1])
        if not self._as_json:
            self._cells.append("\t".join(tsv_text(record.get(name)) for name in self._columns))

    def _ask(self, first: int) -> None:
        """Ask for the rows from a number on, up to the last that is wanted of as many as are asked for at once."""
        self._has_read = True
        asked = FIRST_ASKED
        if self._lines:
            asked = min(max(CHARACTERS_ASKED * len(self._lines) // max(1, self._size), FEWEST_ASKED), MOST_ASKED)
        done = len(self._lines)
        last = self._numbers[bisect_left(self._numbers, first + asked, done) - 1]

        def take(rows: list[tuple[Any, ...]]) -> None:
            if self._me != self._copier.number:
                return
            if rows:
                self.go_on(dict(enumerate(rows, first)))
            else:  # there are fewer than when they were chosen
                self._end()

        self._rows.read(first, last - first + 1, take)
