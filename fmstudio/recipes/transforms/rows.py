"""Which rows there are: keep, delete, split into several, and put into another order."""

from __future__ import annotations

from fmstudio.api import ROW_ID, UserError
from fmstudio.core.sql import literal, name_sql
from fmstudio.recipes.sandbox import one_select, told
from fmstudio.recipes.transforms.kind import CHANGED, REASON, Plan
from fmstudio.recipes.transforms.params import DeleteWhereParams, FilterParams, SortParams, SplitRowsParams
from fmstudio.recipes.transforms.scope import SOURCE, Scope, listed

SOURCE_ROW = "source_row_id"
PART = "part"
_PATTERNS = {"paragraph": r"\r?\n[ \t]*(?:\r?\n[ \t]*)+", "line": r"\r?\n"}


def plan_filter(scope: Scope, params: FilterParams) -> Plan:
    """Keep the rows that match."""
    keep = scope.condition(params.where, "This condition")
    reason = literal(f"does not match: {_short(params.where)}")
    return _dropping(f"CASE WHEN {keep} THEN NULL ELSE {reason} END")


def plan_delete(scope: Scope, params: DeleteWhereParams) -> Plan:
    """Delete the rows that match."""
    gone = scope.condition(params.where, "This condition")
    return _dropping(f"CASE WHEN {gone} THEN {literal(f'matches: {_short(params.where)}')} END")


def _dropping(reason: str) -> Plan:
    return Plan(f"SELECT *, {reason} AS {REASON} FROM {SOURCE}", is_aligned=False)


def plan_split_rows(scope: Scope, params: SplitRowsParams) -> Plan:
    """Make several rows of one; each part is trimmed and empty ones are left out."""
    column = scope.column(params.column)
    if scope.columns[column].id != "varchar":
        raise UserError(
            f"The column “{column}” holds no text but {scope.columns[column]}.", remedy="Choose a column with text."
        )
    source, part = scope.free_name(SOURCE_ROW), scope.free_name(PART)
    pieces = f"list_filter(list_transform({_split_sql(scope, params, name_sql(column))}, lambda x: trim(x, {_BLANK}))"
    parts = f"{pieces}, lambda x: x <> '')"
    rows = f"SELECT *, {parts} AS __parts FROM {SOURCE}"
    named = ", ".join(f"__value AS {name_sql(n)}" if n == column else name_sql(n) for n in scope.names)
    story = f"{ROW_ID} AS {name_sql(source)}, __part AS {name_sql(part)}"
    if params.output == "dataset":
        whole = f"CASE WHEN coalesce(len(__parts), 0) = 0 THEN [{name_sql(column)}] ELSE __parts END"
        every = _unnested(f"SELECT * REPLACE ({whole} AS __parts) FROM ({rows})", 1)
        return Plan("", (f"SELECT {named}, {story} FROM ({every}) ORDER BY {ROW_ID}, __part",), is_aligned=False)
    first = f"CASE WHEN len(__parts) > 0 THEN __parts[1] ELSE {name_sql(column)} END"
    origin = f"CASE WHEN len(__parts) > 1 THEN {ROW_ID} END AS {name_sql(source)}"
    number = f"CASE WHEN len(__parts) > 1 THEN 1::BIGINT END AS {name_sql(part)}"
    kept = (
        f"SELECT * EXCLUDE (__parts) REPLACE ({first} AS {name_sql(column)}), {origin}, {number},"
        f" (coalesce(len(__parts), 0) > 1)::INTEGER AS {CHANGED} FROM ({rows})"
    )
    more = _unnested(f"SELECT * FROM ({rows}) WHERE len(__parts) > 1", 2)
    note = f"The further parts come at the end; “{source}” and “{part}” say which row each is from."
    fresh = f"SELECT {named}, {story} FROM ({more}) ORDER BY {ROW_ID}, __part"
    return Plan(kept, (fresh,), (note,), is_aligned=False, shows=f"{CHANGED} > 0")


def _unnested(rows: str, first: int) -> str:
    """One row for each part from this one on, with ``__value`` and ``__part`` (1, 2 …)."""
    numbers = f"unnest(range({first}, len(__parts) + 1))"
    return f"SELECT * EXCLUDE (__parts), unnest(__parts[{first}:]) AS __value, {numbers} AS __part FROM ({rows})"


_BLANK = "' ' || chr(9) || chr(10) || chr(13)"


def _split_sql(scope: Scope, params: SplitRowsParams, column: str) -> str:
    separator = params.separator.replace("\\n", "\n").replace("\\t", "\t")
    if params.at == "separator":
        return f"string_split({column}, {literal(separator)})"
    pattern = literal(_PATTERNS.get(params.at, params.separator))
    with told("This regular expression", [], sql=params.separator):
        scope.connection.execute(f"SELECT string_split_regex('', {pattern})").fetchall()
    return f"string_split_regex({column}, {pattern})"


def plan_sort(scope: Scope, params: SortParams) -> Plan:
    """Put the rows into another order, with new ids."""
    source = scope.free_name(SOURCE_ROW)
    order = f"ORDER BY {params.order_by}\n, {ROW_ID}"
    with told("This order", scope.names, sql=params.order_by):
        if not one_select(f"SELECT {ROW_ID} FROM {SOURCE} {order}"):
            raise UserError("An order must be one list of expressions.", remedy="Leave out the semicolon.")
        scope.connection.execute(f"DESCRIBE SELECT {ROW_ID} FROM {SOURCE} {order}").fetchall()
    chosen = f"{listed(scope.names)}, " if scope.names else ""
    note = f"Row ids give a dataset its order, so the rows get new ones; “{source}” holds those they had."
    return Plan(
        "", (f"SELECT {chosen}{ROW_ID} AS {name_sql(source)} FROM {SOURCE} {order}",), (note,), is_aligned=False
    )


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 120 else one_line[:119] + "…"
