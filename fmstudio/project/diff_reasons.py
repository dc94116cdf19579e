"""Why rows are gone: read from the files of dropped rows, which each operation leaves beside the version it makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fmstudio.api.rows import ROW_ID
from fmstudio.core.sql import name_sql
from fmstudio.project.datasets import Datasets
from fmstudio.project.overlay import Overlay
from fmstudio.project.row_index import source
from fmstudio.project.rows import Page, RowReader
from fmstudio.project.version_path import Link, Place

BY_HAND = "deleted by hand"


class Reasons:
    """Reads reasons from the dropped rows of versions."""

    def __init__(self, datasets: Datasets, rows: RowReader) -> None:
        self._datasets, self._rows = datasets, rows

    def of(self, links: Sequence[Link], row_ids: Sequence[int], overlay: Overlay) -> dict[int, str]:
        """Why each of these rows went on the way along some links; rows of which nobody said why are left out."""
        reasons = {row_id: BY_HAND for row_id in row_ids if row_id in overlay.deleted}
        for link in links:
            if not link.is_taken_back:
                reasons |= self.at(link.made, row_ids)
        return reasons

    def at(self, place: Place, row_ids: Sequence[int]) -> dict[int, str]:
        """Why each of these rows was dropped when a version was made."""
        files = dropped_files(self._datasets, place)
        if not files or not row_ids:
            return {}
        with self._rows.seen(files) as (cursor, _, types, _):
            step, reason = story_columns(types)
            wanted = ", ".join(str(int(row_id)) for row_id in row_ids)
            rows = cursor.execute(
                f"SELECT {ROW_ID}, {name_sql(step)}, {name_sql(reason)} FROM {source(files)} WHERE {ROW_ID} IN ({wanted})"
            ).fetchall()
        return {row_id: f"{why} (step {number})" if number and number > 1 else str(why) for row_id, number, why in rows}


def dropped_page(datasets: Datasets, rows: RowReader, place: Place, offset: int, limit: int) -> Page:
    """Rows that making a version dropped, by ``row_id``.

    Each step writes those it drops as it comes to them, so that, unlike those of a version, they lie in no order.
    """
    files = dropped_files(datasets, place)
    if not files:
        return Page((), [], 0, 0)
    with rows.seen(files) as (cursor, _, types, index):
        is_sorted = all(last < first for last, first in zip(index.last_ids, index.first_ids[1:], strict=False))
        step, _ = story_columns(types)
        order = f"{ROW_ID}, {name_sql(step)}" if step in types else ROW_ID
        if not is_sorted:
            # The ids alone first: sorting whole rows to skip most of them takes ten times as long.
            span = f"ORDER BY {order} LIMIT {int(limit)} OFFSET {int(offset)}"
            wanted = cursor.execute(f"SELECT {order} FROM {source(files)} {span}").fetchall()
            among = ", ".join(str(row[0]) for row in wanted) or "NULL"
            found = cursor.execute(
                f"SELECT * FROM {source(files)} WHERE {ROW_ID} IN ({among}) ORDER BY {order}"
            ).fetchall()
            names, told = list(types), set(wanted)
            places = [names.index(name) for name in (ROW_ID, step) if name in names]
            kept = [row for row in found if tuple(row[place] for place in places) in told]
            return Page(tuple(types), kept[:limit], offset, index.total)
    return rows.page(files, offset=offset, limit=limit)


def dropped_files(datasets: Datasets, place: Place) -> list[Path]:
    """Files of the rows that making a version dropped."""
    return sorted((datasets.version_folder(*place) / "dropped").glob("*.parquet"))


def story_columns(types: dict[str, Any]) -> tuple[str, str]:
    """Names of the columns with step and reason; a dataset with columns of that name has theirs under another."""
    return tuple(f"dropped_{n}" if f"dropped_{n}" in types else n for n in ("step", "reason"))  # type: ignore[return-value]


def steps_of(record: dict[str, Any]) -> Iterator[tuple[int, str, int, int, int, dict[str, int]]]:
    """The steps of an operation, as its version's record has them: number, title, dropped, changed, made, reasons."""
    for number, step in enumerate(record.get("steps") or [], 1):
        counts = (int(step.get(key) or 0) for key in ("dropped", "changed", "made"))
        title = str(step.get("title") or step.get("operator") or "")
        yield (int(step.get("step") or number), title, *counts, dict(step.get("reasons") or {}))  # type: ignore[misc]
