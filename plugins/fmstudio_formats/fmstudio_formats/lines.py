"""Blocks of whole lines of a text file, and work on several blocks at once with the results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from fmstudio.api import Reject
from fmstudio_formats.encoding import Source

FIRST_BLOCK = 256 << 10
"""A preview needs little, and gets it at once."""

BLOCK = 4 << 20

LONGEST_LINE = 64 << 20
"""A longer line is rejected, however much of it there is; rows of real data end far below."""

_SHOWN = 2000
_WORKERS = max(1, min(4, os.cpu_count() or 1))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines.

    Attributes:
        data: The lines with their ends, in UTF-8.
        byte: Offset of the first one in the file; None when that is unknown.
        end: Bytes of the source up to the end of this block.
        ahead: Bytes after it that have been read.
        lost: What stood before it and is no part of it.
    """

    data: bytes
    byte: int | None
    end: int
    ahead: int = 0
    lost: tuple[Reject, ...] = ()

    @property
    def start(self) -> int:
        """Bytes of the source before this block."""
        return self.end - len(self.data)


class LineNumbers:
    """Numbers of lines, which are counted when one is asked for: most files are read without a fault.

    The source is read anew, up to the place; whoever asks for places in ascending order has it read once.

    Args:
        source: The source.
        count: Counts the line ends in bytes of it.
    """

    def __init__(self, source: Source, count: Callable[[bytes], int]) -> None:
        self._source, self._count = source, count
        self._again: Source | None = None
        self._held = b""
        self._place, self._line = 0, 1

    def __enter__(self) -> LineNumbers:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def at(self, place: int) -> int:
        """The 1-based number of the line at a place, in bytes of the source."""
        if place < self._place:
            self._close()
        stream = self._again = self._again or self._source.again()
        while self._place < place and (piece := self._held or stream.read(BLOCK)):
            if piece == b"\r":  # the line end it begins may go on
                piece += stream.read(BLOCK)
            wanted = place - self._place
            piece, self._held = piece[:wanted], piece[wanted:]
            if len(piece) < wanted and len(piece) > 1 and piece.endswith(b"\r"):
                piece, self._held = piece[:-1], b"\r"
            self._place += len(piece)
            self._line += self._count(piece)
        return self._line

    def _close(self) -> None:
        if self._again is not None:
            self._again.close()
        self._again, self._held, self._place, self._line = None, b"", 0, 1


@dataclass(frozen=True, slots=True)
class At:
    """Where blocks begin in a source: at its start, or at a block that was read before.

    Attributes:
        byte: Offset of the place in the file; None when that is unknown.
        end: Bytes of the source before it.
        size: Bytes of the block that begins there; 0 = there is none yet.
        ahead: Bytes after it that had been read, too: so all blocks that follow are what they were.
    """

    byte: int | None
    end: int
    size: int = 0
    ahead: int = 0

    @classmethod
    def of(cls, source: Source, mark: dict[str, Any] | None) -> At:
        """The place of a `mark_of`, to which the source goes, or the start."""
        if mark is None:
            return cls(source.start, 0)
        source.skip(mark["end"])
        return cls(mark["byte"], mark["end"], mark["size"], mark["ahead"])

    def again(self, source: Source) -> Iterator[Block]:
        """Give the block that was read before, if there is one."""
        if self.size:
            data = source.exactly(self.size)
            yield Block(data, self.byte, self.end + len(data), self.ahead)


def mark_of(block: Block, source: Source) -> dict[str, Any] | None:
    """A mark (`Importer.mark`) before a block; None where blocks cannot be found again, in files that are recoded."""
    if source.is_recoded:
        return None
    return {"byte": block.byte, "end": block.start, "size": len(block.data), "ahead": block.ahead}


def line_blocks(source: Source, start: At) -> Iterator[Block]:
    """Yield the lines from a place on in blocks of about `BLOCK` bytes; the last one may lack its line end."""
    # Numbers of its own: this is ahead of those who work on the blocks, and places are best asked for in ascending order.
    with LineNumbers(source, line_ends) as lines:
        yield from _line_blocks(source, lines, start)


def _line_blocks(source: Source, lines: LineNumbers, start: At) -> Iterator[Block]:
    byte, end = start.byte, start.end
    pieces: list[bytes] = []
    lost: list[Reject] = []
    held, size, ahead = 0, FIRST_BLOCK, b""
    for block in start.again(source):
        yield block
        byte, end = source.after(byte, block.data), block.end
        pieces, size = [source.exactly(block.ahead)], BLOCK
        held = len(pieces[0])
    while data := ahead or source.read(size):
        size, ahead = BLOCK, b""
        cut = data.rfind(b"\n") + 1
        if not cut:
            pieces.append(data)
            held += len(data)
            if held <= LONGEST_LINE:
                continue
            skipped, ahead = _skip_line(source, held)
            lost.append(_too_long(lines.at(end), byte, b"".join(pieces)))
            end += skipped
            byte = None if byte is None or source.is_recoded else byte + skipped
            pieces, held = [], 0
            continue
        whole = data if cut == len(data) and not held else b"".join((*pieces, memoryview(data)[:cut]))
        pieces, held = [data[cut:]], len(data) - cut
        end += len(whole)
        yield Block(whole, byte, end, held, tuple(lost))
        byte, lost = source.after(byte, whole), []
    if (tail := b"".join(pieces)) or lost:
        yield Block(tail, byte, end + len(tail), lost=tuple(lost))


def line_ends(data: bytes) -> int:
    """Number of line ends, where only ``\\n`` is one."""
    return count_of(b"\n", data)


def count_of(byte: bytes, data: bytes) -> int:
    """How often a byte occurs; of a frequent one several times as fast as `bytes.count`, which stops at each."""
    import numpy as np

    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == byte[0]))


def _skip_line(source: Source, held: int) -> tuple[int, bytes]:
    """Read to the end of a line; give its length in all, and what was read beyond it."""
    while data := source.read(BLOCK):
        if (cut := data.find(b"\n") + 1) > 0:
            return held + cut, data[cut:]
        held += len(data)
    return held, b""


def _too_long(line: int, byte: int | None, start: bytes) -> Reject:
    shown = start[: _SHOWN * 4].decode("utf-8", "replace")[:_SHOWN]
    return Reject(f"The line is longer than {LONGEST_LINE >> 20} MiB.", line, byte, shown)


def in_order(blocks: Iterator[Block], work: Callable[[Block], T]) -> Iterator[tuple[Block, T]]:
    """Do `work` on several blocks at once, on threads; yield each block with its result, in order.

    The first block is done alone: a preview needs no more, and what it tells may steer the work on the others. Block
    number n is begun when block n - threads - 1 has been taken, so what `work` knows then is the same in every run.
    """
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="parse") as pool:
        waiting: deque[tuple[Block, Future[T]]] = deque()
        try:
            if (first := next(blocks, None)) is not None:
                yield first, work(first)
            for block in blocks:
                waiting.append((block, pool.submit(work, block)))
                if len(waiting) >= _WORKERS + 1:
                    done, result = waiting.popleft()
                    yield done, result.result()
            while waiting:
                done, result = waiting.popleft()
                yield done, result.result()
        finally:
            for _, future in waiting:
                future.cancel()
