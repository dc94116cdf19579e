"""The edit overlay: what the user changed by hand since the current version was made, kept as small rows.

`Overlays` folds the operations of a dataset that stand into its state: the version, and on it the edits in the order
they were made. A new version, a restore or a discard begins an empty overlay; undoing it shows the old one again.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from fmstudio.project.catalog import Catalog
from fmstudio.project.overlay_folding import folded, read_operations, read_originals
from fmstudio.project.overlay_model import EMPTY, Overlay

__all__ = ["EMPTY", "Edit", "Overlay", "Overlays", "State", "write_edits"]

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
            overlay = self._extended(overlay, wanted, known)
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

    def _extended(self, overlay: Overlay, operations: tuple[int, ...], known: int) -> Overlay:
        fresh = operations[known:]
        key = hashlib.blake2b(f"{overlay.key},{fresh}".encode(), digest_size=12).hexdigest()
        originals = read_originals(self._catalog, operations, fresh)
        return folded(overlay, key, read_operations(self._catalog, fresh), originals)


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
