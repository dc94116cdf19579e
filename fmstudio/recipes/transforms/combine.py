"""Several datasets in one: one after another (merge), or side by side over a key (join)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fmstudio.api import ROW_ID, UserError
from fmstudio.core.sql import literal, name_sql
from fmstudio.core.words import plural
from fmstudio.recipes.sandbox import told
from fmstudio.recipes.transforms.kind import CHANGED, REASON, Plan
from fmstudio.recipes.transforms.params import JoinParams, MergeParams
from fmstudio.recipes.transforms.scope import SOURCE, Scope, field_types, find_column, first_row, item_type, listed

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

SOURCE_COLUMN = "source_dataset"
_MOST_NAMED = 8
_WHOLE = ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger")
_DECIMAL = ("float", "double", "decimal")
_TIMES = ("date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp with time zone")
_NESTED = ("struct", "list", "array", "map", "union", "variant")


# ---- one after another -------------------------------------------------------------------------------------------------


def plan_merge(scope: Scope, params: MergeParams) -> Plan:
    """Union by name: a column that one of them lacks is empty there; types that differ are widened, else text."""
    every = [dict(scope.columns), *(scope.other_columns(number) for number in range(len(scope.others)))]
    names = [scope.name, *(other.name for other in scope.others)]
    types, notes = _union(every, names)
    columns = [name for name in types if name != ROW_ID]
    origin = scope.free_name(SOURCE_COLUMN, columns) if params.source_column else ""
    if params.source_column and SOURCE_COLUMN in scope.columns:
        origin, columns = SOURCE_COLUMN, [name for name in columns if name != SOURCE_COLUMN]
    selects = []
    for number, (have, name) in enumerate(zip(every, names, strict=True)):
        chosen = [f"{_as(types[column], column, have)} AS {name_sql(column)}" for column in columns]
        if origin:
            said = literal(name)
            known = f"coalesce({name_sql(origin)}, {said})" if origin in have else said
            chosen.append(f"{known} AS {name_sql(origin)}")
        rows = SOURCE if number == 0 else f"other_{number - 1}"
        head = [ROW_ID] if number == 0 else []
        order = "" if number == 0 else f" ORDER BY {ROW_ID}"
        selects.append(f"SELECT {', '.join([*head, *chosen])} FROM {rows}{order}")
    return Plan(selects[0], selects[1:], notes, is_aligned=False)


def _union(every: Sequence[Mapping[str, DuckDBPyType]], names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Column → SQL type of all together, and what there is to know of it."""
    types: dict[str, str] = {}
    notes: list[str] = []
    lacking: dict[str, list[str]] = {}
    # DuckDB does not tell a from A: the first spelling stands for all.
    spelling: dict[str, str] = {}
    for have in every:
        for name in have:
            spelling.setdefault(name.casefold(), name)
    for folded, name in spelling.items():
        kinds = [next((kind for n, kind in have.items() if n.casefold() == folded), None) for have in every]
        there = [kind for kind in kinds if kind is not None]
        types[name] = _widest(there)
        missing = [dataset for dataset, kind in zip(names, kinds, strict=True) if kind is None]
        if missing:
            lacking.setdefault(", ".join(missing), []).append(name)
        if any(str(kind) != types[name] for kind in there):
            said = ", ".join(dict.fromkeys(str(kind) for kind in there))
            notes.append(f"“{name}” holds different types ({said}) and becomes {types[name]}.")
    return types, [*notes, *(_lacking_words(columns, datasets) for datasets, columns in lacking.items())]


def _lacking_words(columns: Sequence[str], datasets: str) -> str:
    """One sentence for all the columns that the same datasets lack."""
    named = ", ".join(f"“{name}”" for name in columns[:_MOST_NAMED])
    more = len(columns) - _MOST_NAMED
    if len(columns) == 1:
        return f"{named} is empty in the rows of {datasets}, which have no such column."
    listed_up = f"{named} and {more:,} more" if more > 0 else named
    return f"{len(columns):,} columns are empty in the rows of {datasets}, which have no such columns: {listed_up}."


def _widest(kinds: Sequence[DuckDBPyType]) -> str:
    texts = {str(kind) for kind in kinds}
    ids = {kind.id for kind in kinds}
    if len(texts) == 1:
        return texts.pop()
    if ids <= set(_WHOLE):
        return "BIGINT"
    if ids <= {*_WHOLE, *_DECIMAL}:
        return "DOUBLE"
    if ids == {"struct"}:
        fields: dict[str, list[DuckDBPyType]] = {}
        for kind in kinds:
            for name, child in field_types(kind).items():
                fields.setdefault(name, []).append(child)
        return f"STRUCT({', '.join(f'{name_sql(name)} {_widest(some)}' for name, some in fields.items())})"
    if ids == {"list"}:
        return f"{_widest([item_type(kind) for kind in kinds])}[]"
    if ids <= {"date", "timestamp"}:
        return "TIMESTAMP"
    return "VARCHAR"


def _as(target: str, column: str, have: Mapping[str, DuckDBPyType]) -> str:
    own = next((name for name in have if name.casefold() == column.casefold()), None)
    if own is None:
        return f"CAST(NULL AS {target})"
    if str(have[own]) == target:
        return name_sql(own)
    if target == "VARCHAR" and have[own].id in _NESTED:
        return f"CAST(to_json({name_sql(own)}) AS VARCHAR)"
    return f"CAST({name_sql(own)} AS {target})"


# ---- side by side ------------------------------------------------------------------------------------------------------


def plan_join(scope: Scope, params: JoinParams) -> Plan:
    """Put another dataset's columns beside the rows with the same key.

    A row with several matches is there several times: first in its place, then again at the end with new ids.
    """
    theirs = scope.other_columns(0)
    other = scope.others[0].name
    keys = _keys(scope, params, list(theirs), other)
    added = _added(scope, params, theirs, other, [its for _, its in keys])
    on = _condition(scope, theirs, keys)
    numbered = (
        f"SELECT *, row_number() OVER (PARTITION BY {listed([its for _, its in keys])} ORDER BY {ROW_ID}) AS __nth"
        " FROM other_0"
    )
    scope.connection.execute(f"CREATE OR REPLACE TEMP TABLE theirs AS {numbered}")
    brought = ", ".join(f"r.{name_sql(name)} AS {name_sql(new)}" for name, new in added.items())
    chosen = f"l.*, {brought}" if brought else "l.*"
    is_alone = f"CASE WHEN r.__nth IS NULL THEN {literal(f'no match in {other}')} END AS {REASON}"
    control = f"(r.__nth IS NOT NULL)::INTEGER AS {CHANGED}{f', {is_alone}' if params.how == 'inner' else ''}"
    kept = f"SELECT {chosen}, {control} FROM {SOURCE} l LEFT JOIN theirs r ON {on} AND r.__nth = 1"
    mine = ", ".join(f"l.{name_sql(name)}" for name in scope.names)
    parts = ", ".join(part for part in (mine, brought) if part)
    more = f"SELECT {parts} FROM {SOURCE} l JOIN theirs r ON {on} AND r.__nth > 1 ORDER BY l.{ROW_ID}, r.__nth"
    notes, extra = _join_notes(scope, keys, on, other, params)
    return Plan(kept, (more,), notes, is_aligned=False, fresh_rows=extra)


def _keys(scope: Scope, params: JoinParams, theirs: Sequence[str], other: str) -> list[tuple[str, str]]:
    """Pairs of this dataset's and the other's key columns.

    Raises:
        UserError: One is not there, or there are not as many of the one as of the other.
    """
    mine = _named(params.key, list(scope.columns))
    its = _named(params.other_key, theirs) or _named(params.key, theirs)
    if len(mine) != len(its):
        raise UserError(
            f"The key has {plural(len(mine), 'column')} here and {len(its):,} in “{other}”.",
            remedy="Name as many of the other dataset as of this one.",
        )
    return [
        (scope.column(one, may_be_id=True), find_column(two, theirs, other, may_be_id=True))
        for one, two in zip(mine, its, strict=True)
    ]


def _named(text: str, names: Sequence[str]) -> list[str]:
    """The columns that a text names, with commas between; a column with a comma in its name is one, not two."""
    whole = text.strip()
    if whole.casefold() in {name.casefold() for name in names}:
        return [whole]
    return [name for part in text.split(",") if (name := part.strip())]


def _added(
    scope: Scope, params: JoinParams, theirs: Mapping[str, DuckDBPyType], other: str, keys: Sequence[str]
) -> dict[str, str]:
    """Their columns that are brought → the names they get here."""
    wanted = [find_column(name, list(theirs), other) for name in params.columns]
    wanted = wanted or [name for name in theirs if name != ROW_ID and name not in keys]
    if not wanted:
        raise UserError(f"“{other}” has no column but the key.", remedy="Choose another dataset.")
    used = {name.casefold() for name in scope.columns}
    made: dict[str, str] = {}
    for name in dict.fromkeys(wanted):
        new = name
        while new.casefold() in used:
            new += params.suffix
        used.add(new.casefold())
        made[name] = new
    return made


def _condition(scope: Scope, theirs: Mapping[str, DuckDBPyType], keys: Sequence[tuple[str, str]]) -> str:
    """Equal keys; numbers and times whatever their types, others of different types as text. A missing key matches nothing."""
    parts = []
    for mine, its in keys:
        one, two = f"l.{name_sql(mine)}", f"r.{name_sql(its)}"
        kinds = {scope.columns[mine].id, theirs[its].id}
        if len(kinds) > 1 and kinds <= set(_TIMES):
            one, two = f"CAST({one} AS TIMESTAMP)", f"CAST({two} AS TIMESTAMP)"
            kinds = {"timestamp"}
        is_alike = (
            kinds == {"timestamp"} or str(scope.columns[mine]) == str(theirs[its]) or kinds <= {*_WHOLE, *_DECIMAL}
        )
        parts.append(f"{one} = {two}" if is_alike else f"CAST({one} AS VARCHAR) = CAST({two} AS VARCHAR)")
    return " AND ".join(parts)


def _join_notes(
    scope: Scope, keys: Sequence[tuple[str, str]], on: str, other: str, params: JoinParams
) -> tuple[list[str], int]:
    """How many rows match, and how many are added: exact, from the counts of each key alone."""
    with told("This join", [], sql=on):
        matched, extra, repeated, total = first_row(
            scope.connection,
            f"SELECT count(*), coalesce(sum(r.__nth - 1), 0)::BIGINT, count(*) FILTER (r.__nth > 1),"
            f" (SELECT count(*) FROM {SOURCE}) FROM {SOURCE} l JOIN"
            f" (SELECT {listed([its for _, its in keys])}, max(__nth) AS __nth FROM theirs GROUP BY ALL) r ON {on}",
        )
    others = "" if matched == total else f"; the others {'are dropped' if params.how == 'inner' else 'get empty cells'}"
    notes = [f"Matched in “{other}”: {matched:,} of {plural(total, 'row')}{others}."]
    if extra:
        notes.append(
            f"{plural(repeated, 'row has', 'rows have')} several matches, so {plural(extra, 'row is', 'rows are')} added: "
            f"{total if params.how == 'left' else matched:,} become {(total if params.how == 'left' else matched) + extra:,}."
        )
    if not matched and total:
        notes.append(f"No key of “{scope.name}” is in “{other}”: is it the right column?")
    return notes, extra
