"""Plain text: all rows in one file, or a file for each row in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import DatasetExporter, DatasetFacts, ExportReport, Field, Params, TaskContext, UserError, text_array
from fmstudio_export.text_file import open_text

if TYPE_CHECKING:
    import pyarrow as pa

_IN_FOLDER = 10_000
"""Files in one folder: with more, file managers and some file systems get slow."""

_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_NAME_BYTES = 120


class TextParams(Params):
    """Settings of plain text."""

    column: str = Field(
        default="", title="Column", description="The text to write; empty = messages, prompt and completion, or text."
    )
    layout: Literal["joined", "files"] = Field(
        default="joined", title="Layout", description="“files” makes a folder with one file for each row."
    )
    separator: str = Field(
        default="\\n\\n",
        title="Between rows",
        description="Stands between the rows of a joined file; \\n is a line end, \\t a tab.",
    )
    name_column: str = Field(
        default="", title="File names from", description="Column that names the files; empty = the row's number."
    )


class TextExporter(DatasetExporter):
    """Writes ``.txt``, or a folder of them."""

    Params = TextParams

    def check(self, schema: pa.Schema, params: Any) -> None:
        """See `DatasetExporter.check`."""
        import pyarrow as pa

        for name in filter(None, (params.column, params.name_column)):
            if name not in schema.names:
                raise UserError(f"There is no column “{name}” here; the columns are {', '.join(schema.names)}.")
        text_array(pa.RecordBatch.from_pylist([], schema=schema), params.column)

    def write(
        self,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        target: Path,
        params: Any,
        facts: DatasetFacts,
        report: ExportReport,
        ctx: TaskContext,
    ) -> list[Path]:
        """See `DatasetExporter.write`."""
        if params.layout == "joined":
            _write_joined(batches, target, params)
            return [target]
        return _write_files(batches, target, params, facts.rows)


def _write_joined(batches: Iterator[pa.RecordBatch], target: Path, params: TextParams) -> None:
    separator = params.separator.replace("\\n", "\n").replace("\\t", "\t")
    is_first = True
    with open_text(target) as file:
        for batch in batches:
            for text in text_array(batch, params.column).to_pylist():
                file.write(text if is_first else separator + text)
                is_first = False
        file.write("\n")


def _write_files(batches: Iterator[pa.RecordBatch], target: Path, params: TextParams, rows: int) -> list[Path]:
    target.mkdir()
    written: list[Path] = []
    taken: set[str] = set()
    for batch in batches:
        texts = text_array(batch, params.column).to_pylist()
        wanted = text_array(batch, params.name_column).to_pylist() if params.name_column else [""] * len(texts)
        for text, name in zip(texts, wanted, strict=True):
            number = len(written)
            folder = target / f"{number // _IN_FOLDER:04}" if rows > _IN_FOLDER else target
            folder.mkdir(exist_ok=True)
            path = folder / f"{_file_name(name, number, taken)}.txt"
            path.write_text(text, "utf-8", newline="")
            written.append(path)
    return written


def _file_name(wanted: str, number: int, taken: set[str]) -> str:
    """A name that every system takes and no other row has; the row's number where the wanted one is no name."""
    clean = _UNSAFE.sub("_", wanted).strip(" .")
    clean = clean.encode()[:_NAME_BYTES].decode("utf-8", "ignore").strip(" .")
    if _RESERVED.match(clean):
        clean = f"_{clean}"
    name = clean or f"{number:06}"
    if name.lower() in taken:
        name = f"{name}-{number:06}"
    if clean:
        taken.add(name.lower())
    return name
