"""`Disk`: what a project takes on the disk, and collecting what nothing refers to any more.

Collecting renames to ``trash/``, tells the catalogue in one transaction, then deletes. Killed at any point, the project is
readable: either nothing has happened, or all of it has.
"""

from __future__ import annotations

import json
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes
from fmstudio.project.file_stats import stats
from fmstudio.project.garbage import Find, Fingerprint, Garbage, find_garbage, tmp_files
from fmstudio.project.needed import UNDO_DEPTH, job_states, needed_versions
from fmstudio.project.rows import RowReader
from fmstudio.project.trash import Trash
from fmstudio.project.version_path import Place

__all__ = ["UNDO_DEPTH", "Disk", "DiskUsage", "Garbage", "Subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that takes space.

    Attributes:
        kind: dataset, version, columns, model, job, catalogue, tmp, trash or other.
        id: Of the dataset, version (``d-1@3``), model folder or job.
        bytes: Its files. One that several share (hard links) counts for the first of them: the oldest version.
        parts: What it is made of: a dataset's versions and columns.
        note: Why it stays (a version), or that its files were collected.
        can_come_back: Whether it is a dataset that is deleted, or whose making was undone, and its rows are still there.
    """

    kind: str
    id: str
    title: str
    bytes: int
    files: int
    parts: tuple[Subject, ...] = ()
    note: str = ""
    can_come_back: bool = False


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """What the project takes on the disk, in bytes; `shared` is what hard links save, `free` what the disk has left."""

    total: int
    subjects: tuple[Subject, ...]
    shared: int
    free: int


class Disk:
    """The disk space of a project. Every method blocks; thread-safe.

    Args:
        folder: The project folder.
    """

    def __init__(self, catalog: Catalog, rows: RowReader, folder: Path) -> None:
        self._catalog, self._rows, self._folder = catalog, rows, folder
        self._trash = Trash(folder)
        self._lock = threading.Lock()
        self._old_tmp: dict[Path, Fingerprint] = tmp_files(folder)

    def recover(self) -> list[str]:
        """Empty the trash; what a collection that was killed had moved is put back. Called once, at open."""
        if not (self._folder / "trash").is_dir():
            return []
        known = {row[0] for row in self._catalog.query("SELECT id FROM collections")}
        return self._trash.recover(known.__contains__)

    def usage(self) -> DiskUsage:
        """Count the space of everything in the project folder."""
        return _Counting(self._catalog, self._folder).usage()

    def collectable(self, undo_depth: int = UNDO_DEPTH) -> list[Garbage]:
        """What can be collected, the largest first.

        Args:
            undo_depth: Operations that must stay undoable, of each dataset and of the project.
        """
        found = [find.garbage for find in self._find(undo_depth)]
        return sorted(found, key=lambda garbage: (-garbage.bytes, str(garbage.path)))

    def collect(self, items: Sequence[Garbage], undo_depth: int = UNDO_DEPTH) -> tuple[Changes, int]:
        """Take garbage away; give what changed and the bytes that were freed.

        What something refers to by now is left alone. Versions stay in the history, with a note.

        Raises:
            UserError: Files cannot be moved, or the catalogue cannot be written; nothing was changed.
        """
        batch = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        wanted = {item.path for item in items}
        with self._lock:
            try:
                # Nobody can begin to refer to anything while the transaction is open.
                with self._catalog.transaction() as connection:
                    chosen = [find for find in self._find(undo_depth) if find.garbage.path in wanted]
                    if not chosen:
                        return Changes(), 0
                    last_ids = {
                        find.garbage.path: self._last_id(find) for find in chosen if find.garbage.kind == "version"
                    }
                    self._trash.move(batch, [part for find in chosen for part in find.parts])
                    freed = sum(stat.st_size for stat in self._going(batch))
                    for find in chosen:
                        self._note(connection, find.garbage, batch, last_ids.get(find.garbage.path, -1))
                    record = [{**asdict(find.garbage), "path": str(find.garbage.path)} for find in chosen]
                    insert(
                        connection,
                        "collections",
                        {"id": batch, "created": time.time(), "bytes": freed, "items": record},
                    )
            except OSError as error:
                self._trash.put_back(batch)
                raise UserError(
                    f"The files cannot be moved to the trash: {error}.",
                    remedy="Close what reads them, then try again. Nothing was changed.",
                ) from error
            except BaseException:
                self._trash.put_back(batch)
                raise
            self._trash.delete(batch)
        ids = frozenset(find.garbage.dataset_id for find in chosen if find.garbage.dataset_id)
        return Changes(datasets=ids), freed

    def _find(self, undo_depth: int) -> list[Find]:
        return find_garbage(self._catalog, self._folder, undo_depth, self._old_tmp)

    def _going(self, batch: str) -> Iterator[Any]:
        """The files in a batch that no hard link outside keeps, each once."""
        links: dict[tuple[int, int], list[Any]] = {}
        for stat in self._trash.moved(batch):
            links.setdefault((stat.st_dev, stat.st_ino), []).append(stat)
        yield from (same[0] for same in links.values() if len(same) >= same[0].st_nlink)

    def _last_id(self, find: Find) -> int:
        """The largest row id a version's rows or dropped rows have: no new row may ever get one of them."""
        path = find.garbage.path
        ids = [
            self._rows.last_id(files)
            for g in ("rows-*.parquet", "dropped/*.parquet")
            if (files := sorted(path.glob(g)))
        ]
        return max(ids, default=-1)

    def _note(self, connection: Any, garbage: Garbage, batch: str, last_id: int) -> None:
        if garbage.kind == "column":
            place = garbage.path.relative_to(self._folder).as_posix()
            connection.execute("DELETE FROM side_columns WHERE folder = ?", [place])
        if garbage.kind != "version":
            return
        at = [garbage.dataset_id, garbage.version]
        row = connection.execute("SELECT statistics FROM versions WHERE dataset_id = ? AND number = ?", at).fetchone()
        record = json.loads(row[0] or "{}") if row else {}
        before = record.get("collected") or {"bytes": 0, "last_row_id": -1}
        record["collected"] = {
            "batch": batch,
            "created": time.time(),
            "reason": garbage.reason,
            "bytes": before["bytes"] + garbage.bytes,
            "last_row_id": max(before["last_row_id"], last_id),
        }
        text = json.dumps(record, ensure_ascii=False)
        connection.execute("UPDATE versions SET statistics = ? WHERE dataset_id = ? AND number = ?", [text, *at])


class _Counting:
    """Counts each file of a project once."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog, self._folder = catalog, folder
        self._seen: set[tuple[int, int]] = set()
        self._shared = 0
        self._jobs = job_states(catalog, folder / "jobs")

    def usage(self) -> DiskUsage:
        subjects = [
            *self._datasets(),
            *self._folders("models", "model", self._model_names()),
            *self._folders("jobs", "job", {job.id: job.title for job in self._jobs}),
            self._subject("catalogue", "", "Catalogue", self._folder.glob("catalog.duckdb*")),
            self._subject("tmp", "", "Temporary files", [self._folder / "tmp"]),
            self._subject("trash", "", "Trash", [self._folder / "trash"]),
            self._subject("other", "", "Other files", [self._folder]),
        ]
        total = sum(subject.bytes for subject in subjects)
        kept = tuple(subject for subject in subjects if subject.files or subject.parts)
        return DiskUsage(total, kept, self._shared, shutil.disk_usage(self._folder).free)

    def _subject(self, kind: str, id: str, title: str, paths: Iterable[Path], note: str = "") -> Subject:
        size = files = 0
        for path in paths:
            for stat in stats(path):
                key = (stat.st_dev, stat.st_ino)
                if key in self._seen:
                    # The last subject walks over everything again, to find what no other one counted.
                    self._shared += stat.st_size if kind != "other" else 0
                    continue
                self._seen.add(key)
                size += stat.st_size
                files += 1
        return Subject(kind, id, title, size, files, note=note)

    def _datasets(self) -> Iterator[Subject]:
        needed = needed_versions(self._catalog, self._jobs)
        numbers: dict[str, list[dict[str, Any]]] = {}
        for row in self._catalog.records("SELECT * FROM versions ORDER BY dataset_id, number"):
            numbers.setdefault(row["dataset_id"], []).append(row)
        for dataset in self._catalog.records(
            "SELECT id, name, is_deleted, current_version FROM datasets ORDER BY created"
        ):
            folder = self._folder / "datasets" / dataset["id"]
            parts = [self._version(folder, row, needed) for row in numbers.get(dataset["id"], [])]
            parts.append(self._subject("columns", dataset["id"], "Side columns", [folder / "columns"]))
            there = tuple(part for part in parts if part.files or part.kind == "version")
            title = f"{dataset['name']} (deleted)" if dataset["is_deleted"] else dataset["name"]
            size, files = sum(part.bytes for part in there), sum(part.files for part in there)
            if dataset["is_deleted"] and not files:
                continue  # nothing of it is left
            current = f"{dataset['id']}@{dataset['current_version']}"
            can_come_back = dataset["is_deleted"] and any(part.id == current and part.files for part in parts)
            yield Subject("dataset", dataset["id"], title, size, files, there, can_come_back=bool(can_come_back))

    def _version(self, folder: Path, row: dict[str, Any], needed: dict[Place, str]) -> Subject:
        place = (row["dataset_id"], row["number"])
        note = "files collected" if "collected" in (row["statistics"] or {}) else needed.get(place, "nothing needs it")
        named = f" “{row['name']}”" if row["name"] else ""
        title = f"Version {place[1]}{named}: {row['operation']}"
        return self._subject("version", f"{place[0]}@{place[1]}", title, [folder / f"v{place[1]:04d}"], note)

    def _folders(self, name: str, kind: str, titles: dict[str, str]) -> Iterator[Subject]:
        for path in sorted((self._folder / name).glob("*")):
            yield self._subject(kind, path.name, titles.get(path.name, path.name), [path])

    def _model_names(self) -> dict[str, str]:
        return dict(
            self._catalog.query("SELECT job_id, any_value(name) FROM models WHERE job_id <> '' GROUP BY job_id")
        )
