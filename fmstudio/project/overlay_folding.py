"""Folds edit operations into an overlay: what they change together, operation by operation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fmstudio.project.catalog import Catalog
from fmstudio.project.cell_values import decode, encode_record
from fmstudio.project.overlay_model import STORED, Blocks, Cells, Overlay

NOTHING = "null"
"""A missing value, as JSON."""

Originals = Mapping[tuple[int, str], str]
"""(Row id, column) → what the cell held in the version, as JSON."""


@dataclass(slots=True)
class Operation:
    """An edit operation.

    Attributes:
        new_columns: Columns it made, with their types.
        cells: Cells it set, as `Cells.put` takes them.
        added: Rows it added, as (row id, JSON).
        deleted: Ids of rows it deleted.
    """

    new_columns: Mapping[str, str] = field(default_factory=dict)
    cells: Blocks = field(default_factory=dict)
    added: Sequence[tuple[int, str | None]] = ()
    deleted: Sequence[int] = ()


def knows_before(params: Mapping[str, Any]) -> bool:
    """Whether the edits of an operation (with these parameters) say what the cells of this very version held before."""
    return "carried_from" not in params or bool(params.get("same_rows"))


def read_operations(catalog: Catalog, numbers: Sequence[int]) -> list[Operation]:
    """Read edit operations, in order."""
    ids = _listed(numbers)
    found = {number: Operation() for number in numbers}
    for row in catalog.records(f"SELECT id, params FROM operations WHERE id IN ({ids})"):
        found[row["id"]].new_columns = (row["params"] or {}).get("new_columns", {})
    # Three questions, as each kind of edit has columns of its own: undoing a large commit waits for these.
    cells: dict[int, dict[int, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    sql = f"FROM edits WHERE operation_id IN ({ids}) AND kind ="
    # Joined here: as many single values in Python would take three times as long as the whole undo may.
    for number, block, column, text in catalog.query(f"SELECT operation_id, {STORED} {sql} 'set' GROUP BY ALL"):
        cells[number][block].append((column, text))
    for number, ids_ in catalog.query(f"SELECT operation_id, list(row_id) {sql} 'delete' GROUP BY operation_id"):
        found[number].deleted = ids_
    added: dict[int, list[tuple[int, str | None]]] = defaultdict(list)
    for number, row_id, value in catalog.query(f"SELECT operation_id, row_id, value {sql} 'add' ORDER BY row_id"):
        added[number].append((row_id, value))
    for number, operation in found.items():
        operation.cells, operation.added = cells[number], added[number]
    return list(found.values())


def read_originals(catalog: Catalog, numbers: Sequence[int], fresh: Sequence[int]) -> dict[tuple[int, str], str]:
    """What the cells held that more than one operation set, one of the fresh ones among them.

    Cells are left out of which it is not known, as edits were carried to another version (see `carrying`).

    Args:
        numbers: Ids of edit operations, in order.
        fresh: The last of these, which are to be folded in.
    """
    if len(numbers) == 1:  # which sets each cell once
        return {}
    every, last = _listed(numbers), _listed(fresh)
    rows = catalog.query(
        "SELECT row_id, column_name, arg_min(coalesce(before::VARCHAR, 'null'), operation_id), min(operation_id)"
        f" FROM edits WHERE operation_id IN ({every}) AND kind = 'set' AND row_id IN"
        f" (SELECT row_id FROM edits WHERE operation_id IN ({last}) AND kind = 'set')"
        " GROUP BY row_id, column_name HAVING count(*) > 1"
    )
    if not rows:
        return {}
    firsts = _listed({row[3] for row in rows})
    records = catalog.records(f"SELECT id, params FROM operations WHERE id IN ({firsts})")
    known = {record["id"] for record in records if knows_before(record["params"] or {})}
    return {(row_id, column): before for row_id, column, before, first in rows if first in known}


def folded(overlay: Overlay, key: str, operations: Sequence[Operation], originals: Originals) -> Overlay:
    """The overlay with operations on top of it; the one it begins with stays as it was."""
    folding = _Folding(overlay, originals)
    for operation in operations:
        folding.apply(operation)
    return folding.finish(key)


class _Folding:
    def __init__(self, overlay: Overlay, originals: Originals) -> None:
        self._cells = overlay.cells.copy()
        self._added = dict(overlay.added)
        self._deleted = set(overlay.deleted)
        self._columns = dict(overlay.new_columns)
        self._originals = originals

    def apply(self, operation: Operation) -> None:
        # A column that nothing used any more is new again, and of the type its next use says.
        for name, kind in operation.new_columns.items():
            self._columns.setdefault(name, kind)
        self._added.update((row_id, text or "{}") for row_id, text in operation.added)
        self._set_cells(operation.cells)
        self._delete(operation.deleted)
        if self._columns:
            self._forget_unused_columns()

    def finish(self, key: str) -> Overlay:
        added = dict(sorted(self._added.items()))
        return Overlay(key, self._cells, added, frozenset(self._deleted), self._columns)

    def _set_cells(self, edits: Blocks) -> None:
        if not self._added:
            edits = {number: edits[number] for number in self._cells.put(edits)}
        for row_id, fresh in Cells(edits).items():
            if row_id in self._added:
                values = {column: decode(value) for column, value in fresh.items()}
                self._added[row_id] = encode_record({**decode(self._added[row_id]), **values})
            elif row_id in self._cells:
                self._set_again(row_id, fresh)
            else:
                self._cells[row_id] = fresh

    def _set_again(self, row_id: int, fresh: Mapping[str, str]) -> None:
        """Set cells of a row that has edits; what one held in the version is no edit."""
        originals = self._originals
        cells = {column: value for column, value in self._cells[row_id].items() if column not in fresh}
        cells |= {column: value for column, value in fresh.items() if value != originals.get((row_id, column))}
        if cells:
            self._cells[row_id] = cells
        else:
            del self._cells[row_id]

    def _delete(self, row_ids: Sequence[int]) -> None:
        gone = set(row_ids)
        for row_id in gone & self._added.keys():
            del self._added[row_id]
            gone.remove(row_id)
        for row_id in [row_id for row_id in gone if row_id in self._cells] if self._cells else ():
            del self._cells[row_id]
        self._deleted |= gone

    def _forget_unused_columns(self) -> None:
        unused = dict(self._columns)
        for cells in self._cells.values():
            for name in [name for name in unused if cells.get(name, NOTHING) != NOTHING]:
                del unused[name]
            if not unused:
                return
        for row in self._added.values() if unused else ():
            for name, value in decode(row).items():
                if value is not None:
                    unused.pop(name, None)
        self._columns = {name: kind for name, kind in self._columns.items() if name not in unused}


def _listed(numbers: Sequence[int] | set[int]) -> str:
    return ", ".join(map(str, numbers))
