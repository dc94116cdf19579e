"""`Sandbox`: an in-memory DuckDB in which SQL that a user typed sees the rows it is given and nothing else.

No other file, no network, no extension, no setting can be reached; memory is bounded, what does not fit goes to a folder
of temporary files. Errors become sentences with the names that were probably meant.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from fmstudio.api import ROW_ID, Cancelled, TaskContext, UserError
from fmstudio.core.checking import nearest
from fmstudio.core.sql import literal

MEMORY = "1GB"
TEMP = "20GB"
_MOST_NAMED = 30
_POLL_S, _REPEAT_S = 0.2, 0.02
_UNKNOWN = re.compile(
    r"Referenced column \"(?P<column>.*?)\" not found|Referenced table \"(?P<alias>.*?)\" not found"
    r"|Table with name \"?(?P<table>.*?)\"? does not exist|Function with name \"?(?P<function>.*?)\"? does not exist"
)
_DID_YOU_MEAN = re.compile(r'Did you mean "(.*?)"')


@dataclass(frozen=True, slots=True)
class Seen:
    """The rows of a dataset's version, as the user sees them.

    Attributes:
        files: Parquet files, in row order.
        edits: ``rows`` and ``deleted``, paths of Parquet files with pending edits (`Edits.export_overlay`); or None.
    """

    dataset_id: str
    name: str
    version: int
    files: tuple[str, ...]
    edits: Mapping[str, str] | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Seen:
        """Read it back from `to_dict`."""
        return cls(data["dataset_id"], data["name"], data["version"], tuple(data["files"]), data["edits"])

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain JSON data."""
        edits = None if self.edits is None else {key: self.edits[key] for key in ("rows", "deleted")}
        return {
            "dataset_id": self.dataset_id,
            "name": self.name,
            "version": self.version,
            "files": list(self.files),
            "edits": edits,
        }

    @property
    def sql(self) -> str:
        """The rows as SQL; ascending by ``row_id`` when there are no edits."""
        base = parquet(self.files)
        if self.edits is None:
            return f"SELECT * FROM {base}"
        rows, deleted = parquet([self.edits["rows"]]), parquet([self.edits["deleted"]])
        hidden = f"SELECT {ROW_ID} FROM {rows} UNION ALL SELECT {ROW_ID} FROM {deleted}"
        kept = f"SELECT * FROM {base} WHERE {ROW_ID} NOT IN ({hidden})"
        return f"({kept}) UNION ALL BY NAME (SELECT * FROM {rows})"

    @property
    def folders(self) -> set[str]:
        """Where its files are."""
        paths = [*self.files, *(self.edits or {}).values()] if self.edits else list(self.files)
        return {str(Path(path).parent) for path in paths}


def open_sandbox(folders: Iterable[str], temp: Path, *, memory: str = MEMORY, most_temp: str = TEMP) -> Any:
    """Open an in-memory DuckDB that can read these folders and nothing else.

    Args:
        temp: Folder for what does not fit into memory; made when missing.

    Returns:
        A `duckdb.DuckDBPyConnection`.
    """
    temp.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(":memory:")
    allowed = ", ".join(literal(folder) for folder in sorted(set(folders)))
    connection.execute(f"SET temp_directory={literal(str(temp))}; SET max_temp_directory_size='{most_temp}'")
    connection.execute(f"SET memory_limit='{memory}'; SET preserve_insertion_order=true; SET TimeZone='UTC'")
    connection.execute("SET autoinstall_known_extensions=false; SET autoload_known_extensions=false")
    connection.execute(f"SET allowed_directories=[{allowed}]; SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")
    return connection


def parquet(files: Sequence[str]) -> str:
    """Parquet files as a SQL relation."""
    return f"read_parquet([{', '.join(literal(str(file)) for file in files)}], union_by_name=true)"


@contextmanager
def told(what: str, names: Sequence[str], *, sql: str = "", kind: str = "columns") -> Iterator[None]:
    """Turn DuckDB's errors into sentences.

    Args:
        what: Begins the sentence, e.g. “This condition”.
        names: Names that there are, offered when one is not known.
        kind: What `names` are.

    Raises:
        UserError: DuckDB refused the SQL or could not run it.
        Cancelled: It was interrupted.
    """
    try:
        yield
    except duckdb.InterruptException as error:
        raise Cancelled from error
    except duckdb.Error as error:
        raise sentence(error, what, names, sql=sql, kind=kind) from error


def sentence(
    error: duckdb.Error, what: str, names: Sequence[str], *, sql: str = "", kind: str = "columns"
) -> UserError:
    """Say in words what DuckDB said."""
    details = f"{sql}\n\n{error}" if sql else str(error)
    first = str(error).splitlines()[0]
    plain = re.sub(r"^[A-Za-z ]+ Error: ", "", first)
    if isinstance(error, duckdb.OutOfMemoryException):
        return UserError(
            f"{what} needs more memory than it may use ({MEMORY.replace('GB', ' GB')}, and {TEMP.replace('GB', ' GB')} of disk).",
            remedy="Work on fewer rows: narrow it with a condition, or join over a key.",
            details=details,
        )
    if isinstance(error, duckdb.PermissionException):
        return UserError(
            f"{what} reaches for something outside the project's data: {plain}.",
            remedy="It can read the datasets of this project and nothing else.",
            details=details,
        )
    return UserError(f"{what} cannot be run: {plain}", remedy=_remedy(error, names, kind), details=details)


def _remedy(error: duckdb.Error, names: Sequence[str], kind: str) -> str:
    match, meant = _UNKNOWN.search(str(error)), _DID_YOU_MEAN.search(str(error))
    listed = ", ".join(names[:_MOST_NAMED])
    if (more := len(names) - _MOST_NAMED) > 0:
        listed = f"{listed} and {more:,} more"
    if match is None:
        # Of a wrong type or number of arguments no table is to blame.
        is_told = isinstance(error, duckdb.BinderException) and names and kind == "columns"
        return f"The {kind} are: {listed}." if is_told else ""
    if match["function"] is not None:
        return f"Did you mean “{meant[1]}”?" if meant else "There is no such function; see DuckDB's list of functions."
    unknown = match["column"] or match["alias"] or match["table"] or ""
    near = nearest(unknown, names)
    return f"There is: {listed or 'none'}." if near.startswith("There is") else f"{near} The {kind} are: {listed}."


class Stop:
    """Ends what a connection does, from another thread; made by `stoppable`."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._over = threading.Event()

    def ask(self) -> None:
        """Have the query that runs, and any that follows, end as interrupted."""
        self._asked.set()

    def watch(self, connection: Any) -> None:
        """Interrupt until all is over: an interrupt that comes between two queries is lost."""
        self._asked.wait()
        while not self._over.is_set():
            connection.interrupt()
            self._over.wait(_REPEAT_S)

    def end(self) -> None:
        """There is nothing more to stop."""
        self._over.set()
        self._asked.set()


@contextmanager
def stoppable(connection: Any) -> Iterator[Stop]:
    """What is done on the connection inside can be stopped by `Stop.ask`."""
    stop = Stop()
    thread = threading.Thread(target=stop.watch, args=(connection,), name="watch for stop", daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        stop.end()
        thread.join()


@contextmanager
def interruptible(connection: Any, ctx: TaskContext) -> Iterator[None]:
    """Interrupt the connection's query as soon as the job is cancelled, also inside a sort or an aggregate."""
    over = threading.Event()

    def watch(stop: Stop) -> None:
        while not over.wait(_POLL_S):
            if ctx.cancelled:
                stop.ask()

    with stoppable(connection) as stop:
        thread = threading.Thread(target=watch, args=(stop,), name="watch for cancel", daemon=True)
        thread.start()
        try:
            yield
        except Cancelled:
            ctx.check_cancelled()
            raise
        finally:
            over.set()
            thread.join()


def arrow_reader(connection: Any, sql: str, batch_rows: int) -> Any:
    """The rows of a query as they come, as a `pyarrow.RecordBatchReader`: never all in memory."""
    return connection.sql(sql).to_arrow_reader(batch_rows)


def one_select(sql: str) -> bool:
    """Whether this is one statement that only reads (SELECT, WITH, VALUES, FROM, DESCRIBE, SHOW …).

    Raises:
        duckdb.Error: It is no SQL.
    """
    statements = duckdb.extract_statements(sql)
    return len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT
