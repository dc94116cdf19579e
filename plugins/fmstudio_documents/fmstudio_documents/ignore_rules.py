"""``.gitignore``: which files of a folder its author keeps out. Follows https://git-scm.com/docs/gitignore#_pattern_format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    is_negative: bool
    folders_only: bool


class IgnoreRules:
    """The rules of one ``.gitignore`` and of those in the folders above it.

    Args:
        folder: Place of the folder in the tree, ``""`` for the top.
        above: Rules that hold already.
    """

    def __init__(self, folder: str = "", text: str = "", above: IgnoreRules | None = None) -> None:
        rules = [rule for line in text.splitlines() if (rule := _rule(line, folder))]
        self._rules: list[_Rule] = [*(above._rules if above else []), *rules]

    @classmethod
    def of(cls, path: Path, folder: str, above: IgnoreRules | None) -> IgnoreRules:
        """Read the file in a folder, where there is one."""
        file = path / ".gitignore"
        if not file.is_file() or file.stat().st_size > _LARGEST:
            return above or cls()
        return cls(folder, file.read_text("utf-8", "replace"), above)

    def ignores(self, place: str, *, is_folder: bool) -> bool:
        """Whether a path (with ``/``, from the top) is kept out; the last rule that fits decides."""
        for rule in reversed(self._rules):
            if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(place):
                return not rule.is_negative
        return False


def _rule(line: str, folder: str) -> _Rule | None:
    text = line.rstrip() if not line.rstrip("\n").endswith("\\ ") else line.rstrip("\n")
    if not text or text.startswith("#"):
        return None
    is_negative = text.startswith("!")
    text = text[1:] if is_negative else text.removeprefix("\\")
    folders_only = text.endswith("/")
    text = text.rstrip("/")
    if not text:
        return None
    is_anchored = "/" in text
    start = re.escape(f"{folder}/") if folder else ""
    inside = "" if is_anchored else "(?:.*/)?"
    try:
        return _Rule(re.compile(start + inside + _regex(text.lstrip("/"))), is_negative, folders_only)
    except re.error:
        return None


def _regex(pattern: str) -> str:
    out, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            out, at = out + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            out, at = out + ".*", at + 2
        elif pattern[at] == "*":
            out, at = out + "[^/]*", at + 1
        elif pattern[at] == "?":
            out, at = out + "[^/]", at + 1
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end].replace("\\", "\\\\")
            out, at = out + "[" + ("^" + inside[1:] if inside.startswith("!") else inside) + "]", end + 1
        else:
            out, at = out + re.escape(pattern[at]), at + 1
    return out
