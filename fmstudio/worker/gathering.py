"""From what the user named (files, folders, archives, addresses) to the files that importers read.

A folder goes to the importer that claims it, by a marker file or because most of its files are of its kind (pictures,
source code). Any other folder, and an archive once it is unpacked, is a heap of files, each read by its own importer;
files of one shape become one dataset, the others are told in a note.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fmstudio.api import ImportReport, Part, Reject, TaskContext, UserError
from fmstudio.core.addresses import as_text
from fmstudio.plugin_manager import Contribution, PluginManager
from fmstudio.worker.choosing import claims, file_candidates, folder_candidates, is_junk, marked, takes_folders
from fmstudio.worker.importing import open_importer
from fmstudio.worker.refusing import is_script, refusal, way_on
from fmstudio.worker.shapes import Shape
from fmstudio.worker.sources import Source
from fmstudio.worker.unpacking import DEEPEST, PREVIEW, Budget, kind_of, unpack

EACH = "each"
"""Stands for an importer's id: each file of a folder or archive by the importer that fits it."""


def gather(
    files: Sequence[str | Path],
    importer: str | None,
    plugins: PluginManager,
    report: ImportReport,
    ctx: TaskContext,
    *,
    workdir: Path,
    budget: Budget | None = None,
    parts: Sequence[str] = (),
    shapes: list[Part] | None = None,
) -> list[Source]:
    """Find what is to be read.

    Args:
        files: Paths of files, folders and archives.
        importer: Id of the importer to use; None or `EACH` = by name and content.
        plugins: Where importers are found.
        report: Takes everything that is left out, with the reason.
        ctx: Asked for cancelling.
        workdir: Where archives are unpacked; the caller empties it after the import.
        budget: Limits of unpacking.
        parts: Tables to read of each file that has several, or shapes of files of a heap that has several; none = the
            first, and of a heap the largest.
        shapes: Takes the shapes of a heap that has several, the largest first.

    Raises:
        UserError: Something is not there, nothing of it can be imported, or parts are wanted of what has none.
    """
    work = _Gathering(None if importer == EACH else importer, plugins, report, ctx, workdir, budget or Budget())
    for file in files:
        work.add(Path(file))
    found = work.sources([Path(file).name for file in files], parts)
    if shapes is not None and len(work.shapes) > 1:
        shapes += [shape.part for shape in work.shapes]
    parts = [part for part in parts if part not in {shape.id for shape in work.shapes}]
    if parts and not any(_has_parts(source, plugins) for source in found):
        raise UserError(
            f"{found[0].name} holds one table, so there is no part “{parts[0]}” in it.", remedy="Leave the part out."
        )
    return [part for source in found for part in _parts(source, parts, plugins)]


class _Gathering:
    def __init__(
        self,
        importer: str | None,
        plugins: PluginManager,
        report: ImportReport,
        ctx: TaskContext,
        workdir: Path,
        budget: Budget,
    ) -> None:
        self._wanted = plugins.contribution("importer", importer) if importer else None
        self._plugins, self._report, self._ctx = plugins, report, ctx
        self._workdir, self._budget = workdir, budget
        self._named: list[Source] = []
        self._heap: list[Source] = []
        self.shapes: list[Shape] = []
        self._unpacked = 0
        self._junk = 0
        self._first_reason = ""

    def add(self, path: Path) -> None:
        """Add what the user named."""
        if path.is_dir():
            self._folder(path, path.name, 0, is_unpacked=False)
            return
        _check_there(path)
        if not self._is_archive(path):
            chosen = self._wanted or file_candidates(path, self._plugins)[0]
            self._named.append(_source(path, path.name, chosen))
        else:
            self._archive(path, path.name, 1)

    def sources(self, names: list[str], parts: Sequence[str]) -> list[Source]:
        """Everything to be read, in order; of several shapes those among `parts`, or the largest."""
        if self._junk:
            self._report.note(f"Left out: {self._junk} files and folders that only the system or Git needs.")
        self.shapes = self._shapes()
        wanted = [shape for shape in self.shapes if shape.id in parts]
        for shape in () if wanted else self.shapes[1:]:
            self._report.note(shape.left_out)
        heap = [source for shape in wanted or self.shapes[:1] for source in shape.members]
        if not self._named and not heap:
            shown = ", ".join(names[:3])
            raise UserError(
                f"{shown} holds no file that can be imported.", remedy=self._first_reason or "Choose another."
            )
        return [*self._named, *heap]

    def _is_archive(self, path: Path) -> bool:
        return bool(kind_of(path)) and not any(claims(c, path) for c in self._plugins.contributions("importer"))

    def _archive(self, path: Path, name: str, depth: int) -> None:
        if depth > DEEPEST:
            self._leave(name, "is an archive in an archive in an archive; unpack it first")
            return
        target = self._workdir / f"unpacked-{self._unpacked}"
        self._unpacked += 1
        target.mkdir(parents=True)
        refused = unpack(path, name, target, self._report, self._budget, self._ctx)
        self._first_reason = self._first_reason or refused
        self._folder(target, name, depth, is_unpacked=True)

    def _folder(self, path: Path, name: str, depth: int, *, is_unpacked: bool) -> None:
        while is_unpacked and len(inside := list(path.iterdir())) == 1 and inside[0].is_dir():
            path, name = inside[0], f"{name}/{inside[0].name}"
        chosen = self._folder_importer(path)
        if chosen:
            self._named.append(_source(path, name, chosen, is_unpacked=is_unpacked))
        else:
            self._walk(path, name, depth, is_unpacked)

    def _folder_importer(self, path: Path) -> Contribution | None:
        if self._wanted:
            return self._wanted if takes_folders(self._wanted) else None
        there = folder_candidates(path, self._plugins)
        return there[0] if there else None

    def _walk(self, root: Path, name: str, depth: int, is_unpacked: bool) -> None:
        for folder, folders, files in os.walk(root, onerror=self._unreadable):
            self._ctx.check_cancelled()
            if self._budget.is_preview and len(self._heap) >= PREVIEW[1]:
                self._report.note(f"The preview looks at the first {len(self._heap):,} files of {name}.")
                break
            here = Path(folder)
            folders[:] = [f for f in sorted(folders, key=natural) if self._enters(here / f, root, name, is_unpacked)]
            for file in sorted(files, key=natural):
                if is_junk(file):
                    self._junk += 1
                else:
                    path = here / file
                    self._file(path, f"{name}/{path.relative_to(root).as_posix()}", depth, is_unpacked)

    def _enters(self, path: Path, root: Path, name: str, is_unpacked: bool) -> bool:
        shown = f"{name}/{path.relative_to(root).as_posix()}"
        if is_junk(path.name):
            self._junk += 1
            return False
        if path.is_symlink():
            self._leave(shown, "is a link to a folder, which is not followed")
            return False
        found = marked(path, self._plugins) if not self._wanted else []
        if found:
            self._heap.append(_source(path, shown, found[0], is_unpacked=is_unpacked))
        return not found

    def _file(self, path: Path, name: str, depth: int, is_unpacked: bool) -> None:
        try:
            reason = refusal(path) or ("is a script" if is_script(path) else "") or self._emptiness(path)
            if reason:
                self._leave(name, reason)
            elif self._is_archive(path):
                self._archive(path, name, depth + 1)
            elif (chosen := self._fitting(path)) is not None:
                self._heap.append(_source(path, name, chosen, is_unpacked=is_unpacked))
            else:
                self._leave(name, f"is of a kind that no importer reads ({path.suffix or 'no suffix'})")
        except OSError as error:
            self._leave(name, f"cannot be read: {error.strerror or error}")

    def _emptiness(self, path: Path) -> str:
        return "" if path.stat().st_size else "is empty (0 bytes)"

    def _fitting(self, path: Path) -> Contribution | None:
        """The importer of one file in a heap: by its suffix, or by content when it has none."""
        if self._wanted and (claims(self._wanted, path) or not self._is_claimed(path)):
            return self._wanted
        if self._wanted:
            return None
        if self._is_claimed(path):
            return file_candidates(path, self._plugins)[0]
        return file_candidates(path, self._plugins)[0] if not path.suffix and _is_text(path) else None

    def _is_claimed(self, path: Path) -> bool:
        return any(claims(c, path) for c in self._plugins.contributions("importer"))

    def _unreadable(self, error: OSError) -> None:
        self._leave(str(error.filename), f"cannot be read: {error.strerror}")

    def _leave(self, name: str, reason: str) -> None:
        sentence = f"{name} {reason}."
        self._first_reason = self._first_reason or sentence
        self._report.reject(Reject(sentence, raw=name))

    def _shapes(self) -> list[Shape]:
        """Groups of alike files, the largest first."""
        if len(self._heap) < 2:
            return [Shape(source.family, frozenset(), [source]) for source in self._heap]
        shapes: list[Shape] = []
        for source in self._heap:
            columns = self._columns(source)
            if columns is None:
                continue
            for shape in shapes:
                if shape.takes(source.family, columns):
                    shape.members.append(source)
                    break
            else:
                shapes.append(Shape(source.family, columns, [source]))
        return sorted(shapes, key=lambda shape: shape.size, reverse=True)

    def _columns(self, source: Source) -> frozenset[str] | None:
        """Names of a table's columns; none of a document's, which are all alike. None = it cannot be read."""
        if source.family == "document":
            return frozenset()
        try:
            _, importer, params = open_importer(source.path, source.importer, {}, self._plugins)
            batches = importer.read(source.path, params, _Silent(), self._ctx)
            first = next(batches, None)
            close = getattr(batches, "close", None)
            if close:
                close()
        except UserError as error:
            self._leave(source.name, f"cannot be read: {error.message.rstrip('.')}")
            return None
        return frozenset(first.schema.names) if first is not None else frozenset()


class _Silent(ImportReport):
    """For a first look: what is wrong is said when the file is read."""

    def reject(self, reject: Reject) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


def natural(name: str) -> list[Any]:
    """Sort key: ``page2`` before ``page10``."""
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p.lower()) for p in re.split(r"(\d+)", name) if p]


def _source(path: Path, name: str, importer: Contribution, *, is_unpacked: bool = False) -> Source:
    return Source(path, as_text(name), importer.id, importer.facts.get("family", "table"), is_unpacked)


def _has_parts(source: Source, plugins: PluginManager) -> bool:
    return "part" in plugins.contribution("importer", source.importer).load().Params.field_names()


def _parts(source: Source, parts: Sequence[str], plugins: PluginManager) -> list[Source]:
    if not parts or not _has_parts(source, plugins):
        return [source]
    if len(parts) == 1:
        return [replace(source, part=parts[0])]
    return [replace(source, part=part, name=f"{source.name} ({part})") for part in parts]


def _check_there(path: Path) -> None:
    if not path.exists():
        raise UserError(f"{path} is not there.", remedy="Check the name.")
    try:
        reason = refusal(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror or error}.", remedy="Check who may read it."
        ) from error
    if reason:
        raise UserError(f"{path.name} {reason}, so it is not imported.", remedy=way_on(reason))


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return b"\0" not in file.read(4_096)


def is_from_heap(source: Source, path: Path) -> bool:
    """Whether a source is a file out of the folder or archive at `path`."""
    return source.path != path and not source.path.is_dir()


def choices(source: Source, path: Path, plugins: PluginManager) -> list[dict[str, str]]:
    """Id and title of the importers that the user may choose for what was named, the likeliest first."""
    if path.is_file() and source.path == path:
        return [{"id": c.id, "title": c.title} for c in file_candidates(path, plugins)]
    each = {"id": EACH, "title": "Each file by its own importer"}
    folders = [{"id": c.id, "title": c.title} for c in plugins.contributions("importer") if takes_folders(c)]
    chosen = EACH if is_from_heap(source, path) else source.importer
    return sorted([each, *folders], key=lambda choice: choice["id"] != chosen)
