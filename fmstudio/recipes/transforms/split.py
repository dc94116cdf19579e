"""Train, validation and test: which row goes where, by chance, by strata, by groups or by time."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

from fmstudio.api import ROW_ID, UserError
from fmstudio.core.sql import literal, name_sql
from fmstudio.core.words import plural
from fmstudio.recipes.transforms.chance import key_sql, unit_sql
from fmstudio.recipes.transforms.kind import CHANGED, SPLIT, TARGET, Plan
from fmstudio.recipes.transforms.near_duplicates import PREVIEW_ROWS, find_clusters
from fmstudio.recipes.transforms.near_duplicates_preview import find_clusters_in_sql
from fmstudio.recipes.transforms.params import SplitParams
from fmstudio.recipes.transforms.scope import SOURCE, Scope, first_row

_TABLE = "splits"
_BATCH = 100_000
_GOLDEN = 0.6180339887498949
"""Its multiples, without their whole parts, lie evenly in [0, 1) however many are taken."""

_SURELY = 50
"""Rows a split may expect from which chance does not leave it empty: e^-50."""


def plan_split(scope: Scope, params: SplitParams) -> Plan:
    """Give each row its split: as a column, or as the dataset it goes to."""
    shares = params.shares
    notes: list[str] = []
    warnings = []
    if abs(params.train + params.validation + params.test - 1) > 1e-9:
        said = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        warnings.append(f"The shares do not sum to 1, so they are taken in proportion: {said}.")
    value = _value(scope, params, shares, notes, warnings)
    is_part = scope.is_preview and params.method == "near duplicates" and _is_part(scope)
    rows = SOURCE
    if is_part:
        notes.append(f"Estimated: the preview compares {PREVIEW_ROWS:,} rows only; the job compares all.")
        rows = f"(SELECT * FROM {SOURCE} WHERE {ROW_ID} IN (SELECT {ROW_ID} FROM {_TABLE})) AS {SOURCE}"
    else:
        warnings += _empty_ones(scope, params, shares, value)
    if params.output == "datasets":
        sql = f"SELECT *, {value} AS {TARGET} FROM {rows}"
        return Plan(sql, (), notes, is_aligned=False, warnings=warnings, is_part=is_part)
    old = next((name for name in scope.names if name.casefold() == SPLIT), None)
    if old is None:
        sql = f"SELECT *, {value} AS {SPLIT}, 1 AS {CHANGED} FROM {rows}"
    else:
        warnings.append(f"The column “{old}” is there already and is replaced.")
        differs = f"(CAST({name_sql(old)} AS VARCHAR) IS DISTINCT FROM __split)::INTEGER AS {CHANGED}"
        made = f"SELECT *, {value} AS __split FROM {rows}"
        sql = f"SELECT * EXCLUDE (__split) REPLACE (__split AS {name_sql(old)}), {differs} FROM ({made})"
    return Plan(sql, (), notes, "cells", warnings=warnings, is_part=is_part)


def _is_part(scope: Scope) -> bool:
    """Whether only some of the rows got a split."""
    return bool(scope.count(f"SELECT (SELECT count(*) FROM {_TABLE}) < (SELECT count(*) FROM {SOURCE})"))


def _empty_ones(scope: Scope, params: SplitParams, shares: Mapping[str, float], value: str) -> list[str]:
    """Say which splits get no row, if any: they were asked for, and a test without rows is found out late."""
    rows = f"(SELECT split FROM {_TABLE})"
    if params.method == "random":
        total = int(scope.count(f"SELECT count(*) FROM {SOURCE}"))
        if total * min(shares.values()) > _SURELY:
            return []
        rows = f"(SELECT {value} AS split FROM {SOURCE})"
    there = {name for (name,) in scope.connection.execute(f"SELECT DISTINCT split FROM {rows}").fetchall()}
    empty = [f"“{name}”" for name in shares if name not in there]
    if not there or not empty:
        return []
    few = {"grouped": "groups", "near duplicates": "different texts", "time": "different moments"}
    what = few.get(params.method, "rows")
    return [f"No row goes to {' or '.join(empty)}: there are too few {what} for these shares."]


def _value(
    scope: Scope, params: SplitParams, shares: Mapping[str, float], notes: list[str], warnings: list[str]
) -> str:
    """The row's split as SQL."""
    if params.method == "random":
        return _by_position(unit_sql(ROW_ID, params.seed), shares)
    if params.method == "near duplicates":
        _group_near_duplicates(scope, params, notes)
        _assign_groups(scope, params, shares, "SELECT row_id, cluster AS grp FROM clusters", notes)
    else:
        name = scope.column(params.column, may_be_id=True)
        column = name_sql(name)
        if params.method == "grouped":
            # A row without a group is a group of its own.
            alone = f"coalesce('v' || CAST({column} AS VARCHAR), 'r' || {ROW_ID})"
            _assign_groups(scope, params, shares, f"SELECT {ROW_ID}, {alone} AS grp FROM {SOURCE}", notes)
        elif params.method == "stratified":
            _assign_strata(scope, params, shares, column, notes)
        else:
            _assign_times(scope, name, shares, notes, warnings)
    # Not a join, so that each row is there once whatever happens.
    return f"(SELECT any_value(s.split) FROM {_TABLE} s WHERE s.{ROW_ID} = {SOURCE}.{ROW_ID})"


def _by_position(position: str, shares: Mapping[str, float]) -> str:
    """The split at a position in [0, 1), as SQL."""
    cases, reached = "", 0.0
    names = list(shares)
    for name in names[:-1]:
        reached += shares[name]
        cases += f" WHEN {position} < {reached!r} THEN {literal(name)}"
    return f"CASE{cases} ELSE {literal(names[-1])} END"


def _assign_strata(
    scope: Scope, params: SplitParams, shares: Mapping[str, float], column: str, notes: list[str]
) -> None:
    """Each value by itself, by rank, so that its shares are as exact as its number of rows allows.

    What is left over where a number of rows does not divide goes to one split here and to another there, evenly, so that
    the shares hold over all values together, too, even when each has but few rows.
    """
    key = key_sql(ROW_ID, params.seed)
    order = f"{key_sql('stratum', params.seed)}, CAST(stratum AS VARCHAR) NULLS FIRST"
    strata = (
        f"SELECT stratum, count(*) AS n, (row_number() OVER (ORDER BY {order}) * {_GOLDEN}) % 1 AS shift"
        f" FROM (SELECT {column} AS stratum FROM {SOURCE}) GROUP BY stratum"
    )
    ranked = (
        f"SELECT {ROW_ID}, {column} AS stratum,"
        f" row_number() OVER (PARTITION BY {column} ORDER BY {key}, {ROW_ID}) - 1 AS place FROM {SOURCE}"
    )
    rows = (
        f"SELECT r.{ROW_ID}, (r.place + s.shift) / s.n AS position FROM ({ranked}) r JOIN ({strata}) s"
        " ON r.stratum IS NOT DISTINCT FROM s.stratum"
    )
    _make(scope, f"SELECT {ROW_ID}, {_by_position('position', shares)} AS split FROM ({rows})")
    fewest = math.ceil(1 / min(shares.values()) - 1e-9)
    small = scope.count(
        f"SELECT count(*) FROM (SELECT count(*) AS n FROM {SOURCE} GROUP BY {column}) WHERE n < {fewest}"
    )
    if small:
        values = plural(small, "value has", "values have")
        notes.append(f"{values} fewer than {fewest} rows, too few to be in every split.")


def _assign_times(scope: Scope, name: str, shares: Mapping[str, float], notes: list[str], warnings: list[str]) -> None:
    """The oldest rows come first; rows of one moment stay together."""
    moment = _moment(scope, name, warnings)
    total = int(scope.count(f"SELECT count({moment}) FROM {SOURCE}"))
    if not total:
        raise UserError(f"The column “{name}” is empty.", remedy="Choose one with dates, times or numbers.")
    timed = f"SELECT {ROW_ID}, {moment} AS moment FROM {SOURCE}"
    middle = "count(*) OVER (PARTITION BY moment) / 2"
    position = f"(rank() OVER (ORDER BY moment) - 1 + {middle}) / {total}::DOUBLE"
    rows = f"SELECT {ROW_ID}, {position} AS position FROM ({timed}) WHERE moment IS NOT NULL"
    first = next(iter(shares))
    _make(
        scope,
        f"SELECT {ROW_ID}, {_by_position('position', shares)} AS split FROM ({rows}) UNION ALL"
        f" SELECT {ROW_ID}, {literal(first)} FROM ({timed}) WHERE moment IS NULL",
    )
    if missing := scope.count(f"SELECT count(*) FROM {SOURCE} WHERE {moment} IS NULL"):
        notes.append(f"{plural(missing, 'row has', 'rows have')} no value there and go to {first}.")


def _moment(scope: Scope, name: str, warnings: list[str]) -> str:
    """What to order by, as SQL: texts that are all dates, or all numbers, by what they mean; others as texts."""
    column = name_sql(name)
    if scope.columns[name].id != "varchar":
        return column
    text = f"nullif(trim({column}), '')"
    meanings = [f"TRY_CAST({text} AS {kind})" for kind in ("TIMESTAMPTZ", "DOUBLE")]
    counts = ", ".join(f"count({value})" for value in (text, *meanings))
    there, *fitting = first_row(scope.connection, f"SELECT {counts} FROM {SOURCE}")
    for meaning, fits in zip(meanings, fitting, strict=True):
        if fits == there:
            return meaning
    example = scope.count(f"SELECT min({text}) FROM {SOURCE} WHERE {meanings[0]} IS NULL")
    warnings.append(
        f"“{name}” holds texts that are no dates (“{example[:40]}”), so rows are ordered as texts are, letter by letter."
        " Write dates as 2024-01-31."
    )
    return text


def _group_near_duplicates(scope: Scope, params: SplitParams, notes: list[str]) -> None:
    column = scope.column(params.column) if params.column.strip() else ""
    find = find_clusters_in_sql if scope.is_preview else find_clusters
    seen = find(scope, column, params.similarity)
    repeated = scope.count("SELECT count(*) - count(DISTINCT cluster) FROM clusters")
    notes.append(f"Nearly the same as another one, and kept together with it: {repeated:,} of {plural(seen, 'row')}.")


def _assign_groups(
    scope: Scope, params: SplitParams, shares: Mapping[str, float], groups: str, notes: list[str]
) -> None:
    """Whole groups, the large ones first, each to the split that lacks most: shares hold as well as groups allow."""
    key = key_sql("grp", params.seed)
    scope.connection.execute(f"CREATE OR REPLACE TEMP TABLE grouped AS {groups}")
    scope.connection.execute(
        "CREATE OR REPLACE TEMP TABLE sizes AS SELECT grp, count(*) AS n,"
        f" row_number() OVER (ORDER BY count(*) DESC, {key}, grp) - 1 AS place FROM grouped GROUP BY grp"
    )
    sizes = _group_sizes(scope)
    chosen, names = place_groups(sizes, list(shares.values())), list(shares)
    scope.connection.execute("CREATE OR REPLACE TEMP TABLE given (place BIGINT, split TINYINT)")
    for start in range(0, len(chosen), _BATCH):
        part = f"SELECT unnest(part), {start} - 1 + generate_subscripts(part, 1) FROM (SELECT ?::TINYINT[] AS part)"
        scope.connection.execute(f"INSERT INTO given (split, place) {part}", [chosen[start : start + _BATCH]])
    cases = " ".join(f"WHEN {number} THEN {literal(name)}" for number, name in enumerate(names))
    _make(
        scope,
        f"SELECT g.{ROW_ID}, CASE given.split {cases} END AS split"
        " FROM grouped g JOIN sizes USING (grp) JOIN given USING (place)",
    )
    total = sum(sizes)
    if total and sizes[0] > total * min(shares.values()):
        notes.append(f"The largest group has {sizes[0]:,} of {total:,} rows, so the shares cannot be kept exactly.")


def _group_sizes(scope: Scope) -> Sequence[int]:
    """Rows of each group, in their order: 8 bytes a group, and without numpy, which the window does without."""
    sizes = array("q")
    cursor = scope.connection.execute("SELECT n FROM sizes ORDER BY place")
    while some := cursor.fetchmany(_BATCH):
        sizes.extend(size for (size,) in some)
    return sizes


def place_groups(sizes: Sequence[int], shares: list[float]) -> list[int]:
    """For each group, in this order, the number of the split that lacks most rows of its share."""
    total = float(sum(sizes))
    lacking = [share * total for share in shares]
    chosen = []
    for size in sizes:
        split = lacking.index(max(lacking))
        lacking[split] -= size
        chosen.append(split)
    return chosen


def _make(scope: Scope, sql: str) -> None:
    scope.connection.execute(f"CREATE OR REPLACE TEMP TABLE {_TABLE} AS {sql}")
