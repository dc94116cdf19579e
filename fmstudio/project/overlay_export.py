"""Writes an edit overlay as Parquet files, so that a worker can fold it in without the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmstudio.api.rows import ROW_ID
from fmstudio.core.parquet import ROW_GROUP
from fmstudio.core.sql import literal
from fmstudio.project.overlay import Overlay
from fmstudio.project.rows import RowReader


def export_overlay(rows: RowReader, files: Sequence[Path], overlay: Overlay, target: Path) -> dict[str, Any]:
    """Write ``rows.parquet`` and ``deleted.parquet`` to a folder, which is made.

    What the user sees is then: the rows of `files` whose ``row_id`` is in neither file, and the rows of
    ``rows.parquet`` (columns that `files` lack come from there).

    Returns:
        ``rows``: path of the whole rows that were edited or added, ascending. ``deleted``: path of the ids of deleted
        rows. ``new_columns``: name → DuckDB type. ``cells``, ``added``, ``deleted_rows``: counts.
    """
    target.mkdir(parents=True, exist_ok=True)
    whole, deleted = target / "rows.parquet", target / "deleted.parquet"
    with rows.overlaid(files, overlay) as (cursor, table):
        form = f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
        cursor.execute(f"COPY (SELECT * FROM {table} ORDER BY {ROW_ID}) TO {literal(str(whole))} {form}")
        ids = f"SELECT unnest(?::BIGINT[]) AS {ROW_ID}"
        cursor.execute(f"COPY ({ids}) TO {literal(str(deleted))} {form}", [sorted(overlay.deleted)])
    return {
        "rows": str(whole),
        "deleted": str(deleted),
        "new_columns": dict(overlay.new_columns),
        "cells": overlay.cells.count,
        "added": len(overlay.added),
        "deleted_rows": len(overlay.deleted),
    }
