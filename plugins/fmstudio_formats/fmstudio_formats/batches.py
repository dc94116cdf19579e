"""Python rows → Arrow batches of bounded size, for the formats and the damaged blocks that Arrow cannot read itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fmstudio.api import ImportReport

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 8_192
BYTES = 16 << 20
"""Most rows, and about the most bytes, of a batch: so a file of very large rows needs no more memory than any other."""

_KINDS = {
    str: "text", bool: "true or false", int: "numbers", float: "numbers", dict: "objects", list: "lists",
    bytes: "bytes",
}  # fmt: skip


class Batcher:
    """Makes batches of rows, and tells once of each column whose values are of different kinds."""

    def __init__(self, report: ImportReport) -> None:
        self._report = report
        self._told: set[str] = set()

    def batched(self, rows: Iterable[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
        """Gather rows into batches."""
        pending: list[dict[str, Any]] = []
        size = 0
        for row in rows:
            pending.append(row)
            size += _weight(row)
            if len(pending) >= ROWS or size >= BYTES:
                yield self.batch(pending)
                pending, size = [], 0
        if pending:
            yield self.batch(pending)

    def batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        """Make one batch; columns in order of appearance, a column of mixed values as text."""
        import pyarrow as pa

        names: dict[Any, None] = {}
        for row in rows:
            names.update(dict.fromkeys(row))
        columns = {str(name): [row.get(name) for row in rows] for name in names}
        arrays = [self._array(name, values) for name, values in columns.items()]
        return pa.RecordBatch.from_arrays(arrays, names=list(columns))

    def _array(self, name: str, values: list[Any]) -> pa.Array:
        array, is_mixed = column_array(values)
        if is_mixed and name not in self._told:
            self._told.add(name)
            kinds = sorted({_KINDS.get(type(value), type(value).__name__) for value in values if value is not None})
            what = " and ".join(kinds) if len(kinds) > 1 else f"{kinds[0]} that do not go together"
            self._report.note(f"Column “{name}” holds different kinds of values ({what}), so it is read as text.")
        return array


def column_array(values: list[Any]) -> tuple[pa.Array, bool]:
    """Make an array of any values, and say whether they had to become text for want of a common type.

    Nested values that do become JSON.
    """
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds != {bool, int} and kinds != {bool, float} and kinds != {str, bytes}:
        try:
            array = pa.array(values)
            if kinds != {int, float} or array.type != pa.float64() or _is_exact(values):
                return array, False
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError):
            pass
    texts = pa.array([None if value is None else cell_text(value) for value in values], pa.string())
    return texts, kinds != {str}


def cell_text(value: Any) -> str:
    """Give a value as text that any engine can store: JSON for all but strings, no lone surrogates."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode("utf-8")


def _weight(value: Any) -> int:
    """About how many bytes a value takes."""
    if isinstance(value, (str, bytes)):
        return len(value) + 8
    if isinstance(value, dict):
        return sum(map(_weight, value.values()))
    return sum(map(_weight, value)) if isinstance(value, list) else 8


def _is_exact(values: list[Any]) -> bool:
    """Whether all whole numbers survive as decimals."""
    return all(abs(value) <= 2**53 for value in values if isinstance(value, int))
