"""What a table shows comes from a fetch, page by page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class RowsPage(Protocol):
    """What a fetch delivers: column names, rows as tuples, position of the first one, number of all that match."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def rows(self) -> list[tuple[Any, ...]]: ...
    @property
    def offset(self) -> int: ...
    @property
    def total(self) -> int: ...


@dataclass(frozen=True, slots=True)
class FixedPage:
    """Rows that are all there already."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    offset: int
    total: int


Fetch = Callable[[int, int, Callable[[RowsPage], None]], None]
"""``fetch(offset, limit, deliver)``: gets rows in the background and calls `deliver` on the main thread."""
