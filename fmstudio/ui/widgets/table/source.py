"""What a table shows comes from a fetch, page by page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class RowsPage(Protocol):
    """What a fetch delivers: column names, rows as tuples, position of the first one, number of all that match.

    A first page that is not counted is followed by one that is: until then its own rows are all that is known.
    """

    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def rows(self) -> list[tuple[Any, ...]]: ...
    @property
    def offset(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def is_counted(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class FixedPage:
    """Rows that are all there already."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    offset: int
    total: int
    is_counted: bool = True


Fetch = Callable[[int, int, Callable[[RowsPage], None]], None]
"""``fetch(offset, limit, deliver)``: gets rows in the background and calls `deliver` on the main thread."""
