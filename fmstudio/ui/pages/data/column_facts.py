"""Column statistics as lines, bars and values to show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fmstudio.project.filters import ColumnFilter
from fmstudio.project.statistics_moments import moment_text, moment_words
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.histogram import Bar
from fmstudio.ui.widgets.table.values import cell_text

if TYPE_CHECKING:
    from fmstudio.project.statistics import ColumnStatistics, Spread


@dataclass(frozen=True, slots=True)
class Fact:
    """A line: name and number; `condition` gives the rows it counts."""

    name: str
    text: str
    condition: ColumnFilter | None = None


def facts_of(found: ColumnStatistics) -> list[Fact]:
    """The numbers of a column in lines."""
    name = found.name
    about = "about " if found.is_distinct_estimate else ""
    facts = [
        Fact("rows", words.number(found.rows)),
        Fact("missing", _share(found.missing, found.rows), _only(name, None) if found.missing else None),
    ]
    if found.kind in ("text", "texts", "messages"):
        can_ask = found.kind == "text" and found.empty
        facts.append(Fact("empty", _share(found.empty, found.rows), _only(name, "") if can_ask else None))
    facts.append(Fact("different values", f"{about}{words.number(found.distinct)}"))
    facts.append(Fact("repeats", f"{about}{words.number(found.duplicates)}"))
    for title, spread in (
        ("", found.values), ("characters", found.characters), ("words", found.words), ("messages", found.turns),
        ("items", found.items), ("tokens (estimate)", found.tokens),
    ):  # fmt: skip
        if spread is not None:
            facts += _spread_facts(title, spread, found.type if found.kind == "time" and not title else "")
    return facts


def _only(name: str, value: str | None) -> ColumnFilter:
    """The rows that have just this, as they were counted: one that is missing is no empty one."""
    return ColumnFilter(name, "one_of", (value,))


def _spread_facts(title: str, spread: Spread, moments: str) -> list[Fact]:
    """Lines of a spread; `moments`: type of the column where it is one of moments."""
    span = float(spread.highest) - float(spread.lowest)

    def shown(value: float | Decimal) -> str:
        return moment_words(float(value), moments, span) if moments else amount(value)

    if not title:
        facts = [Fact("smallest", shown(spread.lowest)), Fact("largest", shown(spread.highest))]
        middle = [Fact("mean", shown(spread.mean)), Fact("median", shown(spread.median))]
        quarters = f"{shown(spread.quantiles[0.25])} – {shown(spread.quantiles[0.75])}"
        return [*facts, *middle, Fact("middle half", quarters)]
    low, high = shown(spread.lowest), shown(spread.highest)
    return [Fact(title, f"{low} – {high}, median {shown(spread.median)}")]


def amount(value: float | Decimal) -> str:
    """A number as short as it can be said; one that is exact, whole."""
    if isinstance(value, int | Decimal):
        return cell_text(value)
    is_long = 1_000 <= abs(value) < 1e15
    return f"{value:,.0f}" if is_long or (value == round(value) and abs(value) < 1_000) else f"{value:,.4g}"


def bars_of(found: ColumnStatistics) -> list[Bar]:
    """The distribution as bars; a click on one of a number, a moment or yes and no filters to what it counts."""
    begins = {one.low for one in found.histogram}
    return [
        Bar(_with_unit(one.label, found.measure), one.count, _condition(found, one.low, one.high, one.high in begins))
        for one in found.histogram
    ]


def _condition(found: ColumnStatistics, low: float, high: float, is_below: bool) -> ColumnFilter | None:
    """The rows of a bar; `is_below`: its upper end belongs to the next one."""
    if found.kind == "boolean":
        return ColumnFilter(found.name, "equals", (low >= 0.5,))
    if found.kind == "number":
        last = math.nextafter(high, -math.inf) if is_below and high > low else high
        return ColumnFilter(found.name, "range", (_exact(low), _exact(last)))
    if found.kind == "time":
        ends = (moment_text(low, found.type), moment_text(high, found.type, is_before=is_below and high > low))
        return ColumnFilter(found.name, "range", ends) if None not in ends else None
    return None


def _with_unit(label: str, measure: str) -> str:
    if measure in ("value", "time"):
        return label
    return f"{label} {measure.removesuffix('s') if label == '1' else measure}"


def _exact(value: float) -> float | int:
    """A whole number as such, as far as it is one to the last digit."""
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def outlier_words(found: ColumnStatistics, measure: Any) -> str:
    """What lies far from the others: the value, or how long it is."""
    if found.measure == "time":
        return moment_words(float(measure), found.type)
    shown = amount(float(measure)) if isinstance(measure, int | float) else cell_text(measure)
    return _with_unit(shown, found.measure)


def _share(count: int, rows: int) -> str:
    return f"{words.number(count)} ({count / rows:.1%})".replace("%", " %") if count and rows else words.number(count)
