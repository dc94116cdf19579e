"""Word documents: headings, paragraphs, lists and tables as Markdown, read straight from the file's XML.

Inserted text is taken and deleted text left out, as the document looks with all changes accepted. The XML is read piece
by piece by the standard library's parser, which resolves no outside entities; one that declares entities is refused.
Format: ECMA-376, part 1, WordprocessingML (chapter 17).
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

from fmstudio.api import Field, Importer, ImportReport, Params, TaskContext, UserError
from fmstudio_documents.html_text import joined, markdown_table
from fmstudio_documents.rows import batched, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = b"http://purl.oclc.org/ooxml/wordprocessingml/main"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DC = "{http://purl.org/dc/elements/1.1/}"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LARGEST = 512 << 20
_HEADING_NAME = re.compile(r"heading\s*([1-9])$", re.IGNORECASE)
_BROKEN = (
    zipfile.BadZipFile,
    ElementTree.ParseError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    zlib.error,
)


class DocxParams(Params):
    """Settings of the Word importer."""

    rows: Literal["document", "section", "paragraph"] = Field(
        default="document", title="One row is", description="A section runs from one heading to the next."
    )


class DocxImporter(Importer):
    """Reads ``.docx``."""

    Params = DocxParams

    def read(self, path: Path, params: Any, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        _check_start(path)
        try:
            with zipfile.ZipFile(path) as archive:
                document = _document(archive, path, report, ctx)
        except _BROKEN as error:
            raise UserError(
                f"{path.name} is a damaged Word document ({error}).", remedy="Open and save it in Word or LibreOffice."
            ) from error
        ctx.progress(path.stat().st_size, path.stat().st_size, "bytes read")
        if not document.blocks:
            raise UserError(f"{path.name} holds no text.", remedy="Text in pictures is not read.")
        schema = schema_of(text="string", title="string", heading="string", author="string", source_file="string")
        yield from batched(_rows(document, path, params.rows), schema)


@dataclass
class _Document:
    title: str = ""
    author: str = ""
    blocks: list[tuple[tuple[str, ...], str]] = field(default_factory=list)


def _check_start(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(8)
    if start == _OLE:
        raise UserError(
            f"{path.name} is encrypted, or in the old Word format (.doc).",
            remedy="Save it as .docx without a password.",
        )
    if not start.startswith(b"PK"):
        raise UserError(f"{path.name} is no Word document.", remedy="Choose the importer that fits the file.")


def _document(archive: zipfile.ZipFile, path: Path, report: ImportReport, ctx: TaskContext) -> _Document:
    names = set(archive.namelist())
    if "word/document.xml" not in names:
        raise UserError(f"{path.name} is no Word document.", remedy="Choose the importer that fits the file.")
    for name in ("word/document.xml", "word/styles.xml", "docProps/core.xml"):
        if name in names and archive.getinfo(name).file_size > _LARGEST:
            raise UserError(f"{path.name} unpacks to more than 512 MiB.", remedy="Split the document.")
    found = _Document()
    if "docProps/core.xml" in names:
        with archive.open("docProps/core.xml") as file:
            for _, node in ElementTree.iterparse(_Sober(file)):
                if node.tag in (f"{_DC}title", f"{_DC}creator"):
                    setattr(found, "title" if node.tag.endswith("title") else "author", (node.text or "").strip())
    styles = _styles(archive) if "word/styles.xml" in names else _Styles()
    with archive.open("word/document.xml") as file:
        found.blocks = list(_Body(styles, ctx).blocks(_Sober(file)))
    aside = [what for what in ("footnotes", "endnotes", "comments") if f"word/{what}.xml" in names]
    if aside:
        report.note(f"{path.name}: {' and '.join(aside)} are not read.")
    return found


class _Sober:
    """XML that declares no entities (they can blow up a thousandfold); the strict dialect read as the usual one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._is_first = file, True
        self._left = _LARGEST

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size if size >= 0 else 1 << 16)
        self._left -= len(data)
        if self._left < 0:
            raise zipfile.BadZipFile("it unpacks to more than it says")
        if self._is_first:
            self._is_first = False
            data += self._file.read(4096)
            if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
                raise zipfile.BadZipFile("its XML declares entities")
            data = data.replace(_STRICT, _W[1:-1].encode())
        return data


@dataclass
class _Styles:
    """What the styles of a document make of a paragraph.

    Attributes:
        levels: Style id → heading level.
        lists: Style id → depth of an item of a list, from 0.
    """

    levels: dict[str, int] = field(default_factory=dict)
    lists: dict[str, int] = field(default_factory=dict)


def _styles(archive: zipfile.ZipFile) -> _Styles:
    """Tell headings by a style's name or outline level, items of lists by its numbering; styles built on one are the same."""
    found = _Styles()
    parents: dict[str, str] = {}
    with archive.open("word/styles.xml") as file:
        for _, node in ElementTree.iterparse(_Sober(file)):
            if node.tag != f"{_W}style":
                continue
            style = node.get(f"{_W}styleId", "")
            name = _value(node.find(f"{_W}name"))
            outline = _value(node.find(f"{_W}pPr/{_W}outlineLvl"))
            if match := _HEADING_NAME.match(name):
                found.levels[style] = int(match[1])
            elif outline.isdecimal() and int(outline) < 9:
                found.levels[style] = int(outline) + 1
            elif name.lower() == "title":
                found.levels[style] = 1
            if (numbering := node.find(f"{_W}pPr/{_W}numPr")) is not None:
                found.lists[style] = _depth(numbering)
            parents[style] = _value(node.find(f"{_W}basedOn"))
    for known in (found.levels, found.lists):
        for style in parents:
            seen, up = {style}, parents[style]
            while style not in known and up and up not in seen:
                if up in known:
                    known[style] = known[up]
                seen.add(up)
                up = parents.get(up, "")
    return found


def _depth(numbering: ElementTree.Element) -> int:
    """Depth of an item of a list; -1 where the numbering is switched off."""
    if _value(numbering.find(f"{_W}numId")) == "0":
        return -1
    depth = _value(numbering.find(f"{_W}ilvl"))
    return int(depth) if depth.isdecimal() else 0


def _value(node: ElementTree.Element | None) -> str:
    return node.get(f"{_W}val", "") if node is not None else ""


class _Body:
    """Gathers blocks while the XML streams by; what was read is forgotten."""

    def __init__(self, styles: _Styles, ctx: TaskContext) -> None:
        self._styles, self._ctx = styles, ctx
        self._path: list[str] = []

    def blocks(self, file: _Sober) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield (heading path, text) of each paragraph and table."""
        depth = 0
        for event, node in ElementTree.iterparse(file, events=("start", "end")):
            is_block = node.tag in (f"{_W}p", f"{_W}tbl")
            if event == "start":
                depth += is_block
                continue
            if is_block:
                depth -= 1
                if depth == 0:
                    self._ctx.check_cancelled()
                    yield from self._table(node) if node.tag == f"{_W}tbl" else self._paragraph(node)
                    node.clear()

    def _paragraph(self, node: ElementTree.Element) -> Iterator[tuple[tuple[str, ...], str]]:
        text = _text(node)
        if not text:
            return
        properties = node.find(f"{_W}pPr")
        level = self._level(properties)
        if level:
            self._path = [*self._path[: level - 1], text]
            yield tuple(self._path), f"{'#' * min(level, 6)} {text}"
        elif (depth := self._list_depth(properties)) >= 0:
            yield tuple(self._path), f"{'  ' * depth}- {text}"
        else:
            yield tuple(self._path), text

    def _list_depth(self, properties: ElementTree.Element | None) -> int:
        """Depth of an item of a list, by its own numbering or its style's; -1 for what is no item."""
        if properties is None:
            return -1
        if (numbering := properties.find(f"{_W}numPr")) is not None:
            return _depth(numbering)
        return self._styles.lists.get(_value(properties.find(f"{_W}pStyle")), -1)

    def _level(self, properties: ElementTree.Element | None) -> int:
        if properties is None:
            return 0
        outline = _value(properties.find(f"{_W}outlineLvl"))
        if outline.isdecimal() and int(outline) < 9:
            return int(outline) + 1
        return self._styles.levels.get(_value(properties.find(f"{_W}pStyle")), 0)

    def _table(self, node: ElementTree.Element) -> Iterator[tuple[tuple[str, ...], str]]:
        rows = [[_cell(cell) for cell in row.findall(f".//{_W}tc")] for row in node.findall(f"{_W}tr")]
        rows = [row for row in rows if any(row)]
        if rows:
            yield tuple(self._path), markdown_table(rows)


def _cell(cell: ElementTree.Element) -> str:
    return " ".join(filter(None, (_text(paragraph) for paragraph in cell.iter(f"{_W}p"))))


def _text(paragraph: ElementTree.Element) -> str:
    """The text of a paragraph, its text boxes included once (each is there twice, for old readers)."""
    pieces: list[str] = []
    stack = [paragraph]
    while stack:
        node = stack.pop()
        if node.tag == f"{_W}t":
            pieces.append(node.text or "")
        elif node.tag == f"{_W}tab":
            pieces.append("\t")
        elif node.tag in (f"{_W}br", f"{_W}cr"):
            pieces.append("\n")
        elif node.tag == f"{_W}noBreakHyphen":
            pieces.append("-")
        if node.tag not in (_FALLBACK, f"{_W}pPr", f"{_W}del"):
            stack.extend(reversed(node))
    return "".join(pieces).strip()


def _rows(document: _Document, path: Path, unit: str) -> Iterator[dict[str, Any]]:
    facts = {"title": document.title or None, "author": document.author or None, "source_file": path.name}
    if unit == "document":
        yield {"text": joined(text for _, text in document.blocks), **facts}
        return
    for heading, blocks in groupby(document.blocks, key=lambda block: block[0]):
        place = " > ".join(heading) or None
        if unit == "section":
            yield {"text": joined(text for _, text in blocks), "heading": place, **facts}
        else:
            yield from ({"text": text, "heading": place, **facts} for _, text in blocks)
