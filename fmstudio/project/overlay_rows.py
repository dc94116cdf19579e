"""Reading rows through an edit overlay: by position as a patched slice, and as a SQL relation for any other order."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from fmstudio.api.rows import ROW_ID
from fmstudio.core.parquet import ROW_GROUP
from fmstudio.core.sql import name_sql
from fmstudio.project.cell_values import inner_types, parse_type
from fmstudio.project.overlay import Overlay
from fmstudio.project.row_index import source

Types = Mapping[str, Any]
"""Column → DuckDB type (its `str` is the SQL name), in order."""

_NATIVE = {
    *("boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"),
    *("float", "double", "varchar", "blob", "date", "timestamp", "timestamp with time zone"),
    *("list", "array", "struct", "map"),
}
"""Types whose values DuckDB takes from Python as they are; others go as text and are cast."""


@dataclass(frozen=True, slots=True)
class View:
    """Which of the version's rows are left, by position.

    Attributes:
        shifted: For each deleted row, ascending: its position less the deleted rows before it.
        kept: Number of the version's rows that are left.
    """

    shifted: list[int]
    kept: int

    @classmethod
    def of(cls, total: int, deleted: Sequence[int]) -> View:
        """Make it from the ascending positions of deleted rows."""
        return cls([position - before for before, position in enumerate(deleted)], total - len(deleted))

    def runs(self, offset: int, limit: int) -> list[tuple[int, int]]:
        """Stretches (first position, length) of the version that hold the rows `offset` … `offset + limit`.

        Deleted rows inside a stretch are to be left out; a gap wider than a row group begins a new stretch.
        """
        positions = [
            place + bisect_right(self.shifted, place) for place in range(offset, min(offset + limit, self.kept))
        ]
        found: list[tuple[int, int]] = []
        for position in positions:
            if found and position - sum(found[-1]) < ROW_GROUP:
                found[-1] = (found[-1][0], position - found[-1][0] + 1)
            else:
                found.append((position, 1))
        return found

    def place_of(self, position: int) -> int:
        """The place, among those left, of a row that is one of them."""
        return position - bisect_left(range(len(self.shifted)), position, key=lambda i: self.shifted[i] + i)


def patched(
    rows: Sequence[tuple[Any, ...]], names: Sequence[str], chosen: Sequence[str], overlay: Overlay
) -> list[tuple[Any, ...]]:
    """Rows as the user sees them: without deleted ones, with edited cells, only the chosen columns.

    Args:
        rows: Rows of the version with the columns `names`, the first of which is ``row_id``.
        chosen: Columns wanted, in order; new columns may be among them.
    """
    place = {name: index for index, name in enumerate(names)}
    order = [place.get(name, -1) for name in chosen]
    made = []
    for row in rows:
        if row[0] in overlay.deleted:
            continue
        if row[0] in overlay.cells:
            cells = overlay.values(row[0])
            values = zip(chosen, order, strict=True)
            made.append(tuple(cells[n] if n in cells else row[i] if i >= 0 else None for n, i in values))
        else:
            made.append(tuple(row[i] if i >= 0 else None for i in order))
    return made


def added_rows(row_ids: Sequence[int], chosen: Sequence[str], overlay: Overlay) -> list[tuple[Any, ...]]:
    """Rows that the overlay adds."""
    return [tuple(map({ROW_ID: i, **overlay.added_row(i)}.get, chosen)) for i in row_ids]


def table_name(files_key: str, overlay: Overlay) -> str:
    """Name of the table that `make_table` makes for an overlay on these files."""
    return f"edits_{hashlib.blake2b(f'{files_key}|{overlay.key}'.encode(), digest_size=8).hexdigest()}"


def relation(table: str, files: Sequence[Path], overlay: Overlay) -> str:
    """The rows as the user sees them, as SQL, in no order."""
    gone = f"{ROW_ID} NOT IN (SELECT {ROW_ID} FROM {table}_hidden)" if overlay.cells or overlay.deleted else "true"
    return f"(SELECT * FROM {source(files)} WHERE {gone} UNION ALL BY NAME SELECT * FROM {table})"


def make_table(
    cursor: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path], types: Types, overlay: Overlay
) -> None:
    """Make two tables: `table` with the whole rows the overlay changes or adds, ``…_hidden`` with base rows it hides."""
    every = {**types, **{n: parse_type(kind) for n, kind in overlay.new_columns.items() if n not in types}}
    _give(cursor, {ROW_ID: ([*overlay.cells, *overlay.deleted], "BIGINT")})
    cursor.execute(f"CREATE OR REPLACE TABLE {table}_hidden AS SELECT * FROM given")
    columns = sorted({name for cells in overlay.cells.values() for name in cells})
    _give(cursor, _patch(overlay, columns, every))
    cursor.execute(f"CREATE OR REPLACE TABLE {table} AS {_patched_sql(files, columns, types, every)}")
    if overlay.added:
        rows = [overlay.added_row(row_id) for row_id in overlay.added]
        given = {name: _native([row.get(name) for row in rows], every[name]) for name in every if name != ROW_ID}
        _give(cursor, {ROW_ID: (list(overlay.added), "BIGINT"), **given})
        casts = ", ".join(f"CAST({name_sql(n)} AS {kind}) AS {name_sql(n)}" for n, kind in every.items())
        cursor.execute(f"INSERT INTO {table} BY NAME SELECT {casts} FROM given")
    cursor.execute("DROP TABLE given")


def _give(cursor: duckdb.DuckDBPyConnection, columns: Mapping[str, tuple[list[Any], str]]) -> None:
    """Make the table ``given`` of columns: name → values and SQL type."""
    chosen = ", ".join(f"unnest(?::{kind}[]) AS {name_sql(name)}" for name, (_, kind) in columns.items())
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE given AS SELECT {chosen}", [values for values, _ in columns.values()])


def _patch(overlay: Overlay, columns: Sequence[str], types: Types) -> dict[str, tuple[list[Any], str]]:
    """One row per edited row: its id, and for each edited column ``vN`` (value) and ``sN`` (is it set)."""
    rows = [overlay.values(row_id) for row_id in overlay.cells]
    made: dict[str, tuple[list[Any], str]] = {"id": (list(overlay.cells), "BIGINT")}
    for number, name in enumerate(columns):
        made[f"v{number}"] = _native([row.get(name) for row in rows], types[name])
        made[f"s{number}"] = ([name in row for row in rows], "BOOLEAN")
    return made


def _patched_sql(files: Sequence[Path], columns: Sequence[str], types: Types, every: Types) -> str:
    number = {name: index for index, name in enumerate(columns)}
    chosen = []
    for name, kind in every.items():
        base = f"base.{name_sql(name)}" if name in types else "NULL"
        if name in number:
            base = f"CASE WHEN given.s{number[name]} THEN CAST(given.v{number[name]} AS {kind}) ELSE {base} END"
        chosen.append(f"CAST({base} AS {kind}) AS {name_sql(name)}")
    return f"SELECT {', '.join(chosen)} FROM {source(files)} base JOIN given ON base.{ROW_ID} = given.id"


def _native(values: list[Any], kind: Any) -> tuple[list[Any], str]:
    """Values of a column as DuckDB takes them, and the SQL type they are given as."""
    if kind.id not in _NATIVE:
        return [None if value is None else str(value) for value in values], "VARCHAR"
    if kind.id in ("list", "array", "struct", "map"):
        return [_nested(value, kind) for value in values], str(kind)
    return values, str(kind)


def _nested(value: Any, kind: Any) -> Any:
    """The same value with its mappings as DuckDB knows them from records: by lists of keys and values."""
    if value is None:
        return None
    if kind.id in ("list", "array"):
        return [_nested(item, inner_types(kind)["child"]) for item in value]
    if kind.id == "struct":
        return {name: _nested(value.get(name), child) for name, child in inner_types(kind).items()}
    if kind.id == "map":
        return {"key": list(value), "value": [_nested(item, inner_types(kind)["value"]) for item in value.values()]}
    return value
