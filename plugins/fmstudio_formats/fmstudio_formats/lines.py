"""Blocks of whole lines of a text file, and work on several blocks at once with the results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from fmstudio.api import ImportReport, Reject
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
        line: 1-based number of the first one.
        byte: Its offset in the file; None when that is unknown.
        end: Bytes of the source up to the end of this block.
    """

    data: bytes
    line: int
    byte: int | None
    end: int


def line_blocks(source: Source, report: ImportReport) -> Iterator[Block]:
    """Yield a file's lines in blocks of about `BLOCK` bytes; the last one may lack its line end."""
    line, byte, end = 1, source.start, 0
    pieces: list[bytes] = []
    held, size = 0, FIRST_BLOCK
    while data := source.read(size):
        size = BLOCK
        cut = data.rfind(b"\n") + 1
        if not cut:
            pieces.append(data)
            held += len(data)
            if held <= LONGEST_LINE:
                continue
            skipped, data = _skip_line(source, held)
            report.reject(_too_long(line, byte, b"".join(pieces)))
            end += skipped
            line, byte = line + 1, None if byte is None or source.is_recoded else byte + skipped
            pieces, held = [data] if data else [], len(data)
            continue
        whole = b"".join((*pieces, memoryview(data)[:cut]))
        pieces, held = [data[cut:]], len(data) - cut
        end += len(whole)
        yield Block(whole, line, byte, end)
        line += count_of(b"\n", whole)
        byte = source.after(byte, whole)
    if tail := b"".join(pieces):
        yield Block(tail, line, byte, end + len(tail))


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
    number n is begun when block n - 2 × threads has been taken, so what `work` knows then is the same in every run.
    """
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="parse") as pool:
        waiting: deque[tuple[Block, Future[T]]] = deque()
        try:
            if (first := next(blocks, None)) is not None:
                yield first, work(first)
            for block in blocks:
                waiting.append((block, pool.submit(work, block)))
                if len(waiting) >= 2 * _WORKERS:
                    done, result = waiting.popleft()
                    yield done, result.result()
            while waiting:
                done, result = waiting.popleft()
                yield done, result.result()
        finally:
            for _, future in waiting:
                future.cancel()
