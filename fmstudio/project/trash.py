"""The trash of a project: where garbage is renamed to before it is deleted, so that a kill at any moment harms nothing.

What was moved is written down first. Until the catalogue knows of a batch, opening the project puts it back; from then on
it is deleted, then or at the next open.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fmstudio.core.jsonfile import fsync_folder, read_json, write_json
from fmstudio.project.file_stats import stats

MANIFEST = "moved.json"


class Trash:
    """Batches of moved files and folders below ``trash/``.

    Args:
        folder: The project folder.
    """

    def __init__(self, folder: Path) -> None:
        self._project = folder
        self._folder = folder / "trash"

    def move(self, batch: str, paths: Sequence[Path]) -> None:
        """Rename files and folders of the project into a new batch.

        Raises:
            OSError: One cannot be moved; all are in their places again.
        """
        place = self._folder / batch
        place.mkdir(parents=True)
        names = {f"{number:06}": path.relative_to(self._project).as_posix() for number, path in enumerate(paths)}
        write_json(place / MANIFEST, names)
        fsync_folder(place)
        fsync_folder(self._folder)
        try:
            for name, path in zip(names, paths, strict=True):
                path.rename(place / name)
        except OSError:
            self.put_back(batch)
            raise
        for parent in {path.parent for path in paths}:
            fsync_folder(parent)
        fsync_folder(place)

    def moved(self, batch: str) -> Iterator[os.stat_result]:
        """What the disk says of each file in a batch."""
        for path in (self._folder / batch).iterdir():
            if path.name != MANIFEST:
                yield from stats(path)

    def put_back(self, batch: str) -> None:
        """Rename everything of a batch to where it was."""
        place = self._folder / batch
        for name, path in reversed(read_json(place / MANIFEST, {}).items()):
            target = self._project / path
            if (place / name).exists() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                (place / name).rename(target)
                fsync_folder(target.parent)
        self.delete(batch)

    def delete(self, batch: str) -> None:
        """Delete a batch for good; what cannot be deleted now is tried again at the next open."""
        shutil.rmtree(self._folder / batch, ignore_errors=True)

    def recover(self, is_known: Callable[[str], bool]) -> list[str]:
        """Empty the trash at open; batches the catalogue does not know are put back, and their names given."""
        said = []
        for place in sorted(self._folder.glob("*/")) if self._folder.is_dir() else ():
            if (place / MANIFEST).exists() and not is_known(place.name):
                self.put_back(place.name)
                said.append(f"trash/{place.name}")
            else:
                self.delete(place.name)
        return said
