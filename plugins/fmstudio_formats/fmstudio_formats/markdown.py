"""Markdown in sections: from one heading (``# …``) to the next, with the headings above it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def sections(lines: Iterable[tuple[int, str]]) -> Iterator[dict[str, Any]]:
    """Yield a row for each section: ``text`` with its heading, ``heading`` as ``"Install > Linux"``, ``line``.

    Args:
        lines: Number and text of each line.
    """
    path: list[str] = []
    gathered: list[str] = []
    start, fence = 1, ""
    for number, line in lines:
        mark = _FENCE.match(line)
        if mark and (not fence or (mark[1].startswith(fence) and not line.strip(" `~"))):
            fence = "" if fence else mark[1]
        heading = None if fence or mark else _HEADING.match(line)
        if heading:
            yield from _section(gathered, path, start)
            path = [*path[: len(heading[1]) - 1], heading[2]]
            gathered, start = [], number
        gathered.append(line)
    yield from _section(gathered, path, start)


def _section(lines: list[str], path: list[str], start: int) -> Iterator[dict[str, Any]]:
    if text := "\n".join(lines).strip():
        yield {"text": text, "heading": " > ".join(path) or None, "line": start}
