"""Source code: a row for each file of a folder, with its language; what nobody wrote by hand is left out and said."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Field, Importer, ImportReport, Params, Reject, TaskContext, UserError
from fmstudio_documents.decoding import decode
from fmstudio_documents.ignore_rules import IgnoreRules
from fmstudio_documents.languages import language_of
from fmstudio_documents.rows import batched, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

_NOT_WRITTEN_HERE = (
    "node_modules bower_components vendor third_party thirdparty site-packages venv .venv env .env .tox .nox .git .hg "
    ".svn __pycache__ .mypy_cache .pytest_cache .ruff_cache .idea .vscode dist build target .gradle .next .nuxt "
    "coverage .terraform pods carthage .eggs"
)
_VENDORED = frozenset(_NOT_WRITTEN_HERE.split())
_GENERATED = ("package-lock.json", "yarn.lock", "pnpm-lock.yaml", "poetry.lock", "cargo.lock", "go.sum", "uv.lock")
_MINIFIED = (".min.js", ".min.css", ".bundle.js", ".map", "_pb2.py", ".pb.go", ".g.dart", ".designer.cs")
_LONG_LINE = 1_000
"""Characters a line beyond which, on average, code is minified; code written by hand has 30 to 40."""


class SourceCodeParams(Params):
    """Settings of the source-code importer."""

    ignored: bool = Field(default=False, title="Ignored files", description="Take what .gitignore keeps out, too.")
    vendored: bool = Field(
        default=False,
        title="Vendored code",
        description="Take node_modules, vendor, build folders and lock files, too.",
    )
    largest_kb: int = Field(default=1024, ge=1, le=65_536, title="Largest file (kB)")


class SourceCodeImporter(Importer):
    """Reads a folder of source code, or one file."""

    Params = SourceCodeParams

    def read(self, path: Path, params: Any, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        schema = schema_of(text="string", language="string", bytes="int64", lines="int64", source_file="string")
        yield from batched(_Tree(path, params, report, ctx).rows(), schema)


class _Tree:
    """The files of a folder, and why others are left out."""

    def __init__(self, root: Path, params: SourceCodeParams, report: ImportReport, ctx: TaskContext) -> None:
        self._root, self._params, self._report, self._ctx = root, params, report, ctx
        self._left: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each file that is source code."""
        if self._root.is_file():
            row = self._row(self._root, self._root.name)
            if isinstance(row, str):
                raise UserError(f"{self._root.name} is not read: it is {row}.", remedy="See the importer's settings.")
            yield row
            return
        files = list(self._files(self._root, "", None))
        total, done = sum(size for _, _, size in files), 0
        for path, place, size in files:
            self._ctx.check_cancelled()
            row = self._row(path, place)
            if isinstance(row, str):
                self._leave(row, place)
            else:
                yield row
            done += size
            self._ctx.progress(done, total, "bytes read")
        for reason, count in self._left.most_common():
            what = "1 file or folder" if count == 1 else f"{count} files and folders"
            self._report.note(f"Left out: {what} ({reason}), e.g. {self._examples[reason]}.")

    def _files(self, folder: Path, place: str, above: IgnoreRules | None) -> Iterator[tuple[Path, str, int]]:
        """Walk the tree, without recursion, in order of names."""
        stack: list[tuple[Path, str, IgnoreRules | None]] = [(folder, place, above)]
        while stack:
            here, at, outer = stack.pop()
            rules = IgnoreRules() if self._params.ignored else IgnoreRules.of(here, at, outer)
            folders = []
            for entry in self._entries(here):
                inside = f"{at}/{entry.name}" if at else entry.name
                if entry.is_symlink():
                    self._leave("links", inside)
                elif rules.ignores(inside, is_folder=entry.is_dir()):
                    self._leave("kept out by .gitignore", inside)
                elif entry.is_dir():
                    if entry.name.lower() in _VENDORED and not self._params.vendored:
                        self._leave("not written here: vendored, built or of a tool", inside)
                    else:
                        folders.append((Path(entry.path), inside, rules))
                elif entry.is_file():
                    yield Path(entry.path), inside, entry.stat().st_size
                else:
                    self._leave("no ordinary files", inside)
            stack.extend(reversed(folders))

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._report.reject(Reject(f"{folder.name} cannot be read: {error.strerror}."))
            return []

    def _row(self, path: Path, place: str) -> dict[str, Any] | str:
        """The row of a file, or why there is none."""
        name = path.name.lower()
        is_generated = name in _GENERATED or name.endswith(_MINIFIED)
        if is_generated and not self._params.vendored:
            return "generated or minified"
        try:
            if path.stat().st_size > self._params.largest_kb * 1024:
                return f"larger than {self._params.largest_kb} kB"
            data = path.read_bytes()
        except OSError as error:
            self._report.reject(Reject(f"{place} cannot be read: {error.strerror}."))
            return "unreadable"
        if not data.strip():
            return "empty"
        if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "no text"
        text, _ = decode(data)
        language = language_of(path.name, text)
        if not language:
            return "of no known language"
        lines = text.count("\n") + (not text.endswith("\n"))
        if len(text) > 10_000 and len(text) > _LONG_LINE * lines and not self._params.vendored:
            return "generated or minified"
        return {"text": text, "language": language, "bytes": len(data), "lines": lines, "source_file": place}

    def _leave(self, reason: str, place: str) -> None:
        self._left[reason] += 1
        self._examples.setdefault(reason, place)
