"""Python rows → Arrow batches of one schema, bounded in rows and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 8_192
_BYTES = 16 << 20


def batched(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Gather rows into batches; a column that a row lacks is null in it."""
    import pyarrow as pa

    pending: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        pending.append({name: storable(value) for name, value in row.items()})
        size += sum(len(value) for value in row.values() if isinstance(value, (str, bytes)))
        if len(pending) >= _ROWS or size >= _BYTES:
            yield pa.RecordBatch.from_pylist(pending, schema)
            pending, size = [], 0
    if pending:
        yield pa.RecordBatch.from_pylist(pending, schema)


def storable(value: Any) -> Any:
    """Replace half characters (lone surrogates), which no UTF-8 file can hold."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode("utf-8")
    return [storable(item) for item in value] if isinstance(value, list) else value


def schema_of(**columns: str) -> pa.Schema:
    """Make a schema of ``name="string"``, ``"int64"``, ``"bool"``, ``"binary"`` or ``"strings"`` (a list)."""
    import pyarrow as pa

    kinds = {
        "string": pa.string(), "int64": pa.int64(), "bool": pa.bool_(), "binary": pa.binary(),
        "strings": pa.list_(pa.string()),
    }  # fmt: skip
    return pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
