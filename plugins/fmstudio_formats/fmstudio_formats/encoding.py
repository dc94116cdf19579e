"""Which encoding a text file is in, and its content as UTF-8 whatever it is; compressed files are unpacked on the way.

Detection looks at the byte order mark, then at a sample; a file in UTF-8 with a few broken bytes stays UTF-8, so that
only the broken lines are lost. What was found is always stated.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from fmstudio.api import Field, ImportReport, Params, Reject, UserError
from fmstudio_formats.compression import Packed, Plain, open_bytes

_SAMPLE = 256 << 10
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8 with byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\x1b\0"))


class EncodingParams(Params):
    """Settings of every text format."""

    encoding: str = Field(
        default="", title="Encoding", description="Name such as utf-8, cp1252 or shift_jis; empty = detect."
    )


class _Bytes(Protocol):
    damage: str

    def read(self, size: int, /) -> bytes: ...


class Source:
    """An open text file as UTF-8 bytes without byte order mark, read from start to end.

    Attributes:
        start: Offset of the first byte in the file, or None when the file is compressed, so that offsets in what is read
            are none in the file.
        is_recoded: Whether the file is in another encoding than UTF-8.
        size: Size of the file in bytes.
        packing: Name of the compression; empty for none.
    """

    def __init__(self, path: Path, codec: str, mark: int, size: int) -> None:
        raw = open_bytes(path)
        raw.read(mark)
        self._opening = (path, codec, mark, size)
        self._raw, self.size, self.packing = raw, size, raw.packing
        self.start = None if raw.packing else mark
        self.is_recoded = bool(codec)
        self._width = _width_in(codec) if codec else len
        self._stream: _Bytes = _Transcoder(raw, codec, path.name, mark) if codec else raw
        self._read = raw.read_to_line_end if isinstance(raw, Plain) and not codec else self._stream.read
        self._given = 0

    def again(self) -> Source:
        """The same file, from its start."""
        return Source(*self._opening)

    def skip(self, size: int) -> None:
        """Go past the first `size` bytes of a file in UTF-8; of one that is not compressed, without reading them."""
        if isinstance(self._raw, Plain):
            self._raw.seek(self._raw.tell() + size)
            self._given += size
        while self._given < size and self.exactly(min(_SAMPLE, size - self._given)):
            pass

    def exactly(self, size: int) -> bytes:
        """Give the next `size` bytes of a file in UTF-8, fewer only at its end."""
        data = self._raw.read(size)
        self._given += len(data)
        return data

    def read(self, size: int) -> bytes:
        """Give about `size` bytes, mostly whole lines; empty at the end."""
        data = self._read(size)
        self._given += len(data)
        return data

    def after(self, byte: int | None, data: bytes) -> int | None:
        """Offset in the file after `data`, which was read at the offset `byte`; None once the file turned out damaged."""
        return None if byte is None or self._stream.damage else byte + self._width(data)

    def consumed(self, done: int) -> float:
        """Bytes of the file that `done` bytes of what was read stand for."""
        return min(self.size, self._raw.tell() * done / max(1, self._given))

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def tell_damage(self, path: Path, report: ImportReport, line_at: Callable[[], int] | None = None) -> None:
        """At the end of reading: reject what could not be unpacked or decoded, with its place."""
        for damage in dict.fromkeys((self._raw.damage, self._stream.damage)):
            if damage:
                line = line_at() if line_at else None
                place = f" Rows were read up to line {line}." if line else ""
                report.reject(Reject(f"The rest of {path.name} is not read: {damage}.{place}", line, self._raw.tell()))


def open_utf8(path: Path, encoding: str, report: ImportReport) -> Source:
    """Open a text file as UTF-8.

    Args:
        path: The file; gzip, Zstandard, bzip2 and xz are unpacked.
        encoding: Its encoding; empty = detect and say what was found.
        report: Takes the note.

    Raises:
        UserError: The file is empty, is no text, or the encoding is unknown.
    """
    size = path.stat().st_size
    if not size:
        raise UserError(f"{path.name} is empty (0 bytes).", remedy="Choose a file with content.")
    sample, is_whole = _sample(path)
    mark, name = _detect(path, sample, is_whole, report) if not encoding else (_mark(sample, encoding), encoding)
    try:
        codec = codecs.lookup(name).name
        b"".decode(codec)
    except LookupError as error:
        raise UserError(f"There is no encoding “{encoding}”.", remedy="Use a name such as utf-8 or cp1252.") from error
    return Source(path, "" if codec in ("utf-8", "ascii") else codec, mark, size)


def _width_in(codec: str) -> Callable[[bytes], int]:
    """How many bytes a text, given in UTF-8, takes in another encoding."""
    if codec.startswith(("utf-16", "utf-32")):
        wide = 4 if codec.startswith("utf-32") else 2
        # A character beyond the first 65 536 is two units of UTF-16; in UTF-8 it begins with a byte from 0xF0 on.
        return lambda data: wide * _characters(data) + (2 * _count(data, 0xF0) if wide == 2 else 0)
    try:
        is_single = len(bytes(range(256)).decode(codec, "replace")) == 256 and not codec.startswith(
            ("utf-7", "hz", "iso2022")
        )
    except UnicodeError:
        is_single = False
    return _characters if is_single else lambda data: len(data.decode("utf-8", "replace").encode(codec, "replace"))


def _characters(data: bytes) -> int:
    """Number of characters in UTF-8: the bytes that continue none."""
    return _count(data, 0) - _count(data, 0x80) + _count(data, 0xC0)


def _count(data: bytes, least: int) -> int:
    import numpy as np

    return int(np.count_nonzero(np.frombuffer(data, np.uint8) >= least)) if least else len(data)


def is_utf8(data: bytes) -> bool:
    """Whether bytes are valid UTF-8; a whole block at a time."""
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _sample(path: Path) -> tuple[bytes, bool]:
    raw = open_bytes(path)
    try:
        sample = raw.read(_SAMPLE)
        if not sample:
            why = raw.damage or "it holds nothing"
            raise UserError(f"{path.name} cannot be read: {why}.", remedy="Copy or download it again.")
        return sample, len(sample) < _SAMPLE
    finally:
        raw.close()


def _mark(sample: bytes, encoding: str) -> int:
    """Length of the byte order mark that belongs to the encoding the user named."""
    plain = encoding.lower().replace("_", "-")
    return next((len(m) for m, name, _ in _MARKS if sample.startswith(m) and plain.startswith(name[:6])), 0)


def _detect(path: Path, sample: bytes, is_whole: bool, report: ImportReport) -> tuple[int, str]:
    for mark, name, title in _MARKS:
        if sample.startswith(mark):
            report.note(f"Encoding: {title} (from its byte order mark)")
            return len(mark), name
    if wide := _wide(sample):
        report.note(f"Encoding: {wide.upper()} (detected)")
        return 0, wide
    if b"\0" in sample:
        _check_zeros(path, sample, report)
    if _looks_like_utf8(sample, is_whole):
        report.note("Encoding: UTF-8")
        return 0, "utf-8"
    name = _guess(sample)
    report.note(f"Encoding: {name} (detected; it is not UTF-8). Choose another when characters look wrong.")
    return 0, name


def _check_zeros(path: Path, sample: bytes, report: ImportReport) -> None:
    """A disk error leaves runs of zero bytes in a text; a file of another kind has all the control characters."""
    at, rest = sample.index(0), sample.replace(b"\0", b"")
    if len(rest) < 16 or len(rest) - len(rest.translate(None, _CONTROLS)) > len(rest) // 500:
        raise UserError(
            f"{path.name} is no text file: it has a zero byte at offset {at}.",
            remedy="Choose the importer that fits the file, or name its encoding.",
        )
    report.note(f"The file is damaged: it holds zero bytes, the first at offset {at}.")


def _wide(sample: bytes) -> str:
    """UTF-16 without a mark: in mostly western text every other byte is zero."""
    even, odd = sample[0:2000:2].count(0), sample[1:2000:2].count(0)
    half = min(len(sample), 2000) // 2
    if half and odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    return "utf-16-be" if half and even > 0.4 * half and odd < 0.05 * half else ""


def _looks_like_utf8(sample: bytes, is_whole: bool) -> bool:
    """Whether the sample is UTF-8, or UTF-8 in which a few bytes are broken."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, is_whole)
        return True
    except UnicodeDecodeError:
        # Other encodings hardly ever make a whole line of valid multi-byte characters by chance.
        lines = [line for line in sample.split(b"\n") if not line.isascii()]
        return sum(is_utf8(line) for line in lines) * 2 >= len(lines)


def _guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    # Single lines say little: the detector sees the part with the most bytes beyond ASCII.
    matches = list(from_bytes(sample[:65536]))
    if not matches:
        return "cp1252"
    best = matches[0]
    # Of encodings that fit a text equally well, Windows' western one is by far the most common.
    equal = [m for m in matches if (m.chaos, m.coherence) == (best.chaos, best.coherence)]
    if any("cp1252" in m.could_be_from_charset for m in equal):
        return "cp1252"
    return best.encoding.replace("_", "-")


class _Transcoder:
    """Another encoding, read as UTF-8.

    A byte that does not fit at the start means that the encoding is wrong; further on it means that the file is
    damaged, and becomes �.
    """

    def __init__(self, raw: Plain | Packed, codec: str, name: str, at: int) -> None:
        self._raw, self._codec, self._name, self._at = raw, codec, name, at
        self._decoder = codecs.getincrementaldecoder(codec)()
        self._has_given, self.damage = False, ""

    def read(self, size: int, /) -> bytes:
        while True:
            data = self._raw.read(size)
            text = self._decoded(data)
            self._at += len(data)
            if text or not data:
                self._has_given = self._has_given or bool(text)
                return text.encode("utf-8", "replace")

    def _decoded(self, data: bytes) -> str:
        state = self._decoder.getstate()
        try:
            return self._decoder.decode(data, not data)
        except UnicodeError as error:
            place = self._at + getattr(error, "start", 0)
            if not data:
                self.damage = f"it is cut within a character of {self._codec}"
                return ""
            if not self._has_given:
                raise UserError(
                    f"{self._name} is not valid {self._codec}: byte {place} does not fit.",
                    remedy="Choose another encoding.",
                ) from error
            self.damage = self.damage or f"bytes near {place} are not valid {self._codec} and were read as �"
            self._decoder = codecs.getincrementaldecoder(self._codec)("replace")
            self._decoder.setstate(state)
            return self._decoder.decode(data, False)
