"""Python rows → Arrow batches, for the formats and the damaged blocks that Arrow cannot read itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 8_192


def rows_to_batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Make one batch; columns in order of appearance, a column of mixed values as text."""
    import pyarrow as pa

    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    arrays = [column_array([row.get(name) for row in rows]) for name in names]
    return pa.RecordBatch.from_arrays(arrays, names=[str(name) for name in names])


def column_array(values: list[Any]) -> pa.Array:
    """Make an array of any values; what Arrow finds no common type for becomes text (nested values as JSON)."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds != {bool, int} and kinds != {bool, float} and kinds != {str, bytes}:
        try:
            array = pa.array(values)
            if kinds != {int, float} or array.type != pa.float64() or _is_exact(values):
                return array
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError):
            pass
    return pa.array([None if value is None else cell_text(value) for value in values], pa.string())


def cell_text(value: Any) -> str:
    """Give a value as text that any engine can store: JSON for all but strings, no lone surrogates."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode("utf-8")


def batched(rows: Iterable[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    """Gather rows into batches."""
    pending: list[dict[str, Any]] = []
    for row in rows:
        pending.append(row)
        if len(pending) >= ROWS:
            yield rows_to_batch(pending)
            pending = []
    if pending:
        yield rows_to_batch(pending)


def _is_exact(values: list[Any]) -> bool:
    """Whether all whole numbers survive as decimals."""
    return all(abs(value) <= 2**53 for value in values if isinstance(value, int))
