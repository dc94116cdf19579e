"""How files that hold an evaluated conversation are named, so that app and engine find them without each other."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

SUFFIX = ".state"
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,80}")


def name_of(conversation: str) -> str:
    """First part of the names of a conversation's files; an empty conversation has one too."""
    if _PLAIN.fullmatch(conversation):
        return conversation
    return f"x{hashlib.sha256(conversation.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def files_of(folder: Path, conversation: str) -> list[Path]:
    """All files of a conversation, of whatever model, below the folder they are kept in."""
    return list(folder.glob(f"*/{name_of(conversation)}.*{SUFFIX}"))
