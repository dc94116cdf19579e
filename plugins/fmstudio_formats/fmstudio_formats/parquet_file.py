"""Parquet: batches as they are, with a clear word on a file that is cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fmstudio.api import Importer, ImportReport, TaskContext, UserError
from fmstudio.api import Params as AnyParams

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 8_192


class ParquetImporter(Importer):
    """Reads ``.parquet``."""

    Params = AnyParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        size = path.stat().st_size
        if not size:
            raise UserError(f"{path.name} is empty (0 bytes).", remedy="Choose a file with content.")
        rows = 0
        try:
            with pq.ParquetFile(path) as file:
                total = file.metadata.num_rows
                for batch in file.iter_batches(batch_size=_ROWS):
                    ctx.check_cancelled()
                    rows += batch.num_rows
                    ctx.progress(size * rows / max(1, total), size, "bytes read")
                    yield batch
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(
                f"{path.name} is no whole Parquet file: {_reason(str(error))}",
                remedy="Copy or download it again.",
                details=f"After row {rows}: {error}",
            ) from error


def _reason(message: str) -> str:
    if "magic bytes" in message or "footer" in message:
        return "its end, which lists the columns, is missing."
    return "its content is damaged."
