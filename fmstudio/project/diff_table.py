"""Finds out which rows differ between two versions: a table of their ids, made window by window of row ids.

DuckDB does the comparing, value by value. A window holds so few rows that memory stays bounded at any size; files that
both versions share (hard links of one file) are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fmstudio.api.rows import ROW_ID
from fmstudio.core.sql import name_sql
from fmstudio.project.overlay import EMPTY, Overlay
from fmstudio.project.row_index import RowIndex
from fmstudio.project.rows import RowReader

ADDED, REMOVED, CHANGED = 1, 2, 3
WINDOW = 122_880
"""Rows of each side that are compared at a time: what DuckDB reads as one piece of work."""

_NUMBER = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "UTINYINT", "USMALLINT",
           "UINTEGER", "UBIGINT")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """Rows to compare.

    Attributes:
        files: Parquet files, in row order.
        overlay: Edits through which they are seen.
        key: Names the state of the rows.
    """

    files: tuple[Path, ...]
    overlay: Overlay = EMPTY
    key: str = ""


@dataclass(frozen=True, slots=True)
class DiffTable:
    """Where differences lie.

    Attributes:
        name: Table in the row reader's database: ``id``, ``kind`` (`ADDED`, `REMOVED`, `CHANGED`) and ``columns``
            (indexes into `columns`, of a changed row).
        columns: The columns that were compared.
        before, after: Types of the columns of each side.
        rows_before, rows_after: Rows of each side.
    """

    name: str
    columns: tuple[str, ...]
    before: dict[str, str]
    after: dict[str, str]
    rows_before: int
    rows_after: int
    counts: Mapping[int, int] = field(default_factory=dict)
    changed_columns: Mapping[str, int] = field(default_factory=dict)


def compare(rows: RowReader, name: str, before: Side, after: Side, by_hand: frozenset[str]) -> DiffTable:
    """Make the table of differences.

    Args:
        rows: Whose database the table is made in.
        name: Of the table; one of that name is replaced.
        before: The one side.
        after: The other.
        by_hand: Columns only one side has that count: a row is changed where they hold a value. Others that came or
            went are no change of a row.
    """
    totals = [rows.count(side.files, overlay=side.overlay) for side in (before, after)]
    with rows.seen(before.files, before.overlay) as (_, _, types, index):
        one, old_index = {n: str(kind) for n, kind in types.items()}, index
    with rows.seen(after.files, after.overlay) as (_, _, types, index):
        two, new_index = {n: str(kind) for n, kind in types.items()}, index
    columns = [c for c in two if c != ROW_ID and (c in one or c in by_hand)]
    columns += [c for c in one if c not in two and c in by_hand]
    tests = [_test(column, one.get(column, ""), two.get(column, "")) for column in columns]
    with rows.seen(after.files) as (cursor, _, _, _):
        cursor.execute(f"CREATE OR REPLACE TABLE {name} (id BIGINT, kind UTINYINT, columns USMALLINT[])")
    for condition in _windows(before, after, old_index, new_index):
        mine, theirs = ([c for c in columns if c in types] for types in (one, two))
        _compare_window(rows, name, before, after, condition, mine, theirs, tests)
    with rows.seen(after.files) as (cursor, _, _, _):
        counts = dict(cursor.execute(f"SELECT kind, count(*) FROM {name} GROUP BY kind").fetchall())
        found = cursor.execute(
            f"SELECT unnest(columns) AS c, count(*) FROM {name} GROUP BY c ORDER BY 2 DESC, c"
        ).fetchall()
    changed = {columns[place]: count for place, count in found}
    return DiffTable(name, tuple(columns), one, two, totals[0], totals[1], counts, changed)


def _test(column: str, before: str, after: str) -> str:
    """SQL that is true where the values differ."""
    theirs, mine = f"a.{name_sql(column)}", f"b.{name_sql(column)}"
    if not before or not after:
        return f"{theirs if before else mine} IS NOT NULL"
    if before == after or (before.startswith(_NUMBER) and after.startswith(_NUMBER) and "[" not in before + after):
        return f"{theirs} IS DISTINCT FROM {mine}"
    return f"{theirs}::VARCHAR IS DISTINCT FROM {mine}::VARCHAR"


def _compare_window(
    rows: RowReader,
    name: str,
    before: Side,
    after: Side,
    condition: str,
    old_columns: Sequence[str],
    new_columns: Sequence[str],
    tests: Sequence[str],
) -> None:
    # The reader forgets the tables of overlays it has not met for a while, so each window asks for them anew.
    with (
        rows.seen(before.files, before.overlay) as (_, old, _, _),
        rows.seen(after.files, after.overlay) as (c, new, _, _),
    ):
        a = f"SELECT {_list([ROW_ID, *old_columns])} FROM {old} WHERE {condition}"
        b = f"SELECT {_list([ROW_ID, *new_columns])} FROM {new} WHERE {condition}"
        differs = " OR ".join(["a.row_id IS NULL", "b.row_id IS NULL", *tests])
        which = ", ".join(f"CASE WHEN {test} THEN {place} END" for place, test in enumerate(tests)) or "NULL"
        c.execute(
            f"INSERT INTO {name} SELECT coalesce(a.row_id, b.row_id) AS id,"
            f" CASE WHEN a.row_id IS NULL THEN {ADDED} WHEN b.row_id IS NULL THEN {REMOVED} ELSE {CHANGED} END AS kind,"
            f" CASE WHEN a.row_id IS NOT NULL AND b.row_id IS NOT NULL THEN list_filter([{which}], lambda x: x IS NOT NULL) END"
            f" FROM ({a}) a FULL JOIN ({b}) b ON a.row_id = b.row_id WHERE {differs} ORDER BY id"
        )


def _list(columns: Sequence[str]) -> str:
    return ", ".join(name_sql(column) for column in columns)


# ---- windows ---------------------------------------------------------------------------------------------------------


def _windows(before: Side, after: Side, old: RowIndex, new: RowIndex) -> Iterator[str]:
    """SQL conditions on ``row_id`` that together cover all rows which can differ, each once."""
    shared = _shared_ranges(before, after, old, new)
    touched = sorted(_touched(before.overlay) | _touched(after.overlay))
    inside = [row_id for row_id in touched if any(low <= row_id <= high for low, high in shared)]
    for start in range(0, len(inside), WINDOW):
        yield f"{ROW_ID} IN ({', '.join(map(str, inside[start : start + WINDOW]))})"
    low: int | None = None
    for first, last in shared:
        yield from _split(low, first - 1, old, new)
        low = last + 1
    yield from _split(low, None, old, new)


def _touched(overlay: Overlay) -> set[int]:
    return {*overlay.cells, *overlay.deleted, *overlay.added}


def _shared_ranges(before: Side, after: Side, old: RowIndex, new: RowIndex) -> list[tuple[int, int]]:
    """Ranges of row ids that lie in a file both sides share, ascending."""
    mine = {_identity(file): _range(file, old) for file in before.files}
    ranges = [mine[_identity(file)] for file in after.files if _identity(file) in mine and _range(file, new)]
    return sorted(found for found in ranges if found is not None)


def _identity(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_dev, stat.st_ino


def _range(file: Path, index: RowIndex) -> tuple[int, int] | None:
    groups = [place for place, name in enumerate(index.files) if name == str(file)]
    return (index.first_ids[groups[0]], index.last_ids[groups[-1]]) if groups else None


def _split(low: int | None, high: int | None, old: RowIndex, new: RowIndex) -> Iterator[str]:
    """Cut a range of row ids (None: open) where a window is full; nothing when no side has rows there."""
    groups = sorted(
        (first, index.starts[place + 1] - index.starts[place] if place + 1 < len(index.starts) else index.total - index.starts[place])
        for index in (old, new)
        for place, first in enumerate(index.first_ids)
        if (low is None or first >= low) and (high is None or first <= high)
    )  # fmt: skip
    if not groups and high is not None:
        return
    filled, begin = 0, low
    for first, count in groups:
        if filled and filled + count > 2 * WINDOW:
            yield _between(begin, first - 1)
            begin, filled = first, 0
        filled += count
    yield _between(begin, high)


def _between(low: int | None, high: int | None) -> str:
    if low is not None and high is not None:
        return f"{ROW_ID} BETWEEN {low} AND {high}"
    if low is not None:
        return f"{ROW_ID} >= {low}"
    return f"{ROW_ID} <= {high}" if high is not None else "true"
