"""A dataset as a folder that ``datasets.load_dataset`` reads: Parquet files by split, and a dataset card.

Layout and front matter follow the Hub's documentation ("Data files configuration", "Dataset cards").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import DatasetExporter, DatasetFacts, ExportReport, Field, Params, TaskContext, UserError
from fmstudio_export.column_statistics import ColumnTallies
from fmstudio_export.columnar import need_columns
from fmstudio_export.hf_card import Split, card_text
from fmstudio_export.hf_images import brought, with_image_feature

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SPLIT = "split"
UNASSIGNED = "unassigned"
_MOST_SPLITS = 32
_NOT_IN_NAMES = re.compile(r"\W+")


class HfDatasetParams(Params):
    """Settings of the dataset folder."""

    description: str = Field(default="", title="Description", description="What the card says the dataset is.")
    split_column: str = Field(
        default=SPLIT,
        title="Split column",
        description="Its values name the splits. Empty, or where there is none: all rows are “train”.",
    )
    shard_mb: int = Field(
        default=500, ge=1, le=5_000, title="File size (MB)", description="A split larger than this gets several files."
    )


class HfDatasetExporter(DatasetExporter):
    """Writes ``README.md`` and ``data/SPLIT-00000-of-00001.parquet``."""

    Params = HfDatasetParams

    def check(self, schema: pa.Schema, params: Any) -> None:
        """See `DatasetExporter.check`."""
        need_columns(schema, "A dataset folder")
        if params.split_column not in ("", SPLIT) and params.split_column not in schema.names:
            raise UserError(f"There is no column “{params.split_column}” here.", remedy="Choose another split column.")

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
        data = target / "data"
        data.mkdir(parents=True)
        tallies = ColumnTallies(schema)
        column = params.split_column if params.split_column in schema.names else ""
        written = with_image_feature(schema, facts.kind)
        with _Splits(data, written, params.shard_mb * 1_000_000, report) as splits:
            for batch in batches:
                tallies.add(batch)
                splits.write(brought(batch, written), column)
            files, made = splits.finish()
        card = target / "README.md"
        text = card_text(facts, made, tallies, description=params.description)
        card.write_text(text, "utf-8", newline="\n")
        return [card, *files]


class _Splits:
    """The files of all splits, open at once; leaving it by an exception only closes them."""

    def __init__(self, folder: Path, schema: pa.Schema, most: int, report: ExportReport) -> None:
        self._folder, self._schema, self._most, self._report = folder, schema, most, report
        self._shards: dict[str, _Shards] = {}
        self._names: dict[Any, str] = {}

    def __enter__(self) -> _Splits:
        return self

    def __exit__(self, *_: object) -> None:
        for shards in self._shards.values():
            shards.close()

    def write(self, batch: pa.RecordBatch, column: str) -> None:
        """Write each row to the files of its split."""
        import pyarrow.compute as pc

        if not column:
            self._of("train").write(batch)
            return
        values = batch.column(column)
        for value in pc.unique(values).to_pylist():
            mask = values.is_null() if value is None else pc.fill_null(pc.equal(values, value), False)
            self._of(self._name(value)).write(batch.filter(mask))

    def finish(self) -> tuple[list[Path], list[Split]]:
        """Close all files and give them their final names."""
        import pyarrow as pa

        if not self._shards:
            self._of("train").write(pa.RecordBatch.from_pylist([], schema=self._schema))
        files = {name: shards.finish() for name, shards in self._shards.items()}
        made = [Split(name, s.rows, s.bytes, len(files[name])) for name, s in self._shards.items()]
        return [path for paths in files.values() for path in paths], made

    def _name(self, value: Any) -> str:
        if value not in self._names:
            text = "" if value is None else str(value).strip()
            name = _NOT_IN_NAMES.sub("_", text).strip("_") or UNASSIGNED
            if name == UNASSIGNED:
                self._report.note(f"Rows that are in no split are in a split “{UNASSIGNED}”.")
            elif name != str(value):
                self._report.note(f"The split “{value}” is written as “{name}”.")
            self._names[value] = name
        return self._names[value]

    def _of(self, name: str) -> _Shards:
        if name not in self._shards:
            if len(self._shards) == _MOST_SPLITS:
                raise UserError(
                    f"The split column has more than {_MOST_SPLITS} different values.",
                    remedy="Choose the column that names train, validation and test.",
                )
            self._shards[name] = _Shards(self._folder, name, self._schema, self._most)
        return self._shards[name]


class _Shards:
    """The files of one split. The number of files is part of their names, so these are given at the end."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema, most: int) -> None:
        self._folder, self._name, self._schema, self._most = folder, name, schema, most
        self._files: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self.rows = self.bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is not None and self._files[-1].stat().st_size >= self._most:
            self.close()
        if self._writer is None:
            self._files.append(self._folder / f"{self._name}-{len(self._files):05}.part")
            self._writer = pq.ParquetWriter(self._files[-1], self._schema, compression="zstd")
        if batch.num_rows:  # `datasets` cannot read a row group without rows
            self._writer.write_table(pa.Table.from_batches([batch], self._schema))
        self.rows += batch.num_rows
        self.bytes += batch.nbytes

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def finish(self) -> list[Path]:
        self.close()
        count = len(self._files)
        return [
            path.rename(self._folder / f"{self._name}-{number:05}-of-{count:05}.parquet")
            for number, path in enumerate(self._files)
        ]
