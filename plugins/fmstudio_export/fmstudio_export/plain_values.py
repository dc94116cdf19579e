"""Arrow values → what JSON and text can say without loss: dates as ISO text, decimals in digits, bytes as base64.

Works on whole columns; a column that JSON can say as it is passes untouched.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fmstudio.api import ExportReport

if TYPE_CHECKING:
    import pyarrow as pa


_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31 in days from 1970 on."""


MAPS: dict[str, Any] = {"maps_as_pydicts": "lossy"}
"""How plain columns are made Python values: a map is an object; of a key that is there twice the last counts."""


class PlainValues:
    """Makes batches plain, and tells once what it had to write in another form.

    Args:
        is_finite_only: Write null for NaN and infinite numbers (JSON has none).
    """

    def __init__(self, report: ExportReport, *, is_finite_only: bool = False) -> None:
        self._report = report
        self._is_finite_only = is_finite_only
        self.not_finite = 0

    def batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Give the batch with plain columns."""
        import pyarrow as pa

        columns = [self.column(column, name) for column, name in zip(batch.columns, batch.schema.names, strict=True)]
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def column(self, array: pa.Array, name: str) -> pa.Array:
        """Give one column as strings, numbers, booleans, and lists and structs of them."""
        import pyarrow as pa

        t, kind = pa.types, array.type
        if t.is_dictionary(kind):
            return self.column(array.dictionary_decode(), name)
        if t.is_struct(kind):
            return self._struct(array, name)
        if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
            return self._list(array, name)
        if t.is_map(kind):
            return self._map(array, name)
        if t.is_floating(kind):
            return self._floats(array.cast(pa.float32()) if t.is_float16(kind) else array)
        if t.is_temporal(kind):
            return _temporal(array)
        if t.is_decimal(kind):
            self._report.note(f"“{name}” holds decimals; they are written as text, so that every digit stays.")
            return array.cast(pa.string())
        if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind) or t.is_binary_view(kind):
            self._report.note(f"“{name}” holds bytes; they are written in base64.")
            coded = [None if value is None else base64.b64encode(value).decode() for value in array.to_pylist()]
            return pa.array(coded, pa.large_string())
        return array

    def _struct(self, array: pa.Array, name: str) -> pa.Array:
        import pyarrow as pa

        if not array.type.num_fields:
            return array
        leaves = [self.column(leaf, name) for leaf in array.flatten()]
        names = [array.type.field(i).name for i in range(array.type.num_fields)]
        return pa.StructArray.from_arrays(leaves, names=names, mask=array.is_null())

    def _list(self, array: pa.Array, name: str) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        if _is_plain(array.type):
            return array
        if pa.types.is_fixed_size_list(array.type):
            array = array.cast(pa.large_list(array.type.value_type))
        lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
        offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
        values = self.column(array.flatten(), name)
        return pa.LargeListArray.from_arrays(offsets, values, mask=array.is_null())

    def _map(self, array: pa.Array, name: str) -> pa.Array:
        """Keys as text, as an object has them; see `MAPS`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        entries = array.cast(pa.list_(pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])))
        lengths = pc.fill_null(pc.list_value_length(entries), 0).cast(pa.int32())
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
        keys, items = (self.column(part, name) for part in entries.flatten().flatten())
        if pa.types.is_boolean(keys.type) or (not pa.types.is_primitive(keys.type) and not _is_text(keys.type)):
            keys = pa.array([json_text(key) for key in keys.to_pylist(**MAPS)], pa.string())
        return pa.MapArray.from_arrays(offsets, keys.cast(pa.string()), items, mask=array.is_null())

    def _floats(self, array: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        finite = pc.is_finite(array)
        count = len(array) - array.null_count - int(pc.sum(finite).as_py() or 0)
        self.not_finite += count
        return pc.if_else(finite, array, None) if count and self._is_finite_only else array


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_plain(kind: pa.DataType) -> bool:
    """Whether JSON can say values of this type as they are."""
    import pyarrow as pa

    t = pa.types
    if t.is_struct(kind):
        return all(_is_plain(kind.field(i).type) for i in range(kind.num_fields))
    if t.is_list(kind) or t.is_large_list(kind):
        return _is_plain(kind.value_type)
    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_integer(kind) or t.is_boolean(kind))


def _temporal(array: pa.Array) -> pa.Array:
    """ISO 8601 text in the column's own precision; durations as a number and its unit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_duration(array.type):
        return pc.binary_join_element_wise(array.cast(pa.int64()).cast(pa.string()), array.type.unit, " ")
    text = array.cast(pa.string())
    if pa.types.is_time(array.type):
        return text
    if pa.types.is_timestamp(array.type):
        text = pc.replace_substring(text, " ", "T", max_replacements=1)
    in_years = pc.fill_null(in_calendar(array), True)
    return text if pc.all(in_years).as_py() else pc.if_else(in_years, text, _far_text(array))


def in_calendar(array: pa.Array) -> pa.Array:
    """Of dates and times: whether they lie in the years 1 to 9999, beyond which Python and Arrow know no dates."""
    import pyarrow as pa
    import pyarrow.compute as pc

    days = array.cast(pa.date32()).cast(pa.int32())
    return pc.and_(pc.greater_equal(days, _FIRST_DAY), pc.less_equal(days, _LAST_DAY))


def _far_text(array: pa.Array) -> pa.Array:
    """ISO 8601 with as many digits of the year as it has, as numpy writes it; what other databases call infinite, too."""
    import numpy as np
    import pyarrow as pa

    unit: Any = array.type.unit if pa.types.is_timestamp(array.type) else "D"
    numbers = array.cast(pa.date32()).cast(pa.int32()) if unit == "D" else array.cast(pa.int64())
    zone = "Z" if pa.types.is_timestamp(array.type) and array.type.tz else ""
    texts = [None if n is None else f"{np.datetime64(n, unit)}{zone}" for n in numbers.to_pylist()]
    return pa.array(texts, pa.string())


def json_text(value: Any) -> str:
    """Give a value as compact JSON in plain Unicode."""
    return json.dumps(value, ensure_ascii=False, default=str)


def numbered_rows(batches: Iterator[pa.RecordBatch], plain: PlainValues) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row as plain Python values, with its 0-based position in the export."""
    position = 0
    for batch in batches:
        for row in plain.batch(batch).to_pylist(**MAPS):
            yield position, row
            position += 1
