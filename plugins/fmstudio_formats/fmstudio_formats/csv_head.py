"""The start of a CSV file: which delimiter and quote it uses, and how its columns are called."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from fmstudio.api import ImportReport, UserError

SAMPLE = 64 << 10
TITLES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", "^": "caret", ":": "colon"}
_SNIFFED = (",", ";", "\t", "|")
_MOST_ABOVE = 30
"""Lines among which the first row of the table is looked for."""
_SEPARATOR_LINE = re.compile(r"^sep=(.)\r?\n", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+([.,]\d+)?$")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        delimiter: Between two cells.
        quote: Around cells that hold delimiters or line ends.
        skipped: Bytes before the first record (Excel's ``sep=;`` line, a title, comments).
    """

    delimiter: str
    quote: str
    skipped: int = 0


def find_dialect(sample: bytes, delimiter: str, quote: str, path: Path, report: ImportReport) -> Dialect:
    """Take the user's choices, and find and state the rest from the first bytes of the file."""
    head = _whole_lines(sample)
    skipped = 0
    if match := _SEPARATOR_LINE.match(head):
        delimiter, skipped = delimiter or match[1], match.end()
        head = head[skipped:]
    quote = quote or _sniff_quote(head, delimiter)
    delimiter = delimiter or _sniff(head, quote, path)
    if lines := _preamble(head, delimiter, quote):
        skipped += len("".join(lines).encode())
        first = lines[0].strip()
        told = first if len(first) <= 60 else f"{first[:60]}…"
        report.note(
            f"What stands above the table is not read: {len(lines)} line{'s' if len(lines) > 1 else ''}, the first “{told}”."
        )
    report.note(f"Delimiter: {TITLES.get(delimiter, delimiter)}")
    if quote != '"':
        report.note(f"Quote: {quote}")
    return Dialect(delimiter, quote, skipped)


def column_names(first: list[str], has_header: bool, second: list[str] | None, report: ImportReport) -> list[str]:
    """Name the columns after the first record, or by number.

    Raises:
        UserError: There is no record.
    """
    if not first:
        raise UserError("The file has no line to read columns from.", remedy="Choose a file with content.")
    if has_header and any(_NUMBER.match(cell) for cell in first) and _looks_like(first, second or []):
        report.note("The first line looks like data, not like names. Switch “First line names the columns” off if so.")
    names: list[str] = []
    for number, cell in enumerate(first, 1):
        name = (cell.strip() if has_header else "") or f"column_{number}"
        while name in names:
            name += "_2"
        names.append(name)
    return names


def _looks_like(first: list[str], second: list[str]) -> bool:
    """Whether two records have numbers in the same places."""
    return [bool(_NUMBER.match(cell)) for cell in first] == [bool(_NUMBER.match(cell)) for cell in second]


def _preamble(head: str, delimiter: str, quote: str) -> list[str]:
    """Give the lines above a table: comments (#), or a title that an empty line parts from it; none when in doubt.

    A comment that has as many cells as the rows is their header (``#CHROM`` of VCF, without a space).
    """
    lines = head.splitlines(keepends=True)[:_MOST_ABOVE]
    if not lines or quote in "".join(lines[:1]):
        return []
    rows = [len(row) for row in _parsed(head, delimiter, quote) if row]
    usual = max(set(rows), key=rows.count) if rows else 1
    # Spreadsheets fill every line up with empty cells.
    filled = [line.rstrip(f"{delimiter} \r\n") for line in lines]
    widths = [text.count(delimiter) + 1 if text else 0 for text in filled]
    start = next((i for i, text in enumerate(filled) if widths[i] == usual and not text.startswith("# ")), 0)
    if usual < 2 or not start or rows.count(usual) < 2:
        return []
    above = lines[:start]
    are_comments = all(line.startswith("#") or not line.strip() for line in above)
    is_title = not filled[start - 1] and all(width < usual for width in widths[:start])
    return above if are_comments or is_title else []


def _whole_lines(sample: bytes) -> str:
    text = sample.decode("utf-8", "ignore")
    return text if len(sample) < SAMPLE else text[: text.rfind("\n") + 1] or text


def _sniff_quote(head: str, delimiter: str) -> str:
    """Choose ' where no " is used and cells that begin with ' end with it."""
    if '"' in head or "'" not in head:
        return '"'
    between = re.escape(delimiter) if delimiter else "[,;\\t|]"
    quoted = len(re.findall(rf"(?:^|{between})'(?:[^'\n]|'')*'(?={between}|\r?$)", head, re.MULTILINE))
    opened = len(re.findall(rf"(?:^|{between})'", head, re.MULTILINE))
    return "'" if quoted >= 2 and quoted >= opened * 0.9 else '"'


def _sniff(head: str, quote: str, path: Path) -> str:
    """Choose the delimiter that splits the first lines into the same number of fields, the more the better."""
    if ".tsv" in path.name.lower() and "\t" in head:
        return "\t"
    best, score = ",", 0.0
    for candidate in _SNIFFED:
        widths = [len(row) for row in _parsed(head, candidate, quote)[:50] if row]
        usual = max(set(widths), key=widths.count) if widths else 1
        value = widths.count(usual) / len(widths) * min(usual, 20) if usual > 1 else 0.0
        if value > score:
            best, score = candidate, value
    return best


def _parsed(head: str, delimiter: str, quote: str) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter, quotechar=quote):
            rows.append(row)
            if len(rows) > 60:
                break
    except csv.Error:
        pass  # a field beyond csv's limit: what was split so far decides
    return rows
