"""`RowReader`: pages of rows out of Parquet versions, fast at any place.

Reads on an in-memory DuckDB of its own that can see the project folder and nothing else, so that a WHERE typed by a
user can neither change the catalogue nor read other files.
"""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from fmstudio.api.errors import UserError
from fmstudio.api.rows import ROW_ID

SELECTIONS_KEPT = 4
CHUNKS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Page:
    """Rows from `offset` on; `total` counts all rows that match."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    offset: int
    total: int

    def records(self) -> list[dict[str, Any]]:
        """The rows as mappings."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class _Index:
    """Where each row group begins: position, file and the range of its row ids."""

    starts: list[int]
    files: list[str]
    first_ids: list[int]
    last_ids: list[int]
    total: int


class RowReader:
    """Reads rows of any version. Thread-safe: each call uses a cursor of its own.

    Args:
        folder: The project folder.
    """

    def __init__(self, folder: Path) -> None:
        self._connection = duckdb.connect(":memory:")
        quoted = str(folder).replace("'", "''")
        self._connection.execute(f"SET temp_directory='{quoted}/tmp'")
        self._connection.execute("SET memory_limit='1GB'; SET preserve_insertion_order=true")
        self._connection.execute(f"SET allowed_directories=['{quoted}']; SET enable_external_access=false")
        self._connection.execute("SET lock_configuration=true")
        self._lock = threading.Lock()
        self._indexes: OrderedDict[str, _Index] = OrderedDict()
        self._selections: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def close(self) -> None:
        """Free everything."""
        self._connection.close()

    def page(
        self,
        files: Sequence[Path],
        *,
        offset: int,
        limit: int,
        where: str = "",
        order_by: str = "",
        columns: Sequence[str] | None = None,
    ) -> Page:
        """Read `limit` rows from position `offset` on.

        Args:
            where: SQL condition over the columns; empty = all rows.
            order_by: SQL order; empty = by ``row_id``.

        Raises:
            UserError: The condition or order is no valid SQL; the message is DuckDB's first line.
        """
        source, chosen = _source(files), _list(columns)
        with self._connection.cursor() as cursor:
            try:
                if where.strip() or order_by.strip():
                    return self._selected_page(cursor, files, where, order_by, columns, offset, limit)
                index = self._index(cursor, files)
                return _indexed_page(cursor, source, index, chosen, offset, limit)
            except duckdb.Error as error:
                raise _sql_error(error, where or order_by) from error

    def count(self, files: Sequence[Path], where: str = "") -> int:
        """Number of rows that match.

        Raises:
            UserError: The condition is no valid SQL.
        """
        with self._connection.cursor() as cursor:
            try:
                if not where.strip():
                    return self._index(cursor, files).total
                return self._selection(cursor, files, where, "")[1]
            except duckdb.Error as error:
                raise _sql_error(error, where) from error

    def by_id(self, files: Sequence[Path], row_ids: Sequence[int], columns: Sequence[str] | None = None) -> Page:
        """Read rows by ``row_id``, in the order asked for; ids that are not there are left out."""
        if not row_ids or not files:
            return Page((), [], 0, 0)
        wanted = ", ".join(str(int(i)) for i in row_ids)
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT {ROW_ID}, {_list(columns)} FROM {_source(files)} WHERE {ROW_ID} IN ({wanted})")
            names = _names(cursor)[1:]
            found = {row[0]: row[1:] for row in cursor.fetchall()}
        rows = [found[i] for i in row_ids if i in found]
        return Page(names, rows, 0, len(rows))

    def _index(self, cursor: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> _Index:
        key = _key(files)
        with self._lock:
            if key in self._indexes:
                self._indexes.move_to_end(key)
                return self._indexes[key]
        index = _build_index(cursor, files)
        with self._lock:
            self._indexes[key] = index
            while len(self._indexes) > CHUNKS_KEPT:
                self._indexes.popitem(last=False)
        return index

    def _selection(
        self, cursor: duckdb.DuckDBPyConnection, files: Sequence[Path], where: str, order_by: str
    ) -> tuple[str, int]:
        """Make (or find) the table of row ids that match, in order; give its name and length."""
        key = _key(files) + "\0" + where + "\0" + order_by
        with self._lock:
            if key in self._selections:
                self._selections.move_to_end(key)
                return self._selections[key]
        name = f"sel_{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}_{threading.get_ident()}"
        condition = f"WHERE ({where}\n)" if where.strip() else ""
        order = f"ORDER BY {order_by}\n, {ROW_ID}" if order_by.strip() else f"ORDER BY {ROW_ID}"
        sql = f"SELECT {ROW_ID} FROM {_source(files)} {condition} {order}"
        if len(duckdb.extract_statements(sql)) != 1:
            raise UserError("Only one condition is allowed here.", remedy="Leave out the semicolon.")
        cursor.execute(f"CREATE OR REPLACE TABLE {name} AS {sql}")
        row = cursor.execute(f"SELECT count(*) FROM {name}").fetchone()
        selection = (name, int(row[0]) if row else 0)
        with self._lock:
            self._selections[key] = selection
            while len(self._selections) > SELECTIONS_KEPT:
                _, (old, _) = self._selections.popitem(last=False)
                cursor.execute(f"DROP TABLE IF EXISTS {old}")
        return selection

    def _selected_page(
        self,
        cursor: duckdb.DuckDBPyConnection,
        files: Sequence[Path],
        where: str,
        order_by: str,
        columns: Sequence[str] | None,
        offset: int,
        limit: int,
    ) -> Page:
        name, total = self._selection(cursor, files, where, order_by)
        ids = [r[0] for r in cursor.execute(f"SELECT {ROW_ID} FROM {name} LIMIT {limit} OFFSET {offset}").fetchall()]
        page = self.by_id(files, ids, columns)
        return Page(page.columns, page.rows, offset, total)


def _build_index(cursor: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> _Index:
    starts: list[int] = []
    names: list[str] = []
    first: list[int] = []
    last: list[int] = []
    total = 0
    for file in files:
        rows = cursor.execute(
            "SELECT row_group_num_rows, stats_min_value, stats_max_value FROM parquet_metadata(?) "
            "WHERE path_in_schema = ? ORDER BY row_group_id",
            [str(file), ROW_ID],
        ).fetchall()
        for count, low, high in rows:
            starts.append(total)
            names.append(str(file))
            first.append(int(low))
            last.append(int(high))
            total += int(count)
    return _Index(starts, names, first, last, total)


def _indexed_page(
    cursor: duckdb.DuckDBPyConnection, source: str, index: _Index, chosen: str, offset: int, limit: int
) -> Page:
    """Read only the row groups that hold the page: DuckDB skips the others by their row-id statistics."""
    if not index.starts or offset >= index.total or limit <= 0:
        names = _names(cursor.execute(f"SELECT {chosen} FROM {source} LIMIT 0"))
        return Page(names, [], offset, index.total)
    begin = bisect_right(index.starts, offset) - 1
    end = bisect_right(index.starts, min(offset + limit, index.total) - 1) - 1
    files = ", ".join(_quote(f) for f in dict.fromkeys(index.files[begin : end + 1]))
    cursor.execute(
        f"SELECT {chosen} FROM read_parquet([{files}], union_by_name=true) "
        f"WHERE {ROW_ID} BETWEEN {index.first_ids[begin]} AND {index.last_ids[end]} "
        f"ORDER BY {ROW_ID} LIMIT {limit} OFFSET {offset - index.starts[begin]}"
    )
    return Page(_names(cursor), cursor.fetchall(), offset, index.total)


def _source(files: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(_quote(str(f)) for f in files)}], union_by_name=true)"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _list(columns: Sequence[str] | None) -> str:
    return ", ".join('"' + c.replace('"', '""') + '"' for c in columns) if columns else "*"


def _names(cursor: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    return tuple(item[0] for item in cursor.description or [])


def _key(files: Sequence[Path]) -> str:
    return "|".join(str(f) for f in files)


def _sql_error(error: duckdb.Error, condition: str) -> UserError:
    line = str(error).splitlines()[0]
    return UserError(
        f"This filter cannot be run: {line}",
        remedy="Write a SQL condition over the columns, e.g. length(text) > 100.",
        details=f"{condition}\n\n{error}",
    )
