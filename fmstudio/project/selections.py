"""`Selections`: which rows a filter lets through, in which order, each worked out once.

While few rows match they are kept whole, so that a page of them is read from memory: fetching 200 rows from all over a
version would decompress all of it once more, which takes as long as the filter. Of many rows only the ids are kept; who
wants to see the first of them has these before the others are looked for.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import duckdb

from fmstudio.api.errors import UserError
from fmstudio.api.rows import ROW_ID
from fmstudio.project.row_index import RowIndex

KEPT = 3
WHOLE_BYTES = 16 << 20
"""Rows that match are kept whole up to this size."""
CHUNK_BYTES = 256 << 20
"""Uncompressed size of the rows that are looked at before it is asked whether too many match: each further question takes
two hundredths of a second."""
FIRST_SHARE = 16
"""The first look is at a sixteenth of the rows: where most of them match, little was done in vain."""
LIKELY_TOO_MANY = 2
"""So many times more matches than can be kept whole must be expected, by what was seen, before only ids are looked for."""

FIRST_FROM = 8
"""Of rows of which one in eight matches, the first ones are found much sooner than all (a third of the time where all do, of
10 M rows); of fewer, hardly."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of rows.

    Attributes:
        rows: The rows, as SQL.
        key: Names the state of these rows.
        where: SQL condition; empty = all.
        order_by: SQL order; empty = by ``row_id``.
    """

    rows: str
    key: str
    where: str
    order_by: str

    @property
    def order(self) -> str:
        """The whole order, in which no two rows are equal."""
        return f"ORDER BY {self.order_by}\n, {ROW_ID}" if self.order_by.strip() else f"ORDER BY {ROW_ID}"

    def part(self, ids: str) -> str:
        """The rows that match, among those whose ids do; the user's condition stands alone in its brackets."""
        return f"SELECT * FROM (SELECT * FROM {self.rows} WHERE {ids}) WHERE ({self.where.strip() or 'true'}\n)"

    def check(self) -> None:
        """See that it is one question.

        Raises:
            UserError: It holds a second statement.
            duckdb.Error: It is no SQL.
        """
        if len(duckdb.extract_statements(f"{self.part('true')} {self.order}")) != 1:
            raise UserError("Only one condition is allowed here.", remedy="Leave out the semicolon.")


@dataclass(frozen=True, slots=True)
class Selection:
    """Table `name` holds, in order, the `total` rows that match: all their columns, or (not `is_whole`) only the ids.

    Attributes:
        is_all: Whether these are all that match; else they are the first ones, `total` of them.
        head: The first ones, where they were looked for before all.
    """

    name: str
    total: int
    is_whole: bool
    is_all: bool = True
    head: Selection | None = None

    def tables(self) -> list[str]:
        """The tables it needs."""
        return [self.name, *(self.head.tables() if self.head else ())]


class Selections:
    """The selections of one database. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._made: OrderedDict[tuple[str, str, str], Selection] = OrderedDict()
        self._making: set[tuple[str, str, str]] = set()

    def find(self, cursor: duckdb.DuckDBPyConnection, question: Question, index: RowIndex, first: int = 0) -> Selection:
        """Make the selection, or find it when it was asked for of late.

        Args:
            index: Where the rows of the version are; rows that edits added have higher ids.
            first: So many of the first rows will do, where finding all that match takes much longer; 0 = all are wanted.

        Raises:
            UserError: The question is not a single one.
            duckdb.Error: It cannot be run.
        """
        key = (question.key, question.where, question.order_by)
        with self._lock:
            self._lock.wait_for(lambda: key not in self._making)  # pages of it are asked for together
            known = self._made.get(key)
            if known is not None and (known.is_all or known.total >= first > 0):
                self._made.move_to_end(key)
                return known
            self._making.add(key)
        try:
            question.check()
            name = f"sel_{hashlib.blake2b(repr(key).encode(), digest_size=8).hexdigest()}"
            return self._keep(cursor, key, _Search(cursor, question, index, name).make(first))
        finally:
            with self._lock:
                self._making.discard(key)
                self._lock.notify_all()

    def _keep(self, cursor: duckdb.DuckDBPyConnection, key: tuple[str, str, str], selection: Selection) -> Selection:
        with self._lock:
            known = self._made.get(key)
            self._made[key] = selection = replace(selection, head=known)
            self._made.move_to_end(key)
            while len(self._made) > KEPT:
                _, old = self._made.popitem(last=False)
                for table in old.tables():
                    cursor.execute(f"DROP TABLE IF EXISTS {table}")
        return selection


def question_error(
    cursor: duckdb.DuckDBPyConnection, question: Question, error: duckdb.Error, columns: Sequence[str]
) -> UserError:
    """Say in words what is wrong with a question: its condition, or else its order."""
    what, remedy = "This filter", "Write a SQL condition over the columns, e.g. length(text) > 100."
    if question.order_by.strip():
        try:
            cursor.execute(f"{question.part('true')} LIMIT 0").fetchall()
        except duckdb.Error as same:
            error = same
        else:
            what, remedy = "This order", "Write columns or expressions, e.g. length(text) DESC."
    from fmstudio.recipes.sandbox import sentence  # brings pydantic; only a refusal needs it

    said = sentence(error, what, columns, sql=question.where or question.order_by)
    return UserError(said.message, remedy=said.remedy or remedy, details=said.details)


class _Search:
    """One question while it is looked into."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, question: Question, index: RowIndex, name: str) -> None:
        self._cursor, self._question, self._index, self._name = cursor, question, index, name

    def make(self, first: int) -> Selection:
        """See `Selections.find`."""
        question, index = self._question, self._index
        if not question.where.strip():
            rows = f"SELECT * FROM {question.rows}"
            return self._first(rows, first) if first else self._ordered(rows, ROW_ID)
        most_rows = WHOLE_BYTES // (row_bytes := max(index.bytes // max(index.total, 1), 1))
        *pieces, last = _pieces(index, row_bytes)
        found, rows = f"{self._name}_found", ""
        try:
            for (_, low), (seen, high) in pairwise([*pieces, last]):
                make = f"INSERT INTO {found}" if rows else f"CREATE OR REPLACE TABLE {found} AS"
                self._cursor.execute(f"{make} {question.part(_between(low, high))}")
                rows = f"SELECT * FROM {found} UNION ALL BY NAME "
                count = _count(self._cursor, found)
                if count > most_rows or count * index.total > LIKELY_TOO_MANY * most_rows * seen:
                    if first and count * FIRST_FROM >= seen:
                        is_in_order = count >= first and not question.order_by.strip()
                        return self._first(f"SELECT * FROM {found}" if is_in_order else question.part("true"), first)
                    return self._ordered(rows + question.part(_between(high, None)), ROW_ID)
            whole = self._ordered(rows + question.part(_between(last[1], None)), "*")
            if whole.total <= most_rows:
                return whole
            self._cursor.execute(f"CREATE OR REPLACE TABLE {self._name} AS SELECT {ROW_ID} FROM {self._name}")
            return Selection(self._name, whole.total, False)
        finally:
            self._cursor.execute(f"DROP TABLE IF EXISTS {found}")

    def _ordered(self, rows: str, columns: str) -> Selection:
        self._cursor.execute(
            f"CREATE OR REPLACE TABLE {self._name} AS SELECT {columns} FROM ({rows}) {self._question.order}"
        )
        return Selection(self._name, _count(self._cursor, self._name), columns == "*")

    def _first(self, rows: str, first: int) -> Selection:
        """Only the first rows: a top-n query takes three fifths of what ordering the ids of all takes (143, 237 ms at 1 M)."""
        name = f"{self._name}_first"
        self._cursor.execute(
            f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM ({rows}) {self._question.order} LIMIT {first}"
        )
        total = _count(self._cursor, name)
        return Selection(name, total, True, total < first)


def _count(cursor: duckdb.DuckDBPyConnection, table: str) -> int:
    row = cursor.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0


def _pieces(index: RowIndex, row_bytes: int) -> list[tuple[int, int | None]]:
    """Position and row id (None = from the start) of the first row of each piece, which are looked at one by one."""
    step = CHUNK_BYTES // row_bytes
    pieces: list[tuple[int, int | None]] = [(0, None)]
    if index.total <= step // FIRST_SHARE:
        return pieces
    wanted = min(step, index.total // FIRST_SHARE)
    for start, first in zip(index.starts, index.first_ids, strict=True):
        if start >= wanted:
            pieces.append((start, first))
            wanted = start + step
    return pieces


def _between(low: int | None, high: int | None) -> str:
    """Ids from `low` up to but without `high`; None = open."""
    bounds = [f"{ROW_ID} >= {low}"] if low is not None else []
    bounds += [f"{ROW_ID} < {high}"] if high is not None else []
    return " AND ".join(bounds) or "true"
