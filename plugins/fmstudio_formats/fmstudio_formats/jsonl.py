"""JSON Lines: one object a line. Whole blocks are parsed by Arrow; a block it refuses is read line by line.

So a damaged line costs its own block some speed and nothing else: its good neighbours come through, and it is reported
with line number, byte offset and reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Importer, ImportReport, Reject, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.batches import batched
from fmstudio_formats.depth import DEEPEST, is_too_deep, may_be_too_deep
from fmstudio_formats.encoding import EncodingParams, Source, is_utf8, open_utf8

if TYPE_CHECKING:
    import pyarrow as pa

_FIRST_BLOCK = 256 << 10
_BLOCK = 8 << 20
_CHUNK = 2 << 20
_LONGEST_LINE = 256 << 20
_EXACT = 2.0**53


class JsonLinesImporter(Importer):
    """Reads ``.jsonl`` and ``.ndjson``."""

    Params = EncodingParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, EncodingParams)
        source = open_utf8(path, params.encoding, report)
        try:
            yield from read_json_lines(source, path, report, ctx)
        finally:
            source.stream.close()


@dataclass(frozen=True, slots=True)
class _Block:
    """Whole lines, with the number of the first one and its offset in the file (None: unknown)."""

    data: bytes
    line: int
    byte: int | None


def read_json_lines(source: Source, path: Path, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an open file."""
    parser = _Parser()
    done = 0
    for block in _blocks(source, path):
        ctx.check_cancelled()
        table = parser.parse(block.data)
        done += len(block.data)
        ctx.progress(min(done, source.size), source.size, "bytes read")
        if table is not None:
            yield from table.to_batches()
        else:
            yield from batched(_read_lines(block, report))


def _blocks(source: Source, path: Path) -> Iterator[_Block]:
    tail = b""
    line, byte = 1, source.start
    size = _FIRST_BLOCK  # a preview needs little, and gets it at once
    while data := source.stream.read(size):
        size = _BLOCK
        cut = data.rfind(b"\n") + 1
        if not cut:
            tail += data
            if len(tail) > _LONGEST_LINE:
                raise UserError(
                    f"Line {line} of {path.name} is longer than 256 MiB.",
                    remedy="Check that the file has one JSON object a line; for one large array use the JSON importer.",
                )
            continue
        whole, tail = tail + data[:cut], data[cut:]
        yield _Block(whole, line, byte)
        line += whole.count(b"\n")
        byte = None if byte is None else byte + len(whole)
    if tail.strip():
        yield _Block(tail, line, byte)


class _Parser:
    """Arrow's parser, kept to what the file says: dates stay text, and large whole numbers keep their digits."""

    def __init__(self) -> None:
        self._schema: pa.Schema | None = None

    def parse(self, data: bytes) -> pa.Table | None:
        """Parse whole lines; None when Arrow cannot, or not without loss."""
        import pyarrow as pa

        if not data.strip() or not is_utf8(data) or may_be_too_deep(data):
            return None
        for schema in (self._schema, None) if self._schema is not None else (None,):
            try:
                table = self._exact(data, schema)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue
            if table is not None:
                self._schema = _known_part(table.schema)
            return table
        return None

    def _exact(self, data: bytes, schema: pa.Schema | None) -> pa.Table | None:
        table = _arrow_json(data, schema)
        if any(_has_time(field.type) for field in table.schema):
            table = _arrow_json(data, _without_times(table.schema))
        return None if any(_has_huge(column) for column in table.columns) else table


def _arrow_json(data: bytes, schema: pa.Schema | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.json

    parse = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer")
    for chunk in (_CHUNK, len(data) + 1):
        try:
            read = pyarrow.json.ReadOptions(block_size=chunk, use_threads=True)
            return pyarrow.json.read_json(pa.BufferReader(data), read_options=read, parse_options=parse)
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error) or chunk > len(data):
                raise
    raise AssertionError("a block always fits into itself")


def _has_time(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return any(_has_time(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_temporal(kind))


def _without_times(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(field.name, _timeless(field.type)) for field in schema])


def _timeless(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([(f.name, _timeless(f.type)) for f in kind])
    if pa.types.is_list(kind):
        return pa.list_(_timeless(kind.value_type))
    return pa.string() if pa.types.is_temporal(kind) else kind


def _known_part(schema: pa.Schema) -> pa.Schema:
    """Leave out columns whose type is not settled yet: they must stay free to be inferred."""
    import pyarrow as pa

    return pa.schema([field for field in schema if not _has_null(field.type)])


def _has_null(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return not kind.num_fields or any(_has_null(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_null(kind))


def _has_huge(column: pa.ChunkedArray) -> bool:
    """Whether a number was read as a decimal too large to be exact: an id of 20 digits would lose some."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_struct(kind):
        leaves = [leaf for chunk in column.chunks for leaf in _leaves(chunk)]
        return any(_has_huge(pa.chunked_array([leaf])) for leaf in leaves)
    if not pa.types.is_floating(kind):
        return False
    ends = pc.min_max(column).as_py()
    return any(end is not None and abs(end) >= _EXACT for end in ends.values())


def _leaves(array: pa.Array) -> list[pa.Array]:
    flat = array.flatten()
    return flat if isinstance(flat, list) else [flat]


def _read_lines(block: _Block, report: ImportReport) -> Iterator[dict[str, Any]]:
    byte = block.byte
    for number, raw in enumerate(block.data.splitlines(keepends=True), block.line):
        if raw.strip():
            try:
                yield parse_object(raw.rstrip(b"\r\n"))
            except ValueError as error:
                shown = raw[:8000].decode("utf-8", "replace").rstrip("\r\n")[:2000]
                report.reject(Reject(str(error), number, byte, shown))
        byte = None if byte is None else byte + len(raw)


def parse_object(raw: bytes) -> dict[str, Any]:
    """Parse one line.

    Raises:
        ValueError: It is not one JSON object in UTF-8; the text says why and where.
    """
    try:
        value = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"Not UTF-8: byte {raw[error.start]:#04x} at column {error.start + 1}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"Not valid JSON: {error.msg} at column {error.colno}.") from error
    except RecursionError as error:
        raise ValueError(f"Not readable: brackets are nested more than {DEEPEST} deep.") from error
    if may_be_too_deep(raw) and is_too_deep(value):
        raise ValueError(f"Not readable: brackets are nested more than {DEEPEST} deep.")
    if not isinstance(value, dict):
        raise ValueError(f"Not an object {{…}} but {_kind(value)}.")
    return value


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false"}
    return names.get(type(value), "null")
