"""What the disk says of files: size, and whether they are one and the same (hard links)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def stats(path: Path) -> Iterator[os.stat_result]:
    """What the disk says of a file, or of each file below a folder; links are not followed.

    Files that vanish meanwhile (those of a running job) are left out.
    """
    try:
        if path.is_symlink() or not path.is_dir():
            yield path.lstat()
            return
        with os.scandir(path) as entries:
            inside = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except FileNotFoundError:
        return
    for name, is_folder in inside:
        if is_folder:
            yield from stats(Path(name))
        else:
            yield from stats_of_file(name)


def stats_of_file(name: str) -> Iterator[os.stat_result]:
    """What the disk says of a file (scandir's own answer lacks the number of links on Windows)."""
    try:
        yield os.lstat(name)
    except FileNotFoundError:
        return
