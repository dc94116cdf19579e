"""Parquet: one file, or a folder of part files as other programs write them; damage costs its row group or its file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from fmstudio.api import Importer, ImportReport, Reject, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.arrow_plain import pieces, rows_within, sound
from fmstudio_formats.hf_features import decoded

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


_SPLIT = re.compile(r"(train|training|test|testing|validation|valid|val|dev|eval)(?:[-_.]|$)", re.IGNORECASE)
"""Names of splits as files and folders of datasets begin with them; a column ``split`` says which a row is of."""


class ParquetImporter(Importer):
    """Reads ``.parquet``, and folders of such files; ``name=value`` folders become columns."""

    Params = AnyParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        files = part_files(path)
        splits = _splits(files, path)
        total, before = sum(file.stat().st_size for file in files), 0
        start = _Start(**self.mark) if self.mark else _Start()
        for number, file in enumerate(files):
            try:
                if number >= start.file:
                    first = start if number == start.file else _Start(number)
                    extra = {**_partition(file, path), **({"split": splits[file]} if file in splits else {})}
                    yield from self._read(file, extra, report, _Share(ctx, before, total), first)
            except UserError as error:
                if len(files) == 1:
                    raise
                report.reject(Reject(str(error)))
            before += file.stat().st_size

    def _read(
        self, file: Path, extra: dict[str, str], report: ImportReport, share: _Share, start: _Start
    ) -> Iterator[pa.RecordBatch]:
        size = file.stat().st_size
        if not size:
            raise UserError(f"{file.name} is empty (0 bytes).", remedy="Choose a file with content.")
        with _open(file) as parquet:
            classes = _classes(parquet)
            total = max(1, parquet.metadata.num_rows)
            rows = start.rows
            for group in range(start.group, parquet.num_row_groups):
                self.mark = asdict(_Start(start.file, group, rows))
                yielded = 0
                for batch in _group(parquet, group, file, rows, report):
                    yielded += batch.num_rows
                    share.tell(size * (rows + yielded) / total)
                    yield _with(decoded(batch, classes) if classes else batch, extra)
                rows += parquet.metadata.row_group(group).num_rows


@dataclass(frozen=True, slots=True)
class _Start:
    """Where reading begins: number of the file and of the row group in it, and the file's rows before that."""

    file: int = 0
    group: int = 0
    rows: int = 0


def part_files(path: Path) -> list[Path]:
    """Give the file itself, or the folder's part files in order of their names.

    Raises:
        UserError: The folder has none.
    """
    if not path.is_dir():
        return [path]
    files = sorted(
        file
        for file in path.rglob("*.parquet")
        if file.is_file() and not file.is_symlink() and not _is_hidden(file.relative_to(path))
    )
    if not files:
        raise UserError(f"The folder {path.name} holds no Parquet file.", remedy="Choose a folder of .parquet files.")
    return files


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in path.parts)


class _Share:
    """The share of one file in the progress of all."""

    def __init__(self, ctx: TaskContext, before: int, total: int) -> None:
        self._ctx, self._before, self._total = ctx, before, total

    def tell(self, done: float) -> None:
        """Say how many bytes of this file are done."""
        self._ctx.check_cancelled()
        self._ctx.progress(self._before + done, self._total, "bytes read")


def _open(file: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{file.name} is no whole Parquet file: {_reason(str(error))}",
            remedy="Copy or download it again.",
            details=str(error),
        ) from error


def _group(
    parquet: pq.ParquetFile, group: int, file: Path, rows: int, report: ImportReport
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    facts = parquet.metadata.row_group(group)
    step, done = rows_within(facts.total_byte_size, facts.num_rows), 0
    try:
        for batch in parquet.iter_batches(batch_size=step, row_groups=[group]):
            yield from pieces(sound(batch))
            done += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        first, last = rows + done + 1, rows + facts.num_rows
        byte = min(facts.column(i).data_page_offset for i in range(facts.num_columns))
        report.reject(
            Reject(
                f"Rows {first} to {last} of {file.name} cannot be read: the content is damaged ({error}).", None, byte
            )
        )


def _partition(file: Path, root: Path) -> dict[str, str]:
    """Columns that stand in the names of folders, as ``year=2024/part-0.parquet``."""
    if not root.is_dir():
        return {}
    pairs = (part.partition("=") for part in file.relative_to(root).parts[:-1])
    return {unquote(name): unquote(value) for name, sign, value in pairs if sign and name}


def _splits(files: list[Path], root: Path) -> dict[Path, str]:
    """Tell the split of each file by its name or folder (``data/train-00000-of-00002.parquet``), where there are several.

    Rows of a test split among those of training would be learned from.
    """
    found: dict[Path, str] = {}
    for file in files if root.is_dir() else ():
        parts = file.relative_to(root).parts
        if name := next(filter(None, map(_SPLIT.match, reversed(parts))), None):
            found[file] = name[1].lower()
    return found if len(set(found.values())) > 1 else {}


def _classes(parquet: pq.ParquetFile) -> dict[str, Any]:
    """Give the features that Hugging Face wrote beside the columns, where they name the numbers of classes."""
    written = (parquet.schema_arrow.metadata or {}).get(b"huggingface", b"")
    if b"ClassLabel" not in written:
        return {}
    try:
        features = json.loads(written)["info"]["features"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _with(batch: pa.RecordBatch, extra: dict[str, str]) -> pa.RecordBatch:
    import pyarrow as pa

    for name, value in extra.items():
        if name not in batch.schema.names:
            batch = batch.append_column(name, pa.repeat(pa.scalar(value), batch.num_rows))
    return batch


def _reason(message: str) -> str:
    if "magic bytes" in message or "footer" in message:
        return "its end, which lists the columns, is missing."
    if "encrypt" in message.lower():
        return "it is encrypted."
    return "its content is damaged."
