"""Archives, unpacked with suspicion: limits on size, ratio, count and depth; names that leave the folder, links, devices
and encrypted members are refused with a reason, everything else comes out.

Reads ZIP, TAR (plain or compressed) and single files in gzip, bzip2, xz or Zstandard, told by their first bytes.
"""

from __future__ import annotations

import importlib
import lzma
import stat
import sys
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol, cast

from fmstudio.api import ImportReport, Reject, TaskContext
from fmstudio.worker.cut_zip import members
from fmstudio.worker.member_names import inner_name, name_parts, name_refusal, printable

DEEPEST = 2
"""Archives inside archives that are opened: one in another, no further."""

_PIECE = 1 << 20
_FREE = 50 << 20
_MOST_FOLD = 200
"""Bytes out for each byte in, beyond the first 50 MiB: text packs 3 to 60 fold, bombs 1 000 and more."""

_MOST_HEADER = 1 << 20
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_DAMAGE = (EOFError, OSError, ValueError, RuntimeError, MemoryError, zlib.error, lzma.LZMAError)


@dataclass
class Budget:
    """What may still be unpacked, over all archives of one import.

    Attributes:
        total: Bytes.
        files: Number of files.
        is_preview: Whether reaching the end is no fault, only a note.
    """

    total: int = 200 << 30
    files: int = 1_000_000
    is_preview: bool = False
    is_spent: bool = field(default=False, init=False)


PREVIEW = (64 << 20, 500)
"""Bytes and files unpacked for a preview."""


class _Stop(Exception):
    """No more may be unpacked from this archive; the text says why, as what follows its name."""


class _Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def kind_of(path: Path) -> str:
    """Name an archive's format: ``zip``, ``tar``, ``gzip``, ``bzip2``, ``xz``, ``zstd``; empty for anything else.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return "zip"
    if head[257:262] == b"ustar" or (path.suffix.lower() == ".tar" and tarfile.is_tarfile(path)):
        return "tar"
    return next((name for magic, name in _PACKED.items() if head.startswith(magic)), "")


def unpack(path: Path, name: str, target: Path, report: ImportReport, budget: Budget, ctx: TaskContext) -> str:
    """Unpack an archive into a folder; what is refused or damaged goes to the report, the rest is there.

    Args:
        path: The archive.
        name: What the user knows it as.
        target: An empty folder.
        report: Takes a reject for every member that stays out, with its name and the reason.
        budget: Is used up.
        ctx: Asked for cancelling.

    Returns:
        The first sentence that the report was given; empty when all came out.
    """
    work = _Unpacking(path, name, target, report, budget, ctx)
    try:
        work.run()
    except _Stop as stop:
        if budget.is_spent and budget.is_preview:
            report.note(f"The preview unpacks only the beginning of {name}.")
        else:
            work.refuse("", str(stop))
    except (zipfile.BadZipFile, NotImplementedError) as error:
        work.refuse("", f"is no ZIP archive that can be read ({_words(error)})")
    except tarfile.TarError as error:
        work.refuse("", f"is damaged: {_words(error)}. {work.rest()}")
    except _DAMAGE as error:
        work.refuse("", f"is cut or damaged: {_words(error)}. {work.rest()}")
    return work.first_refusal


def _words(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__


class _Unpacking:
    """One archive on its way to a folder."""

    def __init__(
        self, path: Path, name: str, target: Path, report: ImportReport, budget: Budget, ctx: TaskContext
    ) -> None:
        self._path, self._name, self._target = path, name, target
        self._report, self._budget, self._ctx = report, budget, ctx
        self._size = max(1, path.stat().st_size)
        self._taken: set[str] = set()
        self._out = 0
        self._kept = 0
        self.first_refusal = ""

    def rest(self) -> str:
        """Say what is there of a damaged archive."""
        return "What came before that place is imported" if self._kept else "No whole file is before that place"

    def refuse(self, member: str, reason: str) -> None:
        """Report a member, or the archive itself, as what stays out."""
        shown = f"{self._name}/{member}" if member else self._name
        sentence = f"{printable(shown)} {reason}."
        self.first_refusal = self.first_refusal or sentence
        self._report.reject(Reject(sentence, raw=printable(shown)))

    def run(self) -> None:
        """Choose the reader by the first bytes."""
        kind = kind_of(self._path)
        if kind == "zip":
            self._zip()
        elif kind == "tar":
            with self._path.open("rb") as file:
                self._tar(file)
        else:
            self._packed(kind)

    def _zip(self) -> None:
        try:
            archive = zipfile.ZipFile(self._path)
        except zipfile.BadZipFile:
            if not self._cut_zip():
                raise
            return
        with archive:
            read = 0
            for member in archive.infolist():
                read = min(self._size, read + member.compress_size)
                if reason := _zip_refusal(member):
                    self.refuse(member.filename, reason)
                elif not member.is_dir():
                    self._zip_member(archive, member, read)

    def _zip_member(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, read: int) -> None:
        try:
            with archive.open(member) as stream:
                self._keep(member.filename, _Measured(self, stream, lambda: read))
        except (zipfile.BadZipFile, NotImplementedError, *_DAMAGE) as error:
            self.refuse(member.filename, f"is damaged inside the archive ({_words(error)})")

    def _cut_zip(self) -> bool:
        """Take the files that have come through whole; False when there is not even the beginning of one."""
        is_zip = False
        with self._path.open("rb") as file:
            for member, content in members(file):
                is_zip = True
                if content is None:
                    self.refuse(member, "is encrypted, or packed in a way that needs the archive's end")
                elif not member.endswith("/"):
                    try:
                        self._keep(member, _Measured(self, content, file.tell))
                    except _DAMAGE as damage:
                        self.refuse(member, f"is damaged inside the archive ({_words(damage)})")
        if is_zip:
            self.refuse("", f"is cut: its end, which lists what is in it, is missing. {self.rest()}")
        return is_zip

    def _packed(self, kind: str) -> None:
        with self._path.open("rb") as file, closing(_opened(kind, file)) as stream:
            ahead = _Ahead(_Measured(self, stream, file.tell))
            if ahead.is_tar:
                self._tar(ahead)
            else:
                self._keep(inner_name(self._path.name, kind), ahead, keeps_part=True)

    def _tar(self, stream: _Stream) -> None:
        with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", tarinfo=_SoberInfo) as archive:
            for member in archive:
                if reason := _tar_refusal(member):
                    self.refuse(member.name, reason)
                elif member.isfile() and (content := archive.extractfile(member)) is not None:
                    with content:
                        self._keep(member.name, content)

    def _keep(self, member: str, stream: _Stream, *, keeps_part: bool = False) -> None:
        """Copy a member out; half of one is worth having only where the archive is a single compressed file."""
        place = self._place(member)
        if place is None:
            return
        self._budget.files -= 1
        if self._budget.files < 0:
            self._budget.is_spent = True
            raise _Stop("holds too many files; the rest stays out")
        place.parent.mkdir(parents=True, exist_ok=True)
        is_whole = False
        try:
            with place.open("xb") as file:
                while piece := stream.read(_PIECE):
                    self._ctx.check_cancelled()
                    self._spend(len(piece))
                    file.write(piece)
            is_whole = True
        finally:
            if is_whole or (keeps_part and place.exists() and place.stat().st_size):
                self._kept += 1
            else:
                place.unlink(missing_ok=True)

    def _spend(self, size: int) -> None:
        self._budget.total -= size
        if self._budget.total < 0:
            self._budget.is_spent = True
            raise _Stop("unpacks to more than may be unpacked here; the rest stays out")

    def count(self, size: int, read: int) -> None:
        """Note that bytes came out after `read` bytes of the archive.

        Raises:
            _Stop: They are absurdly many.
        """
        self._out += size
        if self._out > _FREE and self._out >= _MOST_FOLD * max(1, read):
            raise _Stop(f"unpacks to more than {_MOST_FOLD} times its size, as archive bombs do; the rest stays out")

    def _place(self, member: str) -> Path | None:
        reason = name_refusal(member)
        key = unicodedata.normalize("NFC", "/".join(name_parts(member))).casefold()
        if not reason and key in self._taken:
            reason = "has the name of another file in the archive (capital letters aside)"
        if reason:
            self.refuse(member, reason)
            return None
        self._taken.add(key)
        return self._target.joinpath(*name_parts(member))


class _SoberInfo(tarfile.TarInfo):
    """Refuses headers (long names, extended attributes) that would be read into memory and are absurdly large."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _SoberInfo:
        """See `tarfile.TarInfo.frombuf`."""
        info = super().frombuf(buf, encoding, errors)
        kinds = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME)
        if info.type in (*kinds, tarfile.GNUTYPE_LONGLINK) and info.size > _MOST_HEADER:
            raise tarfile.ReadError(f"a header of {info.size:,} bytes")
        return info


class _Measured:
    """Bytes that come out of a compression, counted against those that went in."""

    def __init__(self, work: _Unpacking, stream: _Stream, position: Callable[[], int]) -> None:
        self._work, self._stream, self._position = work, stream, position

    def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes."""
        data = self._stream.read(size)
        self._work.count(len(data), self._position())
        return data


class _Ahead:
    """A stream of which the first block is already known."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._head = stream.read(tarfile.BLOCKSIZE)
        self.is_tar = self._head[257:262] == b"ustar"

    def read(self, size: int = -1, /) -> bytes:
        """Give the first block, then the rest."""
        if not self._head:
            return self._stream.read(size)
        head, self._head = self._head[:size], self._head[size:] if size >= 0 else b""
        return head


def _opened(kind: str, file: IO[bytes]) -> Any:
    """Open a compressed file for reading what is in it."""
    if kind == "gzip":
        import gzip

        return gzip.GzipFile(fileobj=file)
    if kind == "bzip2":
        import bz2

        return bz2.BZ2File(file)
    if kind == "xz":
        return lzma.LZMAFile(file)
    # In the standard library from Python 3.14 on; the same code as a package before.
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd").ZstdFile(
        file
    )


def _zip_refusal(member: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is no ordinary file (a pipe, a socket or a device)"
    if member.flag_bits & 1:
        return "is encrypted; unpack it with its password first"
    return ""


def _tar_refusal(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return f"is a {'symbolic' if member.issym() else 'hard'} link"
    if not (member.isfile() or member.isdir()):
        return "is no ordinary file (a pipe, a socket or a device)"
    return "is a sparse file" if member.issparse() else ""
