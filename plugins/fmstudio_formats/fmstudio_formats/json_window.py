"""A window on the text of a JSON file that moves on as values are read, so that the file may be of any size."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

from fmstudio.api import ImportReport, Reject, TaskContext
from fmstudio_formats.depth import DEEPEST, is_too_deep, may_be_too_deep
from fmstudio_formats.encoding import Source
from fmstudio_formats.json_stretch import Stretch, whole_objects
from fmstudio_formats.lines import BLOCK, FIRST_BLOCK

_READ = 1 << 20
_LARGEST = 256 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_FIRST = re.compile(r"\[[ \t\r\n]*([^ \t\r\n])")
_OPENING = re.compile(r"[,\[\n][ \t\r\n]*(?=\{)")
_NAME = re.compile(r'\{\s*"((?:[^"\\]|\\.){1,200})"\s*:')


class Broken(Exception):
    """The text ended, or broke, within a value."""


class TooLarge(Broken):
    """A value is larger than the caller wanted to hold."""


class Window:
    """The text from the current place on, as much of it as was needed so far."""

    def __init__(self, source: Source, path: Path, report: ImportReport, ctx: TaskContext) -> None:
        self.path, self.report = path, report
        self._source, self._ctx = source, ctx
        # Bytes that are not UTF-8 become lone surrogates, by which the value that holds them is known.
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._json = json.JSONDecoder()
        self._text, self._at, self._is_end = "", 0, False
        self._line, self._byte, self._read = 1, source.start, 0
        self._gone, self._stretch = 0, FIRST_BLOCK

    @property
    def place(self) -> int:
        """Characters before the current place."""
        return self._gone + self._at

    def objects(self) -> Stretch | None:
        """Give whole objects from the current place on; None where there are none, or they are to be read one by one.

        The place is as before; `pass_over` goes on after them.
        """
        while len(self._text) - self._at < self._stretch and not self._is_end:
            self._more()
        text, self._stretch = self._text[self._at : self._at + self._stretch], BLOCK
        try:
            return whole_objects(text.encode())
        except UnicodeEncodeError:
            return None

    def pass_over(self, size: int) -> None:
        """Go on after `size` bytes."""
        near = self._text[self._at : self._at + size]
        self._at += size if near.isascii() else len(near.encode()[:size].decode())

    def peek(self) -> str:
        """Skip white space and give the next character; empty at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._is_end:
                return self._text[self._at : self._at + 1]
            self._more()

    def skip(self) -> None:
        """Go past the next character."""
        self._at += 1

    def start(self) -> str:
        """Give the text at the current place, to show it."""
        return self._text[self._at : self._at + 2000]

    def holds_rows(self) -> bool:
        """Whether the list that starts here has objects or lists in it (tags and numbers are no rows)."""
        while (match := _FIRST.match(self._text, self._at)) is None and not self._is_end:
            self._more()
        return match is not None and match[1] in "{["

    def value(self, largest: int = _LARGEST) -> Any:
        """Read the value at the current place, with as much of the file as it needs.

        Raises:
            TooLarge: It is longer than `largest` characters; the place is as before.
            Broken: It is no JSON, or cut; the place is as before.
        """
        self.peek()
        value, end = self._decoded(self._at, largest)
        self._check(value, self._text[self._at : end])
        self._at = end
        return value

    def find_row(self, names: set[str], farthest: int = 64 << 20) -> bool:
        """After a broken row: go to the next whole object that looks like a row, one with half of the names.

        Args:
            names: Names that rows have; empty = those the broken row begins with.
            farthest: Characters after which the search ends.
        """
        names = names or set(_NAME.findall(self._text[self._at : self._at + 4000])[:1])
        at, tried = self._at + 1, 0
        while at - self._at < farthest and tried < 100_000:
            match = _OPENING.search(self._text, at)
            if match is None:
                if self._is_end:
                    return False
                at -= self._more()
                continue
            tried += 1
            before = self._at
            try:
                value, _ = self._decoded(match.end(), 8 << 20)
            except Broken:
                value = None
            shift = before - self._at
            if isinstance(value, dict) and len(names & value.keys()) * 2 >= max(1, len(names)):
                self._at = match.end() - shift
                return True
            at = match.end() - shift
        return False

    def reject(self, reason: str, line: int | None = None) -> None:
        """Report the place where something is wrong."""
        byte = self._source.after(self._byte, _bytes(self._text[: self._at]))
        shown = self.start().encode("utf-8", "replace").decode("utf-8")
        self.report.reject(Reject(reason, line or self.line, byte, shown))

    def end(self) -> None:
        """Give up the rest of the file."""
        self._text, self._at, self._is_end = "", 0, True

    @property
    def line(self) -> int:
        """1-based number of the current line."""
        return self._line + self._text.count("\n", 0, self._at)

    def _decoded(self, start: int, largest: int) -> tuple[Any, int]:
        while True:
            shift = 0
            try:
                value, end = self._json.raw_decode(self._text, start)
                if end < len(self._text) or self._is_end:
                    return value, end
            except json.JSONDecodeError as error:
                if self._is_end or (error.pos < len(self._text) - 64 and "Unterminated" not in error.msg):
                    line = self._line + self._text.count("\n", 0, error.pos)
                    raise Broken(f"Not valid JSON: {error.msg.removesuffix(' at')} (line {line}).") from error
            except RecursionError as error:
                raise Broken(f"Brackets are nested more than {DEEPEST} deep.") from error
            except ValueError as error:  # a whole number of more than 4 300 digits
                raise Broken(f"Not readable: {error}.") from error
            if len(self._text) - start > largest:
                raise TooLarge(f"A value that starts in line {self.line} is longer than {largest >> 20} MiB.")
            shift = self._more()
            start -= shift

    def _check(self, value: Any, text: str) -> None:
        if may_be_too_deep(text) and is_too_deep(value):
            raise Broken(f"Brackets are nested more than {DEEPEST} deep.")
        if not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text):
            raise Broken("It holds bytes that are not UTF-8.")

    def _more(self) -> int:
        """Forget what was read and add the next piece; a long value doubles the piece. Give how much was forgotten."""
        self._ctx.check_cancelled()
        used = self._text[: self._at]
        self._gone += len(used)
        self._line += used.count("\n")
        self._byte = self._source.after(self._byte, _bytes(used))
        data = self._source.read(max(_READ, len(self._text) - self._at))
        self._text = self._text[self._at :] + self._decode(data, not data)
        self._at, self._is_end = 0, not data
        self._read += len(data)
        self._ctx.progress(self._source.consumed(self._read), self._source.size, "bytes read")
        return len(used)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
