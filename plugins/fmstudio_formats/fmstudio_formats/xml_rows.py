"""XML: the elements that repeat are rows (``<row …/>`` of Stack Exchange, ``<page>`` of MediaWiki, ``<item>`` of a feed).

Attributes and elements inside are the cells of a row. Read piece by piece. Entities that a file declares itself are refused:
a few of them can be made to fill any memory, or to read other files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from fmstudio.api import Field, Importer, ImportReport, Reject, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.batches import Batcher
from fmstudio_formats.encoding import EncodingParams, Source, open_utf8

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE = 1 << 20
_LOOKED_AT = 4 << 20
_DEEPEST = 64
_LARGEST_ROW = 64 << 20
_WHOLE_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})")


class XmlParams(EncodingParams):
    """Settings of the XML importer."""

    rows: str = Field(
        default="",
        title="Row",
        description="Path of the elements that are rows, such as posts/row; empty = the outermost that repeat.",
    )


class XmlImporter(Importer):
    """Reads ``.xml``, also compressed."""

    Params = XmlParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, XmlParams)
        head = open_utf8(path, params.encoding, report)
        try:
            wanted = params.rows.strip("/ ") or _repeating(head, path)
        finally:
            head.close()
        source = head.again()
        try:
            rows = _Rows(wanted)
            for batch in Batcher(report).batched(_read(source, rows, path, report, ctx)):
                yield _with_numbers(batch)
            source.tell_damage(path, report)
        finally:
            source.close()
        if params.rows and not rows.count:
            raise UserError(f"{path.name} has no element {wanted}.", remedy="Write its path, such as posts/row.")
        report.note(
            f"Each <{wanted.rpartition('/')[2]}> is a row{'; what stands outside is left out' if rows.others else ''}."
        )


def _parser() -> Any:
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.EntityDeclHandler = _refuse_entity
    return parser


def _refuse_entity(*_: Any) -> None:
    raise UserError(
        "The file declares entities of its own, which can be made to fill any memory, so it is not read.",
        remedy="Save it without them.",
    )


def _repeating(source: Source, path: Path) -> str:
    """Find the outermost elements of which there are several, in the first megabytes; else those under the root."""
    counts: Counter[str] = Counter()
    at: list[str] = []
    parser = _parser()

    def start(name: str, _: Any) -> None:
        at.append(name)
        if len(at) <= _DEEPEST:
            counts["/".join(at)] += 1

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: at.pop()
    read = 0
    try:
        while read < _LOOKED_AT and (data := source.read(_PIECE)):
            read += len(data)
            parser.Parse(data, False)
    except expat.ExpatError as error:
        if not counts:
            raise UserError(
                f"{path.name} is not XML: {expat.ErrorString(error.code)} in line {error.lineno}.",
                remedy="Choose another importer.",
            ) from error
    several = [place for place, count in counts.items() if count > 1]
    if several:
        return min(several, key=lambda place: (place.count("/"), -counts[place]))
    return next((place for place in counts if place.count("/") == 1), next(iter(counts), ""))


class _Rows:
    """Builds rows out of what the parser meets.

    Attributes:
        ready: Rows that are whole.
        count: Number of rows so far.
        others: Whether there is text or another element outside of the rows.
    """

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted.split("/")
        self._at: list[str] = []
        self._open: list[tuple[dict[str, Any], list[Any]]] = []
        self._size = self._deeper = 0
        self.ready: list[dict[str, Any]] = []
        self.count = 0
        self.others = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._at.append(name)
        if len(self._open) >= _DEEPEST:
            self._deeper += 1  # the text of what is nested deeper is that of the last element that is not
        elif self._open or self._at == self._wanted:
            self._size += sum(map(len, attributes.values()))
            self._open.append((dict(attributes), []))
        elif self._at != self._wanted[: len(self._at)]:
            self.others = True

    def text(self, data: str) -> None:
        """Text within an element.

        Raises:
            UserError: The row it is in does not end.
        """
        if self._open:
            self._size += len(data)
            if self._size > _LARGEST_ROW:
                raise UserError("An element is longer than 64 MiB.", remedy="Name smaller ones under Row.")
            self._open[-1][1].append(data)

    def end(self, name: str) -> None:
        """An element ends: it is a cell of the one around it, or a row."""
        self._at.pop()
        if not self._open:
            return
        if self._deeper:
            self._deeper -= 1
            return
        value = _value(*self._open.pop())
        if self._open:
            self._open[-1][1].append((name, value))
            return
        self._size = 0
        self.count += 1
        self.ready.append(value if isinstance(value, dict) else {"text": value})


def _value(attributes: dict[str, Any], inside: list[Any]) -> Any:
    """Give an element as text, or as an object of its attributes and elements; text with elements in it stays text."""
    children = [one for one in inside if isinstance(one, tuple)]
    own = "".join(one for one in inside if isinstance(one, str)).strip()
    if children and own:
        own, children = "".join(one if isinstance(one, str) else _words(one[1]) for one in inside).strip(), []
    if not children and not attributes:
        return own
    cells: dict[str, Any] = {}
    for name, value in children:
        if name in cells:
            known = cells[name]
            cells[name] = [*(known if isinstance(known, list) else [known]), value]
        else:
            cells[name] = value
    made = {_free(name, cells): value for name, value in attributes.items()} | cells
    return made | ({_free("text", made): own} if own else {})


def _free(name: str, taken: dict[str, Any]) -> str:
    while name in taken:
        name += "_2"
    return name


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("text", ""))
    return "".join(map(_words, value)) if isinstance(value, list) else str(value)


def _read(source: Source, rows: _Rows, path: Path, report: ImportReport, ctx: TaskContext) -> Iterator[dict[str, Any]]:
    parser = _parser()
    parser.StartElementHandler, parser.EndElementHandler = rows.start, rows.end
    parser.CharacterDataHandler = rows.text
    read = 0
    while True:
        ctx.check_cancelled()
        data = source.read(_PIECE)
        read += len(data)
        try:
            parser.Parse(data, not data)
        except expat.ExpatError as error:
            yield from rows.ready
            rows.ready = []
            byte = None if source.start is None or source.is_recoded else source.start + parser.ErrorByteIndex
            reason = f"Not valid XML: {expat.ErrorString(error.code)}. The rest of the file is not read."
            report.reject(Reject(reason, error.lineno, byte))
            return
        yield from rows.ready
        rows.ready = []
        ctx.progress(source.consumed(read), source.size, "bytes read")
        if not data:
            return


def _with_numbers(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Make whole numbers of columns that hold nothing else; 007 and 20 digits stay text."""
    import pyarrow as pa

    columns = {}
    for name in batch.schema.names:
        column = batch.column(name)
        values = column.to_pylist() if pa.types.is_string(column.type) else []
        is_number = bool(values) and all(v is None or _WHOLE_NUMBER.fullmatch(v) for v in values)
        is_number = is_number and column.null_count < len(column)
        columns[name] = pa.array([None if v is None else int(v) for v in values], pa.int64()) if is_number else column
    return pa.RecordBatch.from_pydict(columns)
