"""`Overlay`: what edits change of a version of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fmstudio.project.cell_values import decode

_AFTER, _BETWEEN = "\x1e", "\x1f"
"""Between cells, and between row id and value; in JSON both would be escaped."""

_BLOCK = 4_096

STORED = f"row_id // {_BLOCK}, column_name, string_agg(row_id || chr(31) || coalesce(value::VARCHAR, 'null'), chr(30))"
"""SQL for edited cells, many as one text: those of a column in a block of neighbouring rows."""

Blocks = Mapping[int, Sequence[tuple[str, str]]]
"""Number of a block of rows → its columns and texts, as `STORED` gives them."""


class Cells(MutableMapping[int, Mapping[str, str]]):
    """Edited cells: row id → column → value, as JSON. What was stored is read when one of its rows is first asked for.

    Undoing an edit of 100 000 cells shows a page of 200 rows: reading the others would be most of the wait. Two threads
    may read the same block; both find the same.
    """

    def __init__(self, blocks: Blocks | None = None) -> None:
        self._unread: dict[int, Sequence[tuple[str, str]]] = dict(blocks or {})
        self._rows: dict[int, Mapping[str, str]] = {}

    def copy(self) -> Cells:
        """The same cells, to be changed."""
        # In this order: what another thread reads meanwhile is in both then, and not in neither.
        made = Cells(self._unread)
        made._rows = dict(self._rows)
        return made

    @property
    def count(self) -> int:
        """How many cells there are in all rows."""
        unread = dict(self._unread)
        stored = sum(text.count(_AFTER) + 1 for parts in unread.values() for _, text in parts)
        return stored + sum(len(row) for row_id, row in list(self._rows.items()) if row_id // _BLOCK not in unread)

    def put(self, blocks: Blocks) -> list[int]:
        """Take stored cells, as far as no row near them has any yet; gives the numbers of the blocks that were left out."""
        taken = self._unread.keys() | {row_id // _BLOCK for row_id in self._rows}
        self._unread.update((number, parts) for number, parts in blocks.items() if number not in taken)
        return [number for number in blocks if number in taken]

    def _read(self, number: int) -> None:
        found: dict[int, dict[str, str]] = {}
        for column, text in self._unread.get(number, ()):
            for cell in text.split(_AFTER):
                row_id, _, value = cell.partition(_BETWEEN)
                found.setdefault(int(row_id), {})[column] = value
        self._rows.update(found)
        self._unread.pop(number, None)

    def _all(self) -> dict[int, Mapping[str, str]]:
        for number in list(self._unread):
            self._read(number)
        return self._rows

    def _near(self, row_id: int) -> dict[int, Mapping[str, str]]:
        if row_id // _BLOCK in self._unread:
            self._read(row_id // _BLOCK)
        return self._rows

    def __getitem__(self, row_id: int) -> Mapping[str, str]:
        return self._near(row_id)[row_id]

    def __setitem__(self, row_id: int, cells: Mapping[str, str]) -> None:
        self._near(row_id)[row_id] = cells

    def __delitem__(self, row_id: int) -> None:
        del self._near(row_id)[row_id]

    def __bool__(self) -> bool:
        return bool(self._unread or self._rows)

    def keys(self) -> KeysView[int]:
        """The rows that have edits; Python's own view of a mapping looks them up one by one."""
        return self._all().keys()

    def __contains__(self, row_id: object) -> bool:
        return isinstance(row_id, int) and row_id in self._near(row_id)

    def __iter__(self) -> Iterator[int]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


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
