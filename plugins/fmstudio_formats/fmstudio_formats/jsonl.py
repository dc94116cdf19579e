"""JSON Lines: one object a line. Whole blocks are parsed by Arrow; a block it refuses is read line by line.

So a damaged line costs its own block some speed and nothing else: its good neighbours come through, and it is reported
with line number, byte offset and reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Importer, ImportReport, Reject, TaskContext
from fmstudio.api import Params as AnyParams
from fmstudio_formats.arrow_json import JsonParser
from fmstudio_formats.batches import Batcher
from fmstudio_formats.depth import DEEPEST, is_too_deep, may_be_too_deep
from fmstudio_formats.encoding import EncodingParams, Source, open_utf8
from fmstudio_formats.lines import At, Block, LineNumbers, in_order, line_blocks, line_ends, mark_of

if TYPE_CHECKING:
    import pyarrow as pa


class JsonLinesImporter(Importer):
    """Reads ``.jsonl`` and ``.ndjson``, also compressed."""

    Params = EncodingParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, EncodingParams)
        source = open_utf8(path, params.encoding, report)
        try:
            yield from read_json_lines(source, path, report, ctx, self)
        finally:
            source.close()


def read_json_lines(
    source: Source, path: Path, report: ImportReport, ctx: TaskContext, importer: Importer
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an open file.

    Args:
        importer: Has the mark to begin at, and is given those of places after it.
    """
    parser, batcher, start = JsonParser(), Batcher(report), At.of(source, importer.mark)
    if importer.mark is not None:
        batcher.restore(importer.mark["told"])
    end = start.end
    with LineNumbers(source, line_ends) as lines:
        for block, table in in_order(line_blocks(source, start), lambda block: parser.parse(block.data)):
            ctx.check_cancelled()
            ctx.progress(source.consumed(block.end), source.size, "bytes read")
            if (place := mark_of(block, source)) is not None:
                importer.mark = {**place, "told": batcher.state()}
            for reject in block.lost:
                report.reject(reject)
            if table is not None:
                parser.learn(block.data, table)
                yield from table.to_batches()
            else:
                yield from batcher.batched(_read_lines(block, lines, source, report))
            end = block.end
        source.tell_damage(path, report, lambda: lines.at(end))


def _read_lines(block: Block, lines: LineNumbers, source: Source, report: ImportReport) -> Iterator[dict[str, Any]]:
    byte = block.byte
    for number, raw in enumerate(block.data.split(b"\n")):
        if raw.strip():
            try:
                yield from parse_line(raw.rstrip(b"\r"))
            except ValueError as error:
                shown = raw[:8000].decode("utf-8", "replace").rstrip("\r")[:2000]
                report.reject(Reject(str(error), lines.at(block.start) + number, byte, shown))
        byte = source.after(byte, raw + b"\n")


def parse_line(raw: bytes) -> list[dict[str, Any]]:
    """Parse the one object of a line, or the several that some programs write without a line end between them.

    Raises:
        ValueError: They are not JSON objects in UTF-8; the text says why and where.
    """
    if b"\0" in raw:
        raise ValueError(f"Damaged: a zero byte at column {raw.index(0) + 1}.")
    try:
        values = _values(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"Not UTF-8: byte {raw[error.start]:#04x} at column {error.start + 1}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"Not valid JSON: {error.msg.removesuffix(' at')} at column {error.pos + 1}.") from error
    except RecursionError as error:
        raise ValueError(f"Not readable: brackets are nested more than {DEEPEST} deep.") from error
    if may_be_too_deep(raw) and any(is_too_deep(value) for value in values):
        raise ValueError(f"Not readable: brackets are nested more than {DEEPEST} deep.")
    for value in values:
        if not isinstance(value, dict):
            raise ValueError(f"Not an object {{…}} but {_kind(value)}.")
    return values


def _values(text: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except json.JSONDecodeError as error:
        if error.msg != "Extra data" or text[error.pos] != "{":
            raise
    decode, values = json.JSONDecoder().raw_decode, []
    while text := text.lstrip():
        value, end = decode(text)
        values.append(value)
        text = text[end:]
    return values


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false"}
    return names.get(type(value), "null")
