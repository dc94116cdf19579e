"""What lies on the clipboard, as files that can be previewed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from xml.parsers import expat

from PySide6.QtCore import QMimeData
from PySide6.QtGui import QGuiApplication, QImage

from fmstudio.core.addresses import is_remote
from fmstudio.core.paths import cache

KEPT = 20
"""Pasted texts that stay on the disk; an import needs its file until it is done."""


def pasted_files() -> list[str]:
    """Give the copied files, the copied address, or a new file with the copied text or picture; nothing without any."""
    mime: QMimeData | None = QGuiApplication.clipboard().mimeData()
    if mime is None:  # nothing was ever copied
        return []
    if mime.hasUrls():
        files = [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]
        if files:
            return files
    text = mime.text() if mime.hasText() else ""
    if is_remote(text.strip()) and len(text.split()) == 1:
        return [text.strip()]
    if text.strip():
        path = _new_file(suffix_of(text))
        path.write_text(text, "utf-8", errors="replace")  # a program may copy half of a character
        return [str(path)]
    picture = QImage(mime.imageData()) if mime.hasImage() else QImage()
    path = _new_file(".png")
    return [str(path)] if not picture.isNull() and picture.save(str(path)) else []


def _new_file(suffix: str) -> Path:
    """Name a file that is not there yet, and remove the oldest."""
    folder = cache("pasted", "x").parent
    stamp = time.strftime("%Y-%m-%d %H.%M.%S")
    names = (f"pasted {stamp}{again}{suffix}" for again in ("", *(f" {number}" for number in range(2, 1_000))))
    path = next(folder / name for name in names if not (folder / name).exists())
    for old in sorted(folder.glob("pasted *"), key=lambda file: file.stat().st_mtime)[: 1 - KEPT]:
        old.unlink(missing_ok=True)
    return path


def suffix_of(text: str) -> str:
    """Guess what kind of file a text would be: JSON, JSON Lines, a web page, XML, a table copied from a spreadsheet, CSV, or plain."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if lines[0].lstrip().startswith("{") and _is_json(lines[0]):
        return ".jsonl"
    if text.lstrip().startswith(("[", "{")) and _is_json(text):
        return ".json"
    start = text.lstrip()[:200].lower()
    if start.startswith(("<!doctype html", "<html")):
        return ".html"
    if start.startswith("<") and _is_xml(text):
        return ".xml"
    for sign, suffix in (("\t", ".tsv"), (",", ".csv")):
        counts = {line.count(sign) for line in lines[:20]}
        if len(lines) > 1 and len(counts) == 1 and counts != {0}:
            return suffix
    return ".txt"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_xml(text: str) -> bool:
    try:
        expat.ParserCreate().Parse(text, True)
    except (expat.ExpatError, UnicodeEncodeError):
        return False
    return True
