"""What the features of a saved Hugging Face dataset say about its columns: class numbers become their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def decoded(batch: pa.RecordBatch, features: dict[str, Any]) -> pa.RecordBatch:
    """Replace class numbers by names at any depth; images and audio stay the bytes and paths they are stored as."""
    import pyarrow as pa

    arrays = [_array(batch.column(name), features.get(name)) for name in batch.schema.names]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _array(array: pa.Array, feature: Any) -> pa.Array:
    import pyarrow as pa

    t = pa.types
    if isinstance(feature, dict):
        names = feature.get("names")
        if feature.get("_type") == "ClassLabel" and isinstance(names, list) and t.is_integer(array.type):
            return _named(array, [str(name) for name in names])
        inner = feature.get("feature")
        if feature.get("_type") in ("Sequence", "List", "LargeList") and inner is not None:
            return _of_sequence(array, inner)
        if "_type" not in feature and t.is_struct(array.type):
            return _of_struct(array, feature)
    if isinstance(feature, list) and len(feature) == 1:
        return _of_sequence(array, feature[0])
    return array


def _named(array: pa.Array, names: list[str]) -> pa.Array:
    """Look class numbers up; -1 stands for no label, and a number without a name stays a number, as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    index = array.cast(pa.int64())
    known = pc.and_(pc.greater_equal(index, 0), pc.less(index, len(names)))
    found = pa.array(names, pa.string()).take(pc.if_else(known, index, pa.scalar(None, pa.int64())))
    other = pc.if_else(pc.equal(index, -1), pa.scalar(None, pa.string()), index.cast(pa.string()))
    return pc.coalesce(found, other)


def _of_sequence(array: pa.Array, inner: Any) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(array.type) and isinstance(inner, dict):  # a Sequence of objects is stored as lists by name
        return _of_struct(array, {name: {"_type": "Sequence", "feature": kind} for name, kind in inner.items()})
    if not pa.types.is_list(array.type):
        return array
    values = _array(array.flatten(), inner)
    if values.type == array.type.value_type:
        return array
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pa.ListArray.from_arrays(offsets, values, mask=array.is_null())


def _of_struct(array: pa.Array, features: dict[str, Any]) -> pa.Array:
    import pyarrow as pa

    names = [field.name for field in array.type]
    leaves = [_array(leaf, features.get(name)) for name, leaf in zip(names, array.flatten(), strict=True)]
    return pa.StructArray.from_arrays(leaves, names=names, mask=array.is_null())
