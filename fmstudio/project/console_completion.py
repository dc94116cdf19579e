"""What may follow where a query is being typed: tables, columns, SQL functions and words. Knows text only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import duckdb

MOST = 50
KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "OFFSET", "JOIN", "LEFT JOIN", "INNER JOIN",
    "CROSS JOIN", "ON", "USING", "AS", "AND", "OR", "NOT", "IN", "IS NULL", "IS NOT NULL", "LIKE", "ILIKE", "BETWEEN",
    "CASE", "WHEN", "THEN", "ELSE", "END", "DISTINCT", "UNION ALL", "UNION", "EXCEPT", "INTERSECT", "WITH", "VALUES",
    "DESCRIBE", "SUMMARIZE", "EXPLAIN", "SHOW TABLES", "ASC", "DESC", "NULLS LAST", "OVER", "PARTITION BY", "QUALIFY",
    "EXCLUDE", "REPLACE", "FILTER", "CAST", "TRY_CAST", "GROUP BY ALL", "USING SAMPLE", "SEMI JOIN", "ANTI JOIN",
)  # fmt: skip
_WORD = re.compile(r'(?:"[^"]*|[^\s"(),;=<>+*/|!\'-]*)$')
_AFTER_FROM = re.compile(r"\b(?:from|join|describe|summarize)\s+$|\bfrom\s[^()]*,\s*$", re.IGNORECASE)
_ALIAS = re.compile(r'\b(?:from|join)\s+("[^"]+"|[\w@.]+)(?:\s+(?:as\s+)?(\w+))?', re.IGNORECASE)
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)
_STOP = {"on", "using", "where", "group", "order", "limit", "join", "left", "inner", "cross", "semi", "anti", "having"}


def complete(text: str, position: int, tables: Mapping[str, Sequence[str]]) -> list[str]:
    """Offers for the word that ends at `position`, best first.

    Args:
        tables: Table → its columns.
    """
    before = text[:position]
    match = _WORD.search(before)
    word = match[0] if match else ""
    head = before[: len(before) - len(word)]
    if _AFTER_FROM.search(head):
        return _fitting(word, map(quoted, tables))
    named = _named(text, tables)
    if "." in word and not word.startswith('"'):
        owner, _, _ = word.partition(".")
        table = named.get(owner.casefold())
        return _fitting(word, (f"{owner}.{quoted(column)}" for column in tables[table])) if table else []
    columns = [column for table in dict.fromkeys(named.values()) for column in tables[table]]
    every = [column for name, own in tables.items() if "@" not in name for column in own]
    # Before a table is named, a word is more likely SQL than a column of any dataset.
    offers = [*map(quoted, dict.fromkeys(columns)), *KEYWORDS] if columns else [*KEYWORDS, *map(quoted, every)]
    if word:
        offers += [*map(quoted, tables), *(f"{name}(" for name in functions())]
    return _fitting(word, offers)


def quoted(name: str) -> str:
    """A name as a query has to write it: in quotes unless it is a plain word that SQL does not use."""
    is_plain = _PLAIN.fullmatch(name) is not None and name.casefold() not in _reserved()
    return name if is_plain else '"' + name.replace('"', '""') + '"'


@lru_cache(maxsize=1)
def functions() -> tuple[str, ...]:
    """Names of DuckDB's functions; operators and inner ones left out."""
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro')"
            " AND regexp_full_match(function_name, '[a-z][a-z0-9_]*') AND NOT starts_with(function_name, 'pragma')"
            " ORDER BY 1"
        ).fetchall()
    return tuple(row[0] for row in rows)


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
        ).fetchall()
    return frozenset(row[0] for row in rows)


def _named(text: str, tables: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Tables that the query names, by their name and alias in small letters."""
    known = {name.casefold(): name for name in tables}
    found: dict[str, str] = {}
    for name, alias in _ALIAS.findall(text):
        table = known.get(name.strip('"').casefold())
        if table is not None:
            found[table.casefold()] = table
            if alias and alias.casefold() not in _STOP:
                found[alias.casefold()] = table
    return found


def _fitting(word: str, offers: Iterable[str]) -> list[str]:
    """Offers that begin with the word, then those that hold it; never the word itself."""
    bare = word.casefold().replace('"', "")
    every = [offer for offer in dict.fromkeys(offers) if offer.casefold() != word.casefold()]
    plain = {offer: offer.casefold().replace('"', "") for offer in every}
    first = [offer for offer in every if plain[offer].startswith(bare)]
    inside = [offer for offer in every if bare and bare in plain[offer] and not plain[offer].startswith(bare)]
    return (first + inside)[:MOST]
