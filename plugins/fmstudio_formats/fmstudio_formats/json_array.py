"""JSON: an array of objects, or an object that holds one. Read piece by piece, so a large or cut file is no problem.

A file whose end is missing gives its whole rows and one reject that names the place.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fmstudio.api import Importer, ImportReport, Reject, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.batches import batched
from fmstudio_formats.depth import DEEPEST, is_too_deep, may_be_too_deep
from fmstudio_formats.encoding import EncodingParams, Source, open_utf8
from fmstudio_formats.jsonl import read_json_lines

if TYPE_CHECKING:
    import pyarrow as pa

_READ = 1 << 20
_TOO_DEEP = f"Brackets are nested more than {DEEPEST} deep. The rest of the file is not read."
_SPACE = re.compile(r"[ \t\r\n]*")
_FIRST = re.compile(r"\[[ \t\r\n]*([^ \t\r\n])")


class JsonParams(EncodingParams):
    """Settings of the JSON importer."""

    rows: str = Field(default="", title="List", description="Name of the list that holds the rows; empty = the first.")


class JsonImporter(Importer):
    """Reads ``.json``."""

    Params = JsonParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, JsonParams)
        rows: Callable[..., Iterator[pa.RecordBatch]]
        if _is_json_lines(open_utf8(path, params.encoding, report)):
            report.note("The file has one JSON object a line, so it is read as JSON Lines.")
            rows = read_json_lines
        else:
            rows = partial(_read_value, wanted=params.rows)
        source = open_utf8(path, params.encoding, _Silent())
        try:
            yield from rows(source, path, report, ctx)
        finally:
            source.stream.close()


def _read_value(
    source: Source, path: Path, report: ImportReport, ctx: TaskContext, wanted: str
) -> Iterator[pa.RecordBatch]:
    yield from batched(_Reader(source, path, report, ctx).rows(wanted))


class _Silent(ImportReport):
    """For the second opening of a file, whose notes were given at the first."""

    def reject(self, reject: Reject) -> None:
        """Opening rejects nothing."""

    def note(self, text: str) -> None:
        """Already given."""


def _is_json_lines(source: Source) -> bool:
    """Whether the first two lines are an object each."""
    head = source.stream.read(1 << 20).decode("utf-8", "replace")
    source.stream.close()
    lines = [line for line in head.splitlines() if line.strip()][:2]
    if len(lines) < 2 or not lines[1].lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(lines[0]), dict)
    except ValueError:
        return False


class _Cut(Exception):
    """The text ended, or broke, within a value."""


class _Reader:
    """A window on the file's text that moves on as values are read."""

    def __init__(self, source: Source, path: Path, report: ImportReport, ctx: TaskContext) -> None:
        self._source, self._path, self._report, self._ctx = source, path, report, ctx
        self._decode_bytes = codecs.getincrementaldecoder("utf-8")("strict").decode
        self._json = json.JSONDecoder()
        self._text, self._at, self._is_end = "", 0, False
        self._line, self._byte, self._read = 1, source.start, 0
        self._has_failed = False

    def rows(self, wanted: str) -> Iterator[dict[str, Any]]:
        """Yield each element of the list that holds the rows."""
        first = self._peek()
        if first == "[":
            yield from self._elements("")
        elif first == "{":
            yield from self._object(wanted)
        else:
            raise UserError(
                f"{self._path.name} is not JSON: line {self._place()} starts with “{self._text[self._at :][:20]}”.",
                remedy="A JSON file starts with [ or {; choose another importer.",
            )
        if self._peek():
            self._reject("There is more text after the end of the JSON value.")

    def _object(self, wanted: str) -> Iterator[dict[str, Any]]:
        """Walk the keys of the outer object; stream the list of rows, remember the rest."""
        self._at += 1
        other: dict[str, Any] = {}
        found = ""
        while (char := self._peek()) != "}":
            try:
                key = str(self._value())
                if self._peek() != ":":
                    raise _Cut(f"After the name “{key[:40]}” a colon is missing.")
                self._at += 1
                if self._peek() == "[" and not found and wanted in ("", key) and self._holds_rows():
                    found = key
                    yield from self._elements(key)
                    if self._has_failed:
                        return
                else:
                    other[key] = self._value()
            except _Cut as error:
                self._reject(str(error))
                return
            if self._peek() == ",":
                self._at += 1
            elif not char or self._peek() != "}":
                self._reject("The object is cut: its closing } is missing.")
                return
        self._at += 1
        yield from self._without_list(other, found, wanted)

    def _without_list(self, other: dict[str, Any], found: str, wanted: str) -> Iterator[dict[str, Any]]:
        lists = [key for key, value in other.items() if isinstance(value, list) and isinstance((value or [0])[0], dict)]
        if found and lists:
            self._report.note(f"Rows are read from “{found}”; not from {', '.join(lists)}.")
        elif not found and wanted:
            raise UserError(f"{self._path.name} has no list “{wanted}”.", remedy=f"It has: {', '.join(other)}.")
        elif not found and other:
            self._report.note("The file holds one object and no list of rows, so it is read as one row.")
            yield other

    def _holds_rows(self) -> bool:
        """Whether the list that starts here has objects or lists in it (tags and numbers are no rows)."""
        while (match := _FIRST.match(self._text, self._at)) is None and not self._is_end:
            self._more()
        return match is not None and match[1] in "{["

    def _elements(self, key: str) -> Iterator[dict[str, Any]]:
        self._at += 1
        while (char := self._peek()) != "]":
            if not char:
                self._reject("The list is cut: its closing ] is missing.")
                return
            try:
                value = self._value()
            except _Cut as error:
                self._reject(str(error))
                return
            yield _row(value, key)
            if (after := self._peek()) == ",":
                self._at += 1
            elif after != "]":
                self._reject("The list is cut: its closing ] is missing." if not after else "A comma is missing.")
                return
        self._at += 1

    def _value(self) -> Any:
        """Read one value at the current place, with as much of the file as it needs."""
        self._peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._is_end or (error.pos < len(self._text) - 64 and "Unterminated" not in error.msg):
                    line = self._line + self._text.count("\n", 0, error.pos)
                    reason = f"Not valid JSON: {error.msg} (line {line}). The rest of the file is not read."
                    raise _Cut(reason) from error
            except RecursionError as error:
                raise _Cut(_TOO_DEEP) from error
            else:
                if end < len(self._text) or self._is_end:
                    if may_be_too_deep(self._text[self._at : end]) and is_too_deep(value):
                        raise _Cut(_TOO_DEEP)
                    self._at = end
                    return value
            self._more()

    def _peek(self) -> str:
        """Skip white space and give the next character; empty at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._is_end:
                return self._text[self._at : self._at + 1]
            self._more()

    def _more(self) -> None:
        """Forget what was read and add the next piece; a long value doubles the piece."""
        self._ctx.check_cancelled()
        used = self._text[: self._at]
        self._line += used.count("\n")
        if self._byte is not None:
            self._byte += len(used.encode("utf-8"))
        data = self._source.stream.read(max(_READ, len(self._text) - self._at))
        try:
            fresh = self._decode_bytes(data, not data)
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self._path.name} is not valid UTF-8 near byte {self._read + error.start}.",
                remedy="Name the file's encoding, or mend that place.",
            ) from error
        self._text = self._text[self._at :] + fresh
        self._at, self._is_end = 0, not data
        self._read += len(data)
        self._ctx.progress(min(self._read, self._source.size), self._source.size, "bytes read")

    def _place(self) -> int:
        return self._line + self._text.count("\n", 0, self._at)

    def _reject(self, reason: str) -> None:
        line = self._place()
        byte = None if self._byte is None else self._byte + len(self._text[: self._at].encode("utf-8"))
        self._report.reject(Reject(reason, line, byte, self._text[self._at : self._at + 2000]))
        self._text, self._at, self._is_end, self._has_failed = "", 0, True, True


def _row(value: Any, key: str) -> dict[str, Any]:
    """Make a row of an element that is no object: a list is a conversation, a string a text."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {key or "messages": value}
    return {"text" if isinstance(value, str) else "value": value}
