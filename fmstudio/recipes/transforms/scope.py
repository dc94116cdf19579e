"""`Scope`: the rows a transform is planned over, with their columns and types, and the checks every plan needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from fmstudio.api import ROW_ID, UserError
from fmstudio.core.checking import nearest
from fmstudio.core.sql import name_sql
from fmstudio.recipes.sandbox import Seen, one_select, told

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

SOURCE = "dataset"
"""Name of the view with the dataset's rows."""

_STORABLE = {
    "hugeint": "BIGINT",
    "uhugeint": "BIGINT",
    **dict.fromkeys(
        ("interval", "time", "time_ns", "time with time zone", "uuid", "bit", "bignum", "enum", "union", "variant"),
        "VARCHAR",
    ),
}
"""Types that Parquet, Arrow or other tools do not share, and what is stored instead."""


def _go_on() -> None:
    """Nobody asks to stop."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows to work on.

    Attributes:
        connection: A sandbox with the view `SOURCE`, and ``other_0``, ``other_1`` … for other datasets.
        columns: Column → DuckDB type, ``row_id`` first.
        others: The other datasets, in the order they were named.
        is_preview: Whether only an answer for a preview is wanted: what would read everything may be estimated.
        check: Called now and then where no query runs that could be interrupted; raises `Cancelled` to stop.
    """

    connection: duckdb.DuckDBPyConnection
    name: str
    columns: Mapping[str, DuckDBPyType]
    others: Sequence[Seen] = ()
    is_preview: bool = False
    check: Callable[[], None] = _go_on

    @classmethod
    def make(
        cls,
        connection: duckdb.DuckDBPyConnection,
        seen: Seen,
        others: Sequence[Seen] = (),
        *,
        rows: str = "",
        **more: Any,
    ) -> Scope:
        """Make the views and read the columns.

        Args:
            rows: SQL to use instead of all the dataset's rows.
        """
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {SOURCE} AS {rows or seen.sql}")
        for number, other in enumerate(others):
            connection.execute(f"CREATE OR REPLACE TEMP VIEW other_{number} AS {other.sql}")
        return cls(connection, seen.name, columns_of(connection, f"SELECT * FROM {SOURCE}"), others, **more)

    @property
    def names(self) -> list[str]:
        """Names of the columns without ``row_id``."""
        return [name for name in self.columns if name != ROW_ID]

    def column(self, name: str, *, may_be_id: bool = False) -> str:
        """The column's own spelling.

        Raises:
            UserError: There is no such column, or it is ``row_id``.
        """
        return find_column(name, list(self.columns), self.name, may_be_id=may_be_id)

    def other_columns(self, number: int) -> dict[str, DuckDBPyType]:
        """Columns of another dataset."""
        return columns_of(self.connection, f"SELECT * FROM other_{number}")

    def checked(self, expression: str, what: str) -> str:
        """Check an expression the user typed, bound to the rows; give it ready to stand in a query.

        Raises:
            UserError: It is no single expression over the columns.
        """
        query = f"SELECT ({expression}\n) AS value FROM {SOURCE}"
        with told(what, self.names, sql=expression):
            if not one_select(query):
                raise UserError(f"{what} must be a single expression.", remedy="Leave out the semicolon.")
            found = self.connection.execute(f"DESCRIBE {query}").fetchall()
        if [row[0] for row in found] != ["value"]:
            raise UserError(f"{what} must be a single expression.", remedy="Check the brackets and commas.")
        return f"({expression}\n)"

    def condition(self, where: str, what: str) -> str:
        """Check a condition; a missing answer counts as no.

        Raises:
            UserError: It is no condition over the columns.
        """
        checked = self.checked(where, what)
        kind = columns_of(self.connection, f"SELECT {checked} AS value FROM {SOURCE}")["value"]
        if kind.id not in ("boolean", "integer", "bigint", "null", "sqlnull"):
            raise UserError(
                f"{what} gives {kind}, but must be true or false for each row.",
                remedy="Compare it with something, e.g. length(text) > 100.",
                details=where,
            )
        return f"coalesce(CAST({checked} AS BOOLEAN), false)"

    def count(self, sql: str) -> Any:
        """The single value of a query."""
        return first_row(self.connection, sql)[0]

    def free_name(self, wanted: str, taken: Sequence[str] = ()) -> str:
        """The name, with a number behind it when a column has it."""
        used = {name.casefold() for name in (*self.columns, *taken)}
        names = (wanted, *(f"{wanted}_{number}" for number in range(2, len(used) + 3)))
        return next(name for name in names if name.casefold() not in used)


def find_column(name: str, names: Sequence[str], dataset: str, *, may_be_id: bool = False) -> str:
    """A column's own spelling.

    Raises:
        UserError: There is no such column, or it is ``row_id``.
    """
    wanted = name.strip()
    if wanted.casefold() == ROW_ID and not may_be_id:
        raise UserError(f"“{ROW_ID}” names each row for life and cannot be changed.", remedy="Choose another column.")
    found = wanted if wanted in names else next((n for n in names if n.casefold() == wanted.casefold()), None)
    if found is None:
        own = [n for n in names if n != ROW_ID]
        raise UserError(f"There is no column “{wanted}” in “{dataset}”.", remedy=nearest(wanted, own))
    return found


def columns_of(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, DuckDBPyType]:
    """Columns of a query and their types, in order."""
    connection.execute(f"SELECT * FROM ({sql}\n) LIMIT 0")
    description = connection.description or []
    connection.fetchall()  # an unfinished result would block the next query
    return {item[0]: item[1] for item in description}


def first_row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """The first row of a query that gives one; read to its end, as an unfinished result would block the next query."""
    rows: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
    return rows[0]


def storable(expression: str, kind: DuckDBPyType) -> str:
    """An expression as a type that Parquet and other tools share."""
    target = _stored(kind)
    return f"CAST({expression} AS {target})" if target != str(kind) else expression


def _stored(kind: DuckDBPyType) -> str:
    """The type that is stored, also inside lists, maps and records."""
    if kind.id == "list":
        return f"{_stored(item_type(kind))}[]"
    if kind.id == "array":
        return f"{_stored(item_type(kind))}[{dict(kind.children)['size']}]"
    if kind.id == "struct":
        fields = (f"{name_sql(name)} {_stored(child)}" for name, child in field_types(kind).items())
        return f"STRUCT({', '.join(fields)})"
    if kind.id == "map":
        parts = field_types(kind)
        return f"MAP({_stored(parts['key'])}, {_stored(parts['value'])})"
    return _STORABLE.get(kind.id, str(kind))


def listed(names: Sequence[str]) -> str:
    """A SQL list of columns."""
    return ", ".join(name_sql(name) for name in names)


def field_types(kind: DuckDBPyType) -> dict[str, DuckDBPyType]:
    """The fields of a record."""
    return {name: child for name, child in kind.children if isinstance(child, duckdb.sqltypes.DuckDBPyType)}


def item_type(kind: DuckDBPyType) -> DuckDBPyType:
    """The type of a list's items."""
    return field_types(kind)["child"]
