"""Makes what a job wrote the next version of its dataset, inside a transaction of its publisher."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import duckdb

from fmstudio.api.errors import UserError
from fmstudio.core.jsonfile import fsync_folder
from fmstudio.core.linking import link_file
from fmstudio.jobs.spec import Job
from fmstudio.project.carrying import carry
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.datasets import Datasets
from fmstudio.project.folding import STEP
from fmstudio.project.history import log_operation
from fmstudio.project.overlay import State
from fmstudio.project.placing import Places
from fmstudio.project.rows import RowReader


class NextVersions:
    """Adds versions and moves the pointers of datasets to them. One user at a time (see `Publisher`).

    A job's ``meta`` names ``dataset_id``, ``version`` (what it was made from) and, when edits that were pending went into
    it, their operations in ``folded``. Edits made since the job was specified come along.
    """

    def __init__(self, catalog: Catalog, datasets: Datasets, rows: RowReader, places: Places) -> None:
        self._catalog = catalog
        self._datasets = datasets
        self._rows = rows
        self._places = places

    @contextmanager
    def next_version(
        self, job: Job, step: str, kind: str, title: str, statistics: dict[str, Any] | None = None
    ) -> Iterator[tuple[duckdb.DuckDBPyConnection, int]]:
        """Make a step's output the dataset's next version; what the caller does inside is part of the transaction.

        Yields:
            The connection, and the id of the operation that was logged.

        Raises:
            UserError: Edits that went into it were taken back meanwhile.
        """
        with self._catalog.transaction() as connection:
            state = self._datasets.overlays.state(job.spec.meta["dataset_id"])
            if job.spec.meta.get("folded") and not _stands(job, state):
                raise UserError(
                    f"The edits that “{job.title}” began with were taken back while it ran, so it changed nothing.",
                    remedy="Look at the dataset, then start it again.",
                )
            number = self._add(connection, job, step, title, statistics or {})
            yield connection, self._make_current(connection, job, kind, title, number, state)
        for other in job.spec.steps:  # what earlier steps wrote for the last one is of no more use
            if other.name != step:
                shutil.rmtree(job.out_folder(other.name), ignore_errors=True)

    def folded_version(self, connection: duckdb.DuckDBPyConnection, job: Job) -> int:
        """Give the version whose rows the job's steps saw; edits that its first step folded in make one.

        It becomes the current one when those edits still stand. When the dataset went another way meanwhile, the version
        stands beside: what was made from it is not lost, and the dataset stays as the user left it.
        """
        meta = job.spec.meta
        if STEP not in job.results:
            return int(meta["version"])
        state = self._datasets.overlays.state(meta["dataset_id"])
        number = self._add(connection, job, STEP, meta["fold_title"], {})
        if _stands(job, state):
            self._make_current(connection, job, "commit", meta["fold_title"], number, state)
        return number

    def _add(
        self, connection: duckdb.DuckDBPyConnection, job: Job, step: str, title: str, statistics: dict[str, Any]
    ) -> int:
        dataset_id, parent = job.spec.meta["dataset_id"], job.spec.meta["version"]
        rows = self._catalog.query("SELECT max(number) FROM versions WHERE dataset_id = ?", [dataset_id])
        number = int(rows[0][0]) + 1
        folded = job.results.get(STEP) if step != STEP else None
        if folded:
            _bring_dropped(job, step)
            statistics = {**statistics, "folded": {"title": job.spec.meta["fold_title"], "steps": folded["steps"]}}
        self._places.take(job, step, self._datasets.version_folder(dataset_id, number))
        row = version_row(dataset_id, number, parent, job, job.results[step], title)
        row["dropped"] += folded["dropped"] if folded else 0
        insert(connection, "versions", {**row, "statistics": {**row["statistics"], **statistics}})
        return number

    def _make_current(
        self, connection: duckdb.DuckDBPyConnection, job: Job, kind: str, title: str, number: int, state: State
    ) -> int:
        meta = job.spec.meta
        dataset_id, folded = meta["dataset_id"], len(meta.get("folded", ()))
        connection.execute("UPDATE datasets SET current_version = ? WHERE id = ?", [number, dataset_id])
        operation = log_operation(connection, kind, dataset_id, state.version, number, title, meta, job.id)
        if state.version == meta["version"] and len(state.operations) > folded:
            files = sorted(self._datasets.version_folder(dataset_id, number).glob("rows-*.parquet"))
            existing, last_id = partial(self._rows.existing, files), self._rows.last_id(files)
            carry(self._catalog, connection, state.operations[folded:], (dataset_id, number), existing, last_id)
        return operation


def _bring_dropped(job: Job, step: str) -> None:
    """Put the rows that were deleted by hand, which a first step dropped, beside those the last step dropped.

    What was put there before a kill or a failure is put there anew.

    Raises:
        OSError: They cannot be linked or copied.
    """
    for file in sorted((job.out_folder(STEP) / "dropped").glob("*.parquet")):
        target = job.out_folder(step) / "dropped" / f"{STEP}-{file.name}"
        target.parent.mkdir(exist_ok=True)
        target.unlink(missing_ok=True)
        link_file(file, target)
        fsync_folder(target.parent)


def _stands(job: Job, state: State) -> bool:
    """Whether the dataset is where the job found it: same version, and on it the edits that were folded in."""
    folded = tuple(job.spec.meta["folded"])
    return state.version == job.spec.meta["version"] and state.operations[: len(folded)] == folded


def version_row(
    dataset_id: str, number: int, parent: int | None, job: Job, result: dict[str, Any], operation: str
) -> dict[str, Any]:
    """The catalogue's record of a version that a step made."""
    return {
        "dataset_id": dataset_id,
        "number": number,
        "parent": parent,
        "rows": result["rows"],
        "dropped": result.get("dropped", 0),
        "rejected": result.get("rejected", 0),
        "bytes": result["bytes"],
        "columns": result["columns"],
        "operation": operation,
        "statistics": {"steps": result.get("steps", [])},
        "job_id": job.id,
        "created": time.time(),
    }
