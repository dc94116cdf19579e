"""`Overlay`: what edits change of a version of a dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator, KeysView, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from fmstudio.project.cell_values import decode

_AFTER, _BETWEEN = "\x1e", "\x1f"
"""Between cells, and between name and value; in JSON both would be escaped."""

STORED = "string_agg(to_json(column_name) || chr(31) || coalesce(value::VARCHAR, 'null'), chr(30))"
"""SQL for the edits of a row as one text."""


class Cells(MutableMapping[int, Mapping[str, str]]):
    """Edited cells: row id → column → value, as JSON. What was stored is read when its row is first asked for.

    Undoing an edit of 100 000 cells shows a page of 200 rows: reading the others would be most of the wait.
    """

    def __init__(self, rows: Mapping[int, Mapping[str, str] | str] | None = None) -> None:
        self._rows: dict[int, Any] = dict(rows or {})

    def copy(self) -> Cells:
        """The same cells, to be changed."""
        return Cells(self._rows)

    @property
    def count(self) -> int:
        """How many cells there are in all rows."""
        return sum(row.count(_AFTER) + 1 if isinstance(row, str) else len(row) for row in self._rows.values())

    def put(self, stored: Mapping[int, str]) -> None:
        """Take rows as `STORED` gives them."""
        self._rows.update(stored)

    def __getitem__(self, row_id: int) -> Mapping[str, str]:
        found = self._rows[row_id]
        if isinstance(found, str):
            cells = (part.partition(_BETWEEN) for part in found.split(_AFTER))
            found = self._rows[row_id] = {json.loads(name): value for name, _, value in cells}
        read: Mapping[str, str] = found
        return read

    def __setitem__(self, row_id: int, cells: Mapping[str, str]) -> None:
        self._rows[row_id] = cells

    def __delitem__(self, row_id: int) -> None:
        del self._rows[row_id]

    def keys(self) -> KeysView[int]:
        """The rows that have edits; Python's own view of a mapping looks them up one by one."""
        return self._rows.keys()

    def __contains__(self, row_id: object) -> bool:
        return row_id in self._rows

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@dataclass(frozen=True, slots=True)
class Overlay:
    """What edits change of a version.

    Attributes:
        key: Names this state of edits (operation ids); equal keys of one dataset mean equal overlays.
        cells: New values of cells of the version's rows, as JSON: row id → column → value; see `values`. A
            cell that was set back to what it had held is no longer among them, where that is known (see `carrying`).
        added: Whole new rows by row id, ascending, as JSON; see `added_row`.
        deleted: Ids of the version's rows that are gone.
        new_columns: Columns the version does not have, with their DuckDB types, in order; each holds some value.
    """

    key: str = ""
    cells: Cells = field(default_factory=Cells)
    added: Mapping[int, str] = field(default_factory=dict)
    deleted: frozenset[int] = frozenset()
    new_columns: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return bool(self.cells or self.added or self.deleted or self.new_columns)

    def values(self, row_id: int) -> dict[str, Any]:
        """The new values of a row of the version: column → value. Decoded when asked for, as a page asks for few."""
        return {name: decode(text) for name, text in self.cells.get(row_id, {}).items()}

    def added_row(self, row_id: int) -> dict[str, Any]:
        """An added row: column → value; columns left out are missing values."""
        row: dict[str, Any] = decode(self.added[row_id])
        return row

    @property
    def touched(self) -> int:
        """Number of rows it touches."""
        return len(self.cells) + len(self.added) + len(self.deleted)

    @property
    def row_change(self) -> int:
        """Rows more (or, negative, fewer) than the version has."""
        return len(self.added) - len(self.deleted)


EMPTY = Overlay()
