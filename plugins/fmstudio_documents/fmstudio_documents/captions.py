"""Captions of pictures: ``metadata.jsonl`` or ``metadata.csv`` as in Hugging Face's ImageFolder, or a text file beside.

Format: https://huggingface.co/docs/datasets/image_dataset#imagefolder
"""

from __future__ import annotations

import csv
import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from fmstudio.api import ImportReport, Reject
from fmstudio_documents.decoding import decode

if TYPE_CHECKING:
    import pyarrow as pa

METADATA = ("metadata.jsonl", "metadata.csv")
MEASURED = ("image", "image_path", "width", "height", "format", "bytes", "source_file")
"""Columns that say what a picture is; what a metadata file says under these names gets ``_original`` at its end."""
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
            if "caption" in row:  # none that is text
                row["caption"] = _cell(row["caption"])
            row = {_free(key, row): value for key, value in row.items()}
            self._rows[place] = {**facts, **row}
            self.columns += [key for key in row if key not in self.columns]

    def fields(self, names: list[str]) -> list[pa.Field]:
        """Give columns with their types; values that have none in common become text, with a note."""
        import pyarrow as pa

        fields = []
        for name in names:
            array = _array([row.get(name) for row in self._rows.values()])
            if array is None:
                self._report.note(f"Column “{name}” holds different kinds of values, so it is read as text.")
                for row in self._rows.values():
                    row[name] = _cell(row.get(name))
            kind = pa.null() if array is None else array.type
            fields.append(pa.field(name, pa.string() if pa.types.is_null(kind) else kind))
        return fields

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


def _free(name: str, row: dict[str, Any]) -> str:
    """Give a fact of a metadata file a name that no measured column has."""
    if name not in MEASURED:
        return name
    fresh = f"{name}_original"
    while fresh in row:
        fresh += "_2"
    return fresh


def _array(values: list[Any]) -> pa.Array | None:
    """The values as they are; None where they have no type in common."""
    import pyarrow as pa

    if bool in (kinds := {type(value) for value in values if value is not None}) and len(kinds) > 1:
        return None
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return None


def _cell(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value, ensure_ascii=False)
