"""Histograms of a measure, counted in DuckDB: equal bins from the lowest to the highest value."""

from __future__ import annotations

import math
from dataclasses import dataclass

import duckdb

from fmstudio.project.filters import Kind
from fmstudio.project.statistics_model import Bin
from fmstudio.project.statistics_moments import DAY, is_day, moment_words

BINS = 16
EXACT = 2**53
"""Whole numbers from here on are not all told apart by the decimal number of 64 bits that measures them."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure of a column, in a table: `name` holds it, `low` and `high` are its ends (None = there is none)."""

    table: str
    name: str
    low: float | None
    high: float | None
    kind: Kind
    type: str


def histogram(cursor: duckdb.DuckDBPyConnection, measured: Measured, scale: float = 1.0) -> tuple[Bin, ...]:
    """Count the bins. Where values lie a unit apart (whole numbers, days), so do the ends of bins, and both belong to them.

    Args:
        scale: What the counts of a sample are multiplied by.
    """
    low, high, name = measured.low, measured.high, measured.name
    if low is None or high is None or not math.isfinite(high - low):
        return ()
    if measured.kind == "boolean":
        edges, place = [(0.0, 0.0), (1.0, 1.0)], f"{name}::INTEGER"
    elif low == high:
        edges, place = [(low, high)], "0"
    else:
        unit = _unit(cursor, measured, low, high)
        if unit:
            steps = round((high - low) / unit)
            per_bin = math.ceil((steps + 1) / min(BINS, steps + 1))
            bins, width = math.ceil((steps + 1) / per_bin), per_bin * unit
        else:
            # Bins are no narrower than what lies between neighbouring numbers so far from zero.
            apart = math.ulp(max(abs(low), abs(high)))
            width = math.ceil((high - low) / BINS / apart) * apart
            bins = min(BINS, math.ceil((high - low) / width))
        place = f"least({bins - 1}, floor(({name} - ({low!r})) / {width!r})::INTEGER)"
        edges = [(low + i * width, low + (i + 1) * width - unit) for i in range(bins)]
        edges[-1] = (edges[-1][0], high)
    counted = cursor.execute(
        f"SELECT {place} AS bin, count(*) FROM {measured.table} WHERE {name} IS NOT NULL GROUP BY bin"
    ).fetchall()
    counts = {int(place): count for place, count in counted}
    return tuple(Bin(a, b, _label(a, b, measured), round(counts.get(i, 0) * scale)) for i, (a, b) in enumerate(edges))


def _unit(cursor: duckdb.DuckDBPyConnection, measured: Measured, low: float, high: float) -> float:
    """How far apart neighbouring values are; 0 where they may lie anywhere between."""
    if measured.kind == "time":
        return DAY if is_day(measured.type) else 0.0
    if low != int(low) or high != int(high) or max(abs(low), abs(high)) >= EXACT:
        return 0.0
    if measured.kind == "number" and "int" not in measured.type.lower():
        # Shares from 0 to 1 begin and end with whole numbers, too: all values have to be looked at.
        uneven = f"SELECT 1 FROM {measured.table} WHERE {measured.name} <> floor({measured.name}) LIMIT 1"
        return 1.0 if cursor.execute(uneven).fetchone() is None else 0.0
    return 1.0


def _label(low: float, high: float, measured: Measured) -> str:
    if measured.kind == "boolean":
        return "yes" if low >= 0.5 else "no"
    if measured.kind == "time":
        span = (measured.high or 0.0) - (measured.low or 0.0)
        first, last = (moment_words(edge, measured.type, span) for edge in (low, high))
    else:
        first, last = _number(low), _number(high)
    return first if first == last else f"{first} – {last}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.4g}"
