"""Chance that is the same on every run: a number between 0 and 1 from a value and a seed."""

from __future__ import annotations

_RANGE = "18446744073709551616.0"


def key_sql(value: str, seed: int) -> str:
    """A whole number (UBIGINT) to order by, from a SQL value and the seed.

    MD5 rather than DuckDB's own ``hash()``, which may change from one release to the next: the same rows must get the
    same split next year.
    """
    return f"md5_number_lower(concat({int(seed)}, ':', CAST({value} AS VARCHAR)))"


def unit_sql(value: str, seed: int) -> str:
    """The same as a decimal number in [0, 1)."""
    return f"(CAST({key_sql(value, seed)} AS DOUBLE) / {_RANGE})"
