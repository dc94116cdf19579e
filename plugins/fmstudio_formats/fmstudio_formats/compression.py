"""Compressed files as a stream: gzip, Zstandard, bzip2 and xz, told by their first bytes, never unpacked to disk.

A stream that is cut or damaged gives all that can be unpacked and then simply ends; `Packed.damage` says what happened,
so that the importer can report it after the last whole row. A file that unpacks to absurdly more than it holds is
stopped in the same way.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

_PIECE = 256 << 10
_NEAR = 64 << 10
_FREE = 256 << 20
_MOST_FOLD = 400
"""Bytes unpacked for each byte read beyond which a file is a bomb: rows of text pack 3 to 60 fold; gzip ends at 1 032."""

_LARGEST = 1 << 40

_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "Zstandard"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"))


class _Decompressor(Protocol):
    """What bz2, lzma and zstd have in common, and gzip is brought to."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def packing_of(head: bytes) -> str:
    """Name the compression of a file that starts with these bytes; empty when there is none."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


def open_bytes(path: Path) -> Plain | Packed:
    """Open a file for reading its content from start to end, unpacked where it is compressed."""
    file = path.open("rb")
    name = packing_of(file.read(8))
    file.seek(0)
    return Packed(file, name) if name else Plain(file)


class Plain:
    """A file that is not compressed."""

    damage = ""
    packing = ""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int, /) -> bytes:
        """Give the next bytes; empty at the end."""
        return self._file.read(size)

    def read_to_line_end(self, size: int, /) -> bytes:
        """Give the next bytes, and those after them to the end of a line where that is near: whole lines need no joining."""
        place = self._file.tell()
        self._file.seek(place + size)
        more = self._file.read(_NEAR).find(b"\n") + 1
        self._file.seek(place)
        return self._file.read(size + more)

    def seek(self, place: int, /) -> None:
        """Go to a place in the file."""
        self._file.seek(place)

    def tell(self) -> int:
        """Bytes of the file read so far."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Packed:
    """A compressed file, read unpacked; several streams one after the other count as one, as the tools write them.

    Attributes:
        packing: Name of the compression.
        damage: Why reading stopped before the true end, in words for the user; empty while all is well.
    """

    def __init__(self, file: BinaryIO, packing: str) -> None:
        self.packing, self.damage = packing, ""
        self._file = file
        self._new, self._errors = _maker(packing), _errors(packing)
        self._unpacker = self._new()
        self._given = 0
        self._ahead = b""

    def read(self, size: int, /) -> bytes:
        """Give `size` bytes, fewer only at the end; empty at the end."""
        pieces, missing = [], size
        while missing > 0 and (piece := self._piece(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def tell(self) -> int:
        """Bytes of the compressed file read so far."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _piece(self, size: int) -> bytes:
        while not self.damage:
            if self._unpacker.eof and not self._next_stream():
                return b""
            data = b""
            if self._unpacker.needs_input:
                data, self._ahead = self._ahead or self._file.read(_PIECE), b""
                if not data:
                    self._stop(f"it is cut: the {self.packing} stream goes on after the file's last byte")
                    return b""
            piece = self._unpacked(data, size)
            if piece:
                self._check_size(len(piece))
                return piece
        return b""

    def _unpacked(self, data: bytes, size: int) -> bytes:
        try:
            return self._unpacker.decompress(data, size)
        except self._errors as error:
            at = max(0, self._file.tell() - _PIECE)
            self._stop(
                f"its {self.packing} stream is damaged ({error}), which shows between byte {at} and {self._file.tell()}; "
                "rows shortly before may be garbled"
            )
            return b""

    def _next_stream(self) -> bool:
        """Begin what follows a finished stream; what is no stream (padding) is left alone, as gzip itself does."""
        rest = (self._unpacker.unused_data or b"") + self._file.read(_PIECE)
        rest = rest.lstrip(b"\0")
        if packing_of(rest) != self.packing:
            if rest:
                self.damage = f"after the end of its {self.packing} stream come bytes that are none"
            return False
        self._unpacker, self._ahead = self._new(), rest
        return True

    def _check_size(self, size: int) -> None:
        self._given += size
        fold = self._given / max(1, self._file.tell())
        if self._given > _LARGEST or (self._given > _FREE and fold > _MOST_FOLD):
            self._stop(f"it unpacks to more than {round(fold)} times its size, as archive bombs do")

    def _stop(self, why: str) -> None:
        self.damage = why


class _Gzip:
    """zlib's decompressor with the face of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(0, max_length))


def _maker(packing: str) -> Callable[[], _Decompressor]:
    if packing == "gzip":
        return _Gzip
    if packing == "bzip2":
        import bz2

        return bz2.BZ2Decompressor
    if packing == "xz":
        import lzma

        return lambda: lzma.LZMADecompressor(memlimit=1 << 30)
    made: Callable[[], _Decompressor] = _zstd().ZstdDecompressor
    return made


def _zstd() -> Any:
    """Zstandard's module: in the standard library from Python 3.14 on, the same code as a package before."""
    import importlib
    import sys

    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def _errors(packing: str) -> tuple[type[Exception], ...]:
    """What the decompressor raises when its input is damaged."""
    common = (OSError, EOFError, ValueError, RuntimeError, MemoryError, zlib.error)
    if packing == "xz":
        import lzma

        return (*common, lzma.LZMAError)
    return (*common, _zstd().ZstdError) if packing == "Zstandard" else common
