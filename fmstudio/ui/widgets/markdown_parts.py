"""Markdown cut into prose and fenced code, and where growing prose is settled. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^\s`]*)[^`]*$")
_CONTINUES = re.compile(r"^(\s+\S|\s*([-*+]|\d+[.)])\s|\s*>|\s*\|)")


@dataclass(slots=True)
class Segment:
    """A stretch of an answer: prose, or the inside of a fenced code block."""

    is_code: bool
    text: str
    language: str = ""
    is_closed: bool = False


def split_segments(source: str) -> list[Segment]:
    """Cut Markdown into prose and fenced code (CommonMark 0.31, section 4.5); an open fence runs to the end."""
    return split_from(source, 0)[0]


def split_from(source: str, start: int) -> tuple[list[Segment], int, int]:
    """Cut what follows a place; also how many of the segments can no longer change, and the place where those end.

    Args:
        start: A place that an earlier call gave, or 0.
    """
    segments: list[Segment] = []
    prose: list[str] = []
    code: list[str] | None = None
    fence = language = ""
    settled, end, at = 0, start, start
    for line in source[start:].split("\n"):
        at += len(line) + 1
        match = _FENCE.match(line)
        if code is None and match:
            if prose and "".join(prose).strip():
                segments.append(Segment(False, "\n".join(prose), is_closed=True))
            prose, code, fence, language = [], [], match[1], match[2]
        elif code is not None and match and not match[2] and match[1].startswith(fence):
            segments.append(Segment(True, "\n".join(code), language, is_closed=True))
            code = None
            if at <= len(source):  # a closing fence that may still grow on its line closes nothing yet
                settled, end = len(segments), at
        elif code is not None:
            code.append(line)
        elif prose or line.strip():
            prose.append(line)
    if code is not None:
        segments.append(Segment(True, "\n".join(code), language))
    elif "".join(prose).strip():
        segments.append(Segment(False, "\n".join(prose)))
    return segments, settled, end


def stable_length(prose: str) -> int:
    """How much of growing prose will render the same whatever follows: up to the last blank line outside a list."""
    at = len(prose)
    while (at := prose.rfind("\n\n", 0, at)) > 0:
        after = prose[at + 2 :]
        before = prose[:at].rsplit("\n", 1)[-1]
        if after.strip() and not _CONTINUES.match(after) and not _CONTINUES.match(before):
            return at + 2
    return 0
