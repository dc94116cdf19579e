"""What the SQL console can see: its tables, as views over files, and which statements only read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from fmstudio.api import UserError
from fmstudio.core.sql import literal, name_sql
from fmstudio.recipes.sandbox import Seen, parquet

_READING = ("SELECT", "WITH", "DESCRIBE", "SUMMARIZE", "EXPLAIN", "SHOW", "VALUES", "FROM")
_EXPLAIN = re.compile(r"^\s*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)
_REJECT_COLUMNS = {
    "file": "VARCHAR", "line": "BIGINT", "byte": "BIGINT", "row": "BIGINT", "reason": "VARCHAR", "raw": "VARCHAR",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """A table of the console.

    Attributes:
        name: Name of the dataset, or ``name@3``, ``name.dropped``, ``name.rejects``.
        sql: Its rows.
        folders: Where its files are.
        source: The dataset and version it shows.
    """

    name: str
    sql: str
    folders: tuple[str, ...]
    source: dict[str, Any]

    @classmethod
    def of_rows(cls, name: str, seen: Seen) -> View:
        """The rows of a version."""
        return cls(name, seen.sql, tuple(seen.folders), {"id": seen.dataset_id, "version": seen.version})

    @classmethod
    def of_dropped(cls, name: str, files: Sequence[str], folders: Sequence[str], source: dict[str, Any]) -> View:
        """The rows that were dropped, with step, operator and reason."""
        return cls(name, f"SELECT * FROM {parquet(files)}", tuple(folders), source)

    @classmethod
    def of_rejects(cls, name: str, files: Sequence[str], folders: Sequence[str], source: dict[str, Any]) -> View:
        """What could not be read."""
        columns = ", ".join(f"{literal(column)}: {literal(kind)}" for column, kind in _REJECT_COLUMNS.items())
        listed = ", ".join(literal(file) for file in files)
        sql = f"SELECT * FROM read_json([{listed}], format='newline_delimited', columns={{{columns}}})"
        return cls(name, sql, tuple(folders), source)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain JSON data."""
        return {"name": self.name, "sql": self.sql, "folders": list(self.folders), "source": self.source}

    @classmethod
    def of(cls, data: dict[str, Any]) -> View:
        """Read it back from `to_dict`."""
        return cls(data["name"], data["sql"], tuple(data["folders"]), data["source"])

    def make(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make it in a sandbox."""
        connection.execute(f"CREATE OR REPLACE VIEW {name_sql(self.name)} AS {self.sql}")


def checked_query(sql: str) -> str:
    """The statement without its semicolon, if it is one that only reads.

    Raises:
        UserError: It is none, or several, or one that writes; the message says so.
        duckdb.Error: It is no SQL.
    """
    statements = duckdb.extract_statements(sql)
    if not statements:
        raise UserError("There is no query here.", remedy="Write one, e.g. SELECT * FROM your_dataset.")
    if len(statements) > 1:
        raise UserError(
            f"These are {len(statements)} statements; the console runs one at a time.", remedy="Run one of them."
        )
    query = str(statements[0].query).strip().rstrip(";").strip()
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:
        inner = duckdb.extract_statements(_EXPLAIN.sub("", query, count=1))
        if len(inner) == 1 and inner[0].type == duckdb.StatementType.SELECT:
            return query
    elif kind == duckdb.StatementType.SELECT:
        return query
    word = query.split(None, 1)[0].upper() if query else ""
    raise UserError(
        f"The console only reads; {word} is not possible here.",
        remedy=f"Begin with {', '.join(_READING[:-1])} or {_READING[-1]}. To change data, use edits and transforms.",
        details=sql,
    )


def mentioned(sql: str, names: Sequence[str]) -> list[str]:
    """Names that stand in a query; a few too many do no harm."""
    folded = sql.casefold().replace('""', '"')
    return [name for name in names if name.casefold() in folded]
