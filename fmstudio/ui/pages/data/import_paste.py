"""What lies on the clipboard, as files that can be previewed."""

from __future__ import annotations

import json
import time
from pathlib import Path

from PySide6.QtGui import QGuiApplication

from fmstudio.core.addresses import is_remote
from fmstudio.core.paths import cache

KEPT = 20
"""Pasted texts that stay on the disk; an import needs its file until it is done."""


def pasted_files() -> list[str]:
    """Give the copied files, the copied address, or a new file with the copied text; nothing when there is none."""
    mime = QGuiApplication.clipboard().mimeData()
    if mime.hasUrls():
        files = [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]
        if files:
            return files
    text = mime.text() if mime.hasText() else ""
    if is_remote(text.strip()) and len(text.split()) == 1:
        return [text.strip()]
    return [str(_kept(text))] if text.strip() else []


def _kept(text: str) -> Path:
    folder = cache("pasted", "x").parent
    stamp = time.strftime("%Y-%m-%d %H.%M.%S")
    path = folder / f"pasted {stamp}{suffix_of(text)}"
    path.write_text(text, "utf-8")
    for old in sorted(folder.glob("pasted *"), key=lambda file: file.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def suffix_of(text: str) -> str:
    """Guess what kind of file a text would be: JSON, JSON Lines, a table copied from a spreadsheet, CSV, or plain text."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if lines[0].lstrip().startswith("{") and _is_json(lines[0]):
        return ".jsonl"
    if text.lstrip().startswith(("[", "{")) and _is_json(text):
        return ".json"
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
