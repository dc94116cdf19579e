"""`Statistics`: what the columns of a dataset hold, in numbers; quick from a sample for headers, exact for one column.

Over the rows as the user sees them, with the edits that wait for a commit. What was counted is kept in memory, and in a
file beside the version.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.api.rows import ROW_ID
from fmstudio.project.counting import CountedRows, statistics_of, summaries
from fmstudio.project.datasets import Datasets
from fmstudio.project.overlay import EMPTY, Overlay
from fmstudio.project.rows import RowReader
from fmstudio.project.statistics_file import StatisticsFile
from fmstudio.project.statistics_model import Bin, ColumnStatistics, ColumnSummary, Spread

__all__ = ["Bin", "ColumnStatistics", "ColumnSummary", "Spread", "Statistics"]

SAMPLE_ROWS = 60_000
"""Rows from which headers are drawn when a dataset has many more; taken from places all over it."""
KEPT = 256


class Statistics:
    """Statistics of datasets. Thread-safe; answers are kept until the rows change."""

    def __init__(self, datasets: Datasets, rows: RowReader) -> None:
        self._datasets = datasets
        self._rows = rows
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Any] = OrderedDict()

    def columns(self, dataset: str, version: int | None = None) -> list[ColumnSummary]:
        """Summaries of all columns, from about `SAMPLE_ROWS` rows when there are many more.

        Raises:
            UserError: There is no such dataset or version.
        """
        with self._open(dataset, version) as (rows, file):
            known: list[ColumnSummary] | None = self._known(rows.key, "") or file.summaries()
            if known is None:
                known = summaries(rows)
                self._write(file, "", known)
            self._keep(rows.key, "", known)
            return list(known)

    def column(self, dataset: str, name: str, version: int | None = None) -> ColumnStatistics:
        """All statistics of one column, over all rows.

        Raises:
            UserError: There is no such dataset, version or column.
        """
        with self._open(dataset, version) as (rows, file):
            if name not in rows.types:
                there = ", ".join(column for column in rows.types if column != ROW_ID)
                raise UserError(f"There is no column “{name}”.", remedy=f"There is: {there}.")
            known: ColumnStatistics | None = self._known(rows.key, name) or file.column(name)
            if known is None:
                known = statistics_of(rows, name)
                self._write(file, name, known)
            self._keep(rows.key, name, known)
            return known

    @contextmanager
    def _open(self, dataset: str, version: int | None) -> Iterator[tuple[CountedRows, StatisticsFile]]:
        dataset_id, number, files, overlay = self._seen(dataset, version)
        key = f"{dataset_id}|{number}|{overlay.key}"
        file = StatisticsFile(self._datasets.version_folder(dataset_id, number), files, overlay.key)
        total = self._rows.count(files, overlay=overlay)
        with self._rows.seen(files, overlay) as (cursor, sql, types, index):
            known = {name: str(kind) for name, kind in types.items()}
            spread = _spread_out(index.first_ids, index.last_ids, total)
            yield CountedRows(cursor, sql, known, total, key, spread), file

    def _seen(self, dataset: str, version: int | None) -> tuple[str, int, list[Path], Overlay]:
        dataset_id = self._datasets.get(dataset).id
        state = self._datasets.overlays.state(dataset_id)
        number = state.version if version is None else version
        files = self._datasets.files(dataset_id, number)
        overlay = self._datasets.overlays.of(dataset_id, state.operations) if number == state.version else EMPTY
        return dataset_id, number, files, overlay

    def _known(self, key: str, name: str) -> Any:
        with self._lock:
            return self._kept.get((key, name))

    def _keep(self, key: str, name: str, value: Any) -> None:
        with self._lock:
            self._kept[key, name] = value
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def _write(self, file: StatisticsFile, name: str, value: list[ColumnSummary] | ColumnStatistics) -> None:
        with self._lock:
            file.keep(name, value)


def _spread_out(first_ids: Sequence[int], last_ids: Sequence[int], total: int) -> str:
    """A condition that picks whole row groups all over the rows; empty when all are few enough."""
    if total <= SAMPLE_ROWS * 2 or len(first_ids) < 2:
        return ""
    wanted = max(1, round(len(first_ids) * SAMPLE_ROWS / total))
    step = len(first_ids) / wanted
    chosen = [int((i + 0.5) * step) for i in range(wanted)]
    return " OR ".join(f"{ROW_ID} BETWEEN {first_ids[i]} AND {last_ids[i]}" for i in chosen)
