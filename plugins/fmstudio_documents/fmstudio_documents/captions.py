"""Captions of pictures: ``metadata.jsonl`` or ``metadata.csv`` as in Hugging Face's ImageFolder, or a text file beside.

Format: https://huggingface.co/docs/datasets/image_dataset#imagefolder
"""

from __future__ import annotations

import csv
import json
from pathlib import Path, PurePosixPath
from typing import Any

from fmstudio.api import ImportReport, Reject
from fmstudio_documents.decoding import decode

METADATA = ("metadata.jsonl", "metadata.csv")
_CAPTIONS = ("caption", "text", "prompt", "description")
_SUFFIXES = (".txt", ".caption")
_LARGEST = 512 << 20
_LONGEST = 1 << 20


class Captions:
    """What the files of a folder say about its pictures."""

    def __init__(self, report: ImportReport) -> None:
        self._report = report
        self._rows: dict[Path, dict[str, Any]] = {}
        self._used: set[Path] = set()
        self.columns: list[str] = []

    def read(self, file: Path) -> None:
        """Take a metadata file in; paths in it count from its folder."""
        if file.stat().st_size > _LARGEST:
            self._report.reject(Reject(f"{file.name} is larger than 512 MiB and is not read."))
            return
        text, _ = decode(file.read_bytes())
        rows = self._lines(file, text) if file.suffix == ".jsonl" else self._table(file, text)
        for row in rows:
            name = row.pop("file_name", None)
            if not isinstance(name, str) or not name:
                self._report.reject(Reject(f"A row of {file.name} has no file_name.", raw=str(row)[:2000]))
                continue
            caption = next((key for key in _CAPTIONS if isinstance(row.get(key), str)), None)
            facts = {"caption": row.pop(caption)} if caption else {}
            place = file.parent.joinpath(*PurePosixPath(name.replace("\\", "/")).parts)
            self._rows[place] = {**facts, **{key: _cell(value) for key, value in row.items()}}
            self.columns += [key for key in row if key not in self.columns]

    def of(self, picture: Path) -> dict[str, Any]:
        """Caption and other facts of a picture."""
        self._used.add(picture)
        found = dict(self._rows.get(picture, {}))
        if "caption" not in found and (beside := self._beside(picture)):
            found["caption"] = beside
        return found

    def left_over(self) -> list[Path]:
        """Pictures that are described but not there."""
        return [place for place in self._rows if place not in self._used]

    def _beside(self, picture: Path) -> str:
        for suffix in _SUFFIXES:
            file = picture.with_suffix(suffix)
            if file.is_file() and file.stat().st_size <= _LONGEST:
                return decode(file.read_bytes())[0].strip()
        return ""

    def _lines(self, file: Path, text: str) -> list[dict[str, Any]]:
        rows = []
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                self._report.reject(Reject(f"{file.name}: not valid JSON ({error}).", number, raw=line[:2000]))
                continue
            if isinstance(row, dict):
                rows.append(row)
            else:
                self._report.reject(Reject(f"{file.name}: no object.", number, raw=line[:2000]))
        return rows

    def _table(self, file: Path, text: str) -> list[dict[str, Any]]:
        try:
            rows = list(csv.DictReader(text.splitlines(keepends=True)))
        except csv.Error as error:
            self._report.reject(Reject(f"{file.name} is no CSV file that can be read ({error})."))
            return []
        return [{key: value for key, value in row.items() if key and isinstance(value, str)} for row in rows]


def _cell(value: Any) -> str | None:
    """Facts beyond the caption are kept as text; nested ones as JSON."""
    return value if isinstance(value, str | None) else json.dumps(value, ensure_ascii=False)
