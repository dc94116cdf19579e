"""Records of a CSV file: blocks that end where a record ends, and the careful reading of a block that is damaged."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from fmstudio.api import ImportReport, Reject
from fmstudio_formats.csv_head import Dialect
from fmstudio_formats.encoding import Source
from fmstudio_formats.lines import BLOCK, FIRST_BLOCK, LONGEST_LINE, At, Block, LineNumbers, count_of

_LARGEST_CELL = 256 << 20


def record_blocks(source: Source, dialect: Dialect, start: At) -> Iterator[Block]:
    """Yield blocks from a place on that end after a record as far as the quotes tell; the last one may end anywhere."""
    quote = dialect.quote.encode()
    byte, end = start.byte, start.end
    rest, size = b"", FIRST_BLOCK
    for block in start.again(source):
        yield block
        byte, end = source.after(byte, block.data), block.end
        rest, size = source.exactly(block.ahead), BLOCK
    while data := source.read(size):
        size = BLOCK
        cut = _record_end(data, quote, rest.count(quote))
        if not cut:
            # Hardly ever: the record is longer than a block, or its quotes are of no use.
            data, rest = rest + data, b""
            if not (cut := _record_end(data, quote)) and len(data) <= LONGEST_LINE:
                rest = data
                continue
            cut = cut or data.rfind(b"\n") + 1 or len(data)
        # Copied once, not once for each piece, and mostly not at all.
        whole = data if cut == len(data) and not rest else b"".join((rest, memoryview(data)[:cut]))
        rest = data[cut:]
        end += len(whole)
        yield Block(whole, byte, end, len(rest))
        byte = source.after(byte, whole)
    if rest:
        yield Block(rest, byte, end + len(rest))


def count_lines(data: bytes) -> int:
    """Number of line ends of any kind."""
    lines = count_of(b"\n", data)
    return lines + data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else lines


def _record_end(data: bytes, quote: bytes, before: int = 0) -> int:
    """Find the last line end outside quotes (an even number of them before it); 0 = there is none.

    Args:
        before: How many quotes of the same record stand before the data.
    """
    end = b"\n" if b"\n" in data else b"\r"
    cut = data.rfind(end, 0, len(data) - (end == b"\r")) + 1
    if not cut or (total := count_of(quote, data)) + before == 0:
        return cut
    before, right = before + total - data.count(quote, cut), cut
    while cut and before % 2:
        # Inside quotes: the cell began at the last quote, so the record ends at a line end before it.
        if (opened := data.rfind(quote, 0, right)) < 0:
            return 0
        cut = data.rfind(end, 0, opened) + 1
        before -= data.count(quote, cut, right)
        right = cut
    return cut


@dataclass(slots=True)
class _Lines:
    """The lines of a block as csv.reader asks for them, with the place of the record being read."""

    lines: list[bytes]
    taken: int = 0
    asked_too_far: bool = False

    def __iter__(self) -> Iterator[str]:
        while self.taken < len(self.lines):
            self.taken += 1
            yield self.lines[self.taken - 1].decode("utf-8", "surrogateescape")
        self.asked_too_far = True


@dataclass(slots=True)
class CarefulReader:
    """Reads blocks record by record and reports each one that is no good, with line and byte.

    A quote that is opened and never closed costs the line it is in: reading goes on with the next line.

    Attributes:
        width: Cells a record must have; 0 = any number.
        carry: Bytes after the last whole record; they belong before the next block.
    """

    dialect: Dialect
    width: int
    report: ImportReport
    source: Source
    lines: LineNumbers
    carry: bytes = field(default=b"", init=False)
    _start: int = field(default=0, init=False)
    _passed: int = field(default=0, init=False)  # lines from there to the record being read
    _byte: int | None = field(default=0, init=False)

    def read(self, block: Block, is_last: bool) -> Iterator[list[str]]:
        """Yield the good records of what was carried over and this block."""
        if not self.carry:
            self._start, self._passed, self._byte = block.start, 0, block.byte
        data, self.carry = self.carry + block.data, b""
        while data:
            data = yield from self._pass(data, is_last)

    def _pass(self, data: bytes, is_last: bool) -> Generator[list[str], None, bytes]:
        """Read to the end of `data` or to a quote that is never closed; give what is to be read again."""
        csv.field_size_limit(_LARGEST_CELL)
        lines = _Lines(data.splitlines(keepends=True))
        reader = csv.reader(iter(lines), delimiter=self.dialect.delimiter, quotechar=self.dialect.quote)
        while True:
            first = lines.taken
            try:
                cells = next(reader, None)
            except csv.Error as error:
                cells = []
                self._reject(f"{error}.", lines.lines[first : lines.taken])
            if cells is None:
                return b""
            raw = lines.lines[first : lines.taken]
            size = sum(map(len, raw))
            if lines.asked_too_far:  # within a record: so its quotes are open
                if not is_last and size <= LONGEST_LINE:
                    self.carry = b"".join(raw)
                    return b""
                self._reject(f"A quoted field that begins in line {self._line()} is never closed.", raw[:1])
                self._pass_over(raw[:1])
                return b"".join(raw[1:])
            if cells and self._is_good(cells, raw):
                yield cells
            self._pass_over(raw)

    def _is_good(self, cells: list[str], raw: list[bytes]) -> bool:
        if self.width and len(cells) != self.width:
            self._reject(f"{len(cells)} fields instead of {self.width}.", raw)
            return False
        whole = b"".join(raw)
        if b"\0" in whole:
            self._reject(f"Damaged: a zero byte {whole.index(0)} bytes into the row.", raw)
            return False
        try:
            whole.decode("utf-8")
        except UnicodeDecodeError as error:
            self._reject(f"Not UTF-8: byte {whole[error.start]:#04x}, {error.start} bytes into the row.", raw)
            return False
        return True

    def _reject(self, reason: str, raw: list[bytes]) -> None:
        shown = b"".join(raw)[:8000].decode("utf-8", "replace").rstrip("\r\n")[:2000]
        self.report.reject(Reject(reason, self._line(), self._byte, shown))

    def _line(self) -> int:
        return self.lines.at(self._start) + self._passed

    def _pass_over(self, raw: list[bytes]) -> None:
        self._passed += len(raw)
        self._byte = self.source.after(self._byte, b"".join(raw))
