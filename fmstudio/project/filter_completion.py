"""What may follow where a filter is being typed: columns, values, SQL functions and words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmstudio.core.sql import literal, name_sql
from fmstudio.project.filters import FilterColumn

MOST = 40

FUNCTIONS = {
    "length": "characters of a text", "len": "items of a list", "lower": "in small letters", "upper": "in capitals",
    "contains": "whether a text holds another", "starts_with": "whether a text begins so",
    "ends_with": "whether a text ends so", "regexp_matches": "whether a pattern is found", "trim": "without space around",
    "coalesce": "the first that is there", "list_contains": "whether a list holds a value", "round": "rounded number",
    "abs": "without its sign", "year": "year of a date", "month": "month of a date", "isnan": "whether not a number",
    "levenshtein": "edits between two texts",
}  # fmt: skip
"""DuckDB's scalar functions that filters need most, each in words."""

KEYWORDS = ("AND", "OR", "NOT", "IS NULL", "IS NOT NULL", "LIKE '%…%'", "ILIKE '%…%'", "IN (…)", "BETWEEN … AND …")
_NAME = re.compile(r"(?:\"[^\"]*|[\w.-]*)$", re.UNICODE)
_VALUE_WORD = re.compile(r"(?:^|[\s-])(?P<column>\"[^\"]+\"|[^\s\":]+):(?P<value>\"[^\"]*|[^\s\"]*)$")
_VALUE_SQL = re.compile(r"(?P<column>\"[^\"]+\"|\w+)\s*(?:=|<>|!=)\s*(?P<value>'[^']*|[\w.-]*)$")


@dataclass(frozen=True, slots=True)
class Completion:
    """One offer: `text` takes the place of what stands from `start` to the cursor; `detail` says what it is."""

    text: str
    detail: str
    start: int


def completions(
    text: str, columns: Sequence[FilterColumn], values: Mapping[str, Sequence[str]], *, is_sql: bool
) -> list[Completion]:
    """Offers for the end of `text`, best first.

    Args:
        values: Known values per column, most frequent first.
    """
    found = _values(text, columns, values, is_sql=is_sql)
    if found is not None:
        return found[:MOST]
    match = _NAME.search(text)
    prefix, start = (match[0], match.start()) if match else ("", len(text))
    if not prefix:
        return []
    bare = prefix.lstrip('"').lower()
    offers = [
        Completion(column_text(column.name, is_sql=is_sql), column.kind, _begin(text, column.name, start))
        for column in sorted(columns, key=lambda c: (_begin(text, c.name, start), not c.name.lower().startswith(bare)))
        if bare in column.name.lower()
    ]
    if is_sql and not prefix.startswith('"'):
        offers += [Completion(f"{f}(", detail, start) for f, detail in FUNCTIONS.items() if f.startswith(bare)]
        offers += [Completion(k, "SQL", start) for k in KEYWORDS if k.lower().startswith(bare)]
    return [offer for offer in offers if offer.text.lower() != prefix.lower()][:MOST]


def column_text(name: str, *, is_sql: bool) -> str:
    """A column's name as it is written in a filter, in quotes where it needs them; in words, with its colon."""
    plain = re.fullmatch(r"[A-Za-z_]\w*", name) is not None
    if is_sql:
        return name if plain else name_sql(name)
    return f"{name}:" if re.fullmatch(r"[^\s\":<>=()]+", name) else f'"{name}":'


def _begin(text: str, name: str, start: int) -> int:
    """Where the typed beginning of a name stands: of “Customer Name”, “customer n” is one, not two things."""
    lower, typed = name.lower(), text.lower()
    for length in range(len(name), len(text) - start, -1):
        place = len(text) - length
        if typed.endswith(lower[:length]) and (place == 0 or typed[place - 1] in " -("):
            return place
    return start


def _values(
    text: str, columns: Sequence[FilterColumn], values: Mapping[str, Sequence[str]], *, is_sql: bool
) -> list[Completion] | None:
    match = (_VALUE_SQL if is_sql else _VALUE_WORD).search(text)
    names = {column.name.lower(): column for column in columns}
    column = names.get(match["column"].strip('"').lower()) if match else None
    if match is None or column is None:
        return None
    typed = match["value"].lstrip("'\"").lower()
    offers = []
    for value in values.get(column.name, ()):
        if typed in value.lower() and len(value) <= 80 and "\n" not in value:
            shown = _value_text(value, column, is_sql=is_sql)
            offers.append(Completion(shown, f"in {column.name}", match.start("value")))
    return offers


def _value_text(value: str, column: FilterColumn, *, is_sql: bool) -> str:
    if is_sql:
        return value if column.kind in ("number", "boolean") else literal(value)
    return value if re.fullmatch(r"[^\s\"]+", value) else f'"{value}"'
