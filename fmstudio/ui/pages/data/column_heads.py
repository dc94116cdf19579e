"""Column summaries as what a table header shows: type in a word, missing share, a small chart, and a tooltip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmstudio.project.filters import kind_of
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.table.header import ColumnHead, missing_words

if TYPE_CHECKING:
    from fmstudio.project.statistics import ColumnSummary

KIND_WORDS = {
    "text": "text", "boolean": "yes or no", "time": "time", "messages": "messages", "texts": "list of texts",
    "bytes": "bytes", "nested": "nested",
}  # fmt: skip


def type_word(type_name: str) -> str:
    """A column's type as a person would call it."""
    kind = kind_of(type_name)
    if kind == "number":
        name = type_name.lower()
        is_whole = "int" in name and "interval" not in name
        return "whole number" if is_whole else "number"
    if kind == "nested" and any(part in type_name.lower() for part in ("float", "double", "half")):
        return "vector"
    return KIND_WORDS[kind]


def plain_head(type_name: str) -> ColumnHead:
    """What can be said before anything was counted."""
    return ColumnHead(type_word(type_name), tip=type_name)


def head_of(summary: ColumnSummary) -> ColumnHead:
    """What a header shows of a column."""
    share = summary.missing / summary.rows if summary.rows else None
    return ColumnHead(type_word(summary.type), share, tuple(float(b.count) for b in summary.histogram), _tip(summary))


def _tip(summary: ColumnSummary) -> str:
    lines = [f"{summary.name}: {type_word(summary.type)} ({summary.type})"]
    about = "about " if summary.is_sample else ""
    missing = missing_words(summary.missing / summary.rows) if summary.rows and summary.missing else "none missing"
    lines.append(f"{about}{words.plural(summary.rows, 'row')}, {missing}")
    lines.append(f"about {words.plural(summary.distinct, 'different value')}")
    for found in summary.histogram[:8]:
        lines.append(f"{found.label}: {words.number(found.count)}")
    if len(summary.histogram) > 8:
        lines.append("…")
    lines.append("Click the chart for everything, the name to sort.")
    return "\n".join(lines)
