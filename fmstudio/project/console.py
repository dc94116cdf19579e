"""`Console`: read-only SQL over the project's datasets.

Runs in a sandbox that sees the datasets' files and nothing else. Each dataset is a table of its name, as the user sees it
now; ``name@3`` is its version 3, ``name.dropped`` the rows that making the current version dropped, ``name.rejects`` what
could not be read from the imported files.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from fmstudio.api.errors import UserError
from fmstudio.jobs.spec import JobSpec, StepSpec
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.closing import close_when_free
from fmstudio.project.console_completion import complete
from fmstudio.project.datasets import Dataset, Datasets
from fmstudio.project.rejects import RejectFile, reject_files
from fmstudio.project.seen_rows import SeenRows
from fmstudio.project.transforms import new_dataset
from fmstudio.recipes.console_views import View, checked_query, tables_in
from fmstudio.recipes.sandbox import Stop, open_sandbox, sentence, stoppable

MOST_HISTORY = 1_000
MOST_TEMP = "4GB"
STEP = "query"


@dataclass(frozen=True, slots=True)
class ConsoleTable:
    """A table that a query can name.

    Attributes:
        columns: Name and SQL type of each column; empty for those that are only looked at when they are used.
        kind: ``dataset``, ``version``, ``dropped`` or ``rejects``.
    """

    name: str
    kind: str
    rows: int
    columns: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ConsoleResult:
    """What a query gave.

    Attributes:
        types: SQL type of each column.
        total_shown: Number of rows here.
        is_cut: Whether there are more.
        seconds: How long it took.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    total_shown: int
    is_cut: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class ConsoleEntry:
    """A query that was run; `rows` is None and `error` says why when it failed."""

    sql: str
    created: float
    seconds: float
    rows: int | None
    error: str


class Console:
    """Runs queries. Every method blocks and is thread-safe; one query runs at a time, others wait.

    Args:
        folder: The project folder.
    """

    def __init__(self, catalog: Catalog, datasets: Datasets, seen: SeenRows, folder: Path) -> None:
        self._catalog = catalog
        self._datasets = datasets
        self._seen = seen
        self._folder = folder
        self._turn = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._running: Stop | None = None

    def close(self) -> None:
        """End a running query and free everything."""
        self.interrupt()
        with self._turn:
            if self._connection is not None:
                close_when_free(self._connection)
                self._connection = None

    # ---- tables ----------------------------------------------------------------------------------------------------

    def tables(self) -> list[ConsoleTable]:
        """All tables; datasets first, each with its columns."""
        found = []
        more = []
        for dataset in self._datasets.all():
            with self._open() as cursor:
                columns = _columns(cursor, self._views(dataset)[dataset.name])
            found.append(ConsoleTable(dataset.name, "dataset", dataset.rows, columns))
            for version in self._datasets.versions(dataset.id):
                named = tuple((column.name, column.type) for column in version.columns)
                more.append(ConsoleTable(f"{dataset.name}@{version.number}", "version", version.rows, named))
            current = self._datasets.version(dataset.id)
            if current.dropped:
                more.append(ConsoleTable(f"{dataset.name}.dropped", "dropped", current.dropped))
            if rejected := sum(one.count for one in self._rejects(dataset)):
                more.append(ConsoleTable(f"{dataset.name}.rejects", "rejects", rejected))
        return found + more

    def _views(self, dataset: Dataset, edits_in: Path | None = None) -> dict[str, View]:
        """The views of a dataset by name."""
        name = dataset.name
        own = edits_in / dataset.id if edits_in is not None else None
        views = {name: View.of_rows(name, self._seen.of(dataset, edits_in=own))}
        for version in self._datasets.versions(dataset.id):
            numbered = f"{name}@{version.number}"
            views[numbered] = View.of_rows(numbered, self._seen.published(dataset, version.number))
        folder = self._datasets.version_folder(dataset.id, dataset.version)
        seen = self._seen.published(dataset, dataset.version)
        dropped = [str(path) for path in sorted((folder / "dropped").glob("*.parquet"))]
        views[f"{name}.dropped"] = View.of_dropped(f"{name}.dropped", dropped, seen)
        rejects = [str(one.path) for one in self._rejects(dataset)]
        source = {"id": dataset.id, "version": dataset.version}
        views[f"{name}.rejects"] = View.of_rejects(f"{name}.rejects", rejects, source)
        return views

    def _rejects(self, dataset: Dataset) -> list[RejectFile]:
        return reject_files(self._catalog, self._datasets.folder, (dataset.id, dataset.version))

    def _needed(self, sql: str, edits_in: Path | None = None) -> list[View]:
        """The views that a query may mean."""
        datasets = self._datasets.all()
        words = sql.casefold().replace('""', '"')
        is_listing = any(word in words for word in ("show", "duckdb_", "information_schema", "sqlite_master"))
        found = []
        for dataset in datasets:
            if is_listing or dataset.name.casefold() in words:
                views = self._views(dataset, edits_in)
                wanted = tables_in(sql, list(views))
                found += [
                    view for name, view in views.items() if name in wanted or (is_listing and name == dataset.name)
                ]
        return found

    # ---- running ---------------------------------------------------------------------------------------------------

    def run(self, sql: str, limit: int = 10_000) -> ConsoleResult:
        """Run one query that only reads.

        Args:
            limit: Most rows to give; `ConsoleResult.is_cut` says whether there are more.

        Raises:
            UserError: It is not one statement that only reads, it is wrong, needs too much, or was stopped.
        """
        started = time.perf_counter()
        try:
            result = self._run(sql, limit, started)
        except UserError as error:
            self._remember(sql, time.perf_counter() - started, None, error.message)
            raise
        self._remember(sql, result.seconds, result.total_shown, "")
        return result

    @property
    def is_running(self) -> bool:
        """Whether a query is being run."""
        return self._running is not None

    def interrupt(self) -> None:
        """Stop the query that is running, if there is one; it then ends with a `UserError`."""
        running = self._running
        if running is not None:
            running.ask()

    def _run(self, sql: str, limit: int, started: float) -> ConsoleResult:
        with self._told(sql):
            query = checked_query(sql)
            views = self._needed(query)
        with self._open() as cursor, self._told(sql), self._as_running(cursor):
            for view in views:
                view.make(cursor)
            cursor.execute(query)
            described = cursor.description or []
            rows = cursor.fetchmany(limit + 1)
        names = tuple(str(item[0]) for item in described)
        types = tuple(str(item[1]) for item in described)
        shown = rows[:limit]
        return ConsoleResult(names, types, shown, len(shown), len(rows) > limit, time.perf_counter() - started)

    @contextmanager
    def _open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of the sandbox, for one at a time."""
        with self._turn:
            if self._connection is None:
                allowed = [str(self._folder / "datasets"), str(self._folder / "tmp")]
                temp = self._folder / "tmp" / "console"
                self._connection = open_sandbox(allowed, temp, most_temp=MOST_TEMP)
            with self._connection.cursor() as cursor:
                yield cursor

    @contextmanager
    def _as_running(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Be what `interrupt` ends."""
        with stoppable(cursor) as stop:
            self._running = stop
            try:
                yield
            finally:
                self._running = None

    @contextmanager
    def _told(self, sql: str) -> Iterator[None]:
        try:
            yield
        except duckdb.InterruptException as error:
            raise UserError("The query was stopped.", remedy="Run it again any time.") from error
        except duckdb.Error as error:
            names = [dataset.name for dataset in self._datasets.all()]
            kind = "tables"
            if "column" in str(error).splitlines()[0].lower():
                names, kind = self._column_names(sql), "columns"
            raise sentence(error, "This query", names, sql=sql, kind=kind) from error

    def _column_names(self, sql: str) -> list[str]:
        datasets = [dataset for dataset in self._datasets.all() if tables_in(sql, [dataset.name])]
        return list(
            dict.fromkeys(column.name for dataset in datasets for column in dataset.columns if not column.is_side)
        )

    # ---- saving ----------------------------------------------------------------------------------------------------

    def save_spec(self, sql: str, name: str) -> JobSpec:
        """A job that makes a dataset of all the rows that a query gives.

        Raises:
            UserError: It is no query that only reads, or names what is not there, or the name is empty.
        """
        clean = name.strip()
        if not clean:
            raise UserError("The new dataset needs a name.", remedy="Write one.")
        with self._told(sql):
            query = checked_query(sql)
        if query.split(None, 1)[0].upper() == "EXPLAIN":
            raise UserError("A plan cannot be saved as a dataset.", remedy="Save the query without EXPLAIN.")
        meta: dict[str, Any] = {"title": f"SQL: {' '.join(query.split())[:80]}", "datasets": [new_dataset(clean, "")]}
        work: dict[str, Any] = {"sql": query}
        spec = JobSpec.new(f"Save a query as {clean}", "sql_dataset", [StepSpec(STEP, "sql_dataset", work)], meta=meta)
        views = self._needed(query, self._folder / "jobs" / spec.id / "edits")
        with self._open() as cursor, self._told(sql):
            for view in self._needed(query):
                view.make(cursor)
            cursor.execute(f"DESCRIBE SELECT * FROM ({query}\n)").fetchall()
        read = tables_in(query, [view.name for view in views])
        sources = {(view.source["id"], view.source["version"]): view.source for view in views if view.name in read}
        meta["source"] = {"sql": query, "datasets": list(sources.values())}
        work["views"] = [view.to_dict() for view in views]
        return spec

    # ---- history and help ------------------------------------------------------------------------------------------

    def history(self, limit: int = 200) -> list[ConsoleEntry]:
        """Queries that were run, newest first; the same one twice in a row is there once."""
        rows = self._catalog.records(
            # By the order of writing: a clock may be set back.
            "SELECT * EXCLUDE (place) FROM"
            " (SELECT *, rowid AS place, lead(sql) OVER (ORDER BY rowid DESC) AS before FROM queries)"
            " WHERE sql IS DISTINCT FROM before ORDER BY place DESC LIMIT ?",
            [limit],
        )
        return [ConsoleEntry(r["sql"], r["created"], r["seconds"], r["rows"], r["error"] or "") for r in rows]

    def forget(self) -> None:
        """Empty the history."""
        with self._catalog.transaction() as connection:
            connection.execute("DELETE FROM queries")

    def complete(self, text: str, position: int) -> list[str]:
        """What may take the place of the word that ends at a position: tables, columns, functions, keywords."""
        columns: dict[str, list[str]] = {}
        for dataset in self._datasets.all():
            own = [column.name for column in dataset.columns if not column.is_side]
            columns[dataset.name] = own
            for version in self._datasets.versions(dataset.id):
                columns[f"{dataset.name}@{version.number}"] = [column.name for column in version.columns]
        return complete(text, position, columns)

    def _remember(self, sql: str, seconds: float, rows: int | None, error: str) -> None:
        with suppress(UserError), self._catalog.transaction() as connection:
            values = {"sql": sql, "created": time.time(), "seconds": seconds, "rows": rows, "error": error}
            insert(connection, "queries", values)
            connection.execute(
                "DELETE FROM queries WHERE rowid < (SELECT min(place) FROM"
                f" (SELECT rowid AS place FROM queries ORDER BY rowid DESC LIMIT {MOST_HISTORY}))"
            )


def _columns(cursor: duckdb.DuckDBPyConnection, view: View) -> tuple[tuple[str, str], ...]:
    described = cursor.execute(f"DESCRIBE {view.sql}").fetchall()
    return tuple((str(row[0]), str(row[1])) for row in described)
