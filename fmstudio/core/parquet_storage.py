"""How rows are stored in Parquet: zstd, row groups of 8 192 rows, an encoding for each column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP = 8_192
"""Rows in a row group: a random page of 200 rows by `row_id` reads one group (10 ms), not 122 880 rows (21 ms)."""

_SAMPLE = 4_096


def open_writer(path: Path, schema: pa.Schema, *, dictionary: Sequence[str], level: int = 1) -> pq.ParquetWriter:
    """Open a Parquet writer with the project's settings.

    Args:
        path: The file to write.
        schema: Columns of the file.
        dictionary: Paths of columns that are stored with a dictionary; see `repeating_columns`.
        level: zstd level.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = [f.name for f in schema if not (pa.types.is_nested(f.type) or pa.types.is_string(f.type))]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=level,
        use_dictionary=list(dictionary) or False,
        column_encoding=_encodings(schema, set(dictionary)) or None,
        write_statistics=plain or False,
        write_batch_size=ROW_GROUP,
    )


def _encodings(schema: pa.Schema, with_dictionary: set[str]) -> dict[str, str]:
    """How the leaves of other types than decimals are stored, by Parquet path.

    Whole numbers as differences: what counts up takes no room so, and less than half the time. Texts apart from their
    lengths: zstd finds more alike in them, and DuckDB reads them in four fifths of the time.
    """
    import pyarrow as pa

    texts, whole = (pa.string(), pa.binary()), (pa.int32(), pa.int64())
    leaves = [leaf for field in schema for leaf in _leaves(field.type, field.name)]
    known = Counter(path for path, _ in leaves)  # “a.b” may be a column, and a field of the column “a”
    return {
        path: "DELTA_LENGTH_BYTE_ARRAY" if kind in texts else "DELTA_BINARY_PACKED"
        for path, kind in leaves
        if (kind in texts or kind in whole) and path not in with_dictionary and known[path] == 1
    }


def _leaves(kind: pa.DataType, path: str) -> Iterator[tuple[str, pa.DataType]]:
    """Yield the Parquet path and the type of all leaves of a type; those of maps are left to Arrow."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(field.type, f"{path}.{field.name}")
    elif pa.types.is_list(kind):
        yield from _leaves(kind.value_type, f"{path}.list.element")
    elif not pa.types.is_nested(kind):
        yield path, kind


def repeating_columns(sample: pa.Table) -> list[str]:
    """Which columns repeat enough for a dictionary, as Parquet paths.

    On free text a dictionary only costs time (0.77 s against 0.60 s for 1 M rows of 250 bytes).

    Args:
        sample: First rows of a file.
    """
    found: list[str] = []
    for name in sample.schema.names:
        column = sample.column(name).slice(0, _SAMPLE)
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        _repeating(column, name, found)
    return found


def _repeating(array: pa.Array, path: str, found: list[str]) -> None:
    """Add the Parquet paths of all leaves in which at most half of the values are distinct."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_struct(kind):
        for index, leaf in enumerate(array.flatten()):
            _repeating(leaf, f"{path}.{kind.field(index).name}", found)
    elif pa.types.is_list(kind):
        _repeating(array.flatten(), f"{path}.list.element", found)
    elif not pa.types.is_nested(kind) and len(array) and pc.count_distinct(array).as_py() * 2 <= len(array):
        found.append(path)
