"""Answers in the making, kept on disk as they are shown: a quit or a kill in the middle loses nothing that was read.

Each answer has a file of its own beside the catalogue, which is appended to before its text is shown. When the answer
is saved in the catalogue the file goes; files found at open are answers of a process that ended in between.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

SUFFIX = ".answer.jsonl"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An answer that was being made when its process ended.

    Attributes:
        header: ``id``, ``conversation_id``, ``parent_id`` and ``facts`` of the answer.
        text: What had come.
    """

    header: dict[str, Any]
    text: str
    path: Path


class AnswerJournal:
    """Keeps one answer while it grows.

    Args:
        folder: Where unfinished answers lie; made when missing.
        header: What the answer needs to be saved without its process: ``id``, ``conversation_id``, ``parent_id``,
            ``facts``.
    """

    def __init__(self, folder: Path, header: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{header['id']}{SUFFIX}"
        self._file: IO[bytes] | None = self.path.open("ab", buffering=0)
        self._length = 0
        self._write(header)

    def keep(self, text: str) -> None:
        """Keep the answer's text so far; only what is new is written. `text` only grows.

        The operating system has it when this returns: it survives the end of this process, whatever ends it.
        """
        if len(text) > self._length:
            self._write(text[self._length :])
            self._length = len(text)

    def _write(self, value: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps(value, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        """Stop writing; the file stays until `remove`."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """The answer is saved elsewhere."""
        self.close()
        with suppress(OSError):  # a file left behind is recognised as saved at the next open
            self.path.unlink(missing_ok=True)


def unfinished(folder: Path) -> list[Unfinished]:
    """Answers whose process ended while they were made; a last line that is torn is left out."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []:
        values: list[Any] = []
        for line in path.read_bytes().split(b"\n"):
            try:
                values.append(json.loads(line))
            except ValueError:
                break
        header = values[0] if values and isinstance(values[0], dict) else {}
        found.append(Unfinished(header, "".join(v for v in values[1:] if isinstance(v, str)), path))
    return found
