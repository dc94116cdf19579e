"""Pictures as `datasets` knows them: a column of its ``Image`` feature, told in the schema of the Parquet files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMN = "image"


def with_image_feature(schema: pa.Schema, kind: str) -> pa.Schema:
    """Give the schema to write: where rows are pictures kept as bytes, with the type and mark of an ``Image``.

    `datasets` takes a feature from the schema's metadata only where the column has the feature's own type.
    """
    import pyarrow as pa

    place = schema.get_field_index(_COLUMN) if kind == "image_caption" else -1
    if place < 0 or not _has_bytes(schema.field(place).type):
        return schema
    stored = pa.field(_COLUMN, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    feature = json.dumps({"info": {"features": {_COLUMN: {"_type": "Image"}}}})
    return schema.set(place, stored).with_metadata({**(schema.metadata or {}), "huggingface": feature})


def brought(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Give a batch in the schema that `with_image_feature` made."""
    import pyarrow as pa

    if batch.schema.equals(schema):
        return batch
    columns = [
        column if column.type == field.type else _image(column)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _has_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _has_bytes(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _image(column: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    content, path = column, pa.nulls(len(column), pa.string())
    if pa.types.is_struct(column.type):
        content = pc.struct_field(column, "bytes")
        if column.type.get_field_index("path") >= 0:
            path = pc.struct_field(column, "path").cast(pa.string())
    return pa.StructArray.from_arrays([content.cast(pa.binary()), path], ["bytes", "path"], mask=column.is_null())
