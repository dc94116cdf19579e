"""`Staging`: an export is made beside its target and renamed when all of it is there; else nothing of it stays.

Overwriting is safe, too: the old file is replaced in one step, an old folder is moved aside until the new one stands and
only when it holds nothing but what an earlier export wrote.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.core.jsonfile import fsync_folder, read_json, write_json

MARKER = "fmstudio-export.json"
"""File in an exported folder: what it is, and its files with their hashes."""

_OLD = ".old-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Staging:
    """A hidden folder beside the target.

    Args:
        target: The file or folder to make; an absolute path.
        name: Names the hidden folder; the same for each try of one job.
        overwrite: Whether what is there may be replaced.
    """

    def __init__(self, target: Path, name: str, *, overwrite: bool) -> None:
        self.target = target
        self.folder = target.parent / f".fmstudio-export-{name}"
        self._overwrite = overwrite

    @property
    def staged(self) -> Path:
        """Where the exporter writes."""
        return self.folder / self.target.name

    def beside(self, kind: str) -> Path:
        """Path of an extra file: in an exported folder, or beside an exported file and named after it."""
        if self.staged.is_dir():
            return self.staged / kind
        return self.folder / f"{_stem(self.target.name)}.{kind}"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make the hidden folder; take it away again when anything goes wrong.

        Raises:
            UserError: The target is taken, or the place cannot be written to or is full.
        """
        self._check_free(self.target)
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            yield
        except OSError as error:
            self._discard()
            raise _explained(error, self.target) from error
        except BaseException:
            self._discard()
            raise

    def hashes(self) -> list[dict[str, Any]]:
        """Path (relative to the hidden folder), bytes and SHA-256 of every file written, by path; all made durable."""
        found = []
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            with path.open("r+b") as file:
                os.fsync(file.fileno())
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            name = path.relative_to(self.folder).as_posix()
            found.append({"path": name, "bytes": path.stat().st_size, "sha256": digest})
        return found

    def mark(self, facts: dict[str, Any], files: Sequence[dict[str, Any]]) -> None:
        """In a folder, leave the list of its files, by which a later export knows that it may replace them."""
        if self.staged.is_dir():
            inside = f"{self.target.name}/"
            listed = [{**f, "path": f["path"].removeprefix(inside)} for f in files if f["path"].startswith(inside)]
            write_json(self.staged / MARKER, {**facts, "files": listed})

    def place(self) -> None:
        """Rename everything to where it belongs, the target last; called again after a kill it does the rest.

        Raises:
            UserError: A place is taken, or cannot be written to.
        """
        if not self.folder.exists():
            return
        try:
            there = [path for path in self.folder.iterdir() if not path.name.startswith(_OLD)]
            there.sort(key=lambda path: path.name == self.target.name)
            for path in there:
                self._check_free(self.target.parent / path.name)
            for path in there:
                self._move(path, self.target.parent / path.name)
            fsync_folder(self.target.parent)
        except OSError as error:
            raise _explained(error, self.target) from error
        finally:
            self._discard()

    def _move(self, path: Path, goal: Path) -> None:
        old = self.folder / f"{_OLD}{goal.name}"
        if path.is_dir() and goal.is_dir():
            goal.rename(old)
        try:
            path.replace(goal)
        except OSError:
            if old.exists():
                old.rename(goal)
            raise

    def _check_free(self, place: Path) -> None:
        if not place.exists() and not place.is_symlink():
            return
        if not self._overwrite:
            raise UserError(f"{place} is already there.", remedy="Choose another name, or allow to overwrite it.")
        if place.is_dir():
            _check_own(place)
            if self.staged.is_file():
                raise UserError(f"{place} is a folder, and this format is a file.", remedy="Choose another name.")
        elif self.staged.is_dir() and place == self.target:
            raise UserError(f"{place} is a file, and this format is a folder.", remedy="Choose another name.")

    def _discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def hash_of(files: Sequence[dict[str, Any]]) -> str:
    """SHA-256 of one file, or of the sorted lines ``HASH  NAME`` of several (names within their folder)."""
    if len(files) == 1 and "/" not in files[0]["path"]:
        return str(files[0]["sha256"])
    lines = sorted(f"{file['sha256']}  {file['path'].partition('/')[2]}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _check_own(folder: Path) -> None:
    """Replace a folder only when each file in it was written by an export: nobody loses a file of their own."""
    listed = {file.get("path") for file in read_json(folder / MARKER, {}).get("files", [])} | {MARKER}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and name not in listed:
            raise UserError(
                f"{folder} holds a file that no export wrote ({name}), so it is not replaced.",
                remedy="Choose another folder, or take the file out first.",
            )


def _stem(name: str) -> str:
    """The name without its suffix; ``.jsonl.gz`` counts as one."""
    plain = name[:-3] if name.lower().endswith(".gz") else name
    return Path(plain).stem or name


def _explained(error: OSError, target: Path) -> UserError:
    if error.errno in _FULL or "No space left" in str(error):
        return UserError(
            f"The export did not fit on the disk of {target.parent}; nothing of it is left there.",
            remedy="Free some space or choose another place, then export again.",
            details=str(error),
        )
    return UserError(
        f"The export to {target} failed: {error}.",
        remedy="Check the folder and its permissions, or choose another place.",
        details=str(error),
    )
