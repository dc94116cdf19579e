"""One schema for batches that disagree: widen numbers, add missing columns, and turn the rest into text.

Knows Arrow types only. Every change that a user could stumble over is told in `Unifier.notes`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


MOST_FIELDS = 1_000
"""Objects that together have more names than this become JSON text: their names are values, and each would be a column."""


class Unifier:
    """Grows a schema batch by batch and brings each batch to the schema known so far.

    Example:
        >>> unifier = Unifier()
        >>> unifier.conform(first).schema == unifier.schema()
    """

    def __init__(self) -> None:
        self._types: dict[str, pa.DataType] = {}
        self.notes: list[str] = []

    def state(self) -> dict[str, Any]:
        """What was learned so far, as JSON; see `restore`."""
        import pyarrow as pa

        # Not `schema`: a column without any value yet must stay free to become anything.
        types = pa.schema(list(self._types.items())).serialize().to_pybytes()
        return {"types": b64encode(types).decode("ascii"), "notes": list(self.notes)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        import pyarrow as pa

        known = pa.ipc.read_schema(pa.py_buffer(b64decode(state["types"])))
        self._types = {field.name: field.type for field in known}
        self.notes = list(state["notes"])

    def schema(self) -> pa.Schema:
        """Give the schema so far; columns without any value yet count as text."""
        import pyarrow as pa

        return pa.schema([pa.field(name, _settled(kind)) for name, kind in self._types.items()])

    def conform(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Widen the schema by this batch and return the batch in that schema."""
        for field in batch.schema:
            self._meet(field.name, plain_type(field.type))
        return self.bring(batch)

    def bring(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch in the schema known so far, which holds all its columns."""
        import pyarrow as pa

        if batch.schema == self.schema():
            return batch
        arrays = []
        for name in self._types:
            if batch.schema.get_field_index(name) < 0:
                arrays.append(pa.nulls(batch.num_rows, _settled(self._types[name])))
            else:
                arrays.append(self._convert(name, batch.column(name)))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema())

    def _meet(self, name: str, kind: pa.DataType) -> None:
        known = self._types.get(name)
        if known is None:
            self._types[name] = kind
        elif known != kind:
            self._types[name] = merged = merge_types(known, kind)
            if str(merged) != str(known) and _has_clash(known, kind):
                self._note(name, known, kind)

    def _convert(self, name: str, array: pa.Array) -> pa.Array:
        import pyarrow as pa

        try:
            return convert(array, _settled(self._types[name]))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            # A whole number too large for a decimal: text keeps every digit.
            self._note(name, array.type, self._types[name])
            self._types[name] = pa.string()
            return convert(array, pa.string())

    def _note(self, name: str, one: pa.DataType, other: pa.DataType) -> None:
        import pyarrow as pa

        note = f"Column “{name}” holds different kinds of values ({_said(one)} and {_said(other)}), so it is stored as text."
        if pa.types.is_struct(one) and pa.types.is_struct(other) and pa.types.is_string(merge_types(one, other)):
            note = f"Column “{name}” holds objects with ever other names, so it is stored as text (JSON)."
        if not any(old.startswith(f"Column “{name}” holds") for old in self.notes):
            self.notes.append(note)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Drop encodings that only matter in memory: dictionaries, large and view variants."""
    import pyarrow as pa

    t = pa.types
    if t.is_dictionary(kind):
        return plain_type(kind.value_type)
    if t.is_large_string(kind) or t.is_string_view(kind):
        return pa.string()
    if t.is_large_binary(kind) or t.is_binary_view(kind):
        return pa.binary()
    if t.is_list(kind) or t.is_large_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if t.is_struct(kind):
        return pa.struct([(f.name, plain_type(f.type)) for f in kind])
    return kind


def merge_types(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Give the narrowest type that holds both; text when nothing else does."""
    import pyarrow as pa

    t = pa.types
    if one == other or t.is_null(other):
        return one
    if t.is_null(one):
        return other
    if t.is_integer(one) and t.is_integer(other):
        return pa.int64() if not (t.is_uint64(one) or t.is_uint64(other)) else pa.string()
    if _is_number(one) and _is_number(other):
        return pa.float64()
    if t.is_list(one) and t.is_list(other):
        return pa.list_(merge_types(one.value_type, other.value_type))
    if t.is_struct(one) and t.is_struct(other):
        fields = {f.name: f.type for f in one}
        for field in other:
            fields[field.name] = merge_types(fields.get(field.name, pa.null()), field.type)
        return pa.struct(list(fields.items())) if len(fields) <= MOST_FIELDS else pa.string()
    if t.is_timestamp(one) and t.is_timestamp(other) and one.tz == other.tz:
        return pa.timestamp("us", one.tz)
    return pa.string()


def convert(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Cast an array to a type that `merge_types` gave; nested values become JSON where text is asked for.

    Raises:
        pyarrow.ArrowInvalid: A value does not fit (a whole number beyond 2**53 into a decimal).
    """
    import pyarrow as pa

    t = pa.types
    if array.type == target:
        return array
    if array.null_count == len(array):
        return pa.nulls(len(array), target)
    if t.is_dictionary(array.type):
        return convert(array.dictionary_decode(), target)
    if t.is_string(target):
        return as_text(array)
    if t.is_struct(target):
        return _of_empty(array, target) if t.is_string(array.type) else _convert_struct(array, target)
    if t.is_list(target):
        return _convert_list(array, target)
    return array.cast(target)


def as_text(array: pa.Array) -> pa.Array:
    """Give each value as text: numbers in digits, nested values as JSON, null stays null."""
    import pyarrow as pa

    t = pa.types
    if t.is_nested(array.type) or t.is_binary(array.type):
        return pa.array([None if value is None else _json(value) for value in array.to_pylist()], pa.string())
    return array.cast(pa.string())


def _of_empty(texts: pa.Array, target: pa.DataType) -> pa.Array:
    """Give objects without fields, which are stored as text as long as there are no others, the fields of later ones."""
    import pyarrow as pa

    leaves = [pa.nulls(len(texts), field.type) for field in target]
    return pa.StructArray.from_arrays(leaves, fields=list(target), mask=texts.is_null())


def _convert_struct(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa

    have = {array.type.field(i).name: leaf for i, leaf in enumerate(array.flatten())}
    leaves = [
        convert(have[field.name], field.type) if field.name in have else pa.nulls(len(array), field.type)
        for field in target
    ]
    return pa.StructArray.from_arrays(leaves, fields=list(target), mask=array.is_null())


def _convert_list(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    values = convert(array.flatten(), target.value_type)
    return pa.ListArray.from_arrays(offsets, values, type=target, mask=array.is_null())


def _said(kind: pa.DataType) -> str:
    """Give a type in words short enough for a note."""
    import pyarrow as pa

    text = str(kind)
    return text if len(text) <= 80 else "objects" if pa.types.is_struct(kind) else "lists"


def _settled(kind: pa.DataType) -> pa.DataType:
    """Replace "no value yet" by text, so that every file can be read by any engine."""
    import pyarrow as pa

    t = pa.types
    if t.is_null(kind):
        return pa.string()
    if t.is_list(kind):
        return pa.list_(_settled(kind.value_type))
    if t.is_struct(kind):
        fields = [(f.name, _settled(f.type)) for f in kind]
        return pa.struct(fields) if fields else pa.string()  # Parquet has no struct without fields
    return kind


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _has_clash(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether merging these turns something that was no text into text."""
    import pyarrow as pa

    t = pa.types
    if one == other or t.is_null(one) or t.is_null(other):
        return False
    if t.is_list(one) and t.is_list(other):
        return _has_clash(one.value_type, other.value_type)
    if t.is_struct(one) and t.is_struct(other):
        theirs = {f.name: f.type for f in other}
        return t.is_string(merge_types(one, other)) or any(
            _has_clash(f.type, theirs[f.name]) for f in one if f.name in theirs
        )
    return bool(t.is_string(merge_types(one, other)))


def _json(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else _dump(value)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_jsonable)


def _jsonable(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
