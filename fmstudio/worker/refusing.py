"""Files that no import opens: pickles, which run code when they are read, and programs. Told by name and first bytes."""

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


def refusal(path: Path) -> str:
    """Say why a file is not opened, as what follows its name; empty when nothing speaks against it.

    Raises:
        OSError: It cannot be read.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        return "is no ordinary file (a pipe, a socket or a device)"
    name = path.name.lower()
    if name.endswith(_PICKLES):
        return _PICKLE
    with path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(-1 if head else 0, 2)
        last = file.read(1)
    return _by_content(head, last) or (_PROGRAM if name.endswith(_PROGRAMS) else "")


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
