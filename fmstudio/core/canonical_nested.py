"""Columns inside columns: a mapping may name a field of an object as ``body.messages``, an item of a list by its number.

Request logs, annotation tools and preference files of providers put the texts of a row into an object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def top_of(source: str, columns: Sequence[str]) -> str:
    """Give the column that a source is or lies in; empty when there is none. A column's own name goes before a path."""
    if source in columns:
        return source
    return max((name for name in columns if source.startswith(f"{name}.")), key=len, default="")


def with_fields(batch: pa.RecordBatch, sources: Iterable[str]) -> pa.RecordBatch:
    """Add a column for every source that is a path into an object; what the batch lacks is not added."""
    columns = {name: batch.column(name) for name in batch.schema.names}
    for source in sources:
        top = top_of(source, batch.schema.names)
        if top and top != source and source not in columns:
            columns[source] = _field(batch.column(top), source[len(top) + 1 :].split("."))
    if len(columns) == batch.num_columns:
        return batch
    import pyarrow as pa

    return pa.RecordBatch.from_pydict(columns)


def _field(column: pa.Array, steps: list[str]) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, step in enumerate(steps):
        if pa.types.is_string(column.type):
            return pa.array([_reached(cell, steps[place:]) for cell in column.to_pylist()], pa.string())
        if pa.types.is_list(column.type) and step.isdigit():
            column = _item(column, int(step))
            continue
        if not pa.types.is_struct(column.type) or column.type.get_field_index(step) < 0:
            return pa.nulls(len(column))
        column = pc.struct_field(column, step)
    return column


def _item(column: pa.Array, place: int) -> pa.Array:
    """Take one item of each list; null where a list is shorter."""
    import pyarrow as pa
    import pyarrow.compute as pc

    starts = pc.cast(column.offsets[:-1], pa.int64())
    is_there = pc.fill_null(pc.greater(pc.list_value_length(column), place), False)
    return column.values.take(pc.if_else(is_there, pc.add(starts, place), pa.scalar(None, pa.int64())))


def reached(value: Any, steps: Sequence[str]) -> Any:
    """Follow a path into a value; None where it leads nowhere."""
    for step in steps:
        if isinstance(value, list):
            value = value[int(step)] if step.isdigit() and int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _reached(cell: str | None, steps: list[str]) -> str | None:
    """Follow a path into an object that is written as JSON text, as columns of mixed values are; give text or JSON."""
    try:
        value: Any = None if cell is None else json.loads(cell)
    except (ValueError, RecursionError):
        return None
    value = reached(value, steps)
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
