"""Import as a worker process does it, beside DuckDB, polars and `datasets`: JSON Lines, CSV and Parquet of 1 M rows.

Whole processes are measured, started in turn, on the same file; memory is the worker's peak, at 1 M rows and at
`FMSTUDIO_BENCH_ROWS` (default 4 M; 10000000 is the issue's figure and needs 8 GB of disk and some minutes).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from fmstudio.jobs.spec import JobSpec, StepSpec
from tests.benchmarks import Figure
from tests.helpers import ROOT

ROWS = 1_000_000
MANY = int(os.environ.get("FMSTUDIO_BENCH_ROWS", "4000000"))
ROUNDS = ((0, 1, 3, 2), (1, 2, 0, 3), (2, 3, 1, 0), (3, 0, 2, 1)) * 4
"""Who starts when: each follows each other one equally often, for what one leaves behind (pages to be cleared, a warm clock)
costs the next up to a fifth of its time (Williams, "Experimental designs balanced for the estimation of residual effects of
treatments", 1949). Sixteen times, for times on a shared machine differ by a tenth."""
FORMATS = ("jsonl", "csv", "parquet")
MOST_MB = 1_000.0

_DUCKDB = """
import duckdb, sys
read = {"jsonl": "read_json", "csv": "read_csv", "parquet": "read_parquet"}[sys.argv[1]]
duckdb.sql(f"COPY (SELECT * FROM {read}('{sys.argv[2]}')) TO '{sys.argv[3]}/duckdb.parquet' (FORMAT parquet, COMPRESSION zstd)")
"""

_POLARS = """
import polars, sys
scan = {"jsonl": polars.scan_ndjson, "csv": polars.scan_csv, "parquet": polars.scan_parquet}[sys.argv[1]]
scan(sys.argv[2]).sink_parquet(f"{sys.argv[3]}/polars.parquet", compression="zstd")
"""

_DATASETS = """
import datasets, sys
name = {"jsonl": "json", "csv": "csv", "parquet": "parquet"}[sys.argv[1]]
datasets.load_dataset(name, data_files=sys.argv[2], split="train", cache_dir=f"{sys.argv[3]}/cache")
"""

PEERS = {"DuckDB COPY": _DUCKDB, "polars sink_parquet": _POLARS, "datasets.load_dataset": _DATASETS}

OURS = ["-m", "fmstudio", "worker", "run"]

MEMORY = """
import sys
from pathlib import Path
from fmstudio.worker.main import main
code = main(["run", sys.argv[1], "0"])
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""
"""VmHWM is this program's own peak; `ru_maxrss` would start at that of the process which started it, here 260 MB."""


def run() -> list[Figure]:
    """Measure all formats, then memory."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="fmstudio-importing-") as name:
        folder = Path(name)
        files = _make(folder, ROWS)
        small: dict[str, float] = {}
        for kind in FORMATS:
            figures += _compared(kind, _measure(kind, files[kind], folder))
            small[kind] = _peak(files[kind], folder, ROWS)
        for path in files.values():
            path.unlink()
        figures += _memory(folder, small)
    return figures


def _measure(kind: str, source: Path, folder: Path) -> dict[str, list[float]]:
    """Give seconds by name, ours under "". Each starts when what the one before wrote is on the disk."""
    times: dict[str, list[float]] = {name: [] for name in ("", *PEERS)}
    names = list(times)
    for number in chain.from_iterable(ROUNDS):
        os.sync()
        name = names[number]
        times[name].append(_peer(name, kind, source, folder) if name else _import(OURS, source, folder, ROWS)[0])
    return times


def _peer(name: str, kind: str, source: Path, folder: Path) -> float:
    """Seconds a peer takes."""
    scratch = folder / "peer"
    scratch.mkdir()
    seconds, _ = _timed([sys.executable, "-c", PEERS[name], kind, str(source), str(scratch)])
    shutil.rmtree(scratch)
    return seconds


def _compared(kind: str, times: dict[str, list[float]]) -> Iterator[Figure]:
    """Compare the medians; the goals are the issue's."""
    mine = statistics.median(times[""])
    for name in PEERS:
        theirs = statistics.median(times[name])
        factor, goal = (1.5, "≤ 1.5 × peer") if name.startswith("DuckDB") else (1.0, "≤ peer")
        yield Figure(f"import of 1 M {kind} rows", mine, theirs, "s", goal, mine <= factor * theirs, name)


def _memory(folder: Path, small: dict[str, float]) -> Iterator[Figure]:
    """Peak memory with many rows, against that with 1 M."""
    for kind in FORMATS:
        path = _make(folder, MANY, (kind,))[kind]
        peak = _peak(path, folder, MANY)
        path.unlink()
        met = peak <= min(1.5 * small[kind], MOST_MB)
        goal = f"≤ 1.5 × peer, ≤ {MOST_MB:,.0f} MB"
        yield Figure(f"peak memory, {MANY:,} {kind} rows", peak, small[kind], "MB", goal, met, f"{ROWS:,} rows")


def _peak(source: Path, folder: Path, rows: int) -> float:
    """Our peak memory in MB."""
    return int(_import(["-c", MEMORY], source, folder, rows)[1].split()[-1]) / 1024


def _import(command: list[str], source: Path, folder: Path, rows: int) -> tuple[float, str]:
    """Import as a job; give its seconds and what it said on stderr."""
    job = folder / "job"
    JobSpec.new("import", "import", [StepSpec("import", "import_dataset", {"files": [str(source)]})]).save(job)
    seconds, said = _timed([sys.executable, *command, str(job), "0"])
    found = int(json.loads(next(job.rglob("DONE")).read_text("utf-8"))["rows"])
    if found != rows:
        raise AssertionError(f"{found} rows of {source.name} were imported, not {rows}")
    shutil.rmtree(job)
    return seconds, said


def _timed(command: list[str]) -> tuple[float, str]:
    """Run a process; give its seconds and what it said on stderr."""
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # both as installed: compiled at the first start
    start = time.perf_counter()
    done = subprocess.run(
        command, check=True, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return time.perf_counter() - start, done.stderr


def _make(folder: Path, rows: int, kinds: tuple[str, ...] = FORMATS) -> dict[str, Path]:
    """Write the same rows, five fields and about 250 bytes each, in each format; a batch at a time."""
    import pyarrow.csv
    import pyarrow.parquet

    paths = {kind: folder / f"rows.{kind}" for kind in kinds}
    with paths.get("jsonl", folder / "unused").open("w", encoding="utf-8") as lines:
        table = csv = None
        for batch in _batches(rows):
            if "jsonl" in paths:
                lines.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())
            if "csv" in paths:
                csv = csv or pyarrow.csv.CSVWriter(paths["csv"], batch.schema)
                csv.write(batch)
            if "parquet" in paths:
                table = table or pyarrow.parquet.ParquetWriter(paths["parquet"], batch.schema)
                table.write(batch, row_group_size=batch.num_rows)
        for writer in (table, csv):
            if writer is not None:
                writer.close()
    return paths


def _batches(rows: int, size: int = 100_000) -> Iterator[Any]:
    """Make the rows; texts are drawn from 20 000 that were made once, so that making 10 M of them takes no hour."""
    import pyarrow as pa

    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(5_000)]
    prompts = [" ".join(rng.choices(words, k=9)) for _ in range(20_000)]
    completions = [" ".join(rng.choices(words, k=14)) for _ in range(20_000)]
    for first in range(0, rows, size):
        numbers = range(first, min(rows, first + size))
        yield pa.RecordBatch.from_pydict(
            {
                "id": list(numbers),
                "prompt": [f"{rng.choice(prompts)} {n:x}" for n in numbers],
                "completion": [f"{rng.choice(completions)} {n * 7:x} {rng.choice(words)}" for n in numbers],
                "score": [round(rng.random(), 4) for _ in numbers],
                "source": [rng.choice(["web", "chat", "book"]) for _ in numbers],
            }
        )
