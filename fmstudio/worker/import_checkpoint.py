"""Where an import stands, kept in its step's folder every few seconds, so that a cancelled or killed one goes on there.

What is kept is what was on the disk by then: whole Parquet files, and all that reading on needs to know.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fmstudio import __version__
from fmstudio.core.jsonfile import read_json, write_json

EVERY_S = 3.0
"""Seconds of work that may be lost. Each time a file ends before it is full, which costs some rows their row group."""


class ImportCheckpoint:
    """The last place that an import of some files reached.

    Args:
        path: The file it is kept in.
        files: What is imported. When one of them has changed, or the app has, nothing is gone on with.
        target: Folder of the Parquet files.
        every_s: Seconds between two checkpoints.
    """

    def __init__(self, path: Path, files: Sequence[Path], target: Path, every_s: float = EVERY_S) -> None:
        self._path, self._target, self._every_s = path, target, every_s
        self._about = {"app": __version__, "files": [_signature(file) for file in files]}
        self._last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Give the state that was kept; None when there is none, or it is of no use any more."""
        kept = read_json(self._path)
        if not isinstance(kept, dict) or kept.get("about") != self._about:
            return None
        state: dict[str, Any] = kept["state"]
        return state if all((self._target / name).exists() for name in state["writer"]["files"]) else None

    def is_due(self) -> bool:
        """Whether it is time for the next one; from then on it is not, until the next is."""
        now = time.monotonic()
        if now - self._last < self._every_s:
            return False
        self._last = now
        return True

    def keep(self, state: dict[str, Any]) -> None:
        """Keep a state; on any thread.

        Raises:
            OSError: It cannot be written.
        """
        write_json(self._path, {"about": self._about, "state": state})

    def forget(self) -> None:
        """Begin anew: nothing of what was imported is left."""
        self._path.unlink(missing_ok=True)
        for old in self._target.glob("rows-*"):
            with suppress(FileNotFoundError):
                old.unlink()


def _signature(path: Path) -> list[Any]:
    """Name, size and time of change of a file, or of all files in a folder; what is not there is told where it is read."""
    if not path.exists():
        return [ascii(path)]
    if not path.is_dir():
        return _of_one(path)
    inside = sorted(file for file in path.rglob("*") if file.is_file())
    listing = hashlib.sha256("\n".join(str(_of_one(file)) for file in inside).encode())
    return [ascii(path), len(inside), listing.hexdigest()]


def _of_one(path: Path) -> list[Any]:
    facts = path.stat()  # ascii: a name need not be text
    return [ascii(path), facts.st_size, facts.st_mtime_ns]
