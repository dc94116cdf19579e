"""Arrow's JSON parser, kept to what the file says: dates stay text, and large whole numbers keep their digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmstudio_formats.depth import may_be_too_deep
from fmstudio_formats.encoding import is_utf8
from fmstudio_formats.json_scalars import has_inexact
from fmstudio_formats.json_template import Template
from fmstudio_formats.open_objects import is_open

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK = 1 << 20


class JsonParser:
    """Parses blocks of whole lines, several at once; what `learn` is told speeds up the blocks that come after."""

    def __init__(self) -> None:
        self._schema: pa.Schema | None = None
        self._template: Template | None = None
        self._has_open_objects = False

    def learn(self, data: bytes, table: pa.Table) -> None:
        """Take the types of a block, and how its lines are written, as what to expect."""
        self._schema = _known_part(table.schema)
        if self._template is None or not self._template.gives(table.schema):
            self._template = Template.of(data, table.schema)

    def parse(self, data: bytes) -> pa.Table | None:
        """Parse whole lines; None when Arrow cannot, or not without loss. Safe on any thread."""
        import pyarrow as pa

        if data.isspace() or self._has_open_objects:
            return None
        template = self._template
        if template is not None and (batch := template.read(data)) is not None:
            return pa.Table.from_batches([batch])
        if not is_utf8(data) or may_be_too_deep(data):
            return None
        expected = self._schema
        for schema in (expected, None) if expected is not None else (None,):
            try:
                return _exact(data, schema)
            except _OpenObjects:  # as there will be in the next blocks: what Arrow makes of them takes seconds
                self._has_open_objects = True
                return None
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue
        return None


class _OpenObjects(Exception):
    """A column holds objects with ever other names."""


def _exact(data: bytes, schema: pa.Schema | None) -> pa.Table | None:
    """Parse a block; None where Arrow would lose digits.

    Raises:
        _OpenObjects: Objects in it are no columns of fields.
    """
    table = _arrow_json(data, schema)
    if any(is_open(chunk.type, chunk) for column in table.columns for chunk in column.chunks):
        raise _OpenObjects
    if any(_has_time(field.type) for field in table.schema):
        table = _arrow_json(data, _without_times(table.schema))
    table.validate()  # pyarrow 26 reads a list of several nulls, and of nothing else, as an array that is too short
    return None if any(_has_huge(chunk) for column in table.columns for chunk in column.chunks) else table


def _arrow_json(data: bytes, schema: pa.Schema | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.json

    parse = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer")
    for chunk in (_CHUNK, len(data) + 1):
        try:
            read = pyarrow.json.ReadOptions(block_size=chunk, use_threads=False)
            return pyarrow.json.read_json(pa.BufferReader(data), read_options=read, parse_options=parse)
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error) or chunk > len(data):
                raise
    raise AssertionError("a block always fits into itself")


def _has_time(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return any(_has_time(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_temporal(kind))


def _without_times(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(field.name, _timeless(field.type)) for field in schema])


def _timeless(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([(f.name, _timeless(f.type)) for f in kind])
    if pa.types.is_list(kind):
        return pa.list_(_timeless(kind.value_type))
    return pa.string() if pa.types.is_temporal(kind) else kind


def _known_part(schema: pa.Schema) -> pa.Schema:
    """Leave out columns whose type is not settled yet: they must stay free to be inferred."""
    import pyarrow as pa

    return pa.schema([field for field in schema if not _has_null(field.type)])


def _has_null(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return not kind.num_fields or any(_has_null(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_null(kind))


def _has_huge(array: pa.Array) -> bool:
    """Whether a number, or one in a nested value, is too large to be exact as a decimal."""
    import pyarrow as pa

    if pa.types.is_list(array.type) or pa.types.is_struct(array.type):
        return any(_has_huge(leaf) for leaf in _leaves(array))
    return bool(pa.types.is_floating(array.type)) and has_inexact(array)


def _leaves(array: pa.Array) -> list[pa.Array]:
    flat = array.flatten()
    return flat if isinstance(flat, list) else [flat]
