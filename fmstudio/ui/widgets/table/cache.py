"""`PageCache`: the few pages a table holds, bounded by their number and by how much text is in them."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

PAGE_ROWS = 200
PAGES_KEPT = 24
BYTES_KEPT = 64_000_000
"""Fewer pages are kept when their rows are large; about that much text in all."""

Row = tuple[Any, ...]


class PageCache:
    """Pages by number; the oldest goes first, what is in sight never."""

    def __init__(self) -> None:
        self._pages: OrderedDict[int, list[Row]] = OrderedDict()
        self._weights: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._pages)

    def __contains__(self, number: object) -> bool:
        return number in self._pages

    def numbers(self) -> set[int]:
        """Numbers of the pages held."""
        return set(self._pages)

    def clear(self) -> None:
        """Forget all."""
        self._pages.clear()
        self._weights.clear()

    def row(self, place: int) -> Row | None:
        """A row by its place in the table; None when its page is not held."""
        number, at = divmod(place, PAGE_ROWS)
        page = self._pages.get(number)
        return page[at] if page is not None and at < len(page) else None

    def replace(self, place: int, cells: Row) -> None:
        """Put other values into a row that is held."""
        number, at = divmod(place, PAGE_ROWS)
        self._pages[number][at] = cells

    def place_of(self, column: int, value: Any) -> int | None:
        """Where the row is that has this value in a column; None when no row held has."""
        for number, rows in self._pages.items():
            for at, cells in enumerate(rows):
                if cells[column] == value:
                    return number * PAGE_ROWS + at
        return None

    def rows(self) -> Iterator[Row]:
        """All rows held, in no order."""
        return (cells for rows in self._pages.values() for cells in rows)

    def keep(self, number: int, rows: list[Row], in_sight: range) -> None:
        """Hold a page, and let go of older ones beyond the bounds."""
        self._pages[number] = list(rows)
        self._pages.move_to_end(number)
        self._weights[number] = _weight(rows)
        for old in list(self._pages):
            if len(self._pages) <= PAGES_KEPT and sum(self._weights.values()) <= BYTES_KEPT:
                break
            if old != number and old not in in_sight:
                del self._pages[old], self._weights[old]


def _weight(rows: list[Row]) -> int:
    """About how many bytes a page takes, from a few of its rows."""
    some = rows[:: max(1, len(rows) // 16)]
    return sum(_size(value) for cells in some for value in cells) * len(rows) // max(1, len(some))


def _size(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value) + 49
    if isinstance(value, dict):
        return 64 + sum(_size(item) for item in value.values())
    if isinstance(value, list | tuple):
        return 56 + sum(_size(item) for item in value[:256]) * max(1, len(value) // 256)
    return sys.getsizeof(value)
