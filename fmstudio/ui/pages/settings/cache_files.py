"""Size and removal of the cache folder; everything in it is made again when it is needed. No widgets."""

from __future__ import annotations

import contextlib
from pathlib import Path

KEPT = "icons"
"""Pictures the style sheet in force refers to; a few kilobytes."""


def measure(folder: Path) -> int:
    """Bytes in the cache that clearing would free."""
    total = 0
    for path in _files(folder):
        with contextlib.suppress(OSError):  # gone since it was listed
            total += path.stat().st_size
    return total


def clear(folder: Path) -> int:
    """Delete what can be deleted (a file in use is left); return the bytes that are left."""
    for path in _files(folder):
        with contextlib.suppress(OSError):
            path.unlink()
    return measure(folder)


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).parts[0] != KEPT]
