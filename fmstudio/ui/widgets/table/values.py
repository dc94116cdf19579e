"""Values of cells: what kind a column holds, and how a value reads in one line, in full, and back from what was typed."""

from __future__ import annotations

import datetime
import json
import math
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from fmstudio.core.plain_value import plain_value

CellKind = Literal[
    "text", "number", "boolean", "time", "messages", "tags", "vector", "json", "code", "image", "bytes", "nested"
]

CELL_CHARS = 300
SAMPLE_ROWS = 50
SHORT_CHARS = 200
"""Longer texts are edited in the inspector, not in the cell."""

ROLE_WORDS = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}
_TYPE_STARTS: dict[CellKind, tuple[str, ...]] = {
    "time": ("date", "time", "duration", "interval"),
    "number": (
        "int", "uint", "float", "double", "half", "decimal", "tinyint", "smallint", "bigint", "hugeint", "utinyint",
        "usmallint", "ubigint", "uhugeint", "real",
    ),
    "boolean": ("bool",), "nested": ("struct", "map", "union"), "bytes": ("blob", "binary", "large_binary"),
}  # fmt: skip
_WHOLE_BITS = {
    "int8": 8, "int16": 16, "int32": 32, "int64": 64,
    "tinyint": 8, "smallint": 16, "integer": 32, "bigint": 64, "hugeint": 128,
}  # fmt: skip
_MOMENTS = (datetime.date, datetime.time, datetime.timedelta)
_SHAPING = frozenset("\u200c\u200d\u200e\u200f\u061c")
"""Marks without a look of their own that words are written with: joiners of Persian and of emoji, directions."""
IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")
_CODE_NAMES = frozenset({"code", "sql", "query_sql", "script", "program", "solution", "snippet", "canonical_solution"})
_CODE_LINE = re.compile(
    r"^\s*(?:def |class |import |from \w+ import |function |const |let |var |#include|public |SELECT |fn |func |return\b)"
    r"|[{;]\s*$",
    re.MULTILINE,
)


def is_messages(value: Any) -> bool:
    """Whether a value is a list of role and content pairs."""
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in value)
    )


def kind_of_values(values: Sequence[Any], name: str = "", type_name: str = "") -> CellKind:
    """What a column holds, from some of its values, its name and its type."""
    there = [value for value in values if value is not None]
    if not there:
        return _kind_of_type(type_name)
    checks: tuple[tuple[CellKind, Any], ...] = (
        ("boolean", lambda v: isinstance(v, bool)),
        ("number", lambda v: isinstance(v, int | float | Decimal) and not isinstance(v, bool)),
        ("time", lambda v: isinstance(v, _MOMENTS)),
        ("image", lambda v: isinstance(v, bytes) and v.startswith(IMAGE_STARTS)),
        ("bytes", lambda v: isinstance(v, bytes)),
        ("messages", lambda v: is_messages(v) or (v in ([], ()) and "role" in type_name)),
        ("vector", lambda v: isinstance(v, list | tuple) and bool(v) and all(isinstance(x, int | float) for x in v)),
        ("tags", lambda v: isinstance(v, list | tuple) and all(isinstance(x, str) for x in v)),
        ("nested", lambda v: isinstance(v, list | tuple | dict)),
    )
    for kind, holds in checks:
        if all(holds(value) for value in there):
            return kind
    texts = [value for value in there if isinstance(value, str) and value]
    if texts and sum(_is_json(text) for text in texts) * 2 > len(texts):
        return "json"
    is_code = name.lower() in _CODE_NAMES or sum(looks_like_code(text) for text in texts) * 2 > len(texts)
    return "code" if texts and is_code else "text"


def _kind_of_type(type_name: str) -> CellKind:
    name = type_name.lower()
    if "role" in name and "content" in name:
        return "messages"
    if name.endswith("[]") or name.startswith(("list", "large_list")):
        return "tags" if "string" in name or "varchar" in name else "nested"
    return next((kind for kind, starts in _TYPE_STARTS.items() if name.startswith(starts)), "text")


def looks_like_code(text: str) -> bool:
    """Whether a text is source code: several lines, of which a good part begin or end as code does."""
    lines = [line for line in text[:4_000].splitlines() if line.strip()]
    return len(lines) > 1 and sum(1 for line in lines if _CODE_LINE.search(line)) * 3 >= len(lines)


def _is_json(text: str) -> bool:
    start = text.lstrip()[:1]
    if start not in ("{", "[") or len(text) > 200_000:
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def cell_text(value: Any) -> str:
    """One line for a cell; what is missing gives an empty text (it is drawn in its own way)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, Decimal):
        return f"{value:,f}" if value.is_finite() else str(value)
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if is_messages(value):
        text = "   ".join(
            f"{message['role']}: {plain_content(message['content'])[:CELL_CHARS]}" for message in value[:8]
        )
        return text[:CELL_CHARS].replace("\n", " ")
    if isinstance(value, list | tuple) and value and all(isinstance(item, float) for item in value):
        return f"{len(value):,} numbers"
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return ", ".join(item[:CELL_CHARS] for item in value[:32])[:CELL_CHARS]
    if isinstance(value, str):
        return one_line(value[: CELL_CHARS + 1])[:CELL_CHARS]
    return one_line(compact_json(value) if isinstance(value, list | tuple | dict) else str(value))[:CELL_CHARS]


def named_text(value: Any) -> str:
    """A value among others in a list or a chart, where what is missing or blank has to be seen."""
    return "null" if value is None else f'"{cell_text(value)}"' if is_blank(value) else cell_text(value)


def is_blank(value: Any) -> bool:
    """Whether a value is a text in which nothing can be seen: an empty one, or one of spaces."""
    return isinstance(value, str) and (not value or value[:CELL_CHARS].isspace())


def one_line(text: str) -> str:
    """A text in one line: line breaks as ⏎, tabs as →, other control characters as ␣."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\n", " ⏎ ").replace("\t", " → ")
    return text if text.isprintable() else "".join(c if _is_written(c) else "\u2423" for c in text)


def _is_written(letter: str) -> bool:
    """Whether a character is part of writing: none that controls, but spaces of all widths and what shapes words."""
    return letter.isprintable() or letter in _SHAPING or unicodedata.category(letter) == "Zs"


def number_text(value: float) -> str:
    """A decimal number with separators; what is no number says so."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}.0"
    return f"{value:,.6g}" if abs(value) >= 1e-4 else f"{value:.4g}"


def compact_json(value: Any) -> str:
    """A nested value as JSON in one line, cut where it is far longer than a cell."""
    if isinstance(value, list | tuple) and len(value) > 64:
        value = value[:64]
    return as_json(value)


def as_json(value: Any, **more: Any) -> str:
    """Any value as JSON; what JSON has no form for is text, keys too."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str, **more)
    except TypeError:  # a map may be keyed by dates, or anything else
        return json.dumps(plain_value(value), ensure_ascii=False, **more)


def full_text(value: Any) -> str:
    """The whole of a value, for tooltips and the inspector."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if is_messages(value):
        return "\n".join(f"{ROLE_WORDS.get(m['role'], m['role'])}: {plain_content(m['content'])}" for m in value)
    if isinstance(value, list | tuple | dict):
        return as_json(value, indent=2)
    return str(value)


def plain_content(content: Any) -> str:
    """A message's content as text; parts (text, image …) of a list are put one below the other."""
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        parts = [p.get("text") or f"[{p.get('type', 'part')}]" if isinstance(p, dict) else str(p) for p in content]
        return "\n".join(str(part) for part in parts)
    return "" if content is None else as_json(content)


def tsv_text(value: Any) -> str:
    """A value for a spreadsheet: no tabs or line breaks, numbers without separators."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = (
        repr(value) if isinstance(value, float) else full_text(value) if isinstance(value, str) else _tsv_other(value)
    )
    return re.sub(r"[\t\r\n]+", " ", text)


def _tsv_other(value: Any) -> str:
    is_nested = isinstance(value, list | tuple | dict)
    return as_json(value) if is_nested else full_text(value)


def is_short(value: Any, kind: CellKind) -> bool:
    """Whether a value is edited in its cell: one line that is not too long, a number, a moment, a yes or no."""
    if kind in ("number", "boolean", "time"):
        return True
    if kind == "tags":
        return value is None or len(cell_text(value)) < SHORT_CHARS
    return kind == "text" and (
        value is None or (isinstance(value, str) and len(value) <= SHORT_CHARS and "\n" not in value)
    )


def edit_text(value: Any) -> str:
    """A value as it is typed: numbers without separators, tags with commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return repr(value) if isinstance(value, float) else full_text(value)


def whole_range(type_name: str) -> tuple[int, int] | None:
    """The smallest and the largest number a column of whole numbers holds; None when it is of another type.

    Args:
        type_name: As Arrow (``int8``) or DuckDB (``UTINYINT``) writes it.
    """
    name = type_name.lower()
    bits = _WHOLE_BITS.get(name.removeprefix("u"), 0)
    if not bits:
        return None
    return (0, 2**bits - 1) if name.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def parse_text(text: str, kind: CellKind, *, limits: tuple[int, int] | None = None) -> Any:
    """Read back what was typed.

    Args:
        limits: The column holds whole numbers only, from the first to the second; see `whole_range`.

    Raises:
        ValueError: It cannot be read as a value of this kind; the message says so in words.
    """
    bare = text.strip()
    if kind == "text" or kind == "code" or kind == "json":
        return text
    if not bare:
        return None if kind != "tags" else []
    if kind == "boolean":
        if bare.lower() not in ("true", "false", "yes", "no", "1", "0"):
            raise ValueError(f"“{bare}” is neither true nor false.")
        return bare.lower() in ("true", "yes", "1")
    if kind == "number":
        return _number(bare, limits)
    if kind == "time":
        return bare  # the column knows which moments it holds, and reads it
    if kind == "tags":
        return list(dict.fromkeys(part.strip() for part in bare.split(",") if part.strip()))
    try:
        return json.loads(bare)
    except ValueError as error:
        raise ValueError(f"This is no JSON: {error}.") from error


def _number(text: str, limits: tuple[int, int] | None) -> int | float | Decimal:
    plain = text.replace(",", "").replace("\u202f", "").replace(" ", "")
    try:
        whole = int(plain)
    except ValueError:
        pass
    else:
        if limits is not None and not limits[0] <= whole <= limits[1]:
            raise ValueError(f"This column holds whole numbers from {limits[0]:,} to {limits[1]:,}, not “{text}”.")
        return whole
    try:
        value, exact = float(plain), Decimal(plain)
    except (ValueError, InvalidOperation) as error:
        raise ValueError(f"“{text}” is no number.") from error
    if limits is not None:
        raise ValueError(f"“{text}” is no whole number, and this column holds only such.")
    return value if not exact.is_finite() or Decimal(repr(value)) == exact else exact  # no digit typed is lost


def snippet(text: str, needles: Sequence[str], lead: int = 24, after: int = 60) -> str:
    """The text from a little before the first match on, when the match would else be out of sight."""
    if not needles:
        return text
    lower = text.lower()
    places = [place for needle in needles if (place := lower.find(needle)) >= 0]
    first = min(places, default=0)
    return text if first < after else "… " + text[first - lead :]
