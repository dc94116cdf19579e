"""The fit check against what happens: predicted memory of a loaded model beside the engine's resident memory.

Each model that arrives in a package is loaded with two contexts and cache types and asked with a prompt that fills a batch.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import Figure

SETTINGS = ((4096, "f16"), (8192, "q8_0"))
WITHIN = 0.10
PROMPT = "The quick brown fox jumps over the lazy dog. " * 90
"""About 900 tokens: more than a batch, so that the compute buffer is filled."""


def run() -> list[Figure]:
    """Load, ask, compare."""
    from fmstudio.models.inspect import packaged_models

    figures = []
    for name, path in packaged_models():
        for n_ctx, kv_type in SETTINGS:
            resident, predicted = _measure(path, n_ctx, kv_type)
            off = resident / predicted - 1
            figures.append(
                Figure(
                    f"memory of {name}, {n_ctx:,} tokens, {kv_type} cache",
                    resident / 1e6,
                    predicted / 1e6,
                    "MB",
                    f"within {WITHIN:.0%}",
                    abs(off) <= WITHIN,
                    "the estimate",
                )
            )
    return figures


def _measure(path: Path, n_ctx: int, kv_type: str) -> tuple[int, int]:
    from fmstudio.jobs.engine import Engine, stream_chat
    from fmstudio.jobs.launcher import SubprocessLauncher
    from fmstudio.models.fit_report import measure

    with tempfile.TemporaryDirectory(dir=os.environ.get("FMSTUDIO_HOME")) as folder:
        engine = Engine(SubprocessLauncher(), log_path=Path(folder) / "engine.log", python=sys.executable)
        engine.start(path, params={"n_ctx": n_ctx, "kv_type": kv_type}, key=secrets.token_urlsafe(8))
        try:
            engine.wait_ready(timeout=300)
            for _ in stream_chat(engine, {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 4}):
                pass
            found = measure(path, {**engine.params, "pid": engine.pid, "n_ctx": engine.info["n_ctx"]})
        finally:
            engine.stop()
    assert found is not None
    return found.resident, found.predicted
