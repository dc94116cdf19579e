"""Takes edits along to another version: those made while a job was making it, and those on a version that is branched.

Each edit operation is logged once more on top of the new version, so that it shows there and can be undone there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import duckdb

from fmstudio.project.catalog import Catalog
from fmstudio.project.history import log_operation
from fmstudio.project.overlay import Edit, write_edits
from fmstudio.project.overlay_folding import knows_before

Existing = Callable[[Sequence[int]], set[int]]


def carry(
    catalog: Catalog,
    connection: duckdb.DuckDBPyConnection,
    operations: Sequence[int],
    target: tuple[str, int],
    existing: Existing,
    last_id: int,
    *,
    is_same: bool = False,
) -> None:
    """Log edit operations once more, on another version.

    Edits of rows that are no longer there are left out, and those of cells that were set back to what they had held;
    added rows get ids above those of the version.

    Args:
        operations: Ids of edit operations, in order.
        target: Dataset and version.
        existing: Gives those of some row ids that the version has.
        last_id: The version's largest row id.
        is_same: Whether the version has the very rows of the one the edits were made on; if not, nobody knows any more
            what a cell held before, and one that is set back stays an edit.
    """
    edits = {number: _edits_of(catalog, number) for number in operations}
    every = [edit for group in edits.values() for edit in group]
    fresh = sorted(edit[0] for edit in every if edit[1] == "add")
    shift = max(last_id + 1 - fresh[0], 0) if fresh else 0
    renamed = {row_id: row_id + shift for row_id in fresh}
    there = existing(sorted({edit[0] for edit in every} - renamed.keys()))
    records = {number: _record(catalog, number) for number in operations}
    back = _set_back([edits[number] for number in operations if knows_before(records[number]["params"])])
    for number, group in edits.items():
        record = records[number]
        kept = [
            (renamed.get(edit[0], edit[0]), *edit[1:])
            for edit in group
            if edit[0] in renamed or (edit[0] in there and (edit[0], edit[2]) not in back)
        ]
        if kept:
            is_known = is_same and knows_before(record["params"])
            params = {**record["params"], "carried_from": number, "same_rows": is_known}
            made = log_operation(connection, "edit", target[0], target[1], target[1], record["title"], params)
            write_edits(connection, made, *target, kept)


def _set_back(groups: Sequence[list[Edit]]) -> set[tuple[int, str]]:
    """Cells (row id, column) that hold, after these operations, what they held before them."""
    first: dict[tuple[int, str], str | None] = {}
    last: dict[tuple[int, str], str | None] = {}
    for row_id, kind, column, value, before in (edit for group in groups for edit in group):
        if kind == "set":
            first.setdefault((row_id, column), before)
            last[row_id, column] = value
    return {cell for cell, value in last.items() if first[cell] == value}


def _record(catalog: Catalog, operation: int) -> dict[str, Any]:
    return catalog.records("SELECT title, params FROM operations WHERE id = ?", [operation])[0]


def _edits_of(catalog: Catalog, operation: int) -> list[Edit]:
    rows = catalog.query(
        "SELECT row_id, kind, column_name, value, before FROM edits WHERE operation_id = ? ORDER BY row_id", [operation]
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]
