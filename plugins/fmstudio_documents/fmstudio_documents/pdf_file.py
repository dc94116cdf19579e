"""PDF: the text of each page, or of the whole document, as PDFium reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import Field, Importer, ImportReport, Params, Reject, TaskContext, UserError
from fmstudio_documents.rows import batched, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

_PASSWORD = 4
"""FPDF_ERR_PASSWORD and FPDF_ERR_SECURITY of PDFium's public/fpdfview.h."""
_SECURITY = 5
_HYPHEN = re.compile("[\ufffe\x02]\r?\n?")
"""What PDFium gives for a hyphen that only a line's end made."""


class PdfParams(Params):
    """Settings of the PDF importer."""

    rows: Literal["page", "document"] = Field(default="page", title="One row is")
    password: str = Field(default="", title="Password", description="For encrypted files.")


class PdfImporter(Importer):
    """Reads ``.pdf``."""

    Params = PdfParams

    def read(self, path: Path, params: Any, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        document = _open(path, params.password)
        try:
            if not len(document):
                raise UserError(f"{path.name} has no pages.", remedy="The file may be damaged; open it in a reader.")
            pages = _pages(document, path, report, ctx)
            rows = pages if params.rows == "page" else _whole(pages)
            columns = {"page": "int64"} if params.rows == "page" else {}
            schema = schema_of(text="string", title="string", **columns, pages="int64", source_file="string")
            yield from batched(rows, schema)
        finally:
            document.close()


def _open(path: Path, password: str) -> Any:
    import pypdfium2 as pdfium

    try:
        return pdfium.PdfDocument(path, password=password or None)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) in (_PASSWORD, _SECURITY) or "password" in str(error).lower():
            what = "The password does not open" if password else "A password is needed for"
            raise UserError(
                f"{what} {path.name}, which is encrypted.",
                remedy="Give the password in the settings, or save the file without one.",
            ) from error
        raise UserError(
            f"{path.name} cannot be read as a PDF.", remedy="It may be cut or damaged; open it in a reader.",
            details=str(error),
        ) from error  # fmt: skip


def _pages(document: Any, path: Path, report: ImportReport, ctx: TaskContext) -> Iterator[dict[str, Any]]:
    import pypdfium2 as pdfium

    count, size = len(document), path.stat().st_size
    title = (document.get_metadata_value("Title") or "").strip()
    empty: list[int] = []
    for index in range(count):
        ctx.check_cancelled()
        try:
            text = _text(document[index])
        except pdfium.PdfiumError as error:
            report.reject(Reject(f"{path.name}: page {index + 1} is damaged ({error})."))
            continue
        ctx.progress(size * (index + 1) // count, size, "bytes read")
        if text:
            yield {"text": text, "title": title, "page": index + 1, "pages": count, "source_file": path.name}
        else:
            empty.append(index + 1)
            report.reject(Reject(f"{path.name}: page {index + 1} has no text; it is empty or a scanned picture."))
    if empty:
        report.note(
            f"{path.name}: {len(empty)} of {count} pages have no text. Scanned pages need text recognition first."
        )


def _text(page: Any) -> str:
    text_page = page.get_textpage()
    try:
        text = str(text_page.get_text_range())
    finally:
        text_page.close()
        page.close()
    text = _HYPHEN.sub("", text).replace("\r\n", "\n").replace("\0", "")
    return "\n".join(line.rstrip() for line in text.split("\n")).strip()


def _whole(pages: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    gathered = list(pages)
    if gathered:
        first = {name: value for name, value in gathered[0].items() if name != "page"}
        yield {**first, "text": "\n\n".join(page["text"] for page in gathered)}
