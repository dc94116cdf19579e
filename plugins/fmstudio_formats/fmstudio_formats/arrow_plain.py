"""Arrow batches from other programs → batches that are sound, of bounded size and of types that every engine stores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fmstudio_formats.batches import BYTES, ROWS, cell_text

if TYPE_CHECKING:
    import pyarrow as pa


def sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Check a batch that was read from a file: offsets within bounds, text in UTF-8.

    Raises:
        pyarrow.ArrowInvalid: It is damaged; using it could end the process.
    """
    batch.validate(full=True)
    return batch


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch into pieces of bounded rows and bytes, in plain types."""
    import pyarrow as pa

    arrays = [plain_array(column) for column in batch.columns]
    whole = pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
    step = rows_within(whole.nbytes, whole.num_rows)
    for start in range(0, whole.num_rows, step):
        yield whole.slice(start, step)


def rows_within(size: int, rows: int) -> int:
    """How many rows of `size` bytes in `rows` rows make a batch."""
    return max(1, min(ROWS, BYTES * max(1, rows) // max(1, size)))


def plain_array(array: pa.Array) -> pa.Array:
    """Bring an array of any Arrow type to one that Parquet and the engine know; values are never rounded."""
    import pyarrow as pa

    t, kind = pa.types, array.type
    if isinstance(kind, pa.BaseExtensionType):
        return plain_array(array.storage)
    if t.is_dictionary(kind):
        return plain_array(array.dictionary_decode())
    if t.is_run_end_encoded(kind):
        import pyarrow.compute as pc

        return plain_array(pc.run_end_decode(array))
    if t.is_struct(kind):
        return _struct(array)
    if t.is_map(kind):
        entries = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        return plain_array(array.cast(pa.list_(entries)))
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind) or _is_list_view(kind):
        return _list(array)
    if t.is_large_string(kind) or t.is_string_view(kind):
        return array.cast(pa.string())
    if t.is_large_binary(kind) or t.is_binary_view(kind) or t.is_fixed_size_binary(kind):
        return array.cast(pa.binary())
    if t.is_float16(kind):
        return array.cast(pa.float32())
    if t.is_interval(kind):
        return pa.array([None if v is None else _interval_text(*v) for v in array.to_pylist()], pa.string())
    if t.is_duration(kind):
        return _durations(array)
    if t.is_union(kind):
        return pa.array([None if v is None else cell_text(v) for v in array.to_pylist()], pa.string())
    return array


def _durations(array: pa.Array) -> pa.Array:
    """Write lengths of time as intervals, all parts with the sign of the whole: ``-1 day -02:03:04.5``."""
    import pyarrow as pa

    scale = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}[array.type.unit]
    texts: list[str | None] = []
    for count in array.cast(pa.int64()).to_pylist():
        if count is None:
            texts.append(None)
            continue
        days, rest = divmod(abs(count) * scale, 86_400_000_000_000)
        texts.append(_interval_text(0, *(days, rest) if count >= 0 else (-days, -rest)))
    return pa.array(texts, pa.string())


def _interval_text(months: int, days: int, nanoseconds: int) -> str:
    """Write an interval as SQL does: ``1 year 2 months 3 days 02:00:00``."""
    years, rest = divmod(abs(months), 12)
    sign = -1 if months < 0 else 1
    counts = ((sign * years, "year"), (sign * rest, "month"), (days, "day"))
    words = [f"{count} {unit}{'' if abs(count) == 1 else 's'}" for count, unit in counts if count]
    if nanoseconds or not words:
        seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
        minutes, second = divmod(seconds, 60)
        clock = f"{minutes // 60:02}:{minutes % 60:02}:{second:02}" + f".{fraction:09}".rstrip("0").rstrip(".")
        words.append(f"-{clock}" if nanoseconds < 0 else clock)
    return " ".join(words)


def _struct(array: pa.Array) -> pa.Array:
    import pyarrow as pa

    names: list[str] = []
    for field in array.type:
        name = field.name
        while name in names:  # no engine stores two fields of one name
            name += "_2"
        names.append(name)
    if not names:
        return pa.nulls(len(array), pa.string())  # Parquet has no struct without fields
    leaves = [plain_array(leaf) for leaf in array.flatten()]
    return pa.StructArray.from_arrays(leaves, names=names, mask=array.is_null())


def _list(array: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = plain_array(array.flatten())
    if pa.types.is_list(array.type) and values.type == array.type.value_type:
        return array
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pa.ListArray.from_arrays(offsets, values, mask=array.is_null())


def _is_list_view(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))
