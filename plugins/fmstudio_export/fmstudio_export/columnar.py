"""Parquet and Arrow IPC: the columns as they are stored, type by type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import DatasetExporter, DatasetFacts, ExportReport, Field, Params, TaskContext, UserError
from fmstudio_export.text_file import refuse_gzip

if TYPE_CHECKING:
    import pyarrow as pa


class ParquetParams(Params):
    """Settings of Parquet."""

    compression: Literal["zstd", "snappy", "gzip", "none"] = Field(
        default="zstd", title="Compression", description="Snappy and gzip are for old readers; zstd is smaller."
    )
    row_group: int = Field(
        default=65_536, ge=1_024, le=1_048_576, title="Rows in a row group", description="Smaller groups jump faster."
    )


class ArrowParams(Params):
    """Settings of Arrow IPC."""

    compression: Literal["zstd", "lz4", "none"] = Field(
        default="none",
        title="Compression",
        description="Without it a reader can map the file into memory instead of loading it.",
    )


class ParquetExporter(DatasetExporter):
    """Writes ``.parquet``."""

    Params = ParquetParams

    def check(self, schema: pa.Schema, params: Any) -> None:
        """See `DatasetExporter.check`."""
        need_columns(schema, "Parquet")

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
        import pyarrow.parquet as pq

        refuse_gzip(target, "Name it .parquet; the setting “compression” offers gzip, too.")
        with pq.ParquetWriter(target, schema, compression=params.compression) as writer:
            for table in tables(batches, schema, params.row_group):
                writer.write_table(table, row_group_size=params.row_group)
        return [target]


class ArrowExporter(DatasetExporter):
    """Writes ``.arrow``: the IPC file format, which is also Feather version 2."""

    Params = ArrowParams

    def check(self, schema: pa.Schema, params: Any) -> None:
        """See `DatasetExporter.check`."""
        need_columns(schema, "Arrow")

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
        import pyarrow as pa

        refuse_gzip(target, "Name it .arrow; the setting “compression” offers zstd and lz4.")
        packing = None if params.compression == "none" else params.compression
        options = pa.ipc.IpcWriteOptions(compression=packing)
        with pa.OSFile(str(target), "wb") as file, pa.ipc.new_file(file, schema, options=options) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return [target]


def tables(batches: Iterator[pa.RecordBatch], schema: pa.Schema, rows: int, most: int = 64 << 20) -> Iterator[pa.Table]:
    """Gather batches into tables of about `rows` rows, or fewer where they take more than `most` bytes."""
    import pyarrow as pa

    pending: list[pa.RecordBatch] = []
    count = size = 0
    for batch in batches:
        pending.append(batch)
        count, size = count + batch.num_rows, size + batch.nbytes
        if count >= rows or size >= most:
            yield pa.Table.from_batches(pending, schema)
            pending, count, size = [], 0, 0
    if pending:
        yield pa.Table.from_batches(pending, schema)


def need_columns(schema: pa.Schema, title: str) -> None:
    """Refuse a table without columns.

    Raises:
        UserError: There are none.
    """
    if not len(schema):
        raise UserError(f"{title} needs at least one column.", remedy="Choose columns to export.")
