"""Jupyter notebooks: a row for each cell, or the whole notebook as Markdown. Nothing in them is run.

Format: nbformat 4 (cells) and 3 (worksheets), https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import Field, Importer, ImportReport, Params, Reject, TaskContext, UserError
from fmstudio_documents.decoding import decode
from fmstudio_documents.rows import batched, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

_LARGEST = 256 << 20


class NotebookParams(Params):
    """Settings of the notebook importer."""

    rows: Literal["cell", "notebook"] = Field(default="cell", title="One row is")
    outputs: bool = Field(default=False, title="Outputs", description="What the cells printed, too; no pictures.")


class NotebookImporter(Importer):
    """Reads ``.ipynb``."""

    Params = NotebookParams

    def read(self, path: Path, params: Any, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        notebook = _load(path)
        ctx.progress(path.stat().st_size, path.stat().st_size, "bytes read")
        language = _language(notebook)
        cells = list(_cells(notebook, language, params.outputs, path, report))
        if not cells:
            raise UserError(f"{path.name} has no cell with content.", remedy="Choose another file.")
        kinds = {
            "text": "string",
            "cell_type": "string",
            "language": "string",
            "cell": "int64",
            "source_file": "string",
        }
        if params.outputs:
            kinds["output"] = "string"
        rows = cells if params.rows == "cell" else [_whole(cells, language)]
        yield from batched([{**row, "source_file": path.name} for row in rows], schema_of(**kinds))


def _load(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _LARGEST:
        raise UserError(f"{path.name} is larger than 256 MiB.", remedy="Clear its outputs and save it again.")
    text, _ = decode(path.read_bytes())
    try:
        notebook = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path.name}, line {error.lineno}: broken notebook: {error.msg}.", remedy="It may be cut; save it again."
        ) from error
    except (RecursionError, ValueError) as error:
        raise UserError(f"{path.name} cannot be read as a notebook ({error}).", remedy="Save it again.") from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells", notebook.get("worksheets")), list):
        raise UserError(f"{path.name} is no notebook: it has no list of cells.", remedy="Choose the JSON importer.")
    return notebook


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata")
    for key in ("language_info", "kernelspec"):
        info = metadata.get(key) if isinstance(metadata, dict) else None
        name = (
            (info.get("name") if key == "language_info" else info.get("language")) if isinstance(info, dict) else None
        )
        if isinstance(name, str) and name:
            return name.lower()
    return "python"


def _cells(
    notebook: dict[str, Any], language: str, outputs: bool, path: Path, report: ImportReport
) -> Iterator[dict[str, Any]]:
    sheets = [notebook] if "cells" in notebook else notebook["worksheets"]
    cells = [c for sheet in sheets if isinstance(sheet, dict) for c in sheet.get("cells") or []]
    for number, cell in enumerate(cells, 1):
        source = _joined(cell.get("source", cell.get("input"))) if isinstance(cell, dict) else None
        if source is None:
            raw = json.dumps(cell, ensure_ascii=False)[:2000]
            report.reject(Reject(f"{path.name}: cell {number} has no source.", raw=raw))
            continue
        if not source.strip():
            continue
        kind = str(cell.get("cell_type", "code"))
        spoken = _magic(source) or str(cell.get("language") or language)
        row = {"text": source, "cell_type": kind, "language": spoken if kind == "code" else kind, "cell": number}
        yield {**row, "output": _output(cell)} if outputs else row


def _joined(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value if isinstance(value, str) else None


def _magic(source: str) -> str:
    """The language a cell names in its first line: ``%%bash``."""
    first = source.lstrip().split("\n", 1)[0]
    name = first[2:].split(" ")[0].strip().lower() if first.startswith("%%") else ""
    return name if name in ("bash", "sh", "html", "javascript", "js", "latex", "perl", "ruby", "sql", "r") else ""


def _output(cell: dict[str, Any]) -> str | None:
    texts = []
    for output in cell.get("outputs") or []:
        if not isinstance(output, dict):
            continue
        data = output.get("data")
        values = [output.get("text"), data.get("text/plain") if isinstance(data, dict) else None, output.get("evalue")]
        texts += [text for value in values if (text := _joined(value))]
    return "\n".join(texts) or None


def _whole(cells: list[dict[str, Any]], language: str) -> dict[str, Any]:
    pieces = []
    for cell in cells:
        is_code = cell["cell_type"] == "code"
        pieces.append(f"```{cell['language']}\n{cell['text']}\n```" if is_code else cell["text"])
        if cell.get("output"):
            pieces.append(f"```\n{cell['output']}\n```")
    return {"text": "\n\n".join(pieces), "cell_type": "notebook", "language": language}
