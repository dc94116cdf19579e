"""Which encoding a text file is in, and its content as UTF-8 whatever it is.

Detection looks at the byte order mark, then at a sample; a file in UTF-8 with a few broken bytes stays UTF-8, so that
only the broken lines are lost.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from pydantic import Field

from fmstudio.api import ImportReport, Params, UserError

_SAMPLE = 256 << 10
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8 with byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)


class EncodingParams(Params):
    """Settings of every text format."""

    encoding: str = Field(
        default="", title="Encoding", description="Name such as utf-8, cp1252 or shift_jis; empty = detect."
    )


class Utf8Stream(Protocol):
    """Bytes in UTF-8, read from start to end."""

    def read(self, size: int, /) -> bytes:
        """Give about `size` bytes; empty at the end."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


@dataclass(slots=True)
class Source:
    """An open file as UTF-8.

    Attributes:
        stream: The content without byte order mark.
        start: Offset of the first byte of `stream` in the file, or None when the file is in another encoding, so
            that offsets in `stream` are none in the file.
        size: Size of the file in bytes.
    """

    stream: Utf8Stream
    start: int | None
    size: int


def open_utf8(path: Path, encoding: str, report: ImportReport) -> Source:
    """Open a text file as UTF-8.

    Args:
        path: The file.
        encoding: Its encoding; empty = detect and say what was found.
        report: Takes the note.

    Raises:
        UserError: The file is empty, is no text, or the encoding is unknown.
    """
    size = path.stat().st_size
    if not size:
        raise UserError(f"{path.name} is empty (0 bytes).", remedy="Choose a file with content.")
    with path.open("rb") as file:
        sample = file.read(_SAMPLE)
    mark, name = _detect(path, sample, size <= _SAMPLE, report) if not encoding else (_mark(sample, encoding), encoding)
    try:
        codec = codecs.lookup(name).name
    except LookupError as error:
        raise UserError(f"There is no encoding “{encoding}”.", remedy="Use a name such as utf-8 or cp1252.") from error
    binary = path.open("rb")
    binary.seek(mark)
    if codec in ("utf-8", "ascii"):
        return Source(binary, mark, size)
    return Source(_Transcoder(binary, codec, path.name, mark), None, size)


def is_utf8(data: bytes) -> bool:
    """Whether bytes are valid UTF-8; a whole block at a time."""
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


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
        raise UserError(
            f"{path.name} is no text file: it has a zero byte at offset {sample.index(0)}.",
            remedy="Choose the importer that fits the file, or name its encoding.",
        )
    if _looks_like_utf8(sample, is_whole):
        return 0, "utf-8"
    name = _guess(sample)
    report.note(f"Encoding: {name} (detected; it is not UTF-8). Choose another when characters look wrong.")
    return 0, name


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
    """Another encoding, read as UTF-8."""

    def __init__(self, binary: BinaryIO, codec: str, name: str, at: int) -> None:
        self._binary, self._codec, self._name, self._at = binary, codec, name, at
        self._decoder = codecs.getincrementaldecoder(codec)()

    def read(self, size: int, /) -> bytes:
        data = self._binary.read(size)
        try:
            text = self._decoder.decode(data, not data)
        except UnicodeError as error:
            place = self._at + getattr(error, "start", 0)
            raise UserError(
                f"{self._name} is not valid {self._codec}: byte {place} does not fit.",
                remedy="Choose another encoding.",
            ) from error
        self._at += len(data)
        if data and not text:
            return self.read(size)
        return text.encode("utf-8", "replace")

    def close(self) -> None:
        self._binary.close()
