"""What a filter in words was likely meant to say, where a name before a colon is none of a column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from fmstudio.project.filter_completion import column_text
from fmstudio.project.filters import FilterColumn

_ASKED = re.compile(r"(?<!\S)-?(?P<name>[^\s\":<>=()]+):(?=[^\s/])")
_ALIKE = 0.8
"""How like a column a name must be to be taken for a slip of the keyboard; 1 = the same."""


@dataclass(frozen=True, slots=True)
class Hint:
    """`name` stands before a colon and is no column; `column` is likely meant, and `better` is the filter that says so."""

    name: str
    column: str
    better: str


def hint(text: str, columns: Sequence[FilterColumn]) -> Hint | None:
    """The first name in a filter in words that is looked for as text, though a column is likely meant.

    Names with spaces, brackets and the like need quotes; a part of a name and a slip of the keyboard are known again, too.
    """
    names = [column.name for column in columns if '"' not in column.name]
    for name in sorted(names, key=len, reverse=True):  # the longest first: “Name” may be the end of “Customer Name”
        quoted = column_text(name, is_sql=False)
        if quoted.startswith('"'):
            for found in re.finditer(rf"(?<!\S)-?({re.escape(name)}):(?=\S)", text, re.IGNORECASE):
                if not _is_inside_quotes(text, found.start()):
                    return Hint(found[1], name, text[: found.start(1)] + quoted + text[found.end() :])
    known = {name.casefold() for name in names}
    for found in _ASKED.finditer(text):
        given = found["name"]
        if given.casefold() not in known and not _is_inside_quotes(text, found.start()):
            name = _likely(given, names)
            if name:
                quoted = column_text(name, is_sql=False)
                return Hint(given, name, text[: found.start("name")] + quoted + text[found.end() :])
    return None


def _likely(given: str, names: Sequence[str]) -> str:
    """The column whose name begins with what was given, has it as one of its words, or is nearly the same."""
    if len(given) < 2 or not any(character.isalpha() for character in given):
        return ""
    wanted, by_lower = given.casefold(), {name.casefold(): name for name in names}
    begins = [name for lower, name in by_lower.items() if lower.startswith(wanted)]
    has = [name for lower, name in by_lower.items() if wanted in re.split(r"[\W_]+", lower)]
    near = [by_lower[lower] for lower in get_close_matches(wanted, by_lower, n=1, cutoff=_ALIKE)]
    return next(iter([*begins, *has, *near]), "")


def _is_inside_quotes(text: str, place: int) -> bool:
    return text.count('"', 0, place) % 2 == 1
