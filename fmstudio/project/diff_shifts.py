"""How the whole of the rows moved from one version to another: numbers of rows, lengths, languages, topics, duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmstudio.api.rows import ROW_ID
from fmstudio.project.diff_table import DiffTable, Side
from fmstudio.project.filters import kind_of
from fmstudio.project.row_index import name_sql
from fmstudio.project.rows import RowReader

if TYPE_CHECKING:
    import duckdb

MOST_TEXTS = 4
MOST_VALUES = 6
GROUPING = ("language", "lang", "topic", "topics", "cluster", "cluster_id", "split", "label")
"""Columns whose values are counted apart, by name."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A number of the whole, before and after.

    Attributes:
        measure: What was measured, in words.
        unit: rows, characters, turns, or share (0 to 1). A number of nothing is None.
    """

    measure: str
    before: float | None
    after: float | None
    unit: str = "rows"


def shifts(rows: RowReader, before: Side, after: Side, table: DiffTable) -> list[Shift]:
    """Measure both sides. Only columns that both have are measured, so that the numbers can be compared."""
    columns = [c for c in table.after if c in table.before and c != ROW_ID]
    measures = _measures(columns, table)
    one, two = (_measured(rows, side, [sql for _, _, sql in measures]) for side in (before, after))
    found = [Shift(name, a, b, unit) for (name, unit, _), a, b in zip(measures, one, two, strict=True)]
    for column in columns:
        if column.lower() in GROUPING and kind_of(table.after[column]) in ("text", "number", "boolean"):
            found += _groups(rows, before, after, column)
    return found


def _measures(columns: list[str], table: DiffTable) -> list[tuple[str, str, str]]:
    """Name, unit and SQL of what is measured."""
    content = ", ".join(name_sql(column) for column in columns)
    measures = [("rows", "rows", "count(*)")]
    if columns:
        measures.append(("exact duplicates", "rows", f"count(*) - count(DISTINCT hash({content}))"))
    kinds = {c: kind_of(table.after[c]) for c in columns if kind_of(table.before[c]) == kind_of(table.after[c])}
    texts = [c for c, kind in kinds.items() if kind in ("text", "messages")]
    for column in texts[:MOST_TEXTS]:
        name = name_sql(column)
        if kinds[column] == "messages":
            total = f"list_sum(list_transform({name}, lambda m: length(m.content)))"
            measures.append((f"mean turns of {column}", "turns", f"avg(len({name}))"))
        else:
            total = f"length({name}::VARCHAR)"
        measures.append((f"mean length of {column}", "characters", f"avg({total})"))
        measures.append((f"median length of {column}", "characters", f"median({total})"))
    return measures


def _measured(rows: RowReader, side: Side, measures: list[str]) -> list[float | None]:
    with rows.seen(side.files, side.overlay) as (cursor, relation, _, _):
        found = cursor.execute(f"SELECT {', '.join(measures)} FROM {relation}").fetchone() or ()
    return [None if value is None else float(value) for value in found]


def _groups(rows: RowReader, before: Side, after: Side, column: str) -> list[Shift]:
    """Shares of the most frequent values of a column."""
    shares = []
    for side in (before, after):
        with rows.seen(side.files, side.overlay) as (cursor, relation, _, _):
            shares.append(_shares(cursor, relation, name_sql(column)))
    one, two = shares
    names = sorted({*one, *two}, key=lambda name: (-max(one.get(name, 0), two.get(name, 0)), name))
    return [Shift(f"{column}: {name}", one.get(name, 0.0), two.get(name, 0.0), "share") for name in names[:MOST_VALUES]]


def _shares(cursor: duckdb.DuckDBPyConnection, relation: str, column: str) -> dict[str, float]:
    rows = cursor.execute(
        f"SELECT coalesce({column}::VARCHAR, 'none'), count(*) / sum(count(*)) OVER () FROM {relation} GROUP BY 1"
        " ORDER BY 2 DESC, 1 LIMIT 1000"
    ).fetchall()
    return {str(value): float(share) for value, share in rows}
