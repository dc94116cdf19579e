"""What `Statistics` says of columns: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fmstudio.project.filters import Kind


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar: values from `low` to `high`, how many, and the range in words.

    Where the next bin begins at `high`, that value belongs to the next one.
    """

    low: float
    high: float
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Spread:
    """How a measure is spread: lowest, highest (exact where the column's numbers are), mean, and quantiles by their share."""

    lowest: float | int | Decimal
    highest: float | int | Decimal
    mean: float
    deviation: float
    quantiles: dict[float, float]
    total: float

    @property
    def median(self) -> float:
        """The value in the middle."""
        return self.quantiles[0.5]


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """A column in a glance.

    Attributes:
        missing: Rows without a value; `distinct`: about how many different values; both scaled up when `is_sample`.
        histogram: Of the measure that fits the kind.
    """

    name: str
    type: str
    kind: Kind
    rows: int
    missing: int
    distinct: int
    histogram: tuple[Bin, ...]
    is_sample: bool = False


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """Everything about a column, counted exactly but for what says otherwise.

    Attributes:
        empty: Values that are there but hold nothing (empty text, empty list).
        distinct: Different values; about, when `is_distinct_estimate`.
        duplicates: Values that are there more than once, counted beyond their first.
        values: Spread of numbers or moments (seconds since 1970); None for other kinds.
        characters, words: Spread of a text's or conversation's length; `turns`: of its messages; `items`: of a list.
        contents: Spread of the characters of single messages of conversations.
        tokens: Spread of tokens: when `is_token_estimate`, from the characters (4 a token, 1 a token in CJK scripts);
            else a tokenizer's, from a column of counts.
        top: Most frequent values with their counts; of conversations: roles; of lists of texts: their items; of records:
            keys that have a value.
        outliers: Row id and measure, the farthest first; samples: row id and value.
    """

    name: str
    type: str
    kind: Kind
    rows: int
    missing: int
    empty: int
    distinct: int
    is_distinct_estimate: bool
    duplicates: int
    histogram: tuple[Bin, ...]
    measure: str
    values: Spread | None = None
    characters: Spread | None = None
    words: Spread | None = None
    turns: Spread | None = None
    contents: Spread | None = None
    items: Spread | None = None
    tokens: Spread | None = None
    is_token_estimate: bool = True
    top: tuple[tuple[Any, int], ...] = ()
    outliers: tuple[tuple[int, Any], ...] = ()
    samples: tuple[tuple[int, Any], ...] = ()
