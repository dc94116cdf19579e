"""Small JSON and JSON Lines files, written so that a kill at any moment leaves the old or the new file, never half."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def to_json(value: Any, **more: Any) -> str:
    """JSON as `json.dumps` writes it, in plain characters where UTF-8 holds them.

    Names of files need not be text: what is none in them (lone surrogates) stands as an escape, and comes back as it was.
    """
    text = json.dumps(value, ensure_ascii=False, **more)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, **more)
    return text


def write_json(path: Path, value: Any) -> None:
    """Write beside, fsync, rename.

    Raises:
        OSError: The disk is full or the folder is not writable; the old file is untouched.
    """
    write_text(path, to_json(value, indent=1))


def write_text(path: Path, text: str) -> None:
    """Like `write_json`, for text."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def read_json(path: Path, default: Any = None) -> Any:
    """Read a JSON file; `default` when it is missing or damaged (these files can always be made again)."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return default


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read JSON Lines; a half-written last line is passed over."""
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue
    except FileNotFoundError:
        return


def fsync_folder(folder: Path) -> None:
    """Make renames inside a folder durable (does nothing on Windows, where folders cannot be synced)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
