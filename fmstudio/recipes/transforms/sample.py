"""Some of the rows, chosen by chance: the same ones for the same seed, whatever the number of cores."""

from __future__ import annotations

from fmstudio.api import ROW_ID, UserError
from fmstudio.core.sql import name_sql
from fmstudio.core.words import plural
from fmstudio.recipes.transforms.chance import key_sql
from fmstudio.recipes.transforms.kind import REASON, Plan
from fmstudio.recipes.transforms.params import SampleParams
from fmstudio.recipes.transforms.scope import SOURCE, Scope

NOT_CHOSEN = "not in the sample"


def plan_sample(scope: Scope, params: SampleParams) -> Plan:
    """Choose exactly as many rows as asked for: those whose hash comes first."""
    total = int(scope.count(f"SELECT count(*) FROM {SOURCE}"))
    wanted = params.rows or max(1, round(params.share * total))
    notes = []
    if wanted > total:
        notes.append(f"Only {plural(total, 'row is', 'rows are')} there; the sample is all of them.")
    if not total:
        raise UserError(f"“{scope.name}” has no rows.", remedy="Choose another dataset.")
    key = key_sql(ROW_ID, params.seed)
    if params.stratify_by.strip():
        chosen = _stratified(scope, params, min(wanted, total), total)
    else:
        chosen = f"SELECT {ROW_ID} FROM {SOURCE} ORDER BY {key}, {ROW_ID} LIMIT {wanted}"
    scope.connection.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS {chosen}")
    is_in = f"{ROW_ID} IN (SELECT {ROW_ID} FROM chosen)"
    if params.output == "dataset":
        return Plan(f"SELECT * FROM {SOURCE} WHERE {is_in}", (), notes, is_aligned=False)
    return Plan(
        f"SELECT *, CASE WHEN {is_in} THEN NULL ELSE '{NOT_CHOSEN}' END AS {REASON} FROM {SOURCE}",
        (),
        notes,
        is_aligned=False,
    )


def _stratified(scope: Scope, params: SampleParams, wanted: int, total: int) -> str:
    """Largest remainders: each value gets its share rounded down, and those cut most get one more until it sums up."""
    column = name_sql(scope.column(params.stratify_by, may_be_id=True))
    key = key_sql(ROW_ID, params.seed)
    ideal = f"(count(*) * {wanted}::DOUBLE / {total})"
    strata = (
        f"SELECT stratum, floor({ideal})::BIGINT AS quota, {ideal} - floor({ideal}) AS rest"
        f" FROM (SELECT {column} AS stratum FROM {SOURCE}) GROUP BY stratum"
    )
    topped = (
        "SELECT stratum, quota + (row_number() OVER (ORDER BY rest DESC, CAST(stratum AS VARCHAR)) <="
        f" {wanted} - sum(quota) OVER ())::INTEGER AS quota FROM ({strata})"
    )
    ranked = (
        f"SELECT {ROW_ID}, {column} AS stratum,"
        f" row_number() OVER (PARTITION BY {column} ORDER BY {key}, {ROW_ID}) AS nth FROM {SOURCE}"
    )
    return (
        f"SELECT r.{ROW_ID} FROM ({ranked}) r JOIN ({topped}) q"
        " ON r.stratum IS NOT DISTINCT FROM q.stratum AND r.nth <= q.quota"
    )
