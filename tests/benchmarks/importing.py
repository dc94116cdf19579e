"""Import of 1 M JSON Lines rows, as a worker process does it, beside DuckDB's own COPY of the same file to Parquet."""

from __future__ import annotations

import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fmstudio.jobs.spec import JobSpec, StepSpec
from tests.benchmarks import Figure
from tests.helpers import ROOT

ROWS = 1_000_000
REPEATS = 3

PEER = """
import duckdb, sys
duckdb.sql(f"COPY (SELECT * FROM read_json('{sys.argv[1]}')) TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION zstd)")
"""

OURS = """
import sys
from fmstudio.worker.run import run_step
sys.exit(run_step(sys.argv[1], "0"))
"""


def run() -> list[Figure]:
    """Measure whole processes, started in turn, on the same file."""
    with tempfile.TemporaryDirectory(prefix="fmstudio-importing-") as name:
        folder = Path(name)
        source = _make(folder / "rows.jsonl")
        ours, peer = [], []
        for number in range(REPEATS):
            peer.append(_timed([sys.executable, "-c", PEER, str(source), str(folder / "peer.parquet")]))
            job = folder / f"job-{number}"
            spec = JobSpec.new("import", "import", [StepSpec("import", "import_dataset", {"files": [str(source)]})])
            spec.save(job)
            ours.append(_timed([sys.executable, "-c", OURS, str(job)]))
            rows = _rows(job)
            if rows != ROWS:
                raise AssertionError(f"{rows} rows were imported, not {ROWS}")
            shutil.rmtree(job)
    mine, theirs = statistics.median(ours), statistics.median(peer)
    return [Figure("import of 1 M JSONL rows", mine, theirs, "s", "≤ 2 × peer", mine <= 2 * theirs, "DuckDB COPY")]


def _make(path: Path) -> Path:
    """Five fields and about 250 bytes a row."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(5_000)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(ROWS):
            row = {
                "id": number,
                "prompt": " ".join(rng.choices(words, k=10)),
                "completion": " ".join(rng.choices(words, k=16)),
                "score": round(rng.random(), 4),
                "source": rng.choice(["web", "chat", "book"]),
            }
            file.write(json.dumps(row) + "\n")
    return path


def _timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True)
    return time.perf_counter() - start


def _rows(job: Path) -> int:
    done = next(job.rglob("DONE"))
    return int(json.loads(done.read_text("utf-8"))["rows"])
