"""Closing a DuckDB connection that other threads may be using at this moment."""

from __future__ import annotations

import time

import duckdb

PATIENCE_S = 5.0
_PAUSE_S = 0.005


def close_when_free(connection: duckdb.DuckDBPyConnection) -> None:
    """Close it as soon as no other thread is in a call of it: DuckDB 2 refuses to wait by itself.

    Raises:
        duckdb.Error: It was busy for `PATIENCE_S`.
    """
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.close()
            return
        except duckdb.ResourceInUseException:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE_S)
