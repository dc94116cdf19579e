"""Copying a model to another folder: links where the disk can, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from fmstudio.api.errors import Cancelled, UserError
from fmstudio.models.inspect import PICKLES, ModelFacts

CHUNK_BYTES = 4 << 20


def copy_model(facts: ModelFacts, folder: Path, cancelled: Callable[[], bool] = lambda: False) -> Path:
    """Copy a GGUF file or a model's folder (its own files, no pickles) to `folder`; give the copy's path.

    Raises:
        UserError: There is too little room.
        Cancelled: `cancelled` said so; nothing is left behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if facts.bytes > free:
        raise UserError(
            f"A copy of “{facts.path.name}” takes {facts.bytes / 1e9:.1f} GB; {free / 1e9:.1f} GB are free.",
            remedy="Free some disk space, or link the file where it lies.",
        )
    target, part = folder / facts.path.name, folder / f"{facts.path.name}.part"
    try:
        if facts.path.is_dir():
            part.mkdir()
            for file in sorted(f for f in facts.path.iterdir() if f.is_file() and f.suffix.lower() not in PICKLES):
                _copy(file, part / file.name, cancelled)
        else:
            _copy(facts.path, part, cancelled)
        os.replace(part, target)
    except BaseException:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
        raise
    return target


def link_or_copy(source: Path, target: Path, cancelled: Callable[[], bool] = lambda: False) -> bool:
    """Hard-link a file, or copy it where the disk cannot; say whether it is a link."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        _copy(source, target, cancelled)
        return False
    return True


def _copy(source: Path, target: Path, cancelled: Callable[[], bool]) -> None:
    with source.open("rb") as read, target.open("xb") as written:
        while chunk := read.read(CHUNK_BYTES):
            if cancelled():
                raise Cancelled
            written.write(chunk)
        written.flush()
        os.fsync(written.fileno())
