"""Counts what columns hold, in DuckDB, over rows given as SQL. What is measured of a value depends on its kind: a number
itself, a text's characters, a conversation's characters, a list's length, a moment's seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from fmstudio.api.rows import ROW_ID
from fmstudio.core.sql import literal, name_sql
from fmstudio.project.filters import Kind, kind_of
from fmstudio.project.statistics_bins import Measured, histogram
from fmstudio.project.statistics_model import ColumnStatistics, ColumnSummary, Spread

COLUMNS_AT_ONCE = 24
"""Columns whose measures are held together: each takes blocks of a quarter of a megabyte, however few rows there are, so that
400 columns at once took 1.2 GB."""
TOP, SAMPLES, OUTLIERS = 20, 5, 8
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
EXACT_DISTINCT_ROWS = 2_000_000
FAR = 3.5
"""Modified z-score from which a value counts as an outlier: 0.6745 × distance / MAD (Iglewicz & Hoaglin, 1993)."""

TOKEN_COUNTS = ("tokens", "n_tokens", "num_tokens", "token_count")
"""Columns in which a tokenizer's counts are found, alone or behind the name of the column they count."""

_NOT_CJK = r"[^\x{2E80}-\x{9FFF}\x{AC00}-\x{D7AF}\x{F900}-\x{FAFF}]+"
_UNEVEN = r"\s\s|[^\S ]|^\s|\s$"
"""White space other than single spaces between words: then counting spaces does not count words."""


@dataclass(slots=True)
class CountedRows:
    """The rows of one question: cursor, SQL of the rows, columns with types, number of rows."""

    cursor: duckdb.DuckDBPyConnection
    sql: str
    types: dict[str, str]
    count: int
    key: str
    sampled: str = ""


# ---- what is measured ------------------------------------------------------------------------------------------------


def _is_list(kind: Kind, type_name: str) -> bool:
    """Whether a value is a list of which the items are counted."""
    return kind == "texts" or (kind == "nested" and type_name.endswith("]"))


def _measure(column: str, kind: Kind, type_name: str) -> str:
    """SQL of the number that stands for a value."""
    name = name_sql(column)
    if _is_list(kind, type_name):
        return f"len({name})::DOUBLE"
    if kind == "number":
        return f"CASE WHEN isfinite({name}::DOUBLE) THEN {name}::DOUBLE END"
    if kind == "text":
        return f"length({name}::VARCHAR)::DOUBLE"
    if kind == "boolean":
        return f"{name}::INTEGER::DOUBLE"
    if kind == "time":
        return f"epoch({name})"
    if kind == "messages":
        return f"coalesce(list_sum(list_transform({name}, lambda m: length(m['content']))), 0)::DOUBLE"
    if kind == "bytes":
        return f"octet_length({name})::DOUBLE"
    return f"length({name}::VARCHAR)::DOUBLE"


_MEASURES: dict[str, str] = {
    "number": "value", "text": "characters", "boolean": "value", "time": "time", "messages": "characters",
    "texts": "items", "bytes": "bytes", "nested": "characters",
}  # fmt: skip


# ---- headers ---------------------------------------------------------------------------------------------------------


def summaries(rows: CountedRows) -> list[ColumnSummary]:
    """Measure the sample of some columns after the other, then count a histogram of each."""
    names = [name for name in rows.types if name != ROW_ID]
    return [
        summary
        for n in range(0, len(names), COLUMNS_AT_ONCE)
        for summary in _some(rows, names[n : n + COLUMNS_AT_ONCE])
    ]


def _some(rows: CountedRows, names: list[str]) -> Iterator[ColumnSummary]:
    kinds = [kind_of(rows.types[name]) for name in names]
    measured = [
        f"{_measure(name, kind, rows.types[name])} AS m{i}, {name_sql(name)} IS NULL AS z{i}, hash({name_sql(name)}) AS h{i}"
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    where = f"WHERE {rows.sampled}" if rows.sampled else ""
    table = f"summary_{threading.get_ident()}"
    cursor = rows.cursor
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {', '.join(measured)} FROM {rows.sql} {where}")
    try:
        asked = [
            f"count(*) FILTER (z{i}), approx_count_distinct(h{i}) FILTER (NOT z{i}), min(m{i}), max(m{i})"
            for i in range(len(names))
        ]
        found = cursor.execute(f"SELECT count(*), {', '.join(asked)} FROM {table}").fetchone() or ()
        taken = int(found[0])
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            missing, distinct, low, high = found[1 + 4 * i : 5 + 4 * i]
            scale = rows.count / taken if taken and rows.sampled else 1.0
            bins = histogram(cursor, Measured(table, f"m{i}", low, high, kind, rows.types[name]), scale)
            is_all_different = rows.sampled and distinct > 0.9 * (taken - missing)
            scaled = round(distinct * scale) if is_all_different else int(distinct)
            yield ColumnSummary(
                name, rows.types[name], kind, rows.count, round(missing * scale), min(scaled, rows.count), bins,
                bool(rows.sampled),
            )  # fmt: skip
    finally:
        cursor.execute(f"DROP TABLE IF EXISTS {table}")


# ---- one column ------------------------------------------------------------------------------------------------------


def statistics_of(rows: CountedRows, name: str) -> ColumnStatistics:
    """Count everything about one column, over all rows."""
    type_name = rows.types[name]
    kind, is_list = kind_of(type_name), _is_list(kind_of(type_name), type_name)
    column = name_sql(name)
    cursor = rows.cursor
    table = f"column_{threading.get_ident()}"
    counted = _token_column(name, rows.types)
    extra = _extra(name, kind, counted)
    measures = {"m": _measure(name, kind, type_name), "z": f"{column} IS NULL", "h": f"hash({column})", **extra}
    chosen = ", ".join(f"{sql} AS {key}" for key, sql in measures.items())
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {ROW_ID} AS id, {chosen} FROM {rows.sql}")
    try:
        is_estimate = rows.count > EXACT_DISTINCT_ROWS
        count_distinct = "approx_count_distinct(h)" if is_estimate else "count(DISTINCT h)"
        found = cursor.execute(
            f"SELECT count(*) FILTER (z), {count_distinct} FILTER (NOT z), min(m), max(m), count(*) FROM {table}"
        ).fetchone() or (0, 0, None, None, 0)
        missing, distinct, low, high, total = found
        there = total - missing
        spreads = {key: _spread(cursor, table, key) for key in extra}
        values = _spread(cursor, table, "m") if kind in ("number", "time") else None
        if values is not None and kind == "number" and not _is_floating(type_name):
            values = replace(values, **_ends(rows, column))
        lengths = _spread(cursor, table, "m") if kind in ("text", "messages", "nested") and not is_list else None
        is_emptiable = is_list or kind in ("text", "messages")
        empty = _one(cursor, f"SELECT count(*) FROM {table} WHERE m = 0 AND NOT z") if is_emptiable else 0
        return ColumnStatistics(
            name=name,
            type=type_name,
            kind=kind,
            rows=total,
            missing=missing,
            empty=empty,
            distinct=min(distinct, there),
            is_distinct_estimate=is_estimate,
            duplicates=max(0, there - distinct),
            histogram=histogram(cursor, Measured(table, "m", low, high, kind, type_name)),
            measure="items" if is_list else _MEASURES[kind],
            values=values,
            characters=lengths,
            words=spreads.get("words"),
            turns=spreads.get("turns"),
            contents=_contents(rows, column) if kind == "messages" else None,
            items=_spread(cursor, table, "m") if is_list else None,
            tokens=spreads.get("tokens"),
            is_token_estimate=not counted,
            top=_top(rows, name, kind),
            outliers=_outliers(cursor, table, kind),
            samples=_samples(rows, column, table),
        )
    finally:
        cursor.execute(f"DROP TABLE IF EXISTS {table}")


def _is_floating(type_name: str) -> bool:
    return type_name.lower().startswith(("float", "double", "half", "real"))


def _ends(rows: CountedRows, column: str) -> dict[str, Any]:
    """The lowest and the highest number to the last digit: as a decimal number of 64 bits, a long one would lose some."""
    low, high = rows.cursor.execute(f"SELECT min({column}), max({column}) FROM {rows.sql}").fetchone() or (None, None)
    return {"lowest": low, "highest": high}


def _token_column(name: str, types: dict[str, str]) -> str:
    """The column with a tokenizer's counts of this one; empty when there is none."""
    texts = [c for c, type_name in types.items() if kind_of(type_name) in ("text", "messages")]
    wanted = [f"{name}_{count}" for count in TOKEN_COUNTS] + (list(TOKEN_COUNTS) if texts == [name] else [])
    return next((c for c in wanted if c in types and kind_of(types[c]) == "number"), "")


def _extra(name: str, kind: Kind, counted: str) -> dict[str, str]:
    """More measures of a value, in SQL."""
    column = name_sql(name)
    if kind == "text":
        text = f"{column}::VARCHAR"
    elif kind == "messages":
        text = f"array_to_string(list_transform({column}, lambda m: coalesce(m['content'], '')), ' ')"
    else:
        return {}
    # Regular expressions cost seconds on a million texts: they are asked only where plainer counting would be wrong.
    cjk = f"CASE WHEN strlen({text}) = length({text}) THEN 0 ELSE length(regexp_replace({text}, '{_NOT_CJK}', '', 'g')) END"
    spaces = f"strlen({text}) - strlen(replace({text}, ' ', '')) + 1"
    words = f"len(list_filter(string_split_regex({text}, '\\s+'), lambda word: word <> ''))"
    more = {
        "words": f"(CASE WHEN {text} = '' THEN 0 WHEN regexp_matches({text}, '{_UNEVEN}') THEN {words} ELSE {spaces} END)::DOUBLE",
        "tokens": f"{name_sql(counted)}::DOUBLE"
        if counted
        else f"ceil({cjk} + (length({text}) - {cjk}) / 4.0)::DOUBLE",
    }
    return {**more, "turns": f"len({column})::DOUBLE"} if kind == "messages" else more


def _contents(rows: CountedRows, column: str) -> Spread | None:
    """The spread of the characters of single messages."""
    contents = f"(SELECT length(unnest({column}).content)::DOUBLE AS m FROM {rows.sql})"
    return _spread(rows.cursor, contents, "m")


def _spread(cursor: duckdb.DuckDBPyConnection, table: str, measure: str) -> Spread | None:
    shares = ", ".join(str(share) for share in QUANTILES)
    row = cursor.execute(
        f"SELECT min({measure}), max({measure}), avg({measure}), coalesce(stddev_samp({measure}), 0),"
        f" quantile_cont({measure}, [{shares}]), sum({measure}) FROM {table}"
    ).fetchone()
    if row is None or row[0] is None:
        return None
    return Spread(row[0], row[1], row[2], row[3], dict(zip(QUANTILES, row[4], strict=True)), row[5])


def _top(rows: CountedRows, name: str, kind: Kind) -> tuple[tuple[Any, int], ...]:
    """The most frequent values; of conversations their roles, of lists their items, of records the keys that are there."""
    column = name_sql(name)
    if kind == "nested":
        return _keys(rows, name)
    if kind == "bytes":
        return ()
    value = {"messages": f"unnest({column}).role", "texts": f"unnest({column})"}.get(kind, column)
    return tuple(
        rows.cursor.execute(
            f"SELECT v, count(*) AS n FROM (SELECT {value} AS v FROM {rows.sql}) WHERE v IS NOT NULL GROUP BY v"
            f" ORDER BY n DESC, v LIMIT {TOP}"
        ).fetchall()
    )


def _keys(rows: CountedRows, name: str) -> tuple[tuple[str, int], ...]:
    """The keys of records, and in how many rows each has a value."""
    kind = rows.cursor.execute(f"SELECT {name_sql(name)} FROM {rows.sql} LIMIT 0").description[0][1]
    if str(kind.id) != "struct":
        return ()
    keys = [key for key, _ in kind.children]
    counts = ", ".join(f"count(struct_extract({name_sql(name)}, {literal(key)}))" for key in keys)
    found = rows.cursor.execute(f"SELECT {counts} FROM {rows.sql}").fetchone() or ()
    return tuple(sorted(zip(keys, found, strict=True), key=lambda item: -item[1])[:TOP])


def _outliers(cursor: duckdb.DuckDBPyConnection, table: str, kind: Kind) -> tuple[tuple[int, Any], ...]:
    if kind == "boolean":
        return ()
    row = cursor.execute(f"SELECT median(m), mad(m) FROM {table}").fetchone()
    if row is None or not row[1]:
        return ()
    middle, mad = row
    return tuple(
        cursor.execute(
            f"SELECT id, m FROM {table} WHERE 0.6745 * abs(m - {middle!r}) / {mad!r} > {FAR}"
            f" ORDER BY abs(m - {middle!r}) DESC, id LIMIT {OUTLIERS}"
        ).fetchall()
    )


def _samples(rows: CountedRows, column: str, table: str) -> tuple[tuple[int, Any], ...]:
    """A few values from all over, the same ones each time."""
    ids = rows.cursor.execute(f"SELECT id FROM {table} WHERE NOT z ORDER BY hash(id) LIMIT {SAMPLES}").fetchall()
    if not ids:
        return ()
    wanted = ", ".join(str(row[0]) for row in ids)
    found = rows.cursor.execute(
        f"SELECT {ROW_ID}, {column} FROM {rows.sql} WHERE {ROW_ID} IN ({wanted}) ORDER BY {ROW_ID}"
    ).fetchall()
    return tuple(found)


def _one(cursor: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = cursor.execute(sql).fetchone()
    return int(row[0]) if row else 0
