"""Which versions something still refers to, and what: garbage collection takes away none of these."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.core.jsonfile import read_json
from fmstudio.project.catalog import Catalog
from fmstudio.project.lineage_world import references
from fmstudio.project.version_path import Place

UNDO_DEPTH = 20
"""Operations of a dataset (and of the whole project) that can be undone and redone after garbage was collected."""
JOB_KEPT_S = 30 * 24 * 3600.0
"""Seconds for which a job that did not succeed can be retried from where it stopped; older ones hold nothing."""

_VERSION_PATH = re.compile(r"datasets[/\\]+([^/\\\"]+)[/\\]+v(\d+)")


@dataclass(frozen=True, slots=True)
class JobState:
    """A job folder.

    Attributes:
        state: As the queue left it.
        finished: Seconds since 1970; 0 when it is not.
        is_open: Whether it may still read files of the project: it waits, runs, or can be retried.
    """

    id: str
    title: str
    folder: Path
    state: str
    finished: float
    is_open: bool


def job_states(catalog: Catalog, jobs_dir: Path) -> list[JobState]:
    """All jobs of a project."""
    published = {row[0] for row in catalog.query("SELECT job_id FROM published")}
    return [_job(path.parent, published) for path in sorted(jobs_dir.glob("*/spec.json"))]


def _job(folder: Path, published: set[str]) -> JobState:
    spec, state = read_json(folder / "spec.json", {}), read_json(folder / "state.json", {})
    name, finished = str(state.get("state", "queued")), float(state.get("finished") or 0.0)
    is_old = name in ("failed", "cancelled", "interrupted") and time.time() - finished > JOB_KEPT_S
    is_open = folder.name not in published and name != "succeeded" and not is_old
    return JobState(folder.name, str(spec.get("title", folder.name)), folder, name, finished, is_open)


def needed_versions(catalog: Catalog, jobs: list[JobState], undo_depth: int = UNDO_DEPTH) -> dict[Place, str]:
    """Version → the first reason to keep it, in words.

    Kept are: the current version of each dataset; versions with a name; what training runs, models, exports and other
    datasets (branches, datasets made by SQL or a transform) were made from; what jobs that are not done read; and what
    the newest `undo_depth` operations that stand, and the nearest `undo_depth` that were undone, lead to. That is counted
    for each dataset that is there, and for the project as a whole. A deleted dataset has no other claim than the latter.
    """
    needed: dict[Place, str] = {}
    for place, why in _claims(catalog, jobs, undo_depth):
        needed.setdefault(place, why)
    return needed


def _claims(catalog: Catalog, jobs: list[JobState], undo_depth: int) -> Iterator[tuple[Place, str]]:
    datasets = catalog.records("SELECT id, name, current_version, is_deleted, source FROM datasets")
    there = {row["id"] for row in datasets if not row["is_deleted"]}
    for row in datasets:
        if row["id"] in there:
            yield (row["id"], row["current_version"]), "the current version"
    for dataset_id, number, name in catalog.query("SELECT dataset_id, number, name FROM versions WHERE name <> ''"):
        if dataset_id in there:
            yield (dataset_id, number), f"named “{name}”"
    for table, column, what in (
        ("runs", "dataset_version", "a training run"),
        ("models", "dataset_version", "a model"),
        ("exports", "version", "an export"),
    ):
        for dataset_id, number in catalog.query(f"SELECT dataset_id, {column} FROM {table} WHERE {column} IS NOT NULL"):
            yield (dataset_id, number), f"used by {what}"
    reach = list(_reach(catalog, there, undo_depth))
    alive = there | {place[0] for place in reach}
    for row in datasets:
        if row["id"] in alive:
            for place in references(row["source"]):
                yield place, f"{row['name']} was made from it"
    for place in reach:
        yield place, "undo or redo leads there"
    for job in jobs:
        if job.is_open:
            for place in _read_by(job.folder):
                yield place, f"used by the job “{job.title}”"


def _reach(catalog: Catalog, there: set[str], depth: int) -> Iterator[Place]:
    """Versions that undo and redo can still come to."""
    rows = catalog.query(
        "SELECT dataset_id, version_before, version_after, "
        " row_number() OVER (PARTITION BY state ORDER BY nearness DESC, id) AS of_all,"
        " row_number() OVER (PARTITION BY state, dataset_id ORDER BY nearness DESC, id) AS of_own FROM"
        " (SELECT *, CASE state WHEN 'done' THEN id ELSE coalesce(undone, 0) END AS nearness FROM operations"
        "  WHERE state IN ('done', 'undone'))"
    )
    for dataset_id, before, after, of_all, of_own in rows:
        if of_all <= depth or (of_own <= depth and dataset_id in there):
            yield from ((dataset_id, number) for number in (before, after) if number is not None)


def _read_by(folder: Path) -> Iterator[Place]:
    """Versions that a job's specification names, by their files or by number."""
    spec: Any = read_json(folder / "spec.json", {})
    yield from references(spec)
    for text in _texts(spec):
        yield from ((found[1], int(found[2])) for found in _VERSION_PATH.finditer(text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inside in value.values() if isinstance(value, dict) else value:
            yield from _texts(inside)
