"""DuckDB databases: tables and views, opened read-only and shut off from files and extensions around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Importer, ImportReport, Part, Reject, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.arrow_plain import pieces
from fmstudio_formats.batches import ROWS
from fmstudio_formats.parts import choose, column_count
from fmstudio_formats.sqlite_file import TableParams

if TYPE_CHECKING:
    import pyarrow as pa

_MAGIC = b"DUCK"
_SHUT: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "768MiB",
    "threads": "2",
}


class DuckDbImporter(Importer):
    """Reads ``.duckdb`` and ``.ddb``."""

    Params = TableParams

    def parts(self, path: Path, ctx: TaskContext) -> list[Part]:
        """See `Importer.parts`."""
        with closing(_open(path)) as database:
            return [Part(name, name, rows, detail) for name, rows, detail in _tables(database, path)]

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, TableParams)
        with closing(_open(path)) as database:
            tables = {name: rows for name, rows, _ in _tables(database, path)}
            table = choose(list(tables), params.part, "table", path, report)
            yield from _rows(database, path, table, tables[table], report, ctx)


def _open(path: Path) -> Any:
    """Open a database.

    Raises:
        UserError: It is empty, no DuckDB database, in use, or of a version this app cannot read.
    """
    import duckdb

    if not path.stat().st_size:
        raise UserError(f"{path.name} is empty (0 bytes).", remedy="Choose a file with content.")
    with path.open("rb") as file:
        if file.read(12)[8:] != _MAGIC:
            raise UserError(
                f"{path.name} is no DuckDB database, or it is encrypted.", remedy="Choose the importer that fits it."
            )
    try:
        return duckdb.connect(str(path), read_only=True, config=_SHUT)
    except duckdb.Error as error:
        raise _refused(path, str(error)) from error


def _refused(path: Path, message: str) -> UserError:
    low = message.lower()
    if "lock" in low:
        return UserError(
            f"{path.name} is open in another program.", remedy="Close it there, then import again.", details=message
        )
    if "version" in low and ("newer" in low or "older" in low or "storage" in low):
        import duckdb

        return UserError(
            f"{path.name} was written by a DuckDB of another version than {duckdb.__version__}.",
            remedy="Export the tables to Parquet with the DuckDB that wrote the file.",
            details=message,
        )
    if "encrypt" in low:
        return UserError(f"{path.name} is encrypted.", remedy="Export the tables to Parquet.", details=message)
    return UserError(f"{path.name} is damaged and cannot be opened.", remedy="Copy it again.", details=message)


def _tables(database: Any, path: Path) -> list[tuple[str, int | None, str]]:
    """Give name, rows and a few words for each table and view; a schema other than main is part of the name."""
    import duckdb

    try:
        found = database.execute(
            "SELECT schema_name, table_name, estimated_size, column_count, 'table' FROM duckdb_tables() "
            "WHERE NOT internal UNION ALL "
            "SELECT schema_name, view_name, NULL, column_count, 'view' FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
    except duckdb.Error as error:
        raise _refused(path, str(error)) from error
    return [
        (name if schema == "main" else f"{schema}.{name}", rows, f"{kind}, {column_count(columns)}")
        for schema, name, rows, columns, kind in found
    ]


def _rows(
    database: Any, path: Path, table: str, total: int | None, report: ImportReport, ctx: TaskContext
) -> Iterator[pa.RecordBatch]:
    import duckdb
    import pyarrow as pa

    size, done = path.stat().st_size, 0
    schema, dot, name = table.partition(".")
    where = f"{_quoted(schema)}.{_quoted(name)}" if dot and _has_schema(database, schema) else _quoted(table)
    try:
        reader = database.sql(f"SELECT * FROM {where}").to_arrow_reader(ROWS)
        for batch in reader:
            ctx.check_cancelled()
            done += batch.num_rows
            ctx.progress(size * min(1.0, done / max(1, total or done)), size, "bytes read")
            yield from pieces(batch)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        if not done:
            raise UserError(
                f"The table “{table}” of {path.name} cannot be read: {_first_line(error)}",
                remedy="Choose another table, or export it to Parquet with DuckDB.",
                details=str(error),
            ) from error
        report.reject(Reject(f"After row {done} the table “{table}” cannot be read: {_first_line(error)}"))


def _has_schema(database: Any, name: str) -> bool:
    found = database.execute("SELECT schema_name FROM duckdb_schemas()").fetchall()
    return (name,) in found


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
