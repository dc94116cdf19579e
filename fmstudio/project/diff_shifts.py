"""How the whole of the rows moved from one version to another: numbers of rows, lengths, languages, topics, duplicates."""

from __future__ import annotations

from dataclasses import dataclass

from fmstudio.api.rows import ROW_ID
from fmstudio.core.sql import name_sql
from fmstudio.project.diff_duplicates import MOST_ROWS, near_duplicates
from fmstudio.project.diff_table import DiffTable, Side
from fmstudio.project.filters import kind_of
from fmstudio.project.rows import RowReader

MOST_TEXTS = 4
MOST_VALUES = 6
GROUPING = (
    "language", "lang", "topic", "topics", "category", "subject", "domain", "intent", "cluster", "cluster_id", "split",
    "label", "source_dataset",
)  # fmt: skip
"""Columns whose values are counted apart, by name."""
LANGUAGES = ("language", "lang")
SCRIPTS = (
    "Latin",
    "Cyrillic",
    "Greek",
    "Arabic",
    "Hebrew",
    "Devanagari",
    "Thai",
    "Hangul",
    "Han",
    "Hiragana",
    "Katakana",
)
"""Unicode's names of writing systems, by which languages are told apart where no column says them."""
SAMPLE, SAMPLE_CHARACTERS = 2_000, 500


@dataclass(frozen=True, slots=True)
class Shift:
    """A number of the whole, before and after.

    Attributes:
        measure: What was measured, in words.
        unit: rows, characters, turns, or share (0 to 1). A number of nothing is None.
    """

    measure: str
    before: float | None
    after: float | None
    unit: str = "rows"


def shifts(rows: RowReader, before: Side, after: Side, table: DiffTable) -> list[Shift]:
    """Measure both sides.

    Columns that only one side has are left out, as there is nothing to compare; but of what groups the rows (languages,
    topics) the shares are told all the same: a recipe may just have found them out.
    """
    columns = [c for c in table.after if c in table.before and c != ROW_ID]
    measures = _measures(columns, table)
    one, two = (_measured(rows, side, [sql for _, _, sql in measures]) for side in (before, after))
    found = [Shift(name, a, b, unit) for (name, unit, _), a, b in zip(measures, one, two, strict=True)]
    texts = [text for c in columns if (text := _text_sql(c, table))]
    if texts:
        of = f" among the first {MOST_ROWS:,} rows" if max(table.rows_before, table.rows_after) > MOST_ROWS else ""
        said = f"concat_ws(' ', {', '.join(texts)})"
        near = [_near_duplicates(rows, side, said) for side in (before, after)]
        found.append(Shift(f"near duplicates{of}", near[0], near[1]))
    kinds = {**table.before, **table.after}
    groups = [c for c in kinds if c.lower() in GROUPING and kind_of(kinds[c]) in ("text", "number", "boolean")]
    sides = ((before, table.before), (after, table.after))
    for column in groups:
        value = f"coalesce({name_sql(column)}::VARCHAR, 'none')"
        shares = [_shares(rows, side, value) if column in types else None for side, types in sides]
        found += _compared(column, *shares)
    if texts and not any(column.lower() in LANGUAGES for column in groups):
        sample = _sample(texts[0], table.rows_after)
        scripts = [_shares(rows, side, _script_sql(texts[0]), sample) for side, _ in sides]
        found += _compared("script (of a sample)", *scripts)
    return found


def _measures(columns: list[str], table: DiffTable) -> list[tuple[str, str, str]]:
    """Name, unit and SQL of what is measured."""
    content = ", ".join(name_sql(column) for column in columns)
    measures = [("rows", "rows", "count(*)")]
    if columns:
        measures.append(("exact duplicates", "rows", f"count(*) - count(DISTINCT hash({content}))"))
    kinds = {c: kind_of(table.after[c]) for c in columns if kind_of(table.before[c]) == kind_of(table.after[c])}
    texts = [c for c, kind in kinds.items() if kind in ("text", "messages")]
    for column in texts[:MOST_TEXTS]:
        name = name_sql(column)
        if kinds[column] == "messages":
            total = f"list_sum(list_transform({name}, lambda m: length(m['content'])))"
            measures.append((f"mean turns of {column}", "turns", f"avg(len({name}))"))
        else:
            total = f"length({name}::VARCHAR)"
        measures.append((f"mean length of {column}", "characters", f"avg({total})"))
        measures.append((f"median length of {column}", "characters", f"median({total})"))
    return measures


def _measured(rows: RowReader, side: Side, measures: list[str]) -> list[float | None]:
    with rows.seen(side.files, side.overlay) as (cursor, relation, _, _):
        found = cursor.execute(f"SELECT {', '.join(measures)} FROM {relation}").fetchone() or ()
    return [None if value is None else float(value) for value in found]


def _near_duplicates(rows: RowReader, side: Side, text: str) -> int:
    with rows.seen(side.files, side.overlay) as (cursor, relation, _, _):
        return near_duplicates(cursor, relation, text)


def _compared(column: str, one: dict[str, float] | None, two: dict[str, float] | None) -> list[Shift]:
    """Shares of the most frequent values; None where a side does not have the column."""
    before, after = one or {}, two or {}
    names = sorted({*before, *after}, key=lambda name: (-max(before.get(name, 0), after.get(name, 0)), name))
    return [
        Shift(
            f"{column}: {name}",
            None if one is None else one.get(name, 0.0),
            None if two is None else two.get(name, 0.0),
            "share",
        )
        for name in names[:MOST_VALUES]
    ]


def _shares(rows: RowReader, side: Side, value: str, where: str = "true") -> dict[str, float]:
    """Share of the rows by a value, as SQL."""
    with rows.seen(side.files, side.overlay) as (cursor, relation, _, _):
        found = cursor.execute(
            f"SELECT {value}, count(*) / sum(count(*)) OVER () FROM {relation} WHERE {where} GROUP BY 1"
            " ORDER BY 2 DESC, 1 LIMIT 1000"
        ).fetchall()
    return {str(name): float(share) for name, share in found}


def _text_sql(column: str, table: DiffTable) -> str:
    """The text in a column that has the same kind on both sides; empty when there is none."""
    kind, name = kind_of(table.after[column]), name_sql(column)
    if kind != kind_of(table.before[column]):
        return ""
    said = f"array_to_string(list_transform({name}, lambda m: m['content']), ' ')"
    return {"text": f"{name}::VARCHAR", "messages": said}.get(kind, "")


def _sample(text: str, rows: int) -> str:
    """The same rows on both sides, about `SAMPLE` of them."""
    return f"hash({ROW_ID}) % {max(rows // SAMPLE, 1)} = 0 AND {text} IS NOT NULL"


def _script_sql(text: str) -> str:
    """The writing system of most letters."""
    start = f"left({text}, {SAMPLE_CHARACTERS})"
    counts = ", ".join(
        f"{{'n': length(regexp_replace({start}, '\\P{{{script}}}+', '', 'g')), 's': '{script}'}}" for script in SCRIPTS
    )
    return (
        f"list_transform([list_max([{counts}])], lambda x: CASE WHEN x['n'] = 0 THEN 'no letters' ELSE x['s'] END)[1]"
    )
