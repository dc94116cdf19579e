"""Text files as they are written: UTF-8, ``\\n`` as line end on every system, gzip where the name ends in ``.gz``."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from fmstudio.api import UserError


@contextmanager
def open_text(target: Path, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Open a new file for text, closed at the end whatever happens."""
    with target.open("wb") as raw:
        if target.name.lower().endswith(".gz"):
            # No time and no name inside: the same rows give the same bytes.
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed, _text(packed, encoding) as file:
                yield file
        else:
            with _text(raw, encoding) as file:
                yield file


def refuse_gzip(target: Path, remedy: str) -> None:
    """Refuse a name that promises gzip to a format that is never written so.

    Raises:
        UserError: The name ends in ``.gz``.
    """
    if target.name.lower().endswith(".gz"):
        raise UserError(
            f"{target.name} would not be compressed with gzip: this format is compressed inside.", remedy=remedy
        )


def _text(raw: gzip.GzipFile | io.BufferedWriter, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(raw, encoding=encoding, newline="", write_through=False)
