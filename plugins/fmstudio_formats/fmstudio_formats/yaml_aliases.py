"""YAML references (``&name``, ``*name``) that hold themselves or, written out, would fill the memory ("billion laughs")."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fmstudio.api import UserError

_REFERENCE = re.compile(r"[\s\[{,:-]\*[\w.-]")
_MOST_FOLD = 100
_FREE = 1_000_000
"""Values that references may add up to before the ratio to those written counts."""


def may_have_references(text: str) -> bool:
    """Whether a text may refer to values by name."""
    return "&" in text and _REFERENCE.search(text) is not None


def check_references(text: str, path: Path, loader: Any, first_line: int) -> None:
    """Walk the events and count what the values would be when written out.

    Raises:
        UserError: A value holds itself, or there would be absurdly many.
    """
    import yaml

    sizes: dict[str, int] = {}
    open_ones: list[tuple[str | None, int]] = []
    written = total = 0
    for event in yaml.parse(text, loader):
        if isinstance(event, yaml.AliasEvent):
            place = f"{path.name}, line {event.start_mark.line + first_line}" if event.start_mark else path.name
            if any(event.anchor == outer for outer, _ in open_ones):
                raise UserError(f"{place}: “{event.anchor}” holds itself.", remedy="Write it without the reference.")
            total += sizes.get(event.anchor or "", 1)
            if total > _FREE and total > _MOST_FOLD * written:
                raise UserError(
                    f"{place}: its references, written out, would be more than {_FREE:,} values.",
                    remedy="Write the file without references.",
                )
        elif isinstance(event, yaml.ScalarEvent):
            written, total = written + 1, total + 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            written, total = written + 1, total + 1
            open_ones.append((event.anchor, total))
        elif isinstance(event, yaml.CollectionEndEvent):
            name, before = open_ones.pop()
            if name:
                sizes[name] = total - before + 1
