"""Finds what nothing refers to any more, and why it can go. Changes nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fmstudio.core.jsonfile import read_json
from fmstudio.project.branching import OWNER_FILE
from fmstudio.project.catalog import Catalog
from fmstudio.project.file_stats import stats
from fmstudio.project.needed import JobState, job_states, needed_versions
from fmstudio.project.side_columns import overtaken
from fmstudio.project.version_path import Place, VersionTree

GarbageKind = Literal["version", "column", "orphan", "job", "tmp"]
JOB_KEPT = ("spec.json", "state.json", "events.jsonl", "worker.log", "CANCEL")
Fingerprint = tuple[int, int]
"""Inode and time of change: tells a file that is still as it was."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something that can be collected.

    Attributes:
        path: A version's, a side column's or a job's folder, or a file.
        bytes: What its going would free: files that something else shares (hard links) count 0, those that several
            pieces of garbage share count for one of them.
        reason: Why nothing needs it, in words.
        title: What it is, in words.
        dataset_id, version: Of a version or side column.
    """

    path: Path
    bytes: int
    reason: str
    kind: GarbageKind = "orphan"
    title: str = ""
    dataset_id: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Find:
    """A piece of garbage and the files and folders that make it up."""

    garbage: Garbage
    parts: tuple[Path, ...]


def find_garbage(catalog: Catalog, folder: Path, undo_depth: int, old_tmp: dict[Path, Fingerprint]) -> list[Find]:
    """All garbage of a project, as it stands this moment.

    Args:
        folder: The project folder.
        undo_depth: See `needed_versions`.
        old_tmp: What lay in ``tmp`` when the project was opened; what has come or changed since is in use.
    """
    jobs = job_states(catalog, folder / "jobs")
    needed = needed_versions(catalog, jobs, undo_depth)
    found = [
        *_versions(catalog, folder, needed),
        *_columns(catalog, folder, needed),
        *_orphans(catalog, folder),
        *_jobs(catalog, jobs),
        *_tmp(old_tmp),
    ]
    return _measured([find for find in found if any(True for part in find.parts for _ in stats(part))])


# ---- versions --------------------------------------------------------------------------------------------------------


def _versions(catalog: Catalog, folder: Path, needed: dict[Place, str]) -> Iterator[Find]:
    tree = VersionTree(catalog)
    # What a version that stays came from keeps its dropped rows and rejects: they tell why rows are not there.
    told = {ancestor for place in needed for ancestor in tree.chain(place)}
    rows = catalog.records("SELECT dataset_id, number, operation FROM versions ORDER BY dataset_id, number")
    for row in rows:
        place = (row["dataset_id"], row["number"])
        path = folder / "datasets" / place[0] / f"v{place[1]:04d}"
        if place in needed or not path.is_dir():
            continue
        parts = (*path.glob("rows-*.parquet"), *path.glob("statistics.json")) if place in told else (path,)
        dataset = tree.datasets.get(place[0], {})
        reason = (
            "its dataset was deleted" if dataset.get("is_deleted") else "not current, not named, out of reach of undo"
        )
        title = f"{dataset.get('name', place[0])}, version {place[1]} ({row['operation']})"
        yield Find(
            Garbage(path, 0, f"{reason}; nothing was made from it", "version", title, *place), tuple(sorted(parts))
        )


def _columns(catalog: Catalog, folder: Path, needed: dict[Place, str]) -> Iterator[Find]:
    rows = catalog.query("SELECT folder, name, dataset_id, version FROM side_columns")
    gone = overtaken(catalog)
    kept = {row[0] for row in rows if (row[2], row[3]) in needed} - gone
    for place, name, dataset_id, version in sorted({row[0]: row for row in rows if row[0] not in kept}.values()):
        path = folder / place
        if path.is_dir():
            reason = f"belongs to version {version}, which nothing needs"
            if place in gone:
                reason = "was undone, and new work has overtaken it"
            yield Find(Garbage(path, 0, reason, "column", f"Column {name}", dataset_id, version), (path,))


# ---- folders nobody knows --------------------------------------------------------------------------------------------


def _orphans(catalog: Catalog, folder: Path) -> Iterator[Find]:
    versions = {f"datasets/{d}/v{n:04d}" for d, n in catalog.query("SELECT dataset_id, number FROM versions")}
    columns = {row[0] for row in catalog.query("SELECT folder FROM side_columns")}
    models = {row[0] for row in catalog.query("SELECT job_id FROM models WHERE job_id <> ''")}
    paths = [str(row[0]) for row in catalog.query("SELECT path FROM models")]
    for path in (*folder.glob("datasets/*/v[0-9]*/"), *folder.glob("datasets/*/columns/*/")):
        if path.relative_to(folder).as_posix() not in versions | columns and _is_lost(path, folder):
            yield _orphan(path, "no dataset knows this folder")
    for path in folder.glob(f"models/*/{OWNER_FILE}"):
        is_used = path.parent.name in models or any(used.startswith(str(path.parent)) for used in paths)
        if not is_used and _is_lost(path.parent, folder):
            yield _orphan(path.parent, "no model knows this folder")


def _orphan(path: Path, reason: str) -> Find:
    return Find(Garbage(path, 0, reason, "orphan", "/".join(path.parts[-3:])), (path,))


def _is_lost(path: Path, folder: Path) -> bool:
    """Whether a folder is not on its way: its job, to which it would be given back, is gone; it is no new branch."""
    owner: dict[str, Any] = read_json(path / OWNER_FILE, {})
    if "branch_of" in owner:
        return False
    return not owner.get("job_id") or not (folder / "jobs" / owner["job_id"]).is_dir()


# ---- jobs and temporary files ----------------------------------------------------------------------------------------


def _jobs(catalog: Catalog, jobs: Iterable[JobState]) -> Iterator[Find]:
    used = [str(row[0]) for row in catalog.query("SELECT path FROM models")]
    for job in jobs:
        is_ended = job.state in ("succeeded", "failed", "cancelled", "interrupted")
        if not is_ended or job.is_open or any(path.startswith(str(job.folder) + os.sep) for path in used):
            continue
        done = (
            "it succeeded and its results are in the project"
            if job.state == "succeeded"
            else f"it {job.state} long ago"
        )
        reason = f"work files of a job: {done}; its log stays"
        yield Find(Garbage(job.folder, 0, reason, "job", job.title), tuple(sorted(_work_files(job.folder))))


def _work_files(folder: Path) -> Iterator[Path]:
    """All of a job's folder but what tells of it: specification, state, events, logs, DONE markers."""
    for path in folder.iterdir():
        if path.is_dir() and path.name.startswith("step-"):
            yield from (inside for inside in path.iterdir() if inside.name != "DONE" and inside.suffix != ".log")
        elif path.name not in JOB_KEPT and path.suffix != ".log":
            yield path


def tmp_files(folder: Path) -> dict[Path, Fingerprint]:
    """What lies in a project's ``tmp`` folder."""
    return {path: fingerprint(path) for path in (folder / "tmp").iterdir()} if (folder / "tmp").is_dir() else {}


def fingerprint(path: Path) -> Fingerprint:
    """Tells whether a file or folder is still as it was."""
    stat = path.lstat()
    return stat.st_ino, stat.st_mtime_ns


def _tmp(old: dict[Path, Fingerprint]) -> Iterator[Find]:
    for path, print_ in old.items():
        if path.exists() and fingerprint(path) == print_:
            yield Find(Garbage(path, 0, "a temporary file of an earlier session", "tmp", path.name), (path,))


# ---- sizes -----------------------------------------------------------------------------------------------------------


def _measured(found: list[Find]) -> list[Find]:
    """Count what each piece frees: a file goes only with the last of its hard links."""
    links: Counter[Fingerprint] = Counter()
    files = [[stat for part in find.parts for stat in stats(part)] for find in found]
    for stat in (stat for piece in files for stat in piece):
        links[stat.st_dev, stat.st_ino] += 1
    counted: set[Fingerprint] = set()
    made = []
    for find, piece in zip(found, files, strict=True):
        size = 0
        for stat in piece:
            key = (stat.st_dev, stat.st_ino)
            if links[key] >= stat.st_nlink and key not in counted:
                counted.add(key)
                size += stat.st_size
        made.append(replace(find, garbage=replace(find.garbage, bytes=size)))
    return made
