"""Columns as a whole: other names, fewer of them, another type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmstudio.api import ROW_ID, UserError
from fmstudio.core.sql import name_sql
from fmstudio.recipes.transforms.kind import CHANGED, FAILED, LOST, REASON, Plan
from fmstudio.recipes.transforms.params import CastParams, CastType, DropColumnsParams, RenameColumnsParams
from fmstudio.recipes.transforms.scope import SOURCE, Scope, listed

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

_TARGETS: dict[CastType, str] = {
    "text": "VARCHAR",
    "whole number": "BIGINT",
    "number": "DOUBLE",
    "true or false": "BOOLEAN",
    "date": "DATE",
    "date and time": "TIMESTAMP",
}
_NESTED = ("struct", "list", "array", "map", "union", "variant")
_NUMBERS = ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint")


def plan_rename(scope: Scope, params: RenameColumnsParams) -> Plan:
    """Give columns other names; two may swap theirs."""
    names = {scope.column(old): new.strip() for old, new in params.names.items()}
    made = [names.get(name, name) for name in scope.columns]
    for name in names.values():
        if not name or "\0" in name:
            raise UserError("A column needs a name.", remedy="Write one for each.")
        if name.casefold() == ROW_ID or sum(other.casefold() == name.casefold() for other in made) > 1:
            raise UserError(f"There would be two columns “{name}”.", remedy="Choose another name.")
    chosen = ", ".join(f"{name_sql(old)} AS {name_sql(names.get(old, old))}" for old in scope.columns)
    return Plan(f"SELECT {chosen} FROM {SOURCE}")


def plan_drop(scope: Scope, params: DropColumnsParams) -> Plan:
    """Take columns away."""
    gone = {scope.column(name) for name in params.columns}
    kept = [name for name in scope.columns if name not in gone]
    if kept == [ROW_ID]:
        raise UserError("No column would be left.", remedy="Keep one, or delete the dataset.")
    return Plan(f"SELECT {listed(kept)} FROM {SOURCE}")


def plan_cast(scope: Scope, params: CastParams) -> Plan:
    """Change the type of columns. A value that would be lost or rounded counts as one that does not fit."""
    columns = list(dict.fromkeys(scope.column(name) for name in params.columns))
    target, made, swapped, failures, moved = _TARGETS[params.type], [], [], [], []
    for number, name in enumerate(columns):
        old, new = name_sql(name), f"__new_{number}"
        made.append(f"{cast_sql(old, scope.columns[name], params.type)} AS {new}")
        swapped.append(f"{new} AS {old}")
        moved.append(f"({old} IS NOT NULL)::INTEGER")
        shown = f"left(CAST({old} AS VARCHAR), 60)"
        said = f"'{name.replace(chr(39), chr(39) * 2)}: “' || {shown} || '” does not fit {params.type}'"
        failures.append(f"CASE WHEN {old} IS NOT NULL AND {new} IS NULL THEN {said} END")
    control = {"drop row": REASON, "stop": FAILED, "empty cell": LOST}[params.on_failure]
    failed = f"coalesce({', '.join(failures)})"
    fresh = ", ".join(f"__new_{number}" for number in range(len(columns)))
    sql = (
        f"SELECT * EXCLUDE ({fresh}) REPLACE ({', '.join(swapped)}), {' + '.join(moved)} AS {CHANGED},"
        f" {failed} AS {control} FROM (SELECT *, {', '.join(made)} FROM {SOURCE})"
    )
    already = [name for name in columns if str(scope.columns[name]) == target]
    notes = [f"“{name}” holds {params.type} already." for name in already]
    return Plan(sql, (), notes, "cells", shows=f"{control} IS NOT NULL")


def cast_sql(value: str, kind: DuckDBPyType, wanted: CastType) -> str:
    """The value in the wanted type, or NULL where it does not fit without loss."""
    target = _TARGETS[wanted]
    if wanted == "text":
        return f"CAST(to_json({value}) AS VARCHAR)" if kind.id in _NESTED else f"CAST({value} AS VARCHAR)"
    if kind.id in _NESTED:
        return f"CAST(NULL AS {target})"
    given = f"trim({value})" if kind.id == "varchar" else value
    cast = f"TRY_CAST({given} AS {target})"
    if wanted == "whole number" and kind.id not in (*_NUMBERS, "boolean"):
        # DuckDB rounds 1.7 to 2 without a word.
        return f"CASE WHEN TRY_CAST({given} AS DOUBLE) <> trunc(TRY_CAST({given} AS DOUBLE)) THEN NULL ELSE {cast} END"
    if wanted == "number" and kind.id in _NUMBERS:
        return f"CASE WHEN CAST({cast} AS HUGEINT) = {value} THEN {cast} END"
    if wanted == "true or false" and kind.id in (*_NUMBERS, "float", "double", "decimal"):
        return f"CASE {value} WHEN 1 THEN true WHEN 0 THEN false END"
    return cast
