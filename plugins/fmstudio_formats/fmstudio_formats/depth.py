"""Keeps absurdly nested input away from parsers that recurse in C and would take the process with them.

A cheap look for a long run of closing brackets comes first (long needles are searched at gigabytes a second); only what
has one, be it in a text, is measured.
"""

from __future__ import annotations

from typing import Any

DEEPEST = 64
"""Levels of nesting beyond which a row is refused; real data has fewer than ten."""

_HALF = DEEPEST // 2
_RUNS = ("]" * DEEPEST, "}" * DEEPEST, "}]" * _HALF, "]}" * _HALF)
_BYTE_RUNS = tuple(run.encode() for run in _RUNS)


def may_be_too_deep(data: bytes | str) -> bool:
    """Whether there is a run of closing brackets long enough to look closer."""
    if isinstance(data, bytes):
        return any(run in data for run in _BYTE_RUNS)
    return any(run in data for run in _RUNS)


def is_too_deep(value: Any) -> bool:
    """Whether a parsed value is nested beyond `DEEPEST`; without recursion."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return False
    return True


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [v for v in value.values() if isinstance(v, (dict, list))]
    return [v for v in value if isinstance(v, (dict, list))] if isinstance(value, list) else []
