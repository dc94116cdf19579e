"""Where rows are in the Parquet files of a version: by position and by ``row_id``, from the footers alone."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import duckdb

from fmstudio.api.rows import ROW_ID
from fmstudio.core.sql import literal


@dataclass(frozen=True, slots=True)
class RowIndex:
    """Where each row group begins: position, file and the range of its row ids.

    Attributes:
        file_starts: Position of the first row of each file.
        total: Number of rows.
        bytes: Size of all rows, not compressed.
    """

    starts: list[int]
    files: list[str]
    first_ids: list[int]
    last_ids: list[int]
    file_starts: dict[str, int]
    total: int
    bytes: int

    @property
    def last_id(self) -> int:
        """The largest row id; -1 when there are no rows."""
        return self.last_ids[-1] if self.last_ids else -1


def build_index(cursor: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> RowIndex:
    """Read the footers of a version's files, which are in row order."""
    groups: list[tuple[str, int, int, int]] = []
    counts: list[int] = []
    size = 0
    for file in files:
        rows = cursor.execute(
            "SELECT row_group_num_rows, stats_min_value, stats_max_value, row_group_bytes FROM parquet_metadata(?) "
            "WHERE path_in_schema = ? AND row_group_num_rows > 0 ORDER BY row_group_id",
            [str(file), ROW_ID],
        ).fetchall()
        groups += [(str(file), int(count), int(low), int(high)) for count, low, high, _ in rows]
        counts.append(sum(int(row[0]) for row in rows))
        size += sum(int(row[3]) for row in rows)
    starts = list(accumulate((group[1] for group in groups), initial=0))
    file_starts = dict(zip(map(str, files), accumulate(counts, initial=0), strict=False))
    names, first, last = ([group[i] for group in groups] for i in (0, 2, 3))
    return RowIndex(starts[:-1], names, first, last, file_starts, starts[-1], size)  # type: ignore[arg-type]


def read_run(
    cursor: duckdb.DuckDBPyConnection, index: RowIndex, chosen: str, offset: int, limit: int
) -> list[tuple[Any, ...]]:
    """Read neighbouring rows: only the row groups that hold them, as DuckDB skips the others by their row ids.

    Args:
        chosen: SQL list of what to read.
        offset: Position of the first row, inside the version.
        limit: Number of rows, at least one.
    """
    begin = bisect_right(index.starts, offset) - 1
    end = bisect_right(index.starts, min(offset + limit, index.total) - 1) - 1
    files = dict.fromkeys(Path(file) for file in index.files[begin : end + 1])
    cursor.execute(
        f"SELECT {chosen} FROM {source(list(files))} "
        f"WHERE {ROW_ID} BETWEEN {index.first_ids[begin]} AND {index.last_ids[end]} "
        f"ORDER BY {ROW_ID} LIMIT {limit} OFFSET {offset - index.starts[begin]}"
    )
    return cursor.fetchall()


def find_positions(
    cursor: duckdb.DuckDBPyConnection, index: RowIndex, files: Sequence[Path], row_ids: Sequence[int]
) -> dict[int, int]:
    """Positions of rows by ``row_id``; ids that are not there are left out.

    In a row group without gaps they follow from the first id; only groups with gaps are read.
    """
    wanted = sorted(row_ids)
    found: dict[int, int] = {}
    sparse: list[int] = []
    for place, first in enumerate(index.first_ids):
        last, start = index.last_ids[place], index.starts[place]
        here = wanted[bisect_left(wanted, first) : bisect_right(wanted, last)]
        count = (index.starts[place + 1] if place + 1 < len(index.starts) else index.total) - start
        if last - first + 1 == count:
            found.update((row_id, start + row_id - first) for row_id in here)
        else:
            sparse += here
    if sparse:
        cursor.execute(
            f"SELECT {ROW_ID}, filename, file_row_number FROM "
            f"read_parquet([{', '.join(literal(str(f)) for f in files)}], filename=true, file_row_number=true) "
            f"WHERE {ROW_ID} IN (SELECT unnest(?::BIGINT[]))",
            [sparse],
        )
        found |= {row_id: index.file_starts[file] + number for row_id, file, number in cursor.fetchall()}
    return found


def source(files: Sequence[Path]) -> str:
    """The rows of Parquet files, as SQL; a column that a file lacks reads as missing values."""
    return f"read_parquet([{', '.join(literal(str(f)) for f in files)}], union_by_name=true)"
