"""Whether a query is no more than a filter on one dataset, and which. Knows text only."""

from __future__ import annotations

import re

_PIECE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|[()\[\]{};]|\w+|\S|\s+", re.DOTALL)
_ENDS = frozenset(("group", "having", "qualify", "window", "union", "intersect", "except", "join", "using", "offset"))


def plain_where(sql: str, dataset: str) -> str | None:
    """The condition of ``SELECT * FROM dataset WHERE …``; None when the query does more than that, or on other rows.

    An ``ORDER BY`` or ``LIMIT`` at the end is passed over: the table has its own order.
    """
    pieces = [piece for piece in _PIECE.findall(sql) if not piece.startswith(("--", "/*"))]
    bare = [piece for piece in pieces if not piece.isspace()]
    while bare and bare[-1] == ";":
        bare.pop()
    words = [piece.casefold() for piece in bare]
    if words[:2] == ["select", "*"]:
        words = words[2:]
    if len(words) < 4 or words[0] != "from" or not _is_name(words[1], dataset) or words[2] != "where" or ";" in words:
        return None
    return _condition("".join(pieces).strip().rstrip(";"))


def _is_name(piece: str, dataset: str) -> bool:
    name = piece[1:-1].replace('""', '"') if piece.startswith('"') else piece
    return name.casefold() == dataset.casefold()


def _condition(sql: str) -> str | None:
    """What stands between WHERE and the end, with nothing of another clause in it."""
    depth, start, end = 0, -1, len(sql)
    for match in _PIECE.finditer(sql):
        piece = match[0].casefold()
        depth += (piece in ("(", "[", "{")) - (piece in (")", "]", "}"))
        if depth:
            continue
        if piece == "where":
            if start >= 0:
                return None
            start = match.end()
        elif start >= 0 and piece in _ENDS:
            return None
        elif start >= 0 and piece in ("order", "limit"):
            end = match.start()
            break
    found = sql[start:end].strip()
    return found or None
