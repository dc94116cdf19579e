"""Names and texts as SQL writes them: whatever a user typed stands inside quotes, never in the SQL itself."""

from __future__ import annotations


def name_sql(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A SQL string. A NUL, which DuckDB cannot have in a literal, is spelled out."""
    plain = "'" + text.replace("'", "''") + "'"
    return f"({plain.replace(chr(0), chr(39) + ' || chr(0) || ' + chr(39))})" if "\0" in text else plain
