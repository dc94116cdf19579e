"""Objects whose names are values: ids of messages, of users, of documents.

As a column of named fields they would get a field for every name in the file, null in near all rows: a few thousand rows fill
the memory. They are kept as JSON text instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_MANY = 200
"""Objects with no more names than this are columns of fields, however few rows have each."""
_SHARE = 0.2
"""Of the names of all rows, the share that an object must have at least, on average, to be one of fields."""
_DEEPEST = 4


def are_open(values: Iterable[Any], deepest: int = _DEEPEST) -> bool:
    """Whether these objects, or those in them, have ever other names."""
    objects = [value for value in values if isinstance(value, dict)]
    if not objects:
        return False
    names: dict[str, None] = {}
    total = 0
    for one in objects:
        names.update(dict.fromkeys(one))
        total += len(one)
    if len(names) > _MANY and total < _SHARE * len(names) * len(objects):
        return True
    if deepest <= 1 or len(names) > _MANY:
        return False
    return any(are_open([one[name] for one in objects if name in one], deepest - 1) for name in names)


def is_open(kind: pa.DataType, array: pa.Array) -> bool:
    """The same of a column that Arrow has made of them."""
    import pyarrow as pa

    if not pa.types.is_struct(kind) or not len(array):
        return False
    leaves = array.flatten()
    if len(leaves) > _MANY:
        there = sum(len(leaf) - int(leaf.null_count) for leaf in leaves)
        return there < _SHARE * len(leaves) * len(array)
    return any(is_open(leaf.type, leaf) for leaf in leaves)
