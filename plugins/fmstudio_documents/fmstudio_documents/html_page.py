"""Web pages: the main text with its structure, without scripts, menus and banners."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import Field, Importer, ImportReport, Params, TaskContext, UserError
from fmstudio_documents.decoding import decode
from fmstudio_documents.html_text import Page, joined, read_html
from fmstudio_documents.rows import batched, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

_LARGEST = 256 << 20
_CHARSET = re.compile(
    rb"""(?:charset\s*=\s*|<\?xml[^>]*encoding\s*=\s*)["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE
)


class HtmlParams(Params):
    """Settings of the HTML importer."""

    rows: Literal["page", "section"] = Field(
        default="page", title="One row is", description="A section runs from one heading to the next."
    )
    content: Literal["main", "everything"] = Field(
        default="main", title="Take", description="The main text, or menus, sidebars and footers too."
    )
    links: bool = Field(default=False, title="Keep links", description="Write links as [text](address).")
    encoding: str = Field(default="", title="Encoding", description="Name such as cp1252; empty = as the page says.")


class HtmlImporter(Importer):
    """Reads ``.html``."""

    Params = HtmlParams

    def read(self, path: Path, params: Any, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        size = path.stat().st_size
        if size > _LARGEST:
            raise UserError(f"{path.name} is larger than 256 MiB.", remedy="Split the page.")
        data = path.read_bytes()
        if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise UserError(f"{path.name} is no web page: it has a zero byte.", remedy="Choose another importer.")
        declared = _CHARSET.search(data[:4096])
        html, encoding = decode(data, params.encoding or (declared[1].decode("ascii") if declared else ""))
        if encoding != "utf-8":
            report.note(f"Encoding: {encoding}")
        page = read_html(html, is_whole=params.content == "everything", links=params.links)
        ctx.progress(size, size, "bytes read")
        if not page.text.strip():
            raise UserError(
                f"{path.name} shows no text; it may be drawn by a script.", remedy="Save the page from a browser."
            )
        yield from batched(_rows(page, path, params.rows), _schema())


def _schema() -> pa.Schema:
    return schema_of(text="string", title="string", heading="string", language="string", source_file="string")


def _rows(page: Page, path: Path, unit: str) -> Iterator[dict[str, Any]]:
    facts = {"title": page.title, "language": page.language or None, "source_file": path.name}
    if unit == "page":
        yield {"text": page.text, **facts}
        return
    for heading, blocks in groupby(page.blocks, key=lambda block: block[0]):
        yield {"text": joined(text for _, text in blocks), "heading": " > ".join(heading) or None, **facts}
