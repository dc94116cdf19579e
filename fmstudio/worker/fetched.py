"""What was fetched for a look, kept for an hour, so that the import reads what the preview showed and fetches it once.

Lies in the cache folder; everything here can be made again.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from fmstudio.api import ImportReport, TaskContext
from fmstudio.core.addresses import is_remote
from fmstudio.core.jsonfile import write_text
from fmstudio.core.linking import link_file
from fmstudio.core.paths import cache
from fmstudio.worker.fetching import PART_SUFFIX, Network, fetch
from fmstudio.worker.importing import Report

PREVIEW_BYTES = 256 << 20
"""Most that is fetched for a look; half a minute at 10 MB/s."""
FRESH_S = 3600
MARK = "whole"
"""File that is there when all that a look needs is there; says what was fetched."""


def fetch_for_look(address: str, report: ImportReport, ctx: TaskContext) -> list[Path]:
    """Give the files behind an address, of a dataset of the hub the first one; fetched unless they were within the hour.

    Raises:
        TooLarge: There is more than `PREVIEW_BYTES`.
        UserError: See `fetching.fetch`.
    """
    _forget_old()
    folder = _folder(address)
    found = _whole(folder)
    if not found:
        told = Report()
        network = Network.of_settings("Preview of an import", PREVIEW_BYTES)
        found = fetch(address, folder, network, told, ctx, most_files=1)
        write_text(folder / MARK, "\n".join(told.notes))
    report.note((folder / MARK).read_text("utf-8"))
    return found


def local_files(names: Sequence[str | Path], report: ImportReport, ctx: TaskContext) -> list[Path]:
    """Replace addresses by the files behind them; see `fetch_for_look`."""
    return [
        path
        for name in names
        for path in (fetch_for_look(str(name), report, ctx) if is_remote(str(name)) else [Path(name)])
    ]


def bring_fetched(address: str, folder: Path) -> None:
    """Put what a look has fetched, and is still fresh, where `fetching.fetch` finds it and goes on."""
    source = _folder(address)
    if not _whole(source):
        return
    for file in source.rglob("*"):
        target = folder / file.relative_to(source)
        if file.is_file() and not file.name.endswith(PART_SUFFIX) and file.name != MARK and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            link_file(file, target)


def _folder(address: str) -> Path:
    return cache("fetched", hashlib.sha256(address.encode()).hexdigest()[:16])


def _whole(folder: Path) -> list[Path]:
    """The files of a look that is complete and fresh."""
    if not (folder / MARK).exists() or not _is_fresh(folder / MARK):
        return []
    inside = sorted(file for file in folder.rglob("*") if file.is_file())
    return [
        file for file in inside if file.name != MARK and not file.name.endswith((PART_SUFFIX, f"{PART_SUFFIX}.json"))
    ]


def _is_fresh(path: Path) -> bool:
    return abs(time.time() - path.stat().st_mtime) < FRESH_S  # the clock may have gone back


def _forget_old() -> None:
    for folder in cache("fetched", "any").parent.iterdir():
        newest = max((file.stat().st_mtime for file in folder.rglob("*")), default=0.0)
        mark = folder / MARK
        if not (_is_fresh(mark) if mark.exists() else abs(time.time() - newest) < FRESH_S):
            shutil.rmtree(folder, ignore_errors=True)
