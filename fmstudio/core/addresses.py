"""What the user named to be imported: a file, or an address. Knows nothing of networks."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit


def is_remote(name: str) -> bool:
    """Whether it is a web address, or ``hf:owner/name`` for a dataset on the Hugging Face hub."""
    return bool(re.match(r"(?i)https?://|hf:", name))


def name_of(file: str) -> str:
    """The name by which a file, folder or address is known: without what leads there.

    Example:
        >>> name_of("https://example.org/data/train.jsonl?download=true"), name_of("hf:owner/birds@main")
        ('train.jsonl', 'birds')
    """
    if not is_remote(file):
        return Path(file).name
    if file.lower().startswith("hf:"):
        return file[3:].partition("@")[0].rpartition("/")[2] or file
    parts = urlsplit(file)
    return unquote(PurePosixPath(parts.path).name) or parts.hostname or file


def title_of(file: str) -> str:
    """What a dataset made of it is called, unless the user says otherwise: the name without a suffix."""
    name = name_of(file)
    if not is_remote(file):
        return name if Path(file).is_dir() else Path(name).stem
    return name if file.lower().startswith("hf:") or not urlsplit(file).path.strip("/") else Path(name).stem or name
