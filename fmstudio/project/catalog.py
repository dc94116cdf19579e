"""`Catalog`: the project's DuckDB file. One process writes; a second one gets a clear sentence."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from fmstudio.api.errors import UserError
from fmstudio.core.addresses import as_text
from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.project.closing import close_when_free
from fmstudio.project.migrations import migrate


class ProjectLocked(UserError):
    """Another process holds the project open."""


class Catalog:
    """Small rows: names, versions, lineage, chats, ratings.

    Thread-safe: one write at a time, reads on cursors of their own.

    Attributes:
        revision: Grows with every write; what was read at a revision holds as long as it stands.

    Raises:
        ProjectLocked: Another process has it open; the message names it.
        UserError: The file is damaged or from a newer version, or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._holder = path.with_name("open-by.json")
        self._write_lock = threading.RLock()
        self.revision = 0
        self._connection = self._open()
        try:
            migrate(self._connection)
            write_json(self._holder, {"pid": os.getpid(), "command": _command(), "since": time.time()})
        except (OSError, duckdb.Error) as error:
            self._connection.close()
            raise _unwritable(error, "The project could not be opened") from error
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> duckdb.DuckDBPyConnection:
        try:
            return duckdb.connect(str(self._path))
        except duckdb.IOException as error:
            if "lock" in str(error).lower() or "being used by another process" in str(error):
                raise self._locked(error) from error
            if _is_full(error):
                raise _unwritable(error, "The project could not be opened") from error
            raise UserError(
                f"The project's catalogue {self._path} cannot be opened: {error}",
                remedy="Check the disk and the folder's permissions.",
            ) from error
        except duckdb.Error as error:
            raise UserError(
                f"The project's catalogue {self._path} is damaged: {str(error).splitlines()[0]}",
                remedy="Your data is untouched: every version is in the “datasets” folder as Parquet files.",
                details=str(error),
            ) from error

    def _locked(self, error: duckdb.IOException) -> ProjectLocked:
        holder = read_json(self._holder, {})
        who = f"{holder.get('command', 'another program')} (process {holder.get('pid', 'unknown')})"
        return ProjectLocked(
            f"The project “{self._path.parent.name}” is already open in {who}.",
            remedy="Close it there first, or go on there.",
            details=str(error),
        )

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read rows, on a cursor of its own."""
        with self._connection.cursor() as cursor:
            return cursor.execute(sql, list(parameters)).fetchall()

    def records(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Read rows as mappings; JSON columns are decoded."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, list(parameters))
            names = [(item[0], str(item[1]) == "JSON") for item in cursor.description or []]
            return [
                {name: json.loads(v) if is_json and v else v for (name, is_json), v in zip(names, row, strict=True)}
                for row in cursor.fetchall()
            ]

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One write transaction: all of it or nothing.

        Raises:
            UserError: It cannot be written (disk full, damaged); nothing was changed.
        """
        with self._write_lock:
            self._connection.begin()
            try:
                yield self._connection
                self._connection.commit()
                self.revision += 1
            except duckdb.Error as error:
                self._roll_back()
                raise _unwritable(error, "The change could not be written") from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        try:
            self._connection.rollback()
        except duckdb.Error:  # a failed commit has already ended the transaction
            return

    def close(self) -> None:
        """Checkpoint and let go of the file."""
        with self._write_lock:
            close_when_free(self._connection)
            self._holder.unlink(missing_ok=True)


def insert(connection: duckdb.DuckDBPyConnection, table: str, values: dict[str, Any]) -> None:
    """Insert one row; mappings and lists are stored as JSON, in which DuckDB takes nothing but text."""
    cells = [
        as_text(json.dumps(v, ensure_ascii=False, default=str)) if isinstance(v, dict | list | tuple) else v
        for v in values.values()
    ]
    marks = ", ".join("?" for _ in cells)
    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", cells)


def _is_full(error: BaseException) -> bool:
    """Whether the disk is full, or a limit on sizes says so; DuckDB tells it only in the system's words."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    said = str(error).lower()
    return (isinstance(error, OSError) and error.errno in numbers) or any(
        os.strerror(n).lower() in said for n in numbers
    )


def _unwritable(error: OSError | duckdb.Error, what: str) -> UserError:
    if _is_full(error):
        remedy = "Free some disk space, then try again. Nothing was changed."
        return UserError(f"{what}: the disk is full.", remedy=remedy, details=str(error), can_retry=True)
    return UserError(
        f"{what} into the project's catalogue: {str(error).splitlines()[0]}",
        remedy="Check the disk and the folder's permissions, then try again. Nothing was changed.",
        details=str(error),
    )


def _command() -> str:
    name = Path(sys.argv[0]).name
    words = [name if name not in ("__main__.py", "-m") else "fmstudio", *sys.argv[1:2]]
    return " ".join(words)
