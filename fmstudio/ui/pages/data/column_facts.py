"""Column statistics as lines, bars and values to show."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmstudio.project.filters import ColumnFilter
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
        Fact("missing", _share(found.missing, found.rows), ColumnFilter(name, "empty") if found.missing else None),
    ]
    if found.kind in ("text", "texts", "messages"):
        facts.append(Fact("empty", _share(found.empty, found.rows)))
    facts.append(Fact("different values", f"{about}{words.number(found.distinct)}"))
    facts.append(Fact("repeats", f"{about}{words.number(found.duplicates)}"))
    for title, spread in (
        ("", found.values), ("characters", found.characters), ("words", found.words), ("messages", found.turns),
        ("items", found.items), ("tokens (estimate)", found.tokens),
    ):  # fmt: skip
        if spread is not None:
            facts += _spread_facts(title, spread, is_time=found.kind == "time" and not title)
    return facts


def _spread_facts(title: str, spread: Spread, *, is_time: bool) -> list[Fact]:
    def shown(value: float) -> str:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(value)) if is_time else amount(value)

    if not title:
        facts = [Fact("smallest", shown(spread.lowest)), Fact("largest", shown(spread.highest))]
        middle = [Fact("mean", shown(spread.mean)), Fact("median", shown(spread.median))]
        quarters = f"{shown(spread.quantiles[0.25])} – {shown(spread.quantiles[0.75])}"
        return [*facts, *middle, Fact("middle half", quarters)]
    low, high = shown(spread.lowest), shown(spread.highest)
    return [Fact(title, f"{low} – {high}, median {shown(spread.median)}")]


def amount(value: float) -> str:
    """A number as short as it can be said."""
    is_long = 1_000 <= abs(value) < 1e15
    return f"{value:,.0f}" if is_long or (value == round(value) and abs(value) < 1_000) else f"{value:,.4g}"


def bars_of(found: ColumnStatistics) -> list[Bar]:
    """The distribution as bars; a click on one of a number or of yes and no filters to it."""
    bars = []
    for one in found.histogram:
        value: ColumnFilter | None = None
        if found.kind == "number":
            value = ColumnFilter(found.name, "range", (_exact(one.low), _exact(one.high)))
        elif found.kind == "boolean":
            value = ColumnFilter(found.name, "equals", (one.low >= 0.5,))
        bars.append(Bar(one.label if found.measure == "value" else f"{one.label} {found.measure}", one.count, value))
    return bars


def _exact(value: float) -> float | int:
    return int(value) if value == int(value) else value


def outlier_words(found: ColumnStatistics, measure: Any) -> str:
    """What lies far from the others: the value, or how long it is."""
    shown = amount(float(measure)) if isinstance(measure, int | float) else cell_text(measure)
    return shown if found.measure in ("value", "time") else f"{shown} {found.measure}"


def _share(count: int, rows: int) -> str:
    return f"{words.number(count)} ({count / rows:.1%})".replace("%", " %") if count and rows else words.number(count)
