"""Find and replace in text: in one column or in all, also inside messages and lists."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby
from typing import TYPE_CHECKING

from fmstudio.api import UserError
from fmstudio.core.sql import literal, name_sql
from fmstudio.recipes.sandbox import told
from fmstudio.recipes.transforms.kind import CHANGED, Plan
from fmstudio.recipes.transforms.params import ReplaceParams
from fmstudio.recipes.transforms.scope import SOURCE, Scope, field_types, item_type

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

_MARK = "\U0010fffe"
"""Stands at both ends of each word while whole words are looked for: a code point that is no character."""

_WORD = r"[\pL\pM\pN_]+"
_MESSAGE_TEXT = ("content", "reasoning_content", "thinking")


def plan_replace(scope: Scope, params: ReplaceParams) -> Plan:
    """Replace, and count exactly how many cells change."""
    _check(scope, params)
    chosen = [scope.column(params.column)] if params.column.strip() else scope.names
    changed = {name: new for name in chosen if (new := _walked(name_sql(name), scope.columns[name], params, 0))}
    if not changed:
        where = f"“{chosen[0]}”" if params.column.strip() else f"“{scope.name}”"
        raise UserError(f"There is no text in {where} to replace in.", remedy="Choose a column with text.")
    fresh = {name: f"__new_{number}" for number, name in enumerate(changed)}
    made = ", ".join(f"{new} AS {fresh[name]}" for name, new in changed.items())
    swapped = ", ".join(f"{fresh[name]} AS {name_sql(name)}" for name in changed)
    count = " + ".join(f"({name_sql(name)} IS DISTINCT FROM {fresh[name]})::INTEGER" for name in changed)
    sql = (
        f"SELECT * EXCLUDE ({', '.join(fresh.values())}) REPLACE ({swapped}), {count} AS {CHANGED}"
        f" FROM (SELECT *, {made} FROM {SOURCE})"
    )
    return Plan(sql, (), (), "cells", shows=f"{CHANGED} > 0")


def _check(scope: Scope, params: ReplaceParams) -> None:
    with told("This regular expression" if params.regex else "This text", [], sql=params.find):
        scope.connection.execute(f"SELECT {replace_sql(literal('a'), params)}").fetchall()


def replace_sql(text: str, params: ReplaceParams) -> str:
    """The replaced text as SQL; `text` is SQL too."""
    if not params.regex and not params.ignore_case and not params.whole_word:
        return f"replace({text}, {literal(params.find)}, {literal(params.replacement)})"
    options = "'gi'" if params.ignore_case else "'g'"
    if params.regex:
        pattern = rf"\b(?:{params.find})\b" if params.whole_word else params.find
        return f"regexp_replace({text}, {literal(pattern)}, {literal(rewrite(params.replacement))}, {options})"
    plain = literal(params.replacement.replace("\\", "\\\\"))
    if not params.whole_word:
        return f"regexp_replace({text}, {literal(escape(params.find))}, {plain}, {options})"
    # RE2's \b knows ASCII letters only. So every word is marked at both ends, in the text as in what is looked for.
    marked = f"regexp_replace({text}, '({_WORD})', {literal(f'{_MARK}{chr(92)}1{_MARK}')}, 'g')"
    done = f"regexp_replace({marked}, {literal(escape(_marked(params.find)))}, {plain}, {options})"
    # Marking is slow, and most texts do not hold what is looked for.
    if params.ignore_case:
        may_hold = f"regexp_matches({text}, {literal(escape(params.find))}, 'is')"
    else:
        may_hold = f"contains({text}, {literal(params.find)})"
    return f"CASE WHEN {may_hold} THEN replace({done}, {literal(_MARK)}, '') ELSE {text} END"


def _marked(text: str) -> str:
    """The text with each of its words marked, as `_WORD` finds them."""
    pieces = groupby(text, lambda char: char == "_" or unicodedata.category(char)[0] in "LMN")
    words = ((is_word, "".join(chars)) for is_word, chars in pieces)
    return "".join(f"{_MARK}{piece}{_MARK}" if is_word else piece for is_word, piece in words)


def rewrite(replacement: str) -> str:
    r"""A replacement with ``$1`` or ``\1`` as RE2 writes it; ``$$`` is a dollar, ``\n`` and ``\t`` are what they say."""
    known = {r"\n": "\n", r"\t": "\t", "$$": "$", r"\\": r"\\"}

    def one(match: re.Match[str]) -> str:
        found = match[0]
        if found in known:
            return known[found]
        if found[0] == "$" and len(found) > 1:
            return "\\" + found.strip("${}")
        return found if found[0] == "$" or found[1:].isdigit() else "\\\\" + found[1:]

    return re.sub(r"\$\$|\$\d|\$\{\d\}|\$|\\.|\\$", one, replacement, flags=re.DOTALL)


def escape(text: str) -> str:
    """A text as a pattern that finds just this text."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def _walked(value: str, kind: DuckDBPyType, params: ReplaceParams, depth: int) -> str:
    """SQL of the value with its texts replaced; empty when there is no text in it."""
    if kind.id == "varchar":
        return replace_sql(value, params)
    if kind.id in ("list", "array"):
        item = f"x{depth}"
        inner = _walked(item, item_type(kind), params, depth + 1)
        return f"list_transform({value}, lambda {item}: {inner})" if inner else ""
    if kind.id == "struct":
        return _walked_struct(value, field_types(kind), params, depth)
    return ""


def _walked_struct(value: str, fields: dict[str, DuckDBPyType], params: ReplaceParams, depth: int) -> str:
    """In a message only what was said: its role, name and ids are no text."""
    is_message = "role" in fields and "content" in fields
    made = {
        name: new
        for name, kind in fields.items()
        if (not is_message or name in _MESSAGE_TEXT)
        and (new := _walked(f"struct_extract({value}, {literal(name)})", kind, params, depth))
    }
    if not made:
        return ""
    parts = (f"{name_sql(name)} := {made.get(name) or f'struct_extract({value}, {literal(name)})'}" for name in fields)
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE struct_pack({', '.join(parts)}) END"
