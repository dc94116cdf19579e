"""ZIP archives whose end is missing, with the list of what they hold: each file also has a header of its own before it.

Format: APPNOTE.TXT of PKWARE, sections 4.3.7 (local file header) and 4.3.9 (data descriptor).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import IO

_HEADER = struct.Struct("<4sHHHHHIIIHH")
_MAGIC = b"PK\x03\x04"
_LATER = 8
"""Flag: sizes and checksum stand after the content, as programs write them that cannot go back."""
_UTF8 = 0x800
_DEFLATED = 8
_METHODS = (0, _DEFLATED)
_LONGEST_DESCRIPTOR = 24
_UNKNOWN = 0xFFFFFFFF


def members(file: IO[bytes]) -> Iterator[tuple[str, Member | None]]:
    """Yield name and content of each file from the start of an archive on; None where the content cannot be read."""
    start = 0
    while True:
        file.seek(start)
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size or not head.startswith(_MAGIC):
            return
        _, _, flags, method, _, _, checksum, packed, _, name_size, extra_size = _HEADER.unpack(head)
        name = file.read(name_size).decode("utf-8" if flags & _UTF8 else "cp437", "replace")
        content = start + _HEADER.size + name_size + extra_size
        is_known = not flags & _LATER and packed != _UNKNOWN
        if flags & 1 or method not in _METHODS or not (is_known or method == _DEFLATED):
            yield name, None
            if not is_known:
                return
            start = content + packed
            continue
        file.seek(content)
        member = Member(file, packed if is_known else None, checksum if is_known else None, method)
        yield name, member
        if is_known:
            start = content + packed
        elif not member.skip():
            return
        else:
            start = content + member.taken
            file.seek(start)
            start += max(0, file.read(_LONGEST_DESCRIPTOR + len(_MAGIC)).find(_MAGIC))


class Member:
    """The content of one file, read as a stream.

    Args:
        file: The archive, at the content's first byte.
        size: Bytes of it in the archive, where that is known.
        checksum: Of the content, where that is known.
        method: How it is packed.
    """

    def __init__(self, file: IO[bytes], size: int | None, checksum: int | None, method: int) -> None:
        self._file, self._size, self._checksum = file, size, checksum
        self._packed = zlib.decompressobj(-zlib.MAX_WBITS) if method == _DEFLATED else None
        self._found = 0
        self.taken = 0

    def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes.

        Raises:
            EOFError: The archive ends before.
            ValueError, zlib.error: They are damaged.
        """
        data = self._unpacked(size) if self._packed else self._raw(size)
        self._found = zlib.crc32(data, self._found)
        if not data and self._checksum not in (None, self._found):
            raise ValueError("its checksum is wrong")
        return data

    def skip(self) -> bool:
        """Read what is left; whether the end could be found."""
        try:
            while self.read(1 << 20):
                pass
        except (EOFError, ValueError, zlib.error):
            return False
        return True

    def _raw(self, size: int) -> bytes:
        assert self._size is not None
        wanted = min(size, self._size - self.taken)
        data = self._file.read(wanted)
        if len(data) < wanted:
            raise EOFError("the archive ends within it")
        self.taken += len(data)
        return data

    def _unpacked(self, size: int) -> bytes:
        assert self._packed is not None
        while not self._packed.eof:
            waiting = self._packed.unconsumed_tail
            piece = waiting or self._file.read(1 << 16)
            if not piece:
                raise EOFError("the archive ends within it")
            self.taken += 0 if waiting else len(piece)
            data = self._packed.decompress(piece, size)
            self.taken -= len(self._packed.unused_data)  # empty before the end
            if data:
                return data
        return b""
