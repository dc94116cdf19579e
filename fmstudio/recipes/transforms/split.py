"""Train, validation and test: which row goes where, by chance, by strata, by groups or by time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, UserError
from fmstudio.core.sql import literal, name_sql
from fmstudio.core.words import plural
from fmstudio.recipes.transforms.chance import key_sql, unit_sql
from fmstudio.recipes.transforms.kind import CHANGED, SPLIT, TARGET, Plan
from fmstudio.recipes.transforms.near_duplicates import PREVIEW_ROWS, find_clusters
from fmstudio.recipes.transforms.params import SplitParams
from fmstudio.recipes.transforms.scope import SOURCE, Scope

if TYPE_CHECKING:
    import numpy as np

_TABLE = "splits"


def plan_split(scope: Scope, params: SplitParams) -> Plan:
    """Give each row its split: as a column, or as the dataset it goes to."""
    shares = params.shares
    notes: list[str] = []
    warnings = []
    if abs(params.train + params.validation + params.test - 1) > 1e-9:
        said = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        warnings.append(f"The shares do not sum to 1, so they are taken in proportion: {said}.")
    value = _value(scope, params, shares, notes)
    is_part = scope.is_preview and params.method == "near duplicates" and _is_part(scope)
    rows = SOURCE
    if is_part:
        notes.append(f"Estimated: the preview compares {PREVIEW_ROWS:,} rows only; the job compares all.")
        rows = f"(SELECT * FROM {SOURCE} WHERE {ROW_ID} IN (SELECT {ROW_ID} FROM {_TABLE})) AS {SOURCE}"
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


def _value(scope: Scope, params: SplitParams, shares: Mapping[str, float], notes: list[str]) -> str:
    """The row's split as SQL."""
    if params.method == "random":
        return _by_position(unit_sql(ROW_ID, params.seed), shares)
    if params.method == "near duplicates":
        _group_near_duplicates(scope, params, notes)
        _assign_groups(scope, params, shares, "SELECT row_id, cluster AS grp FROM clusters", notes)
    else:
        column = name_sql(scope.column(params.column, may_be_id=True))
        if params.method == "grouped":
            # A row without a group is a group of its own.
            alone = f"coalesce('v' || CAST({column} AS VARCHAR), 'r' || {ROW_ID})"
            _assign_groups(scope, params, shares, f"SELECT {ROW_ID}, {alone} AS grp FROM {SOURCE}", notes)
        elif params.method == "stratified":
            _assign_strata(scope, params, shares, column, notes)
        else:
            _assign_times(scope, params, shares, column, notes)
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
    """Each value by itself, by rank, so that its shares are as exact as its number of rows allows."""
    key = key_sql(ROW_ID, params.seed)
    position = f"(row_number() OVER (PARTITION BY {column} ORDER BY {key}, {ROW_ID}) - 0.5) / count(*) OVER (PARTITION BY {column})"
    rows = f"SELECT {ROW_ID}, {position} AS position FROM {SOURCE}"
    _make(scope, f"SELECT {ROW_ID}, {_by_position('position', shares)} AS split FROM ({rows})")
    fewest = round(1 / min(shares.values()) / 2 + 0.5)
    small = scope.count(
        f"SELECT count(*) FROM (SELECT count(*) AS n FROM {SOURCE} GROUP BY {column}) WHERE n < {fewest}"
    )
    if small:
        values = plural(small, "value has", "values have")
        notes.append(f"{values} fewer than {fewest} rows, too few to be in every split.")


def _assign_times(
    scope: Scope, params: SplitParams, shares: Mapping[str, float], column: str, notes: list[str]
) -> None:
    """The oldest rows come first; rows of one moment stay together."""
    total = int(scope.count(f"SELECT count({column}) FROM {SOURCE}"))
    if not total:
        raise UserError(f"The column {column} is empty.", remedy="Choose one with dates, times or numbers.")
    middle = f"count(*) OVER (PARTITION BY {column}) / 2"
    position = f"(rank() OVER (ORDER BY {column}) - 1 + {middle}) / {total}::DOUBLE"
    rows = f"SELECT {ROW_ID}, {position} AS position FROM {SOURCE} WHERE {column} IS NOT NULL"
    _make(
        scope,
        f"SELECT {ROW_ID}, {_by_position('position', shares)} AS split FROM ({rows}) UNION ALL"
        f" SELECT {ROW_ID}, {literal(next(iter(shares)))} FROM {SOURCE} WHERE {column} IS NULL",
    )
    if missing := scope.count(f"SELECT count(*) FROM {SOURCE} WHERE {column} IS NULL"):
        notes.append(f"{plural(missing, 'row has', 'rows have')} no value there and go to {next(iter(shares))}.")


def _group_near_duplicates(scope: Scope, params: SplitParams, notes: list[str]) -> None:
    column = scope.column(params.column) if params.column.strip() else ""
    seen = find_clusters(scope, column, params.similarity)
    repeated = scope.count("SELECT count(*) - count(DISTINCT cluster) FROM clusters")
    notes.append(f"Nearly the same as another one, and kept together with it: {repeated:,} of {plural(seen, 'row')}.")


def _assign_groups(
    scope: Scope, params: SplitParams, shares: Mapping[str, float], groups: str, notes: list[str]
) -> None:
    """Whole groups, the large ones first, each to the split that lacks most: shares hold as well as groups allow."""
    import pyarrow as pa

    key = key_sql("grp", params.seed)
    scope.connection.execute(f"CREATE OR REPLACE TEMP TABLE grouped AS {groups}")
    scope.connection.execute(
        "CREATE OR REPLACE TEMP TABLE sizes AS SELECT grp, count(*) AS n,"
        f" row_number() OVER (ORDER BY count(*) DESC, {key}, grp) - 1 AS place FROM grouped GROUP BY grp"
    )
    sizes = scope.connection.execute("SELECT n FROM sizes ORDER BY place").fetchnumpy()["n"]
    chosen, names = place_groups(sizes, list(shares.values())), list(shares)
    given = pa.table({"place": pa.array(range(len(chosen)), pa.int64()), "split": pa.array(chosen, pa.int8())})
    scope.connection.register("given", given)
    cases = " ".join(f"WHEN {number} THEN {literal(name)}" for number, name in enumerate(names))
    _make(
        scope,
        f"SELECT g.{ROW_ID}, CASE given.split {cases} END AS split"
        " FROM grouped g JOIN sizes USING (grp) JOIN given USING (place)",
    )
    scope.connection.unregister("given")
    total = int(sizes.sum()) if len(sizes) else 0
    if total and sizes[0] > total * min(shares.values()):
        notes.append(
            f"The largest group has {int(sizes[0]):,} of {total:,} rows, so the shares cannot be kept exactly."
        )


def place_groups(sizes: np.ndarray[Any, Any], shares: list[float]) -> list[int]:
    """For each group, in this order, the number of the split that lacks most rows of its share."""
    total = float(sizes.sum()) if len(sizes) else 0.0
    lacking = [share * total for share in shares]
    chosen = []
    for size in sizes.tolist():
        split = lacking.index(max(lacking))
        lacking[split] -= size
        chosen.append(split)
    return chosen


def _make(scope: Scope, sql: str) -> None:
    scope.connection.execute(f"CREATE OR REPLACE TEMP TABLE {_TABLE} AS {sql}")
