"""Files that no import opens: pickles, which run code when they are read, programs, and formats that no importer reads.

Told by name and first bytes, so that each is called what it is and the way on is said.
"""

from __future__ import annotations

import stat
from pathlib import Path

_HEAD = 4_096

_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".dill", ".sav")
_PROGRAMS = (".exe", ".dll", ".so", ".dylib", ".com", ".scr", ".msi", ".bat", ".cmd", ".ps1", ".vbs", ".jar", ".apk")
_PROGRAM_MAGIC = (
    b"\x7fELF",
    b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe",  # Mach-O
    b"\xca\xfe\xba\xbe",  # Mach-O for several processors, and Java classes
)  # fmt: skip
_PICKLE = "is a Python pickle, which can run any code when it is opened"
_PROGRAM = "is a program"
_OTHERS = (
    (0, b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive, which is not unpacked here", "Unpack it and import the folder."),
    (0, b"Rar!\x1a\x07", "is a RAR archive, which is not unpacked here", "Unpack it and import the folder."),
    (0, b"\x93NUMPY", "is an array of NumPy", "Save it as Parquet or CSV, e.g. with pandas."),
    (0, b"\x89HDF\r\n\x1a\n", "is an HDF5 file", "Save its tables as Parquet or CSV, e.g. with pandas."),
    (0, b"$FL2", "is a data file of SPSS", "Save it as CSV, or as Parquet with pandas.read_spss."),
    (0, b"<stata_dta>", "is a data file of Stata", "Save it as CSV, or as Parquet with pandas.read_stata."),
    (0, b"GGUF", "is a model (GGUF) and no data", "Add it on the page Models."),
    (8, b'{"', "is a file of weights (safetensors) and no data", "Add its folder on the page Models."),
    (4, b"ftypM4A", "is a sound recording", "Import what was said as text or subtitles."),
    (4, b"ftypmp4", "is a video", "Import what was said as text or subtitles."),
    (4, b"ftypisom", "is a video", "Import what was said as text or subtitles."),
    (4, b"ftypqt", "is a video", "Import what was said as text or subtitles."),
    (0, b"\x1a\x45\xdf\xa3", "is a video", "Import what was said as text or subtitles."),
    (0, b"ID3", "is a sound recording", "Import what was said as text or subtitles."),
    (0, b"OggS", "is a sound recording", "Import what was said as text or subtitles."),
    (0, b"fLaC", "is a sound recording", "Import what was said as text or subtitles."),
    (8, b"WAVEfmt ", "is a sound recording", "Import what was said as text or subtitles."),
)  # fmt: skip
"""Where the first bytes stand, the bytes, what the file is, and the way on. Most hold zero bytes, so that no text is meant."""
_PACKED = {
    ".pptx": "is a presentation", ".ppsx": "is a presentation", ".odp": "is a presentation", ".key": "is a presentation",
    ".odt": "is a document that no importer reads", ".pages": "is a document that no importer reads",
    ".numbers": "is a table of a format that no importer reads",
}  # fmt: skip
"""Documents that are ZIP archives of XML: what is in them means nothing by itself."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLD_OFFICE = "is a document of an old Office program"
_OUTLOOK = "is a message in Outlook's own form"


def way_on(reason: str) -> str:
    """Say what to do about a file that was refused for this reason."""
    if reason == _OLD_OFFICE:
        return "Open it in an office program and save it as DOCX, XLSX or PDF."
    if reason in _PACKED.values():
        return "Save it as PDF, DOCX or XLSX."
    if reason == _OUTLOOK:
        return "Save it as EML, or the folder as MBOX."
    return next((remedy for _, _, said, remedy in _OTHERS if said == reason), "Save the data in another format.")


def refusal(path: Path) -> str:
    """Say why a file is not opened, as what follows its name; empty when nothing speaks against it.

    Raises:
        OSError: It cannot be read.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        return "is no ordinary file (a pipe, a socket or a device)"
    name = path.name.lower()
    with path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(-1 if head else 0, 2)
        last = file.read(1)
    other = _other(head, name)
    if name.endswith(_PICKLES) and not other:  # .sav is SPSS's suffix, too
        return _PICKLE
    return _by_content(head, last) or (_PROGRAM if name.endswith(_PROGRAMS) else other)


def is_script(path: Path) -> bool:
    """Whether a file is a shell script: wanted in a folder of source code, not in one of data."""
    if path.suffix.lower() not in (".sh", ".bash", ".zsh", ".command", ""):
        return False
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def _by_content(head: bytes, last: bytes) -> str:
    # Protocols 2 to 5 begin with PROTO and end with STOP (pickletools); 0x80 begins no text in UTF-8 or ASCII.
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and last == b".":
        return _PICKLE
    if head.startswith(b"\x93NUMPY") and b"|O" in head[:256]:
        return "holds Python objects in NumPy's format, which can run any code when it is opened"
    if head.startswith(_PROGRAM_MAGIC) or (head.startswith(b"MZ") and b"\0" in head[:64]):
        return _PROGRAM
    return ""


def _other(head: bytes, name: str) -> str:
    if head.startswith(_OLE):
        # So begin tables of old Excel, which are read, and new ones with a password, of which their importer tells.
        return _OUTLOOK if name.endswith(".msg") else _OLD_OFFICE if name.endswith((".doc", ".ppt", ".pps")) else ""
    if head.startswith(b"PK\x03\x04"):
        return next((said for suffix, said in _PACKED.items() if name.endswith(suffix)), "")
    if b"\0" not in head:
        return ""
    found = (said for at, magic, said, _ in _OTHERS if head[at : at + len(magic)] == magic)
    return next((said for said in found if "weights" not in said or name.endswith(".safetensors")), "")
