"""The operation log: what was done to datasets, in order, and undo and redo over it.

The state of a dataset is a fold over its operations that stand: undoing the newest one gives the state before it. Order
is that of the ids, never of the clock. What each kind of operation changes besides the version pointer (a name) is put
back from its parameters.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from fmstudio.api.errors import UserError
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes


@dataclass(frozen=True, slots=True)
class Operation:
    """An entry of the operation log. `state`: done, undone, or superseded (undone and then overtaken)."""

    id: int
    kind: str
    dataset_id: str
    version_before: int | None
    version_after: int | None
    title: str
    params: dict[str, Any]
    job_id: str
    state: str
    created: float


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A line of a dataset's history.

    Attributes:
        text: What was done, in words, with the version it made.
        is_current: Whether this is the newest operation that stands.
        can_go: Whether `go_to` can make it the newest that stands.
    """

    operation: Operation
    text: str
    is_current: bool
    can_go: bool


FIELDS = "id, kind, dataset_id, version_before, version_after, title, params, job_id, state, created"


class History:
    """Reads the log and moves along it. Every move is one transaction."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def operations(self, dataset_id: str | None = None) -> list[Operation]:
        """The operation log, oldest first."""
        condition, parameters = ("WHERE dataset_id = ?", [dataset_id]) if dataset_id else ("", [])
        return self._read(f"{condition} ORDER BY id", parameters)

    def undo(self, dataset_id: str | None = None) -> Operation | None:
        """Take back the newest operation that stands (of one dataset, or of all); None when there is nothing.

        Raises:
            UserError: It leads to files that were collected; of all datasets, those of which that is so are passed over.
        """
        return self._move_one("done", "id DESC", dataset_id)

    def redo(self, dataset_id: str | None = None) -> Operation | None:
        """Do again what was undone last; None when there is nothing.

        Raises:
            UserError: As `undo`.
        """
        return self._move_one("undone", "undone DESC NULLS LAST, id", dataset_id)

    def entries(self, dataset_id: str) -> list[HistoryEntry]:
        """Everything that ever happened to a dataset, oldest first."""
        operations = self.operations(dataset_id)
        newest = max((op.id for op in operations if op.state == "done"), default=0)
        rows = self._catalog.query(
            "SELECT number FROM versions WHERE dataset_id = ? AND json_exists(statistics, '$.collected')", [dataset_id]
        )
        gone = {row[0] for row in rows}
        return [
            HistoryEntry(
                op,
                _text(op),
                op.id == newest,
                op.state != "superseded" and op.kind != "delete" and op.version_after not in gone,
            )
            for op in operations
        ]

    def go_to(self, dataset_id: str, operation_id: int) -> Changes:
        """Undo and redo so that this operation is the newest that stands (0: the one that made the dataset).

        Raises:
            UserError: There is no such operation, or new work has overtaken it.
        """
        with self._catalog.transaction() as connection:
            operations = [op for op in self.operations(dataset_id) if op.state != "superseded"]
            wanted = operation_id or next((op.id for op in operations), 0)
            target = next((op for op in operations if op.id == wanted), None)
            if target is None or target.kind == "delete":
                raise UserError(
                    f"The history of this dataset has no point {operation_id} that can be gone to.",
                    remedy="What was undone and then overtaken by new work cannot be brought back.",
                )
            back = [op for op in reversed(operations) if op.id > wanted and op.state == "done"]
            forth = [op for op in operations if op.id <= wanted and op.state == "undone"]
            for operation in (*back, *forth):
                self._move(connection, operation)
            _check_files(connection, dataset_id)
        return Changes(datasets=frozenset({dataset_id} if back or forth else ()))

    def bring_back(self, dataset_id: str) -> Changes:
        """Take back the deletion of a dataset, or do again what made it; what happened to others since then stands.

        Raises:
            UserError: It is not deleted, or its files were collected as garbage.
        """
        with self._catalog.transaction() as connection:
            operations = [op for op in self.operations(dataset_id) if op.state != "superseded"]
            done = [op for op in operations if op.state == "done"]
            deletion = max((op.id for op in done if op.kind == "delete"), default=0)
            # What a job made after the deletion lies on top of it.
            moved = [op for op in reversed(done) if op.id >= deletion] if deletion else operations[:1]
            if not moved or (done and not deletion):
                raise UserError("This dataset is not deleted.", remedy="Look at the datasets again.")
            for operation in moved:
                self._move(connection, operation)
            _check_files(connection, dataset_id)
        return Changes(datasets=frozenset({dataset_id}))

    def free_name(self, wanted: str, apart_from: str = "") -> str:
        """The name, with a number behind it when another dataset has it."""
        rows = self._catalog.query("SELECT name FROM datasets WHERE NOT is_deleted AND id <> ?", [apart_from])
        taken = {row[0] for row in rows}
        names = (wanted, *(f"{wanted} {n}" for n in range(2, len(taken) + 3)))
        return next(name for name in names if name not in taken)

    def told(self, operation: Operation) -> str:
        """What an operation did, in words, with the dataset's name where they do not say it."""
        return self.all_told([operation])[0]

    def all_told(self, operations: Sequence[Operation]) -> list[str]:
        """The same of many operations, with one look into the catalogue."""
        names = dict(self._catalog.query("SELECT id, name FROM datasets"))
        return [_told(operation.title, names.get(operation.dataset_id, "")) for operation in operations]

    def row_changes(self, dataset_id: str) -> dict[int, int]:
        """Edit operation → rows it added less rows it deleted."""
        rows = self._catalog.query(
            "SELECT operation_id, count(*) FILTER (kind = 'add') - count(*) FILTER (kind = 'delete') FROM edits"
            " WHERE dataset_id = ? GROUP BY operation_id",
            [dataset_id],
        )
        return {int(number): int(change) for number, change in rows}

    def _read(self, rest: str, parameters: Iterable[Any]) -> list[Operation]:
        rows = self._catalog.records(f"SELECT {FIELDS} FROM operations {rest}", list(parameters))
        return [Operation(**{**row, "params": row["params"] or {}}) for row in rows]

    def _move_one(self, state: str, order: str, dataset_id: str | None) -> Operation | None:
        passed: list[str] = []
        with self._catalog.transaction() as connection:
            while True:
                own = "AND dataset_id = ?" if dataset_id else ""
                others = f"AND dataset_id NOT IN ({', '.join('?' * len(passed))})" if passed else ""
                parameters = [*([dataset_id] if dataset_id else []), *passed]
                found = self._read(f"WHERE state = '{state}' {own} {others} ORDER BY {order} LIMIT 1", parameters)
                if not found:
                    if passed:
                        raise _no_further()
                    return None
                if dataset_id or not _leads_nowhere(connection, found[0]):
                    break
                passed.append(found[0].dataset_id)
            self._move(connection, found[0])
            _check_files(connection, found[0].dataset_id)
        return found[0]

    def _move(self, connection: duckdb.DuckDBPyConnection, operation: Operation) -> None:
        """Undo an operation that is done; redo one that is undone."""
        is_redo = operation.state == "undone"
        version = operation.version_after if is_redo else operation.version_before
        connection.execute(
            "UPDATE operations SET state = ?, undone = CASE WHEN ? THEN NULL ELSE nextval('undo_order') END"
            " WHERE id = ?",
            ["done" if is_redo else "undone", is_redo, operation.id],
        )
        row = connection.execute(
            "SELECT d.name, (SELECT count(*) FROM operations o WHERE o.dataset_id = d.id AND o.kind = 'delete'"
            " AND o.state = 'done') FROM datasets d WHERE d.id = ?",
            [operation.dataset_id],
        ).fetchone()
        name, deletes = row or ("", 0)
        side = "after" if is_redo else "before"
        if operation.kind == "rename":
            name = operation.params[side]
        connection.execute(
            "UPDATE datasets SET is_deleted = ?, current_version = coalesce(?, current_version), name = ? WHERE id = ?",
            [version is None or deletes > 0, version, self.free_name(name, operation.dataset_id), operation.dataset_id],
        )
        if operation.kind == "name_version":
            name_version(connection, operation.dataset_id, operation.params, side)
        if "facts_before" in operation.params:
            _write_facts(connection, operation.dataset_id, operation.params[f"facts_{side}"])


def files_collected(number: int) -> UserError:
    """The error of whoever asks for the rows of a version whose files were collected as garbage."""
    return UserError(
        f"The files of version {number} were collected to free disk space: only its entry in the history is left.",
        remedy="Choose a newer version.",
    )


def _leads_nowhere(connection: duckdb.DuckDBPyConnection, operation: Operation) -> bool:
    """Whether undoing what is done, or redoing what is undone, leads to a version whose files were collected."""
    number = operation.version_before if operation.state == "done" else operation.version_after
    return number is not None and bool(
        connection.execute(
            "SELECT 1 FROM versions WHERE dataset_id = ? AND number = ? AND json_exists(statistics, '$.collected')",
            [operation.dataset_id, number],
        ).fetchone()
    )


def _check_files(connection: duckdb.DuckDBPyConnection, dataset_id: str) -> None:
    """See that where a dataset stands now still has its files; else the move does not happen."""
    row = connection.execute(
        "SELECT v.number FROM datasets d JOIN versions v ON v.dataset_id = d.id AND v.number = d.current_version"
        " WHERE d.id = ? AND NOT d.is_deleted AND json_exists(v.statistics, '$.collected')",
        [dataset_id],
    ).fetchone()
    if row:
        raise _no_further(row[0])


def _no_further(number: int = 0) -> UserError:
    """The error of a move that would lead to files which are gone; 0 = those of several versions."""
    files = f"the files of version {number}" if number else "the files it would lead to"
    return UserError(
        f"The history can be followed no further this way: {files} were collected to free disk space.",
        remedy="Nothing was changed.",
    )


def change_facts(
    connection: duckdb.DuckDBPyConnection,
    operation: int,
    dataset_id: str,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    """Change ``kind`` and ``source`` of a dataset as part of an operation; undoing it puts them back."""
    row = connection.execute("SELECT params FROM operations WHERE id = ?", [operation]).fetchone()
    params = {**json.loads(row[0] if row else "{}"), "facts_before": before, "facts_after": after}
    text = json.dumps(params, ensure_ascii=False, default=str)
    connection.execute("UPDATE operations SET params = ? WHERE id = ?", [text, operation])
    _write_facts(connection, dataset_id, after)


def _write_facts(connection: duckdb.DuckDBPyConnection, dataset_id: str, facts: dict[str, Any]) -> None:
    source = json.dumps(facts["source"], ensure_ascii=False, default=str)
    connection.execute("UPDATE datasets SET kind = ?, source = ? WHERE id = ?", [facts["kind"], source, dataset_id])


def name_version(
    connection: duckdb.DuckDBPyConnection, dataset_id: str, params: dict[str, Any], side: str = "after"
) -> None:
    """Write the ``before`` or ``after`` name of a version (``number``)."""
    connection.execute(
        "UPDATE versions SET name = ? WHERE dataset_id = ? AND number = ?", [params[side], dataset_id, params["number"]]
    )


def log_operation(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    dataset_id: str,
    before: int | None,
    after: int | None,
    title: str,
    params: dict[str, Any] | None = None,
    job_id: str = "",
) -> int:
    """Append to the operation log and give the entry's id; what was undone on this dataset can no longer be redone."""
    connection.execute(
        "UPDATE operations SET state = 'superseded', undone = NULL WHERE dataset_id = ? AND state = 'undone'",
        [dataset_id],
    )
    row = connection.execute("SELECT nextval('operation_ids')").fetchone()
    number = int(row[0]) if row else 0
    values = {
        "id": number,
        "kind": kind,
        "dataset_id": dataset_id,
        "version_before": before,
        "version_after": after,
        "title": title,
        "params": params or {},
        "job_id": job_id,
        "state": "done",
        "created": time.time(),
    }
    insert(connection, "operations", values)
    return number


def _told(title: str, name: str) -> str:
    is_said = not name or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", title)
    return title if is_said else f"{title}, in “{name}”"


def _text(operation: Operation) -> str:
    after = operation.version_after
    is_told = after in (None, operation.version_before) or operation.kind == "restore"
    return operation.title if is_told else f"{operation.title} → version {after}"
