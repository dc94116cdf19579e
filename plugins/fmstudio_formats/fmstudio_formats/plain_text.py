"""Plain text and Markdown: a row for each paragraph, each line, each section, or the whole file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import Field, Importer, ImportReport, Reject, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.batches import Batcher
from fmstudio_formats.encoding import EncodingParams, Source, open_utf8
from fmstudio_formats.markdown import sections

if TYPE_CHECKING:
    import pyarrow as pa

_READ = 1 << 20
_LOOKED_AT = 64 << 10
_LINES = 20
_LONGEST = 64 << 20


class TextParams(EncodingParams):
    """Settings of the text importer."""

    rows: Literal["paragraph", "line", "section", "file"] = Field(
        default="paragraph",
        title="One row is",
        description="A paragraph ends at an empty line; a section of Markdown runs from one heading (#) to the next.",
    )


class TextImporter(Importer):
    """Reads ``.txt`` and ``.md``."""

    Params = TextParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, TextParams)
        head = open_utf8(path, params.encoding, report)
        try:
            if mark := _cells_between(head.read(_LOOKED_AT).decode("utf-8", "replace")):
                report.note(
                    f"The lines look like rows of a table, with {mark} between the cells: choose the format CSV."
                )
        finally:
            head.close()
        source = head.again()
        try:
            yield from Batcher(report).batched(_pieces(source, path, params.rows, report, ctx))
            source.tell_damage(path, report)
        finally:
            source.close()


def _cells_between(head: str) -> str:
    """Say what stands between the cells where all of the first lines have as many of it; empty where this is no table."""
    lines = [line for line in head.split("\n")[:-1] if line.strip()][:_LINES] or []
    if len(lines) < 3 or any(line.lstrip().startswith("|") for line in lines):  # a table of Markdown
        return ""
    for sign, title in (("\t", "a tab"), ("|", "a bar"), (";", "a semicolon")):
        counts = {line.count(sign) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return title
    return ""


def _pieces(source: Source, path: Path, unit: str, report: ImportReport, ctx: TaskContext) -> Iterator[dict[str, Any]]:
    if unit == "section":
        yield from sections(_lines(source, path, report, ctx))
        return
    gathered: list[str] = []
    start, size = 1, 0
    for number, line in _lines(source, path, report, ctx):
        is_break = unit == "line" or (unit == "paragraph" and not line.strip())
        if unit == "line":
            gathered = [line]
        elif not is_break:
            start = start if gathered else number
            gathered.append(line)
            size += len(line)
        if size > _LONGEST:
            raise UserError(
                f"A row of {path.name}, from line {start}, is longer than 64 MiB.", remedy="Make one row of each line."
            )
        if is_break and (text := "\n".join(gathered).strip()):
            yield {"text": text, "line": number if unit == "line" else start}
        if is_break:
            gathered, size = [], 0
    if text := "\n".join(gathered).strip():
        yield {"text": text, "line": start}


def _lines(source: Source, path: Path, report: ImportReport, ctx: TaskContext) -> Iterator[tuple[int, str]]:
    number, done, at = 0, 0, source.start or 0
    pending: list[bytes] = []  # a long line in pieces, joined once
    held = 0
    while True:
        data = source.read(_READ)
        done += len(data)
        ctx.check_cancelled()
        ctx.progress(source.consumed(done), source.size, "bytes read")
        pending.append(data)
        held += len(data)
        if held > 2 * _LONGEST:
            raise UserError(f"Line {number + 1} of {path.name} is longer than 64 MiB.", remedy="Break it into lines.")
        if data and b"\n" not in data:
            continue
        *whole, tail = b"".join(pending).split(b"\n")
        if not data:
            whole, tail = [*whole, tail], b""
        pending, held = [tail], len(tail)
        for raw in whole:
            number += 1
            try:
                yield number, raw.decode("utf-8").rstrip("\r")
            except UnicodeDecodeError as error:
                shown = raw[:8000].decode("utf-8", "replace")[:2000]
                reason = f"Not UTF-8: byte {raw[error.start]:#04x} at column {error.start + 1}."
                report.reject(Reject(reason, number, None if source.start is None else at, shown))
            at += len(raw) + 1
        if not data:
            return
