"""What calamine does not tell of an XLSX sheet: formulas without a stored value, and cells that hold an error."""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

_PIECE = 1 << 20
_OVERLAP = 64 << 10
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_REL = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_PACKAGE = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_EMPTY_FORMULA = re.compile(
    rb'<c r="([A-Z]{1,3}\d{1,7})"[^>]*>\s*<f(?:\s[^>]*)?(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>'
)
_ERROR = re.compile(
    rb'<c (?=[^>]*\br="([A-Z]{1,3})(\d{1,7})")[^>]*\bt="e"[^>]*>(?:<f[^>]*/>|<f[^>]*>[^<]*</f>)?<v>([^<]{1,20})'
)
_LISTED = 1_000


@dataclass(slots=True)
class SheetFacts:
    """What is odd in one sheet.

    Attributes:
        uncalculated: Formula cells without a stored value; the first one's name.
        errors: 0-based row → (0-based column, error) of the first cells with an error.
        error_count: How many cells hold an error; the first one's name.
    """

    uncalculated: int = 0
    first_uncalculated: str = ""
    errors: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    error_count: int = 0
    first_error: str = ""


def sheet_facts(path: Path, number: int) -> SheetFacts:
    """Look through the XML of sheet `number` (0-based, in the workbook's order); nothing for other formats."""
    facts = SheetFacts()
    try:
        if not zipfile.is_zipfile(path):
            return facts
        with zipfile.ZipFile(path) as archive:
            name = _member(archive, number)
            if name:
                _scan(archive, name, facts)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, ValueError, ElementTree.ParseError):
        return facts  # calamine reads the same bytes next and says what is wrong with them
    return facts


def _member(archive: zipfile.ZipFile, number: int) -> str:
    names = set(archive.namelist())
    if "xl/workbook.xml" not in names or "xl/_rels/workbook.xml.rels" not in names:
        return ""
    sheets = ElementTree.fromstring(archive.read("xl/workbook.xml")).findall(f"{_MAIN}sheets/{_MAIN}sheet")
    if number >= len(sheets):
        return ""
    wanted = sheets[number].get(_REL)
    for relation in ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels")).findall(_PACKAGE):
        if relation.get("Id") == wanted:
            target = (relation.get("Target") or "").lstrip("/")
            full = target if target.startswith("xl/") else f"xl/{target}"
            return full if full in names else ""
    return ""


def _scan(archive: zipfile.ZipFile, name: str, facts: SheetFacts) -> None:
    with archive.open(name) as member:
        tail = b""
        while piece := member.read(_PIECE):
            text = tail + piece
            cut = text.rfind(b"</c>") + 4
            whole, tail = (text[:cut], text[cut:]) if cut > 3 else (b"", text[-_OVERLAP:])
            if b"<f" in whole:
                _count_formulas(whole, facts)
            if b't="e"' in whole:
                _count_errors(whole, facts)


def _count_formulas(text: bytes, facts: SheetFacts) -> None:
    found = _EMPTY_FORMULA.findall(text)
    facts.uncalculated += len(found)
    if found and not facts.first_uncalculated:
        facts.first_uncalculated = found[0].decode("ascii")


def _count_errors(text: bytes, facts: SheetFacts) -> None:
    for column, row, value in _ERROR.findall(text):
        facts.error_count += 1
        if not facts.first_error:
            facts.first_error = f"{column.decode('ascii')}{row.decode('ascii')}"
        if facts.error_count <= _LISTED:
            place = (_column_number(column), value.decode("utf-8", "replace"))
            facts.errors.setdefault(int(row) - 1, []).append(place)


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1
