"""Colours SQL while it is typed: words of the language, functions, strings, numbers, quoted names and comments."""

from __future__ import annotations

import re

from PySide6.QtGui import QColor, QFont, QSyntaxHighlighter, QTextCharFormat, QTextDocument

from fmstudio.ui.theme import Theme

_KEYWORD_TEXT = """
all and anti any array as asc asof between by case cast collate cross cube current_date current_timestamp desc
describe distinct else end escape except exclude exists explain extract false filter first following from full
glob group grouping groups having ilike in inner intersect interval into is isnull join last lateral left like
limit map natural not notnull null nulls of offset on or order ordinality outer over overlaps partition percent
pivot positional preceding qualify range recursive repeatable replace right rollup row rows sample select semi
sets show similar some struct summarize table tablesample then to true try_cast unbounded union unpivot using
values when where window with within
"""
KEYWORDS = frozenset(_KEYWORD_TEXT.split())
"""Words that DuckDB's grammar gives a meaning in queries that read (https://duckdb.org/docs/sql/query_syntax/select)."""
_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*)|(?P<open>/\*)|(?P<string>'(?:[^']|'')*'?)|(?P<name>\"(?:[^\"]|\"\")*\"?)"
    r"|(?P<number>\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)|(?P<word>[A-Za-z_]\w*)"
)
_INSIDE_COMMENT = 1


class SqlHighlighter(QSyntaxHighlighter):
    """Colours a document in the theme's colours, line by line."""

    def __init__(self, document: QTextDocument) -> None:
        super().__init__(document)
        self._formats: dict[str, QTextCharFormat] = {}
        self._take_colors()
        Theme.current().changed.connect(self._on_theme)

    def _on_theme(self) -> None:
        self._take_colors()
        self.rehighlight()

    def _take_colors(self) -> None:
        tokens = {
            "keyword": "accent", "function": "series_2", "string": "positive", "number": "warning",
            "name": "series_4", "comment": "faint",
        }  # fmt: skip
        for kind, token in tokens.items():
            made = QTextCharFormat()
            made.setForeground(QColor(Theme.current().hex(token)))
            if kind == "keyword":
                made.setFontWeight(QFont.Weight.DemiBold)
            self._formats[kind] = made

    def highlightBlock(self, text: str) -> None:
        """Qt: colour one line."""
        place = 0
        if self.previousBlockState() == _INSIDE_COMMENT:
            place = self._comment(text, 0)
        while place < len(text):
            match = _TOKEN.search(text, place)
            if match is None:
                break
            place = match.end()
            if match["open"]:
                place = self._comment(text, match.start())
                continue
            kind = self._kind(match, text)
            if kind:
                self.setFormat(match.start(), match.end() - match.start(), self._formats[kind])

    def _comment(self, text: str, start: int) -> int:
        """Colour a comment from here to its end, which may be on a later line."""
        end = text.find("*/", start)
        is_open = end < 0
        stop = len(text) if is_open else end + 2
        self.setFormat(start, stop - start, self._formats["comment"])
        self.setCurrentBlockState(_INSIDE_COMMENT if is_open else 0)
        return stop

    def _kind(self, match: re.Match[str], text: str) -> str:
        if match["word"]:
            if match["word"].lower() in KEYWORDS:
                return "keyword"
            return "function" if text[match.end() :].lstrip().startswith("(") else ""
        return match.lastgroup or ""
