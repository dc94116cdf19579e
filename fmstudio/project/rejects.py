"""Pieces of files that could not be read, of every import a version came from: also before a branch, and of each update."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fmstudio.core.jsonfile import read_lines
from fmstudio.project.catalog import Catalog
from fmstudio.project.version_path import Place, VersionTree

FILE = "rejects.jsonl"


@dataclass(frozen=True, slots=True)
class RejectFile:
    """What one import could not read: the version it made, how many pieces, and where they are listed."""

    place: Place
    count: int
    path: Path


def reject_files(catalog: Catalog, folder: Path, place: Place) -> list[RejectFile]:
    """The lists of all imports that led to a version, the newest import first.

    Args:
        folder: The project folder.
    """
    tree = VersionTree(catalog)
    counts = {(d, n): rejected for d, n, rejected in catalog.query("SELECT dataset_id, number, rejected FROM versions")}
    found: list[RejectFile] = []
    copied: Place | None = None
    for at in tree.chain(place):
        path = folder / "datasets" / at[0] / f"v{at[1]:04d}" / FILE
        if at != copied and path.exists():
            found.append(RejectFile(at, int(counts.get(at) or 0), path))
            parent = tree.parent(at)
            # A branch begins with a copy of all that the version it came from has.
            copied = parent if parent is not None and parent[0] != at[0] else None
    return found


def read_rejects(files: list[RejectFile], limit: int) -> list[dict[str, Any]]:
    """The pieces: file, line, byte, row, reason, raw, and ``version``: the one whose import met them."""
    return list(islice(_pieces(files), limit))


def _pieces(files: list[RejectFile]) -> Iterator[dict[str, Any]]:
    for one in files:
        for record in read_lines(one.path):
            yield {**record, "version": one.place[1]}
