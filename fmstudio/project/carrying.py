"""Takes edits along to another version: those made while a job was making it, and those on a version that is branched.

Each edit operation is logged once more on top of the new version, so that it shows there and can be undone there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb

from fmstudio.project.catalog import Catalog
from fmstudio.project.history import log_operation
from fmstudio.project.overlay import Edit, write_edits

Existing = Callable[[Sequence[int]], set[int]]


def carry(
    catalog: Catalog,
    connection: duckdb.DuckDBPyConnection,
    operations: Sequence[int],
    target: tuple[str, int],
    existing: Existing,
    last_id: int,
) -> None:
    """Log edit operations once more, on another version.

    Edits of rows that are no longer there are left out; added rows get ids above those of the version.

    Args:
        operations: Ids of edit operations, in order.
        target: Dataset and version.
        existing: Gives those of some row ids that the version has.
        last_id: The version's largest row id.
    """
    edits = {number: _edits_of(catalog, number) for number in operations}
    every = [edit for group in edits.values() for edit in group]
    fresh = sorted(edit[0] for edit in every if edit[1] == "add")
    shift = max(last_id + 1 - fresh[0], 0) if fresh else 0
    renamed = {row_id: row_id + shift for row_id in fresh}
    there = existing(sorted({edit[0] for edit in every} - renamed.keys()))
    for number, group in edits.items():
        kept = [(renamed.get(edit[0], edit[0]), *edit[1:]) for edit in group if edit[0] in renamed or edit[0] in there]
        if kept:
            record = catalog.records("SELECT title, params FROM operations WHERE id = ?", [number])[0]
            params = {**record["params"], "carried_from": number}
            made = log_operation(connection, "edit", target[0], target[1], target[1], record["title"], params)
            write_edits(connection, made, *target, kept)


def _edits_of(catalog: Catalog, operation: int) -> list[Edit]:
    rows = catalog.query(
        "SELECT row_id, kind, column_name, value, before FROM edits WHERE operation_id = ? ORDER BY row_id", [operation]
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]
