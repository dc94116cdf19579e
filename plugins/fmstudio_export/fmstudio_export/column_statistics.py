"""Statistics of columns, gathered while rows pass by: exact, in memory that does not grow with the rows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from fmstudio_export.plain_values import in_calendar

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_VALUES = 64
LANGUAGE_COLUMNS = ("language", "lang")


class ColumnTallies:
    """The tallies of all columns.

    Attributes:
        rows: Rows seen.
        tallies: One `Tally` a column, in order.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
        self.tallies = [Tally(field.name, field.type) for field in schema]

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch."""
        self.rows += batch.num_rows
        for tally, column in zip(self.tallies, batch.columns, strict=True):
            tally.add(column)

    def languages(self) -> Counter[str]:
        """Values of the language column with their counts; empty when there is none."""
        found = [t for name in LANGUAGE_COLUMNS for t in self.tallies if t.name == name and t.values]
        return found[0].values if found else Counter()


class Tally:
    """What is known of one column.

    Attributes:
        missing: Nulls.
        low: Smallest value; `high` the largest: of numbers and times, of the length in characters of texts, of the
            number of items of lists.
        mean: Mean of the same (numbers, lengths); None where there is none.
        values: Counts of each value while there are few of them (texts and booleans).
    """

    def __init__(self, name: str, kind: pa.DataType) -> None:
        self.name, self.kind = name, kind
        self.missing = self._count = 0
        self._sum = 0.0
        self.low: Any = None
        self.high: Any = None
        self.values: Counter[str] = Counter()
        self._is_counting = True

    @property
    def mean(self) -> float | None:
        """See the class."""
        import pyarrow as pa

        return None if not self._count or pa.types.is_temporal(self.kind) else self._sum / self._count

    @property
    def measure(self) -> str:
        """What `low`, `high` and `mean` measure."""
        import pyarrow as pa

        t = pa.types
        if t.is_string(self.kind) or t.is_large_string(self.kind):
            return "characters"
        if t.is_list(self.kind) or t.is_large_list(self.kind):
            return "items"
        return "value"

    @property
    def is_repeating(self) -> bool:
        """Whether values come often enough that counting them says something."""
        return self.values.total() > len(self.values)

    def add(self, column: pa.Array) -> None:
        """Take in a part of the column."""
        import pyarrow as pa
        import pyarrow.compute as pc

        self.missing += column.null_count
        measured = self._measured(column)
        if measured is None:
            return
        measured = measured.drop_null()
        if pa.types.is_floating(measured.type):
            measured = measured.filter(pc.is_finite(measured))
        if pa.types.is_timestamp(measured.type) or pa.types.is_date(measured.type):
            measured = measured.filter(in_calendar(measured))
        if not len(measured):
            return
        ends = pc.min_max(measured).as_py()
        self.low = ends["min"] if self.low is None else min(self.low, ends["min"])
        self.high = ends["max"] if self.high is None else max(self.high, ends["max"])
        self._count += len(measured)
        if not pa.types.is_temporal(measured.type):
            self._sum += float(pc.sum(measured.cast(pa.float64(), safe=False)).as_py())

    def _measured(self, column: pa.Array) -> pa.Array | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        t = pa.types
        if t.is_string(self.kind) or t.is_large_string(self.kind):
            self._tally(column)
            return pc.utf8_length(column)
        if t.is_list(self.kind) or t.is_large_list(self.kind):
            return pc.list_value_length(column)
        if t.is_boolean(self.kind):
            self._tally(column)
            return None
        if t.is_integer(self.kind) or t.is_floating(self.kind) or t.is_timestamp(self.kind) or t.is_date(self.kind):
            return column
        return None

    def _tally(self, column: pa.Array) -> None:
        if not self._is_counting:
            return
        for entry in column.value_counts().to_pylist():
            if entry["values"] is not None:
                self.values[str(entry["values"])] += entry["counts"]
        if len(self.values) > _MOST_VALUES:
            self._is_counting = False
            self.values.clear()
