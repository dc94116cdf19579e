"""A column from a SQL expression, or from a text with ``{{column}}`` in it."""

from __future__ import annotations

import re

from fmstudio.api import UserError
from fmstudio.core.sql import literal, name_sql
from fmstudio.recipes.transforms.kind import CHANGED, Plan
from fmstudio.recipes.transforms.params import ComputeParams
from fmstudio.recipes.transforms.scope import SOURCE, Scope, columns_of, storable

_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_CHANCE = re.compile(r"\b(random|uuid|uuidv4|uuidv7|gen_random_uuid)\s*\(", re.IGNORECASE)
_NESTED = ("struct", "list", "array", "map", "union", "variant")


def plan_compute(scope: Scope, params: ComputeParams) -> Plan:
    """Write a column."""
    if params.template:
        expression = template_sql(scope, params.template)
    else:
        expression = scope.checked(params.expression, "This expression")
    kind = columns_of(scope.connection, f"SELECT {expression} AS value FROM {SOURCE}")["value"]
    value = "CAST(NULL AS VARCHAR)" if kind.id in ("null", "sqlnull") else storable(expression, kind)
    names = {name.casefold(): name for name in scope.names}
    old = names.get(params.column.strip().casefold())
    notes = []
    if _CHANCE.search(params.expression):
        notes.append("This expression gives other values each time it is run; the preview shows one of them.")
    if old is None:
        column = params.column.strip()
        rows = f"SELECT *, {value} AS {name_sql(column)} FROM {SOURCE}"
        return Plan(
            f"SELECT *, ({name_sql(column)} IS NOT NULL)::INTEGER AS {CHANGED} FROM ({rows})", (), notes, "cells"
        )
    rows = f"SELECT *, {value} AS __new FROM {SOURCE}"
    warnings = [f"The column “{old}” is there already and is replaced."]
    if str(scope.columns[old]) != str(kind):
        notes.append(f"“{old}” holds {scope.columns[old]} and will hold {kind}.")
    # As text, so that values of two types can be compared at all.
    differs = f"CAST({name_sql(old)} AS VARCHAR) IS DISTINCT FROM CAST(__new AS VARCHAR)"
    plan = (
        f"SELECT * EXCLUDE (__new) REPLACE (__new AS {name_sql(old)}), ({differs})::INTEGER AS {CHANGED} FROM ({rows})"
    )
    return Plan(plan, (), notes, "cells", shows=f"{CHANGED} > 0", warnings=warnings)


def template_sql(scope: Scope, template: str) -> str:
    """A template as SQL: text with values in it; missing values are empty, nested ones JSON.

    Raises:
        UserError: It names a column that is not there, or none at all.
    """
    pieces = _HOLE.split(template)
    if len(pieces) == 1:
        raise UserError(
            "This template names no column.",
            remedy=f"Write a column in double braces: {{{{{(scope.names or ['text'])[0]}}}}}.",
        )
    parts = []
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            parts.append(literal(piece))
        else:
            column = scope.column(piece, may_be_id=True)
            is_nested = scope.columns[column].id in _NESTED
            parts.append(f"CAST({'to_json' if is_nested else ''}({name_sql(column)}) AS VARCHAR)")
    return f"concat({', '.join(parts)})"
