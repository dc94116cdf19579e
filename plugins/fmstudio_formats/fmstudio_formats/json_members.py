"""JSON files that are one object of objects: each a row under its name, or each a column as pandas writes a table.

Data sets of questions and annotations name each entry by its id; ``DataFrame.to_json`` writes a column as an object of its
cells by row (``orient="columns"``, its default), or a row as an object of its cells (``orient="index"``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST_HELD = 256
"""So many members are looked at before they are taken for rows; those after them are read one by one."""
_LEAST_SHARED = 0.5


def are_rows(members: dict[str, Any]) -> bool:
    """Whether the members of an object are rows: objects with mostly the same names, which are no numbers of rows.

    Two objects of one form are more often the two halves of a row (a question and its answer).
    """
    values = list(members.values())
    if len(values) < 3 or not all(isinstance(value, dict) and value for value in values):
        return False
    if all(all(name.isdigit() for name in value) for value in values):
        return False
    everywhere = set.intersection(*(set(value) for value in values))
    names = {name for value in values for name in value}
    return len(everywhere) >= _LEAST_SHARED * len(names) and (len(values) > 5 or len(everywhere) == len(names))


def columns_of(members: dict[str, Any]) -> Iterator[dict[str, Any]] | None:
    """Give the rows of a table that is written by column, each column an object of numbered cells; None when it is none."""
    values = list(members.values())
    if not values or not all(isinstance(value, dict) and value for value in values):
        return None
    index = list(values[0])
    if not all(name.isdigit() for name in index) or not all(list(value) == index for value in values):
        return None
    is_counted = index == [str(place) for place in range(len(index))]
    first = {} if is_counted else {"index_2" if "index" in members else "index": [int(name) for name in index]}
    cells = {**first, **{name: list(value.values()) for name, value in members.items()}}
    return (dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True))


class NamedRows:
    """Rows that an object holds under their names.

    Attributes:
        column: Where the name goes: ``key``, or another where the rows have that.
    """

    def __init__(self, members: dict[str, Any]) -> None:
        names = {name for value in members.values() for name in value}
        self.column = next(name for name in ("key", "key_2", "key_3", "object_name") if name not in names)

    def row(self, name: str, value: Any) -> dict[str, Any]:
        """Make one row; empty when the value is no object."""
        return {self.column: name, **value} if isinstance(value, dict) else {}
