"""Milliseconds from a client's going away until the model is free: in the middle of a prompt, and of an answer."""

from __future__ import annotations

import http.client
import json
import random
import statistics
import time

from fmstudio.jobs.engine import Engine
from tests.benchmarks import Figure
from tests.benchmarks._engine import running, smollm2

TRIALS = 30
BOUND_MS = 300.0
_TEXT = "The ferry leaves at nine, the wind comes from the west, and the harbour is quiet. "


def run() -> list[Figure]:
    """95th percentile of `TRIALS` at random moments; the goal is a bound, there is no peer."""
    random.seed(4)
    with running(smollm2(), n_ctx=4096) as engine:
        in_prompt = [_cancelled_ms(engine, f"{n} {_TEXT * 150}", random.uniform(0.05, 1.0)) for n in range(TRIALS)]
        in_answer = [_cancelled_ms(engine, "Count to a thousand.", random.uniform(0.8, 1.5)) for _ in range(TRIALS)]
    return [_figure("cancel while the prompt is read, p95", in_prompt), _figure("cancel an answer, p95", in_answer)]


def _figure(name: str, values: list[float]) -> Figure:
    p95 = statistics.quantiles(values, n=20)[-1]
    return Figure(name, p95, None, "ms", f"≤ {BOUND_MS:g} ms", p95 <= BOUND_MS)


def _cancelled_ms(engine: Engine, content: str, after_s: float) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", engine.port)
    body = {"messages": [{"role": "user", "content": content}], "stream": True, "temperature": 0}
    headers = {"Authorization": f"Bearer {engine.key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    time.sleep(after_s)
    if not _is_processing(engine):
        raise SystemExit("The answer was over before it could be cancelled; the benchmark needs another prompt.")
    start = time.perf_counter()
    connection.close()
    while _is_processing(engine):
        time.sleep(0.002)
    return (time.perf_counter() - start) * 1000


def _is_processing(engine: Engine) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", engine.port)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {engine.key}"})
    text = connection.getresponse().read().decode()
    connection.close()
    return "fmstudio_requests_processing 0" not in text
