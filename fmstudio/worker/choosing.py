"""Which importers read what: by suffix, by first bytes, and for folders by a marker file or by what is in them."""

from __future__ import annotations

import os
from pathlib import Path

from fmstudio.plugin_manager import Contribution, PluginManager

_JUNK = ("__macosx", ".ds_store", "thumbs.db", "desktop.ini", ".git", ".svn", ".hg", ".cache", "__pycache__")
_LOOKED_AT = 5_000
"""Files from which it is decided what kind of folder one is."""


def claims(importer: Contribution, path: Path) -> int:
    """Length of the longest of an importer's suffixes that a file's name ends with; 0 when there is none."""
    name = path.name.lower()
    return max((len(s) for s in importer.facts.get("suffixes", ()) if name.endswith(s)), default=0)


def takes_folders(importer: Contribution) -> bool:
    """Whether an importer reads whole folders."""
    return "folder" in importer.facts.get("accepts", ("file",))


def takes_files(importer: Contribution) -> bool:
    """Whether an importer reads files."""
    return "file" in importer.facts.get("accepts", ("file",))


def file_candidates(path: Path, plugins: PluginManager) -> list[Contribution]:
    """Importers that claim a file's name, the longest suffix first; all of them, the likeliest first, when none does."""
    everything = [c for c in plugins.contributions("importer") if takes_files(c)]
    claiming = sorted((c for c in everything if claims(c, path)), key=lambda c: claims(c, path), reverse=True)
    return claiming or _by_content(path, everything)


def folder_candidates(path: Path, plugins: PluginManager) -> list[Contribution]:
    """Importers that claim a folder: by a marker file, else because most of the files in it are theirs."""
    if found := marked(path, plugins):
        return found
    names = _names(path)
    folders = [c for c in plugins.contributions("importer") if takes_folders(c)]
    return [c for c in folders if _is_mostly(c, names)]


def marked(path: Path, plugins: PluginManager) -> list[Contribution]:
    """Importers whose marker file is in a folder."""
    folders = [c for c in plugins.contributions("importer") if takes_folders(c)]
    return [c for c in folders if any((path / marker).is_file() for marker in c.facts.get("markers", []))]


def is_junk(name: str) -> bool:
    """Whether a file or folder is only of use to the system or to Git."""
    return name.lower() in _JUNK or name.startswith("._")


def _names(path: Path) -> list[str]:
    names: list[str] = []
    for _, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not is_junk(name)]
        names += [name.lower() for name in files if not is_junk(name)]
        if len(names) > _LOOKED_AT:
            break
    return names


def _is_mostly(importer: Contribution, names: list[str]) -> bool:
    """Whether half of the files are an importer's, companions (captions, licences) aside, and a fifth of all."""
    suffixes = tuple(importer.facts.get("suffixes", ()))
    companions = tuple(importer.facts.get("companions", ()))
    own = sum(name.endswith(suffixes) for name in names) if suffixes else 0
    other = sum(not name.endswith(suffixes) and not name.endswith(companions) for name in names)
    return own > other and own * 5 >= len(names)


def _by_content(path: Path, importers: list[Contribution]) -> list[Contribution]:
    """Order importers for a file without a known suffix by its first bytes."""
    with path.open("rb") as file:
        head = file.read(4096)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    likely = "text"
    if head.startswith(b"PAR1"):
        likely = "parquet"
    elif start.startswith((b"{", b"[")):
        lines = [line for line in start.splitlines() if line.strip()]
        likely = "jsonl" if len(lines) > 1 and lines[0].rstrip().endswith(b"}") else "json"
    return sorted(importers, key=lambda importer: importer.id != likely)
