"""Figures of a process from outside: memory of its own, open files, threads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figures:
    """Attributes:
    seconds: Since its process began.
    own_bytes: Resident memory that is no mapped file: native and Python heap alike.
    """

    seconds: float
    own_bytes: int
    n_files: int
    n_threads: int


def figures_of(pid: int, seconds: float) -> Figures:
    """Read them from /proc.

    Raises:
        OSError: The process is gone, or this is not Linux.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    values = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    own = int(values["RssAnon"].split()[0]) * 1024
    return Figures(seconds, own, len(list(Path(f"/proc/{pid}/fd").iterdir())), int(values["Threads"]))
