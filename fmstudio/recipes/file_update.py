"""A dataset's next version from a newer file: rows that are in both keep their `row_id`, for life.

Rows are matched by a key column the user picks, or by their whole content; the n-th of several equal rows is matched with
the n-th. Columns that only the dataset has (tags, ratings, notes, enrichments) stay with the rows that stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from fmstudio.api import ROW_ID, UserError
from fmstudio.core.sql import literal

if TYPE_CHECKING:
    import pyarrow as pa

GONE = "no longer in the file"
OPERATOR = "update"
_BATCH = 8_192


@dataclass(frozen=True, slots=True)
class UpdateCounts:
    """What an update does to rows: `changed` can only be told with a key; without one it is removed and added."""

    added: int
    removed: int
    changed: int
    unchanged: int
    repeated_keys: int

    def to_dict(self) -> dict[str, int]:
        """Give it as plain JSON data."""
        return asdict(self)


class FileUpdate:
    """Matches a newer file's rows with a dataset's. A context manager; files are only read.

    Args:
        new: Parquet files of the newer file as it was imported, with `row_id` from 0.
        old: Parquet files of the version it updates.
        key: Column whose values name a row; empty = match by content.
        temp: Folder for what does not fit into memory.

    Attributes:
        changed_types: Columns that get another type: name → types before and after.

    Raises:
        UserError: The key is not in both, or they have no column in common.
    """

    def __init__(self, new: Sequence[Path], old: Sequence[Path], key: str, temp: Path) -> None:
        temp.mkdir(parents=True, exist_ok=True)
        self._connection = duckdb.connect(":memory:", config={"temp_directory": str(temp), "memory_limit": "2GB"})
        self._new, self._old = _scan(new), _scan(old)
        mine, theirs = self._columns(self._new), self._columns(self._old)
        self._names = list(mine)
        self._carried = [name for name in theirs if name not in mine]
        shared = [name for name in mine if name in theirs]
        if not shared:
            raise UserError(
                f"The file has no column of the dataset ({', '.join(theirs)}).", remedy="Import it as a new dataset."
            )
        if key and key not in shared:
            raise UserError(
                f"“{key}” is not a column of both the file and the dataset.",
                remedy=f"Choose one of: {', '.join(shared)}.",
            )
        types = {name: (mine[name], theirs[name]) for name in shared}
        self.changed_types = {name: (old, new) for name, (new, old) in types.items() if old != new}
        self._match(key, types)

    def __enter__(self) -> FileUpdate:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def _columns(self, scan: str) -> dict[str, str]:
        rows = self._connection.execute(f"DESCRIBE SELECT * EXCLUDE ({_quoted(ROW_ID)}) FROM {scan}").fetchall()
        return {row[0]: row[1] for row in rows}

    def _match(self, key: str, types: dict[str, tuple[str, str]]) -> None:
        for table, scan, side in (("n", self._new, 0), ("o", self._old, 1)):
            values = ", ".join(_comparable(name, kinds, side) for name, kinds in types.items())
            content = f"md5_number(to_json([{values}])::VARCHAR)"
            by = f"md5_number({_comparable(key, types[key], side)})" if key else content
            self._connection.execute(
                f"CREATE TABLE {table} AS SELECT *, row_number() OVER (PARTITION BY k ORDER BY id) AS nth FROM"
                f" (SELECT scan.{_quoted(ROW_ID)} AS id, {content} AS content, {by} AS k FROM {scan} scan)"
            )
        self._connection.execute(
            "CREATE TABLE m AS SELECT n.id AS new_id, o.id AS old_id, n.content IS DISTINCT FROM o.content AS differs"
            " FROM n FULL JOIN o ON n.k IS NOT DISTINCT FROM o.k AND n.nth = o.nth"
        )

    def notes(self) -> list[str]:
        """Say what an update changes beside the values of rows."""
        return [
            f"The column “{name}” held {old} and holds {new} from this version on."
            for name, (old, new) in self.changed_types.items()
        ]

    def counts(self) -> UpdateCounts:
        """Count what changes."""
        (row,) = self._connection.execute(
            "SELECT count(*) FILTER (old_id IS NULL), count(*) FILTER (new_id IS NULL),"
            " count(*) FILTER (new_id IS NOT NULL AND old_id IS NOT NULL AND differs),"
            " count(*) FILTER (new_id IS NOT NULL AND old_id IS NOT NULL AND NOT differs),"
            " (SELECT count(*) FROM n WHERE nth > 1) FROM m"
        ).fetchall()
        return UpdateCounts(*(int(value) for value in row))

    def rows(self, next_id: int) -> Iterator[pa.RecordBatch]:
        """Yield the next version's rows, ascending by `row_id`; new rows get ids from `next_id` on, in the file's order."""
        columns = ", ".join(f"f.{_quoted(name)}" for name in self._names)
        carried = "".join(f", b.{_quoted(name)}" for name in self._carried)
        yield from self._batches(
            f"SELECT i.id AS {_quoted(ROW_ID)}, {columns}{carried} FROM"
            f" (SELECT new_id, old_id, coalesce(old_id, {next_id} - 1 + row_number() OVER (PARTITION BY old_id IS NULL"
            "  ORDER BY new_id)) AS id FROM m WHERE new_id IS NOT NULL) i"
            f" JOIN {self._new} f ON f.{_quoted(ROW_ID)} = i.new_id"
            f" LEFT JOIN {self._old} b ON b.{_quoted(ROW_ID)} = i.old_id ORDER BY i.id"
        )

    def gone(self) -> Iterator[pa.RecordBatch]:
        """Yield the dataset's rows that the file no longer has, with ``step``, ``operator`` and ``reason``."""
        yield from self._batches(
            f"SELECT o.*, 1::INTEGER AS step, '{OPERATOR}' AS operator, '{GONE}' AS reason FROM {self._old} o"
            f" JOIN m ON m.old_id = o.{_quoted(ROW_ID)} WHERE m.new_id IS NULL ORDER BY o.{_quoted(ROW_ID)}"
        )

    def _batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        with self._connection.cursor() as cursor:
            for batch in cursor.sql(sql).to_arrow_reader(_BATCH):
                if batch.num_rows:
                    yield batch


def largest_id(files: Sequence[Path]) -> int:
    """Give the largest `row_id` in these files (rows kept or dropped by any version); -1 when there is none."""
    if not files:
        return -1
    with duckdb.connect(":memory:") as connection:
        ((largest,),) = connection.execute(f"SELECT max({_quoted(ROW_ID)}) FROM {_scan(files)}").fetchall()
    return -1 if largest is None else int(largest)


def _comparable(name: str, kinds: tuple[str, str], side: int) -> str:
    """Give a column as text, the same on both sides whatever the types: numbers as decimals where types differ."""
    column = f"scan.{_quoted(name)}"
    if kinds[0] != kinds[1] and all(_is_number(kind) for kind in kinds):
        column = f"{column}::DOUBLE"
    elif kinds[side] == "VARCHAR":
        return column
    return f"to_json({column})::VARCHAR"


def _is_number(kind: str) -> bool:
    return kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL") or kind.endswith("INT") or kind == "INTEGER"


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _scan(files: Sequence[Path]) -> str:
    paths = ", ".join(literal(str(file)) for file in files)
    return f"read_parquet([{paths}], union_by_name = true)"


def counts_of(new: Sequence[Path], old: Sequence[Path], key: str, temp: Path) -> dict[str, Any]:
    """Count what an update would change, with ``notes``; see `FileUpdate`."""
    with FileUpdate(new, old, key, temp) as update:
        return {**update.counts().to_dict(), "notes": update.notes()}
