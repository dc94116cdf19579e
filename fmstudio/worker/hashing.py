"""SHA-256 of the files of an import, on a thread beside the reading."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

_PIECE = 8 << 20
"""Bytes hashed together. Between two pieces the thread waits for the interpreter, up to 5 ms while modules load: with
pieces of a quarter of a megabyte it slept through most of that time."""


class _Stopped(Exception):
    """Nobody needs the hash any more."""


class Hashes:
    """Hashes files one after the other; leaving it stops at once. Python's hashes leave the interpreter to others meanwhile.

    Example:
        >>> with Hashes() as hashes:
        ...     hashes.start([Path("a.csv")])
        ...     hashes.all()
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._stopped = threading.Event()
        self._hashes: list[Future[str]] = []

    def __enter__(self) -> Hashes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)

    def start(self, paths: Sequence[Path]) -> None:
        """Begin, unless that was done. What is neither a file nor a folder (a pipe would never end) is an error of `all`."""
        self._hashes = self._hashes or [self._pool.submit(self._sha256, path) for path in paths]

    def all(self) -> list[str]:
        """Wait for all hashes, in the order of the files; of a folder, that of the names and hashes of all its files.

        Raises:
            OSError: A file cannot be read.
        """
        return [hashed.result() for hashed in self._hashes]

    def _sha256(self, path: Path) -> str:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            listing = "\n".join(f"{file.relative_to(path).as_posix()}\t{self._of_one(file)}" for file in files)
            return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
        if not path.is_file():
            raise FileNotFoundError(f"{path} is no ordinary file.")
        digest, piece = hashlib.sha256(), bytearray(_PIECE)
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(piece):
                digest.update(memoryview(piece)[:size])
                if self._stopped.is_set():
                    raise _Stopped
        return digest.hexdigest()

    def _of_one(self, file: Path) -> str:
        """Of a file in a folder; what cannot be read is left out there, and told, where the rows are read."""
        try:
            return self._sha256(file)
        except OSError:
            return "unreadable"
