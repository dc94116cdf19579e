"""What the SQL console can see: its tables, as views over files, and which statements only read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from fmstudio.api import ROW_ID, UserError
from fmstudio.core.sql import literal, name_sql
from fmstudio.recipes.sandbox import Seen, parquet

_READING = ("SELECT", "WITH", "DESCRIBE", "SUMMARIZE", "EXPLAIN", "SHOW", "VALUES", "FROM")
_EXPLAIN = re.compile(r"^\s*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)
_PIVOT = re.compile(r"\bpivot(_wider)?\b", re.IGNORECASE)
_BY_TEXT = re.compile(r"\bquery(_table)?\s*\(", re.IGNORECASE)
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
        """The rows of a version, in their order also where edits wait; a query that does not ask for it costs no sort."""
        sql = f"SELECT * FROM ({seen.sql}) ORDER BY {ROW_ID}" if seen.edits else seen.sql
        return cls(name, sql, tuple(seen.folders), {"id": seen.dataset_id, "version": seen.version})

    @classmethod
    def of_dropped(cls, name: str, files: Sequence[str], seen: Seen) -> View:
        """The rows that were dropped on the way to a version, with step, operator and reason; perhaps none."""
        none = f"SELECT *, NULL::INTEGER AS step, NULL::VARCHAR AS operator, NULL::VARCHAR AS reason FROM ({seen.sql}) LIMIT 0"
        sql = f"SELECT * FROM {parquet(files)}" if files else none
        folders = {str(Path(file).parent) for file in files} if files else seen.folders
        return cls(name, sql, tuple(folders), {"id": seen.dataset_id, "version": seen.version})

    @classmethod
    def of_rejects(cls, name: str, files: Sequence[str], source: dict[str, Any]) -> View:
        """What could not be read; perhaps nothing."""
        columns = ", ".join(f"{literal(column)}: {literal(kind)}" for column, kind in _REJECT_COLUMNS.items())
        listed = ", ".join(literal(file) for file in files)
        sql = f"SELECT * FROM read_json([{listed}], format='newline_delimited', columns={{{columns}}})"
        if not files:
            nothing = ", ".join(f"NULL::{kind} AS {name_sql(column)}" for column, kind in _REJECT_COLUMNS.items())
            sql = f"SELECT {nothing} LIMIT 0"
        return cls(name, sql, tuple({str(Path(file).parent) for file in files}), source)

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
    if kind == duckdb.StatementType.MULTI and _PIVOT.search(query):
        raise UserError(
            "A PIVOT has to name the values that become columns, so that it only reads.",
            remedy="Write them with IN, e.g. PIVOT sales ON year IN (2023, 2024) USING sum(amount).",
            details=sql,
        )
    word = query.split(None, 1)[0].upper() if query else ""
    raise UserError(
        f"The console only reads; {word} is not possible here.",
        remedy=f"Begin with {', '.join(_READING[:-1])} or {_READING[-1]}. To change data, use edits and transforms.",
        details=sql,
    )


def tables_in(sql: str, names: Sequence[str]) -> list[str]:
    """Which of these tables a query reads.

    Of a statement that DuckDB does not take apart (``PIVOT``, a wrong one, a table named by a text), those are given whose
    name stands in it as a word.
    """
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
        query = _EXPLAIN.sub("", sql, count=1)
        ((text,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
    parsed = json.loads(text)
    if not parsed["error"] and not _BY_TEXT.search(sql):
        read = set(_tables(parsed["statements"], frozenset()))
        return [name for name in names if name.casefold() in read]
    folded = sql.casefold().replace('""', '"')
    return [name for name in names if re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", folded)]


def _tables(node: Any, hidden: frozenset[str]) -> Iterator[str]:
    """Names of the tables in a parsed query, in small letters; `hidden` are those that ``WITH`` defines there."""
    if isinstance(node, list):
        for item in node:
            yield from _tables(item, hidden)
    elif isinstance(node, dict):
        if node.get("type") == "BASE_TABLE" and node["table_name"].casefold() not in hidden:
            yield node["table_name"].casefold()
        if node.get("type") == "RECURSIVE_CTE_NODE":
            hidden |= {node["cte_name"].casefold()}
        for one in (node.get("cte_map") or {}).get("map", []):
            yield from _tables(one["value"], hidden)
            hidden |= {one["key"].casefold()}
        for key, value in node.items():
            if key != "cte_map":
                yield from _tables(value, hidden)
