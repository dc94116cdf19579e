"""`preview_transform`: what a transform would do, on a few rows and in numbers, without writing anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID
from fmstudio.core.words import plural
from fmstudio.recipes.sandbox import Seen, told
from fmstudio.recipes.transforms import Makes, Plan, TransformKind
from fmstudio.recipes.transforms.kind import CHANGED, CONTROL, FAILED, LOST, REASON, SPLIT, TARGET
from fmstudio.recipes.transforms.scope import SOURCE, Scope, columns_of, first_row

if TYPE_CHECKING:
    import duckdb

EXACT_ROWS = 300_000
"""Rows up to which everything is counted; in larger datasets what must read whole rows is estimated from a part."""

_BLOCKS, _BLOCK_ROWS = 24, 4_096
_ROW_BY_ROW = ("compute", "replace", "filter", "delete_where", "split_rows", "cast")


@dataclass(frozen=True, slots=True)
class PreviewColumn:
    """A column of the result, with its SQL type."""

    name: str
    type: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class TransformPreview:
    """What a transform would do.

    Attributes:
        columns: Columns of the result, ``row_id`` first (without it when all rows get new ids).
        before: Rows as they are. Where rows are dropped (`is_aligned` is false and `dropped` above 0): those that go.
        after: Rows as they would be; when `is_aligned`, each is the same row as in `before`.
        rows_before: Rows of the dataset.
        rows_after: Rows there would be, in all outputs.
        changed: Cells that change (`unit` “cells”) or rows that are dropped or added (“rows”).
        dropped: Rows that would be dropped.
        notes: What to know before it is run, in words; `warnings` are those of them not to be overlooked.
        outputs: Rows of each part of a split (“train” → 80, “test” → 0), whether it is a column or a dataset of its own.
        failure: Why it cannot be run, when a value of some row does not allow it; empty = it can.
        is_estimate: Whether the numbers are scaled up from a part of the rows.
        is_idle: Whether it was looked at in full and would leave everything as it is, so that there is nothing to run.
    """

    columns: tuple[PreviewColumn, ...]
    before: list[dict[str, Any]]
    after: list[dict[str, Any]]
    rows_before: int
    rows_after: int
    changed: int
    dropped: int
    notes: list[str]
    unit: str = "rows"
    makes: Makes = "version"
    is_aligned: bool = True
    outputs: dict[str, int] = field(default_factory=dict)
    failure: str = ""
    is_estimate: bool = False
    is_idle: bool = False
    warnings: list[str] = field(default_factory=list)


def preview_transform(
    connection: duckdb.DuckDBPyConnection,
    kind: TransformKind,
    values: dict[str, Any],
    seen: Seen,
    others: Sequence[Seen],
    limit: int,
) -> TransformPreview:
    """Preview a transform.

    Args:
        connection: A sandbox that can read the files.
        limit: Most rows to show.

    Raises:
        UserError: The parameters are wrong, or the SQL in them is.
        Cancelled: It was interrupted.
    """
    params = kind.parse(values)
    with told(kind.title, []):
        total = int(first_row(connection, f"SELECT count(*) FROM ({seen.sql})")[0])
        part = _part_sql(connection, seen) if total > EXACT_ROWS and kind.id in _ROW_BY_ROW else ""
        scope = Scope.make(connection, seen, others, rows=part, is_preview=True)
        plan = kind.plan(scope, params)
        looking = _Looking(scope, plan, total, limit, is_part=bool(part) or plan.is_part)
        return looking.look(kind.made(params), outputs=list(params.shares) if kind.id == "split" else [])


class _Looking:
    def __init__(self, scope: Scope, plan: Plan, total: int, limit: int, *, is_part: bool) -> None:
        self._scope, self._plan, self._total, self._limit, self._is_part = scope, plan, total, limit, is_part
        queries = [query for query in (plan.kept, *plan.fresh) if query]
        self._types = columns_of(scope.connection, queries[0])
        self._control = [name for name in self._types if name in CONTROL]

    def look(self, makes: Makes, *, outputs: Sequence[str]) -> TransformPreview:
        counts, made = self._counts(), self._made()
        share = self._total / max(counts["rows"], 1) if self._is_part else 1.0
        gone, changed = round(counts["dropped"] * share), round(counts["changed"] * share)
        made = round(made * share)
        stay = (self._kept_rows(counts) if self._plan.kept else 0) if not self._is_part else self._total - gone
        before, after = self._rows(bool(counts["dropped"]))
        columns = [
            PreviewColumn(name, str(kind), name not in self._scope.columns)
            for name, kind in self._types.items()
            if name not in CONTROL
        ]
        is_same = [(c.name, c.type) for c in columns] == [(n, str(t)) for n, t in self._scope.columns.items()]
        return TransformPreview(
            columns=tuple(columns),
            before=before,
            after=after,
            rows_before=self._total,
            rows_after=stay + made,
            changed=changed if self._plan.unit == "cells" else gone + made,
            dropped=gone,
            notes=[*self._plan.warnings, *self._plan.notes, *self._lost_note(counts, share)],
            warnings=[*self._plan.warnings],
            unit=self._plan.unit,
            makes=makes,
            is_aligned=self._plan.is_aligned,
            outputs=self._outputs(outputs, share) if outputs else {},
            failure=counts["failure"] or "",
            is_estimate=self._is_part,
            is_idle=makes == "version" and not self._is_part and not gone and not made and not changed and is_same,
        )

    def _counts(self) -> dict[str, Any]:
        """Rows, dropped, changed and lost ones of the rows that keep their ids, in one pass."""
        if not self._plan.kept:
            return {"rows": 0, "dropped": 0, "changed": 0, "lost": 0, "failure": None}
        wanted = {
            "rows": "count(*)",
            "dropped": f"count({REASON})" if REASON in self._control else "0",
            "changed": f"coalesce(sum({CHANGED}), 0)::BIGINT" if CHANGED in self._control else "0",
            "lost": f"count({LOST})" if LOST in self._control else "0",
            "failure": f"any_value({FAILED})" if FAILED in self._control else "NULL",
        }
        sql = f"SELECT {', '.join(wanted.values())} FROM ({self._plan.kept})"
        return dict(zip(wanted, first_row(self._scope.connection, sql), strict=True))

    def _kept_rows(self, counts: dict[str, Any]) -> int:
        return int(counts["rows"]) - int(counts["dropped"])

    def _made(self) -> int:
        if self._plan.fresh_rows is not None:
            return self._plan.fresh_rows
        return sum(int(self._scope.count(f"SELECT count(*) FROM ({query})")) for query in self._plan.fresh)

    def _outputs(self, names: Sequence[str], share: float) -> dict[str, int]:
        """Rows of each of these splits, also of those that get none."""
        column = TARGET if TARGET in self._control else SPLIT
        sql = f"SELECT {column}, count(*) FROM ({self._plan.kept}) GROUP BY ALL"
        rows = dict(self._scope.connection.execute(sql).fetchall())
        return {name: round(rows.get(name, 0) * share) for name in names}

    def _lost_note(self, counts: dict[str, Any], share: float) -> list[str]:
        if not counts["lost"]:
            return []
        example = self._scope.count(f"SELECT any_value({LOST}) FROM ({self._plan.kept})")
        return [
            f"In {plural(round(counts['lost'] * share), 'row')} a value does not fit and becomes empty, e.g. {example}."
        ]

    def _rows(self, has_dropped: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        plan, limit = self._plan, self._limit
        # Where rows are joined or chosen, DuckDB gives them in any order.
        order = "" if plan.is_aligned else f" ORDER BY {ROW_ID}"
        if plan.kept and has_dropped and not plan.is_aligned:
            gone = self._records(f"SELECT * FROM ({plan.kept}) WHERE {REASON} IS NOT NULL{order} LIMIT {limit}")
            stay = self._records(f"SELECT * FROM ({plan.kept}) WHERE {REASON} IS NULL{order} LIMIT {limit}")
            return self._originals(gone), stay
        if not plan.kept:
            after = self._records(f"SELECT * FROM ({plan.fresh[0]}) LIMIT {limit}")
            return self._records(f"SELECT * FROM {SOURCE} ORDER BY {ROW_ID} LIMIT {limit}"), after
        after = (
            self._records(f"SELECT * FROM ({plan.kept}) WHERE {plan.shows}{order} LIMIT {limit}") if plan.shows else []
        )
        after = after or self._records(f"SELECT * FROM ({plan.kept}){order} LIMIT {limit}")
        before = self._originals(after)
        for query in plan.fresh if not plan.is_aligned else ():
            after += self._records(f"SELECT * FROM ({query}) LIMIT {max(limit - len(after), limit // 2)}")
        return before, after

    def _originals(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The same rows as they are, in the same order."""
        ids = [int(row[ROW_ID]) for row in rows]
        wanted = ", ".join(map(str, ids)) or "NULL"
        found = {r[ROW_ID]: r for r in self._records(f"SELECT * FROM {SOURCE} WHERE {ROW_ID} IN ({wanted})")}
        return [found[row_id] for row_id in ids]

    def _records(self, sql: str) -> list[dict[str, Any]]:
        cursor = self._scope.connection.execute(sql)
        names = [item[0] for item in cursor.description or []]
        return [
            {name: value for name, value in zip(names, row, strict=True) if name not in CONTROL}
            for row in cursor.fetchall()
        ]


def _part_sql(connection: duckdb.DuckDBPyConnection, seen: Seen) -> str:
    """Blocks of rows from all over the dataset, each read by its ids, so that most row groups are skipped."""
    low, high = first_row(connection, f"SELECT min({ROW_ID}), max({ROW_ID}) FROM ({seen.sql})")
    step = max((high - low) // _BLOCKS, _BLOCK_ROWS)
    starts = range(low, high + 1, step)
    blocks = (f"SELECT * FROM ({seen.sql}) WHERE {ROW_ID} BETWEEN {s} AND {s + _BLOCK_ROWS - 1}" for s in starts)
    return " UNION ALL ".join(blocks)
