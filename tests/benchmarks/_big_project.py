"""A real project with one dataset of any number of rows, its files written as an import writes them."""

from __future__ import annotations

import time
from pathlib import Path

import duckdb

from fmstudio.core.parquet import FILE_BYTES, RowsWriter
from fmstudio.project import Project
from fmstudio.project.catalog import insert
from fmstudio.project.datasets import log_operation

BATCH = 16_384
COLUMNS = [
    {"name": "row_id", "type": "int64"},
    {"name": "text", "type": "string"},
    {"name": "label", "type": "int64"},
    {"name": "score", "type": "double"},
]
DATASET = "d-big"


def big_project(folder: Path, rows: int) -> Project:
    """Make a project whose dataset ``d-big`` has `rows` rows of about 200 bytes (words, a label of 97, a score)."""
    project = Project.create(folder, "big")
    version = project.datasets.version_folder(DATASET, 1)
    version.mkdir(parents=True)
    size = write_rows(version, rows)
    now = time.time()
    dataset = {"id": DATASET, "name": "big", "kind": "text", "current_version": 1, "is_deleted": False}
    made = {"dataset_id": DATASET, "number": 1, "parent": None, "rows": rows, "dropped": 0, "rejected": 0}
    with project._catalog.transaction() as connection:
        insert(connection, "datasets", {**dataset, "created": now, "source": {"files": []}})
        insert(
            connection,
            "versions",
            {
                **made,
                "bytes": size,
                "columns": COLUMNS,
                "operation": "Import",
                "statistics": {},
                "job_id": "",
                "created": now,
            },
        )
        log_operation(connection, "import", DATASET, None, 1, "Import big")
    return project


def write_rows(folder: Path, rows: int) -> int:
    """Write the Parquet files as an import does and give their size in bytes."""
    made = (
        "SELECT i AS row_id, 'row ' || i || ' says ' || md5(i::VARCHAR) || ' ' ||"
        " repeat(md5((i * 7 % 5003)::VARCHAR) || ' ', 4) AS text, i % 97 AS label,"
        f" (i * 7919 % 1000003) / 1000003.0 AS score FROM range({rows}) t(i)"
    )
    with duckdb.connect() as connection, RowsWriter(folder, file_bytes=FILE_BYTES) as writer:
        for batch in connection.sql(made).to_arrow_reader(BATCH):
            writer.write(batch)
        return writer.close().bytes
