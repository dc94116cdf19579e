"""A look at a spreadsheet file before it is opened: empty, encrypted, cut, or a bomb."""

from __future__ import annotations

import zipfile
from pathlib import Path

from fmstudio.api import UserError

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_LARGEST = 1 << 30
_MOST_FOLD = 200
"""XML of cells packs 5 to 40 fold."""


def check_container(path: Path) -> None:
    """Refuse what cannot or should not be opened.

    Raises:
        UserError: With the reason and a way on.
    """
    size = path.stat().st_size
    if not size:
        raise UserError(f"{path.name} is empty (0 bytes).", remedy="Choose a file with content.")
    with path.open("rb") as file:
        head = file.read(8)
        if head == _OLE:
            _check_ole(path, head + file.read(8 << 20))
            return
    if not head.startswith(b"PK"):
        raise UserError(f"{path.name} is no spreadsheet file.", remedy="Choose the importer that fits the file.")
    _check_zip(path, size)


def _check_ole(path: Path, start: bytes) -> None:
    if _ENCRYPTED in start:
        raise UserError(f"{path.name} is encrypted.", remedy="Save it without a password and import again.")


def _check_zip(path: Path, size: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            manifest = "META-INF/manifest.xml"
            is_encrypted = any(member.flag_bits & 1 for member in members) or (
                any(member.filename == manifest and member.file_size < 16 << 20 for member in members)
                and b"encryption-data" in archive.read(manifest)
            )
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise UserError(
            f"{path.name} is cut or damaged: the list of its contents, at its end, is missing.",
            remedy="Copy or download it again.",
            details=str(error),
        ) from error
    if is_encrypted:
        raise UserError(f"{path.name} is encrypted.", remedy="Save it without a password and import again.")
    unpacked = sum(member.file_size for member in members)
    if unpacked > _LARGEST or (unpacked > 64 << 20 and unpacked > size * _MOST_FOLD):
        raise UserError(
            f"{path.name} unpacks to {unpacked >> 20} MiB, which is more than a spreadsheet should.",
            remedy="Save the sheet as CSV, which is read piece by piece.",
        )
