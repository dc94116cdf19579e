"""SQLite databases: tables and views, opened so that nothing in the file is changed, run or locked."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fmstudio.api import Field, Importer, ImportReport, Params, Part, Reject, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.batches import Batcher
from fmstudio_formats.parts import choose, column_count

if TYPE_CHECKING:
    import pyarrow as pa

_MAGIC = b"SQLite format 3\0"
_COUNTED = 256 << 20
_STEPS = 100_000
_LARGEST_MADE = 1 << 40


class TableParams(Params):
    """Settings of the database importers."""

    part: str = Field(default="", title="Table", description="Name of the table or view; empty = the first.")


class SqliteImporter(Importer):
    """Reads ``.sqlite``, ``.sqlite3``, ``.db`` and ``.db3``."""

    Params = TableParams

    def parts(self, path: Path, ctx: TaskContext) -> list[Part]:
        """See `Importer.parts`."""
        with closing(_open(path, ctx)) as database:
            can_count = path.stat().st_size <= _COUNTED
            return [_part(database, name, kind, can_count) for name, kind in _tables(database, path)]

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, TableParams)
        with closing(_open(path, ctx)) as database:
            names = [name for name, _ in _tables(database, path)]
            table = choose(names, params.part, "table", path, report)
            reader = _Reader(database, path, table, report, ctx)
            yield from Batcher(report).batched(reader.rows())


def _open(path: Path, ctx: TaskContext) -> sqlite3.Connection:
    """Open a database read-only.

    Raises:
        UserError: It is empty, encrypted or no SQLite database.
    """
    size = path.stat().st_size
    if not size:
        raise UserError(f"{path.name} is empty (0 bytes).", remedy="Choose a file with content.")
    with path.open("rb") as file:
        if file.read(16) != _MAGIC:
            raise UserError(
                f"{path.name} is no SQLite database, or it is encrypted.",
                remedy="Choose the importer that fits the file, or export the tables as CSV.",
            )
    path = _at_full_size(_with_log(path, ctx), ctx)
    # immutable: no lock is taken and no journal beside the file is played back or made
    database = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1", uri=True)
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    database.set_progress_handler(lambda: int(ctx.cancelled), _STEPS)
    return database


def _with_log(path: Path, ctx: TaskContext) -> Path:
    """A database in use keeps its newest rows in a log beside it: then a copy of both is read, log folded in."""
    log = path.with_name(path.name + "-wal")
    if not log.is_file() or not log.stat().st_size:
        return path
    copy = ctx.workdir / f"copy-{path.name}"
    ctx.workdir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    shutil.copyfile(log, copy.with_name(copy.name + "-wal"))
    try:
        with closing(sqlite3.connect(copy)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise UserError(
            f"The log of newest rows beside {path.name} is damaged: {error}.",
            remedy="Close the program that writes the database, then import again.",
        ) from error
    return copy


def _at_full_size(path: Path, ctx: TaskContext) -> Path:
    """SQLite opens no file that is shorter than its header says; a copy with empty pages at its end gives what is left."""
    with path.open("rb") as file:
        header = file.read(100)
    page = int.from_bytes(header[16:18], "big")
    wanted = (65_536 if page == 1 else page) * int.from_bytes(header[28:32], "big")
    if not path.stat().st_size < wanted <= _LARGEST_MADE:
        return path
    copy = ctx.workdir / f"filled-{path.name}"
    ctx.workdir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        file.truncate(wanted)
    return copy


def _tables(database: sqlite3.Connection, path: Path) -> list[tuple[str, str]]:
    """Give name and kind of each table and view, tables first; SQLite's own and the insides of indexes left out."""
    try:
        listed = database.execute("PRAGMA main.table_list").fetchall()
        order = {str(name): i for i, (name,) in enumerate(database.execute("SELECT name FROM sqlite_schema"))}
    except sqlite3.Error as error:
        raise UserError(
            f"{path.name} is damaged: its list of tables cannot be read ({error}).", remedy="Copy the file again."
        ) from error
    kinds = {"table": "table", "virtual": "table", "view": "view"}
    found = [(row[1], kinds[row[2]]) for row in listed if row[2] in kinds and not row[1].startswith("sqlite_")]
    return sorted(found, key=lambda item: (item[1] == "view", order.get(item[0], 0)))


def _part(database: sqlite3.Connection, name: str, kind: str, can_count: bool) -> Part:
    rows: int | None = None
    columns = 0
    try:
        columns = len(database.execute(f"PRAGMA table_xinfo({_quoted(name)})").fetchall())
        if can_count and kind == "table":
            rows = int(database.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()[0])
    except sqlite3.Error as error:
        return Part(name, name, None, f"{kind}, cannot be read: {error}")
    return Part(name, name, rows, f"{kind}, {column_count(columns)}")


class _Reader:
    """The rows of one table."""

    def __init__(
        self, database: sqlite3.Connection, path: Path, table: str, report: ImportReport, ctx: TaskContext
    ) -> None:
        self._database, self._path, self._table = database, path, table
        self._report, self._ctx = report, ctx
        self._size = path.stat().st_size
        self._types: dict[str, str] = {}
        self._told: set[str] = set()

    def rows(self) -> Iterator[dict[str, Any]]:
        total = self._count()
        done = 0
        try:
            cursor = self._database.execute(f"SELECT * FROM {_quoted(self._table)}")
            names = _unique([str(column[0]) for column in cursor.description])
            self._types = self._declared()
            for row in cursor:
                if done % 2_000 == 0:
                    self._ctx.check_cancelled()
                    self._ctx.progress(self._size * done / max(1, total, done), self._size, "bytes read")
                done += 1
                self._check(names, row, done)
                yield dict(zip(names, row, strict=True))
        except sqlite3.Error as error:
            self._ctx.check_cancelled()
            self._stop(error, done)
        self._ctx.progress(self._size, self._size, "bytes read")

    def _stop(self, error: sqlite3.Error, done: int) -> None:
        if not done:
            raise UserError(
                f"The table “{self._table}” of {self._path.name} cannot be read: {error}.",
                remedy="Choose another table, or mend the database with sqlite3’s .recover.",
            ) from error
        self._report.reject(Reject(f"After row {done} the table “{self._table}” cannot be read: {error}."))

    def _count(self) -> int:
        try:
            return int(self._database.execute(f"SELECT max(rowid) FROM {_quoted(self._table)}").fetchone()[0] or 0)
        except sqlite3.Error:
            return 0  # a view has no rowid: progress then jumps at the end

    def _declared(self) -> dict[str, str]:
        rows = self._database.execute(f"PRAGMA table_xinfo({_quoted(self._table)})").fetchall()
        return {str(row[1]): _affinity(str(row[2])) for row in rows}

    def _check(self, names: list[str], row: tuple[Any, ...], number: int) -> None:
        """SQLite stores any value in any column: say where one is not what its column was declared as."""
        for name, value in zip(names, row, strict=True):
            wanted = self._types.get(name)
            if wanted and isinstance(value, str if wanted == "number" else (int, float)) and name not in self._told:
                self._told.add(name)
                what = "text" if wanted == "number" else "a number"
                self._report.note(
                    f"Column “{name}” is declared as {wanted}, but row {number} holds {what} ({str(value)[:40]})."
                )


def _affinity(declared: str) -> str:
    """``"number"`` or ``"text"`` by SQLite's rules (sqlite.org/datatype3.html, 3.1); empty for what takes anything."""
    kind = declared.upper()
    if "INT" in kind or any(word in kind for word in ("REAL", "FLOA", "DOUB")):
        return "number"
    return "text" if any(word in kind for word in ("CHAR", "CLOB", "TEXT")) else ""


def _unique(names: list[str]) -> list[str]:
    made: list[str] = []
    for name in names:
        while name in made:
            name += "_2"
        made.append(name)
    return made


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
