"""`RowReader`: pages of rows out of Parquet versions, fast at any place, as they are or through an edit overlay.

Reads on an in-memory DuckDB of its own that can see the project folder and nothing else, so that a WHERE typed by a
user can neither change the catalogue nor read other files.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from fmstudio.api.errors import UserError
from fmstudio.api.rows import ROW_ID
from fmstudio.core.sql import literal, name_sql
from fmstudio.project.closing import close_when_free
from fmstudio.project.ilike import with_patterns
from fmstudio.project.overlay import EMPTY, Overlay
from fmstudio.project.overlay_rows import View, added_rows, make_table, patched, relation, table_name
from fmstudio.project.row_index import RowIndex, build_index, find_positions, read_run, source
from fmstudio.project.selections import Question, Selection, Selections, question_error

TABLES_KEPT = 4
INDEXES_KEPT = 16
SHORT_LIST = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """Rows from `offset` on; `total` counts all rows that match, unless these were not counted yet (not `is_counted`)."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    offset: int
    total: int
    is_counted: bool = True

    def records(self) -> list[dict[str, Any]]:
        """The rows as mappings."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class _Version:
    """What is known of a version's files; `positions` and `views` grow as overlays are seen."""

    index: RowIndex
    types: dict[str, Any]
    positions: dict[int, int]
    views: OrderedDict[str, View]


class RowReader:
    """Reads rows of any version. Thread-safe: each call uses a cursor of its own.

    Args:
        folder: The project folder.
    """

    def __init__(self, folder: Path) -> None:
        self._connection = duckdb.connect(":memory:")
        folder_sql = literal(str(folder))
        self._connection.execute(f"SET temp_directory={literal(f'{folder}/tmp')}")
        self._connection.execute("SET memory_limit='1GB'; SET preserve_insertion_order=true")
        self._connection.execute(f"SET allowed_directories=[{folder_sql}]; SET enable_external_access=false")
        self._connection.execute("SET lock_configuration=true")
        self._lock = threading.Lock()
        self._table_lock = threading.Lock()
        self._versions: OrderedDict[str, _Version] = OrderedDict()
        self._selections = Selections()
        self._tables: OrderedDict[str, None] = OrderedDict()

    def close(self) -> None:
        """Free everything."""
        close_when_free(self._connection)

    def page(
        self,
        files: Sequence[Path],
        *,
        offset: int,
        limit: int,
        where: str = "",
        order_by: str = "",
        columns: Sequence[str] | None = None,
        overlay: Overlay = EMPTY,
        first_will_do: bool = False,
    ) -> Page:
        """Read `limit` rows from position `offset` on.

        Args:
            where: SQL condition over the columns; empty = all rows.
            order_by: SQL order; empty = by ``row_id``.
            overlay: Edits through which the rows are seen.
            first_will_do: Give a first page before all that match are found, where these are many; it is not counted then.

        Raises:
            UserError: The condition or order is no valid SQL; the message is DuckDB's first line.
        """
        with self._cursor() as cursor:
            if where.strip() or order_by.strip():
                first = limit if first_will_do and not offset else 0
                return self._selected_page(cursor, files, where, order_by, columns, offset, limit, overlay, first)
            version = self._version(cursor, files)
            chosen = list(columns) if columns else _shown(version, overlay)
            view = self._view(cursor, files, version, overlay)
            total = view.kept + len(overlay.added)
            rows: list[tuple[Any, ...]] = []
            read = [ROW_ID, *(name for name in chosen if name in version.types and name != ROW_ID)]
            for start, length in view.runs(offset, limit):
                found = read_run(cursor, version.index, _list(read), start, length)
                rows += patched(found, read, chosen, overlay)
            new = list(overlay.added)[max(offset - view.kept, 0) : max(offset + limit - view.kept, 0)]
            return Page(tuple(chosen), rows + added_rows(new, chosen, overlay), offset, total)

    def count(self, files: Sequence[Path], where: str = "", overlay: Overlay = EMPTY) -> int:
        """Number of rows that match.

        Raises:
            UserError: The condition is no valid SQL.
        """
        with self._cursor() as cursor:
            if where.strip():
                return self._selection(cursor, files, where, "", overlay).total
            version = self._version(cursor, files)
            return self._view(cursor, files, version, overlay).kept + len(overlay.added)

    def place(self, files: Sequence[Path], row_id: int, where: str, order_by: str, overlay: Overlay) -> int | None:
        """Where a row is among those that `page` gives, from 0; None when it is not among them."""
        with self._cursor() as cursor:
            if where.strip() or order_by.strip():
                made = self._selection(cursor, files, where, order_by, overlay)
                every = f"SELECT {ROW_ID}, row_number() OVER () - 1 AS place FROM {made.name}"
                found = cursor.execute(f"SELECT place FROM ({every}) WHERE {ROW_ID} = {int(row_id)}").fetchone()
                return int(found[0]) if found else None
            version = self._version(cursor, files)
            view = self._view(cursor, files, version, overlay)
            if row_id in overlay.added:
                return view.kept + list(overlay.added).index(row_id)
            position = self._positions(cursor, files, version, [row_id]).get(row_id)
            return None if position is None or row_id in overlay.deleted else view.place_of(position)

    def by_id(
        self,
        files: Sequence[Path],
        row_ids: Sequence[int],
        columns: Sequence[str] | None = None,
        overlay: Overlay = EMPTY,
    ) -> Page:
        """Read rows by ``row_id``, in the order asked for; ids that are not there are left out."""
        if not row_ids or not files:
            return Page((), [], 0, 0)
        with self._cursor() as cursor:
            version = self._version(cursor, files)
            chosen = list(columns) if columns else _shown(version, overlay)
            read = [ROW_ID, *(name for name in chosen if name in version.types and name != ROW_ID)]
            wanted = [int(i) for i in row_ids if i not in overlay.added]
            # DuckDB skips row groups by a short list; a long one takes it seconds unless it comes as a table.
            is_short = len(wanted) <= SHORT_LIST
            among = f"({', '.join(map(str, wanted)) or 'NULL'})" if is_short else "(SELECT unnest(?::BIGINT[]))"
            select = f"SELECT {_list(read)} FROM {source(files)} WHERE {ROW_ID} IN {among}"
            cursor.execute(select, [] if is_short else [wanted])
            base = [row for row in cursor.fetchall() if row[0] not in overlay.deleted]
        found = dict(zip((row[0] for row in base), patched(base, read, chosen, overlay), strict=True))
        new = [i for i in row_ids if i in overlay.added]
        found |= zip(new, added_rows(new, chosen, overlay), strict=True)
        rows = [found[i] for i in row_ids if i in found]
        return Page(tuple(chosen), rows, 0, len(rows))

    def ids(self, files: Sequence[Path], where: str, overlay: Overlay = EMPTY, limit: int = -1) -> list[int]:
        """Ids of the rows that match, ascending; at most `limit` of them when that is not negative.

        Raises:
            UserError: The condition is no valid SQL.
        """
        with self._cursor() as cursor:
            made = self._selection(cursor, files, where, "", overlay)
            most = made.total if limit < 0 else limit
            return [row[0] for row in cursor.execute(f"SELECT {ROW_ID} FROM {made.name} LIMIT {most}").fetchall()]

    def types(self, files: Sequence[Path]) -> dict[str, Any]:
        """Column → DuckDB type (`duckdb.sqltypes.DuckDBPyType`) of a version, in order."""
        with self._cursor() as cursor:
            return dict(self._version(cursor, files).types)

    def last_id(self, files: Sequence[Path]) -> int:
        """The largest row id of a version; -1 when it has no rows."""
        with self._cursor() as cursor:
            return self._version(cursor, files).index.last_id

    def existing(self, files: Sequence[Path], row_ids: Sequence[int]) -> set[int]:
        """Those of the ids that the version has."""
        with self._cursor() as cursor:
            return set(self._positions(cursor, files, self._version(cursor, files), row_ids))

    def cast(self, value: Any, kind: str) -> Any:
        """Cast a value as DuckDB does.

        Raises:
            duckdb.Error: It cannot be cast.
        """
        with self._connection.cursor() as cursor:
            row = cursor.execute(f"SELECT CAST(? AS {kind})", [value]).fetchone()
        return row[0] if row else None

    @contextmanager
    def overlaid(self, files: Sequence[Path], overlay: Overlay) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
        """A cursor, and the name of a table in it: the whole rows that the overlay changes or adds."""
        with self._cursor() as cursor:
            yield cursor, self._table(cursor, files, overlay)

    @contextmanager
    def seen(
        self, files: Sequence[Path], overlay: Overlay = EMPTY
    ) -> Iterator[tuple[duckdb.DuckDBPyConnection, str, dict[str, Any], RowIndex]]:
        """For questions over all rows: a cursor, the rows as SQL (in no order), their columns' types, where they are."""
        with self._cursor() as cursor:
            version = self._version(cursor, files)
            relation_sql = self._relation(cursor, files, overlay)
            description = cursor.execute(f"SELECT * FROM {relation_sql} LIMIT 0").description or []
            yield cursor, relation_sql, {item[0]: item[1] for item in description}, version.index

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._connection.cursor() as cursor:
            try:
                yield cursor
            except duckdb.Error as error:
                line = str(error).splitlines()[0]
                raise UserError(f"The rows cannot be read: {line}", details=str(error)) from error
            except OSError as error:
                raise UserError(f"A file of this dataset cannot be read: {error}.") from error

    def _version(self, cursor: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> _Version:
        key = _key(files)
        with self._lock:
            if key in self._versions:
                self._versions.move_to_end(key)
                return self._versions[key]
        description = cursor.execute(f"SELECT * FROM {source(files)} LIMIT 0").description or []
        version = _Version(build_index(cursor, files), {item[0]: item[1] for item in description}, {}, OrderedDict())
        with self._lock:
            self._versions[key] = version
            while len(self._versions) > INDEXES_KEPT:
                self._versions.popitem(last=False)
        return version

    def _positions(
        self, cursor: duckdb.DuckDBPyConnection, files: Sequence[Path], version: _Version, row_ids: Sequence[int]
    ) -> dict[int, int]:
        missing = [row_id for row_id in row_ids if row_id not in version.positions]
        if missing:
            version.positions.update(find_positions(cursor, version.index, files, missing))
        return {row_id: version.positions[row_id] for row_id in row_ids if row_id in version.positions}

    def _view(
        self, cursor: duckdb.DuckDBPyConnection, files: Sequence[Path], version: _Version, overlay: Overlay
    ) -> View:
        view = version.views.get(overlay.key)
        if view is None:
            found = self._positions(cursor, files, version, list(overlay.deleted))
            view = View.of(version.index.total, sorted(found.values()))
            with self._lock:
                version.views[overlay.key] = view
                while len(version.views) > TABLES_KEPT:
                    version.views.popitem(last=False)
        return view

    def _relation(self, cursor: duckdb.DuckDBPyConnection, files: Sequence[Path], overlay: Overlay) -> str:
        return relation(self._table(cursor, files, overlay), files, overlay) if overlay else source(files)

    def _table(self, cursor: duckdb.DuckDBPyConnection, files: Sequence[Path], overlay: Overlay) -> str:
        """Make (or find) the tables of an overlay's rows; give their name."""
        name = table_name(_key(files), overlay)
        with self._table_lock:
            if name not in self._tables:
                make_table(cursor, name, files, self._version(cursor, files).types, overlay)
            self._tables[name] = None
            self._tables.move_to_end(name)
            while len(self._tables) > TABLES_KEPT:
                old, _ = self._tables.popitem(last=False)
                cursor.execute(f"DROP TABLE IF EXISTS {old}; DROP TABLE IF EXISTS {old}_hidden")
        return name

    def _selection(
        self,
        cursor: duckdb.DuckDBPyConnection,
        files: Sequence[Path],
        where: str,
        order_by: str,
        overlay: Overlay,
        first: int = 0,
    ) -> Selection:
        version = self._version(cursor, files)
        texts = {name for name, kind in version.types.items() if str(kind) == "VARCHAR"} - set(overlay.new_columns)
        rows, key = self._relation(cursor, files, overlay), f"{_key(files)} {overlay.key}"
        try:
            asked = Question(rows, key, with_patterns(where, texts), order_by)
            return self._selections.find(cursor, asked, version.index, first)
        except duckdb.Error as error:
            asked = Question(rows, key, where, order_by)
            raise question_error(cursor, asked, error, _shown(version, overlay)) from error

    def _selected_page(
        self,
        cursor: duckdb.DuckDBPyConnection,
        files: Sequence[Path],
        where: str,
        order_by: str,
        columns: Sequence[str] | None,
        offset: int,
        limit: int,
        overlay: Overlay,
        first: int,
    ) -> Page:
        made = self._selection(cursor, files, where, order_by, overlay, first)
        version = self._version(cursor, files)
        chosen = list(columns) if columns else _shown(version, overlay)
        total, is_counted = made.total, made.is_all
        if not (is_counted or where.strip()):
            total, is_counted = self._view(cursor, files, version, overlay).kept + len(overlay.added), True
        if made.head and offset + limit <= made.head.total:
            made = made.head
        part = f"FROM {made.name} LIMIT {limit} OFFSET {offset}"
        if made.is_whole:
            rows = cursor.execute(f"SELECT {_list(chosen)} {part}").fetchall()
            return Page(tuple(chosen), rows, offset, total, is_counted)
        ids = [row[0] for row in cursor.execute(f"SELECT {ROW_ID} {part}").fetchall()]
        page = self.by_id(files, ids or [-1], chosen, overlay)
        return Page(page.columns, page.rows, offset, total)


def _shown(version: _Version, overlay: Overlay) -> list[str]:
    return [*version.types, *(name for name in overlay.new_columns if name not in version.types)]


def _list(columns: Sequence[str]) -> str:
    return ", ".join(name_sql(column) for column in columns)


def _key(files: Sequence[Path]) -> str:
    """Names files and their state: a version that was taken back may leave its place to another one."""
    stats = ((file, file.stat()) for file in files)
    return "|".join(f"{file}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ino}" for file, stat in stats)
