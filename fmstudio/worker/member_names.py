"""Names of the files in an archive: which are refused, and how the others are stored and shown here."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

_SUFFIXES = {"gzip": (".gz", ".gzip"), "bzip2": (".bz2",), "xz": (".xz",), "zstd": (".zst", ".zstd")}
_SHORT = {".tgz": ".tar", ".tbz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".tzst": ".tar"}
_RESERVED = frozenset('<>:"|?*')


def name_refusal(name: str) -> str:
    """Say why a file of this name stays out; empty when it does not."""
    plain = name.replace("\\", "/")
    if plain.startswith("/") or re.match(r"[A-Za-z]:", plain):
        return "has an absolute name, which leads out of the folder"
    if ".." in plain.split("/"):
        return "has a name that leads out of the folder (..)"
    parts = name_parts(name)
    if not parts or "\0" in plain:
        return "has no usable name"
    if any(len(part.encode("utf-8", "replace")) > 255 for part in parts) or len(plain) > 2_000:
        return "has a name that is too long"
    return ""


def name_parts(name: str) -> tuple[str, ...]:
    """The folders and the name of a member, as this system can store them."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return tuple(_storable(part) for part in parts)


def _storable(part: str) -> str:
    part = part.encode("utf-8", "replace").decode("utf-8")
    if os.name == "nt":
        part = "".join("_" if c in _RESERVED or ord(c) < 32 else c for c in part).rstrip(". ") or "_"
    return part


def inner_name(name: str, kind: str) -> str:
    """The name of what a compressed file holds."""
    lower = name.lower()
    suffix = next((s for s in (*_SUFFIXES[kind], *_SHORT) if lower.endswith(s)), "")
    return name[: len(name) - len(suffix)] + _SHORT.get(suffix, "") if suffix and lower != suffix else name


def printable(name: str) -> str:
    """A name as it can be shown: control characters and half characters made visible."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return shown if len(shown) <= 300 else f"{shown[:300]}…"
