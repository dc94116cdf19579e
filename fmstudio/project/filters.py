"""Filters: plain words, conditions on one column, and sorting, turned into the SQL that `Project.page` takes.

Pure text in, pure text out; nothing is run. Words are matched regardless of case inside text columns, lists of text and
the contents of messages. Everything a user typed ends up inside a quoted literal, never in the SQL itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from fmstudio.core.sql import literal, name_sql
from fmstudio.project.filter_moments import bound_words, range_sql
from fmstudio.project.text_match import in_any_case, is_caseless

Kind = Literal["text", "number", "boolean", "time", "messages", "texts", "bytes", "nested"]
Test = Literal["contains", "equals", "one_of", "range", "empty", "not_empty"]

_TERM = re.compile(
    r"(?P<minus>-)?(?:(?P<column>[^\s\":<>=()]+|\"[^\"]+\"(?=:\S)):)?(?:\"(?P<phrase>[^\"]*)\"?|(?P<word>[^\s\"]+)|(?<=:)(?=\s|$))"
)
_AMOUNT = r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?"
_BOUND = re.compile(rf"(?P<sign><=|>=|<|>|=)?(?P<low>{_AMOUNT})(?:\.\.(?P<high>{_AMOUNT}))?$", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"-?(?:\d+\.\d+|\.\d+)")
_LITERAL = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
_SIGN = r"(?:<=|>=|<|>|!=|==|=)"
_COMPARES = re.compile(rf"[\w\"')\]](?:\s+{_SIGN}(?:\s|$|['\"\d(-])|{_SIGN}\s*['\"\d(-])")
_LONGEST_PATTERN = 500
"""Characters; RE2 refuses a pattern whose program takes more than its memory, texts of this length are far from it."""
_CALL = re.compile(r"\b[a-z_]\w*\(", re.IGNORECASE)
_WORD_OPERATOR = re.compile(
    r"(?P<name>[^\s()\"]+|\"[^\"]+\")\s+(?:not\s+)?(?:i?like\s+'|in\s*\(|is\s+(?:not\s+)?null\b|between\s+\S+\s+and\s|similar\s+to\s+')",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FilterColumn:
    """A column as filters see it.

    Attributes:
        type: Its Arrow or DuckDB type, as the catalogue has it.
    """

    name: str
    type: str

    @property
    def kind(self) -> Kind:
        """What can be asked of it."""
        return kind_of(self.type)


@dataclass(frozen=True, slots=True)
class ColumnFilter:
    """One condition on one column.

    Attributes:
        values: ``contains``, ``equals``: one; ``one_of``: any number (None = missing); ``range``: lowest and highest,
            None = open; ``empty``, ``not_empty``: none.
    """

    column: str
    test: Test
    values: tuple[Any, ...] = ()

    def in_words(self) -> str:
        """The condition as a person would say it."""
        shown = [_shown(value) for value in self.values]
        if self.test == "empty":
            return f"{self.column} is empty"
        if self.test == "not_empty":
            return f"{self.column} is not empty"
        if self.test == "contains":
            return f"{self.column} contains {shown[0]}"
        if self.test == "range":
            low, high = self.values
            shown = [bound_words(v) if isinstance(v, str) else _shown(v) for v in self.values]
            if low is None or high is None:
                return f"{self.column} {'≤ ' + shown[1] if low is None else '≥ ' + shown[0]}"
            return f"{self.column} is {shown[0]}" if shown[0] == shown[1] else f"{self.column} {shown[0]} to {shown[1]}"
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        return f"{self.column} is {' or '.join(shown[:3])}{more}"


@dataclass(frozen=True, slots=True)
class Sort:
    """One step of an order."""

    column: str
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """A piece of a filter in words: `text` is looked for, in one column or (empty) in all texts."""

    text: str
    column: str = ""
    is_not: bool = False
    is_phrase: bool = False
    alternatives: tuple[Term, ...] = field(default=())


def kind_of(type_name: str) -> Kind:
    """What a column of an Arrow or DuckDB type holds."""
    name = type_name.lower().strip()
    is_suffixed = re.search(r"\[\d*\]$", name) is not None
    if is_suffixed or name.startswith(("list", "large_list", "fixed_size_list")):
        if "role" in name and "content" in name:
            return "messages"
        inner = name[: name.rindex("[")] if is_suffixed else name.split("<", 1)[-1].split(":", 1)[-1].rstrip("> ")
        return "texts" if kind_of(inner) == "text" and "<" not in inner and "(" not in inner else "nested"
    if name.startswith(("struct", "map", "union", "dictionary<values=struct")):
        return "nested"
    if any(part in name for part in ("string", "varchar", "utf8", "text", "json", "char", "uuid", "enum")):
        return "text"
    if name.startswith("bool"):
        return "boolean"
    if any(part in name for part in ("timestamp", "date", "time", "interval", "duration")):
        return "time"
    if any(part in name for part in ("binary", "blob")):
        return "bytes"
    return (
        "number" if re.match(r"u?(tiny|small|big|huge)?int|float|double|half|decimal|real|numeric", name) else "nested"
    )


def is_free_text(type_name: str) -> bool:
    """Whether a column of this type holds any text: not only keys (UUID), known words (ENUM) or JSON."""
    name = type_name.lower().strip()
    return name in ("", "null") or name.startswith(("varchar", "string", "large_string", "text", "utf8"))


def looks_like_sql(text: str, columns: Sequence[FilterColumn]) -> bool:
    """Whether a text is a SQL condition rather than words to look for; the user can always say otherwise."""
    bare = _LITERAL.sub(lambda match: "'x'" if match[0][0] == "'" else match[0], text)
    if _COMPARES.search(bare) or _CALL.search(bare):
        return True
    names = {column.name.lower() for column in columns}
    found = _WORD_OPERATOR.search(bare)
    if found:
        return found["name"].strip('"').lower() in names or "'" in found[0] or "(" in found[0]
    inner = re.sub(r"^\s*not\s+", "", bare, flags=re.IGNORECASE).strip()
    booleans = {column.name.lower() for column in columns if column.kind == "boolean"}
    return inner.strip('"').lower() in booleans and inner != ""


def parse(text: str, columns: Sequence[FilterColumn]) -> list[Term]:
    """Read words, ``"phrases"``, ``-without``, ``column:word`` and ``this OR that``; all terms must match."""
    names = {column.name.lower(): column.name for column in columns}
    terms: list[Term] = []
    joins = False
    for match in _TERM.finditer(text):
        if match[0] == "OR" and terms:
            joins = True
            continue
        made = _term(match, names)
        if made is None:
            continue
        if joins:
            first = terms[-1]
            terms[-1] = Term(
                first.text, first.column, first.is_not, first.is_phrase, alternatives=(*first.alternatives, made)
            )
        else:
            terms.append(made)
        joins = False
    return terms


def _term(match: re.Match[str], names: dict[str, str]) -> Term | None:
    given, phrase, word = match["column"], match["phrase"], match["word"] or ""
    is_not = bool(match["minus"])
    column = names.get((given or "").strip('"').lower(), "")
    content = phrase if phrase is not None else word
    if given and not column:  # “http://x” or “note: this”: no column, so the colon belongs to the text
        content = f"{given}:{content}"
    if not content and not column:
        return None
    return Term(content, column, is_not, phrase is not None)


def words_where(text: str, columns: Sequence[FilterColumn]) -> str:
    """SQL condition of a filter in words; empty when there is nothing to look for."""
    by_name = {column.name: column for column in columns}
    return " AND ".join(_either(term, by_name) for term in parse(text, columns))


def _either(term: Term, columns: dict[str, FilterColumn]) -> str:
    parts = [_term_sql(one, columns) for one in (term, *term.alternatives)]
    return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"


def _term_sql(term: Term, columns: dict[str, FilterColumn]) -> str:
    if term.column:
        condition = _column_term(term, columns[term.column])
    else:
        wanted = [column for column in columns.values() if column.kind in ("text", "texts", "messages")]
        condition = " OR ".join(_contains(column, term.text) for column in wanted) or "false"
    return f"NOT coalesce({condition}, false)" if term.is_not else f"({condition})"


def _column_term(term: Term, column: FilterColumn) -> str:
    if not term.text and not term.is_phrase:
        return _empty(column)
    if not term.is_phrase and column.kind == "number" and (bound := _BOUND.match(term.text)):
        name = name_sql(column.name)
        if bound["high"] is not None:
            return f"{name} BETWEEN {_number(bound['low'])} AND {_number(bound['high'])}"
        return f"{name} {bound['sign'] or '='} {_number(bound['low'])}"
    if (
        not term.is_phrase
        and column.kind == "time"
        and (range_ := range_sql(name_sql(column.name), term.text, column.type))
    ):
        return range_
    return _contains(column, term.text)


def _contains(column: FilterColumn, text: str) -> str:
    name = name_sql(column.name)
    if column.kind == "messages":
        # Not m.content: where there is a column “m”, DuckDB takes it for one of its fields.
        said = _holds("m['content']::VARCHAR", text)
        return f"list_bool_or(list_transform({name}, lambda m: {said}))"
    if column.kind == "texts":
        return f"list_bool_or(list_transform({name}, lambda t: {_holds('t', text)}))"
    return _holds(name if column.kind == "text" else f"{name}::VARCHAR", text)


def _holds(value: str, text: str) -> str:
    if is_caseless(text):
        return f"contains({value}, {literal(text)})"
    if len(text) <= _LONGEST_PATTERN:
        return in_any_case(value, text)
    return f"contains(lower({value}), lower({literal(text)}))"


def _empty(column: FilterColumn) -> str:
    name = name_sql(column.name)
    if column.kind == "text":
        return f"({name} IS NULL OR trim({name}) = '')"
    if column.kind in ("messages", "texts"):
        return f"({name} IS NULL OR len({name}) = 0)"
    return f"({name} IS NULL)"


def filter_where(condition: ColumnFilter, column: FilterColumn) -> str:
    """SQL of one condition on one column."""
    name = name_sql(column.name)
    if condition.test == "empty":
        return _empty(column)
    if condition.test == "not_empty":
        return f"(NOT {_empty(column)})"
    if condition.test == "contains":
        return f"({_contains(column, str(condition.values[0]))})"
    if condition.test == "range":
        low, high = condition.values
        bounds = [f"{name} >= {_bound(low, column)}"] if low is not None else []
        bounds += [f"{name} <= {_bound(high, column)}"] if high is not None else []
        return f"({' AND '.join(bounds) or 'true'})"
    there = [value for value in condition.values if value is not None]
    parts = [_equals(column, value) for value in there]
    if len(there) < len(condition.values):
        parts.append(f"{name} IS NULL")
    return f"({' OR '.join(parts) or 'false'})"


def _equals(column: FilterColumn, value: Any) -> str:
    name = name_sql(column.name)
    if column.kind == "texts":
        return f"list_contains({name}, {literal(str(value))})"
    if column.kind in ("messages", "nested", "bytes"):
        return f"{name}::VARCHAR = {literal(str(value))}"
    if column.kind in ("number", "boolean") and not isinstance(value, str):
        return f"{name} = {_bound(value, column)}"
    return f"{name} = {literal(str(value))}"


def _bound(value: Any, column: FilterColumn) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if column.kind == "number":
        return _number(value)
    return literal(str(value))


def all_of(conditions: Iterable[str]) -> str:
    """Conditions joined so that all must hold; empty ones are left out."""
    there = [condition for condition in conditions if condition.strip()]
    # A line break before the bracket: a condition of the user may end in a comment.
    return there[0] if len(there) == 1 else " AND ".join(f"({condition}\n)" for condition in there)


def order_by(sorts: Sequence[Sort]) -> str:
    """SQL order; what is missing comes last either way."""
    return ", ".join(f"{name_sql(s.column)} {'DESC' if s.is_descending else 'ASC'} NULLS LAST" for s in sorts)


def highlighted(text: str, columns: Sequence[FilterColumn], *, is_sql: bool) -> list[Term]:
    """What a filter looks for, to be marked where it is found: words, or the texts a SQL condition compares with."""
    if not is_sql:
        found = [one for term in parse(text, columns) for one in (term, *term.alternatives)]
        return [term for term in found if not term.is_not and term.text]
    texts = [match[0][1:-1].replace("''", "'") for match in _LITERAL.finditer(text) if match[0][0] == "'"]
    pieces = [piece for one in texts for piece in one.split("%") if len(piece.strip()) > 1]
    return [Term(piece) for piece in dict.fromkeys(pieces)]


def _number(value: Any) -> str:
    """A number as SQL writes it, with all of its digits.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, int) or (isinstance(value, str) and re.fullmatch(r"-?\d+", value)):
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}"
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value):
        return value
    number = float(value)
    if not math.isfinite(number):
        return f"'{number}'::DOUBLE"
    # An exponent makes it a DOUBLE: what was measured as one is compared as one.
    return repr(number) if "e" in repr(number) else f"{number!r}e0"


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, str):
        return f"“{value[:40]}{'…' if len(value) > 40 else ''}”"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}" if isinstance(value, float) else str(value)
