"""The edit overlay: what the user changed by hand since the current version was made, kept as small rows.

`Overlays` folds the operations of a dataset that stand into its state: the version, and on it the edits in the order
they were made. A new version, a restore or a discard begins an empty overlay; undoing it shows the old one again.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

import duckdb

from fmstudio.project.catalog import Catalog
from fmstudio.project.cell_values import decode

OVERLAYS_KEPT = 8
RESETTING = ("restore", "discard")
"""Kinds of operation that begin an empty overlay though they may keep the version."""


Edit = tuple[int, str, str, str | None, str | None]
"""Row id, kind (set, add, delete), column, value and value before, the last two as JSON."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a dataset stands: its version and the ids of the edit operations that lie on it, in order."""

    version: int
    operations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Overlay:
    """What edits change of a version.

    Attributes:
        key: Names this state of edits (operation ids); equal keys of one dataset mean equal overlays.
        cells: New values of cells of the version's rows: row id → column → value.
        added: Whole new rows by row id, ascending; columns left out are missing values.
        deleted: Ids of the version's rows that are gone.
        new_columns: Columns the version does not have, with their DuckDB types, in order; each holds some value.
        originals: What cells held in the version, as JSON: row id → column → value. A cell that is set back to it is
            in neither; one whose original is not known (see `carrying`) is in `cells` only.
    """

    key: str = ""
    cells: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    added: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    deleted: frozenset[int] = frozenset()
    new_columns: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[int, Mapping[str, str | None]] = field(default_factory=dict, compare=False, repr=False)

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return bool(self.cells or self.added or self.deleted or self.new_columns)

    @property
    def touched(self) -> int:
        """Number of rows it touches."""
        return len(self.cells) + len(self.added) + len(self.deleted)

    @property
    def row_change(self) -> int:
        """Rows more (or, negative, fewer) than the version has."""
        return len(self.added) - len(self.deleted)


EMPTY = Overlay()


class Folding:
    """An overlay that is being extended, operation by operation; leaves the one it began with as it was."""

    def __init__(self, overlay: Overlay) -> None:
        self._cells = dict(overlay.cells)
        self._added = dict(overlay.added)
        self._deleted = set(overlay.deleted)
        self._originals = dict(overlay.originals)
        self._columns = dict(overlay.new_columns)
        self._uses = dict.fromkeys(self._columns, 0)
        for row in (*self._cells.values(), *self._added.values()) if self._columns else ():
            self._count(row, 1)

    def apply(self, params: Mapping[str, Any], edits: Sequence[Edit]) -> None:
        """Take in one operation: its parameters and its edits."""
        # A column that nothing used any more is new again, and of the type its next use says.
        for name, kind in params.get("new_columns", {}).items():
            self._columns.setdefault(name, kind)
            self._uses.setdefault(name, 0)
        is_known = knows_before(params)
        for row_id, kind, column, value, before in edits:
            if kind == "add":
                self._added[row_id] = decode(value) if value is not None else {}
                self._count(self._added[row_id], 1)
            elif kind == "delete":
                self._delete(row_id)
            elif row_id in self._added:
                self._added[row_id] = self._replaced(self._added[row_id], column, value)
            else:
                self._set(row_id, column, value, before, is_known)
        self._columns = {name: kind for name, kind in self._columns.items() if self._uses[name]}

    def finish(self, key: str) -> Overlay:
        """What all the operations change."""
        added = dict(sorted(self._added.items()))
        return Overlay(key, self._cells, added, frozenset(self._deleted), self._columns, self._originals)

    def _set(self, row_id: int, column: str, value: str | None, before: str | None, is_known: bool) -> None:
        cells, originals = self._cells.get(row_id, {}), self._originals.get(row_id, {})
        if column not in cells and is_known:
            originals = self._originals[row_id] = {**originals, column: before}
        if column in originals and originals[column] == value:
            self._count({column: cells.get(column)}, -1)
            _put(self._cells, row_id, {name: kept for name, kept in cells.items() if name != column})
            _put(self._originals, row_id, {name: kept for name, kept in originals.items() if name != column})
        else:
            self._cells[row_id] = self._replaced(cells, column, value)

    def _delete(self, row_id: int) -> None:
        if row_id in self._added:
            self._count(self._added.pop(row_id), -1)
            return
        self._count(self._cells.pop(row_id, {}), -1)
        self._originals.pop(row_id, None)
        self._deleted.add(row_id)

    def _replaced(self, row: Mapping[str, Any], column: str, value: str | None) -> dict[str, Any]:
        made = {**row, column: None if value is None else decode(value)}
        self._count({column: row.get(column)}, -1)
        self._count({column: made[column]}, 1)
        return made

    def _count(self, row: Mapping[str, Any], by: int) -> None:
        for name, value in row.items():
            if value is not None and name in self._columns:
                self._uses[name] += by


def knows_before(params: Mapping[str, Any]) -> bool:
    """Whether the edits of an operation (with these parameters) say what the cells of this very version held before."""
    return "carried_from" not in params or bool(params.get("same_rows"))


def _put(rows: dict[int, Mapping[str, Any]], row_id: int, row: Mapping[str, Any]) -> None:
    """Set a row's cells; a row without any is none."""
    if row:
        rows[row_id] = row
    else:
        rows.pop(row_id, None)


class Overlays:
    """Reads the overlays of datasets out of the catalogue, each once as long as nothing changes. Thread-safe."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._states: dict[str, tuple[int, State]] = {}
        self._overlays: OrderedDict[tuple[str, tuple[int, ...]], Overlay] = OrderedDict()

    def state(self, dataset_id: str) -> State:
        """The current version of a dataset and the edits that lie on it."""
        revision = self._catalog.revision
        with self._lock:
            known = self._states.get(dataset_id)
        if known is not None and known[0] == revision:
            return known[1]
        state = self._read_state(dataset_id)
        with self._lock:
            self._states[dataset_id] = (revision, state)
        return state

    def current(self, dataset_id: str) -> Overlay:
        """What the edits that stand change of the dataset's current version."""
        return self.of(dataset_id, self.state(dataset_id).operations)

    def of(self, dataset_id: str, operations: Sequence[int]) -> Overlay:
        """What these edit operations, in this order, change together."""
        wanted = tuple(operations)
        if not wanted:
            return EMPTY
        known, overlay = self._longest_known(dataset_id, wanted)
        if known < len(wanted):
            overlay = self._extended(overlay, wanted[known:])
            self._keep(dataset_id, wanted, overlay)
        return overlay

    def _read_state(self, dataset_id: str) -> State:
        kinds = ", ".join(f"'{kind}'" for kind in RESETTING)
        begins = f"version_after IS NOT NULL AND (kind IN ({kinds}) OR version_before IS DISTINCT FROM version_after)"
        # One query, so that the version and its edits are of one moment.
        rows = self._catalog.query(
            "SELECT d.current_version, o.id FROM datasets d LEFT JOIN operations o ON o.dataset_id = d.id"
            " AND o.state = 'done' AND o.kind = 'edit' AND o.id > (SELECT coalesce(max(id), 0) FROM operations"
            f" WHERE dataset_id = d.id AND state = 'done' AND {begins}) WHERE d.id = ? ORDER BY o.id",
            [dataset_id],
        )
        return State(rows[0][0] if rows else 0, tuple(row[1] for row in rows if row[1] is not None))

    def _longest_known(self, dataset_id: str, wanted: tuple[int, ...]) -> tuple[int, Overlay]:
        with self._lock:
            begun = [ops for owner, ops in self._overlays if owner == dataset_id and wanted[: len(ops)] == ops]
            if not begun:
                return 0, EMPTY
            longest = max(begun, key=len)
            self._overlays.move_to_end((dataset_id, longest))
            return len(longest), self._overlays[(dataset_id, longest)]

    def _keep(self, dataset_id: str, operations: tuple[int, ...], overlay: Overlay) -> None:
        with self._lock:
            self._overlays[(dataset_id, operations)] = overlay
            while len(self._overlays) > OVERLAYS_KEPT:
                self._overlays.popitem(last=False)

    def _extended(self, overlay: Overlay, operations: tuple[int, ...]) -> Overlay:
        ids = ", ".join(str(number) for number in operations)
        rows = self._catalog.query(
            "SELECT operation_id, row_id, kind, column_name, value, before FROM edits"
            f" WHERE operation_id IN ({ids}) ORDER BY operation_id, row_id"
        )
        edits = {number: [row[1:] for row in group] for number, group in groupby(rows, key=itemgetter(0))}
        folding = Folding(overlay)
        for record in self._catalog.records(f"SELECT id, params FROM operations WHERE id IN ({ids}) ORDER BY id"):
            folding.apply(record["params"] or {}, edits.get(record["id"], []))
        return folding.finish(hashlib.blake2b(f"{overlay.key},{ids}".encode(), digest_size=12).hexdigest())


def write_edits(
    connection: duckdb.DuckDBPyConnection, operation: int, dataset_id: str, version: int, edits: Sequence[Edit]
) -> None:
    """Write the rows of an edit operation, in bulk."""
    columns = [list(column) for column in zip(*edits, strict=True)]
    connection.execute(
        "INSERT INTO edits SELECT ?, ?, ?, unnest(?::BIGINT[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[]),"
        " unnest(?::VARCHAR[]), unnest(?::VARCHAR[])",
        [operation, dataset_id, version, *columns],
    )
