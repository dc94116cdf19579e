"""Python rows → Arrow batches of bounded size, for the formats and the damaged blocks that Arrow cannot read itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fmstudio.api import ImportReport
from fmstudio_formats.open_objects import are_open

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 8_192
BYTES = 16 << 20
"""Most rows, and about the most bytes, of a batch: so a file of very large rows needs no more memory than any other."""

_KINDS = {
    str: "text", bool: "true or false", int: "numbers", float: "numbers", dict: "objects", list: "lists",
    bytes: "bytes", datetime: "dates",
}  # fmt: skip


class Batcher:
    """Makes batches of rows, and tells once of each column whose values are of different kinds, or cannot be stored."""

    def __init__(self, report: ImportReport) -> None:
        self._report = report
        self._mixed: set[str] = set()
        self._halved: set[str] = set()

    def state(self) -> dict[str, Any]:
        """Which columns were told of, as JSON; see `restore`."""
        return {"mixed": sorted(self._mixed), "halved": sorted(self._halved)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self._mixed, self._halved = set(state["mixed"]), set(state["halved"])

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
        columns = {_whole(str(name)): [row.get(name) for row in rows] for name in names}
        arrays = [self._array(name, values) for name, values in columns.items()]
        return pa.RecordBatch.from_arrays(arrays, names=list(columns))

    def _array(self, name: str, values: list[Any]) -> pa.Array:
        try:
            array, is_mixed = column_array(values)
        except UnicodeEncodeError:
            array, is_mixed = column_array([_whole(value) for value in values])
            if name not in self._halved:
                self._halved.add(name)
                self._report.note(
                    f"Column “{name}” holds halves of characters (lone surrogates such as \\ud83d), which no file can store; "
                    "“?” stands in their place."
                )
        if is_mixed and name not in self._mixed:
            self._mixed.add(name)
            self._report.note(_reason(name, values))
        return array


def column_array(values: list[Any]) -> tuple[pa.Array, bool]:
    """Make an array of any values, and say whether they had to become text for want of a common type.

    Nested values that do become JSON.

    Raises:
        UnicodeEncodeError: A text holds half of a character, which no UTF-8 file can store.
    """
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    is_open = dict in kinds and are_open(values)
    if not is_open and kinds != {bool, int} and kinds != {bool, float} and kinds != {str, bytes}:
        try:
            array = pa.array(values)
            if kinds != {int, float} or array.type != pa.float64() or _is_exact(values):
                return array, False
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
            pass
    texts = pa.array([None if value is None else cell_text(value) for value in values], pa.string())
    return texts, kinds != {str}


def cell_text(value: Any) -> str:
    """Give a value as text that any engine can store: a moment as ISO writes it, JSON for all others but strings."""
    if isinstance(value, datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _reason(name: str, values: list[Any]) -> str:
    """Say why a column is text."""
    kinds = sorted({_KINDS.get(type(value), type(value).__name__) for value in values if value is not None})
    if kinds == ["numbers"]:
        return f"Column “{name}” holds numbers of too many digits to be kept as numbers, so it is read as text."
    if kinds == ["objects"] and are_open(values):
        return f"Column “{name}” holds objects with ever other names, so it is read as text (JSON)."
    what = " and ".join(kinds) if len(kinds) > 1 else f"{kinds[0]} that do not go together"
    return f"Column “{name}” holds different kinds of values ({what}), so it is read as text."


def _whole(value: Any) -> Any:
    """Replace halves of characters, which JSON can write."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_whole(name): _whole(inner) for name, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value


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
