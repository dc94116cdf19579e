"""A page of 200 rows at a random place of 5 M rows: the project facade beside DuckDB's plain LIMIT/OFFSET."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from pathlib import Path

import duckdb

from fmstudio.project.rows import RowReader
from tests.benchmarks import Figure

ROWS = 5_000_000
PAGES = 200
PEER_PAGES = 20


def run() -> list[Figure]:
    """Measure the 95th percentile over random places, both readers on the same Parquet files."""
    with tempfile.TemporaryDirectory(prefix="fmstudio-paging-") as folder:
        files = _make(Path(folder))
        reader = RowReader(Path(folder))
        places = random.Random(0).sample(range(ROWS - 200), PAGES)
        reader.page(files, offset=0, limit=200)
        ours = [_timed(lambda offset=offset: reader.page(files, offset=offset, limit=200)) for offset in places]
        reader.close()
        connection = duckdb.connect()
        source = f"read_parquet({[str(f) for f in files]})"
        peer = [
            _timed(lambda o=o: connection.execute(f"SELECT * FROM {source} LIMIT 200 OFFSET {o}").fetchall())
            for o in places[:PEER_PAGES]
        ]
    mine, theirs = (statistics.quantiles(values, n=20)[-1] for values in (ours, peer))
    return [
        Figure("table page p95 (200 of 5 M rows)", mine, theirs, "ms", "≤ 50 ms", mine <= 50, "DuckDB LIMIT/OFFSET")
    ]


def _make(folder: Path) -> list[Path]:
    """Five files of 1 M rows, about 200 bytes a row, as the store writes them (zstd, groups of 8 192 rows)."""
    connection = duckdb.connect()
    files = []
    for part in range(5):
        path = folder / f"rows-{part:05d}.parquet"
        connection.execute(
            f"COPY (SELECT i AS row_id, md5(i::VARCHAR) || repeat(md5((i * 7)::VARCHAR), 4) AS text, i % 97 AS label,"
            f" random() AS score FROM range({part * 1_000_000}, {(part + 1) * 1_000_000}) t(i)) TO '{path}'"
            " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 8192)"
        )
        files.append(path)
    return files


def _timed(work: object) -> float:
    start = time.perf_counter()
    work()  # type: ignore[operator]
    return (time.perf_counter() - start) * 1000
