"""What the engine adds to each token, early and late in a long answer: it must not grow with the length.

A llama of one layer and one head takes a tenth of a millisecond a token at first and a third at the 4 000th, so that what
lies around the evaluation shows: of a larger one, four milliseconds would be subtracted from four. One thread each:
threads that wait for each other would be most of what is measured.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from fmstudio.jobs.engine import Engine, stream_chat
from tests import tiny_llama
from tests.benchmarks import Figure
from tests.benchmarks._engine import BareLoop, running

ROUNDS = 9
TOKENS = 4200
N_CTX = 4608
EARLY, LATE = (100, 1100), (3000, 4000)
"""Tokens between which is measured: a few events each, for news go out every 50 ms."""

_SMALLEST = {"CONTEXT": 8192, "HEADS": 1, "KV_HEADS": 1, "LAYERS": 1}
_MOST_MORE_US = 20.0


def run() -> list[Figure]:
    """Microseconds a token beyond a bare loop at the same place; medians of `ROUNDS`."""
    early, late = list[float](), list[float]()
    with tempfile.TemporaryDirectory(prefix="fmstudio-overhead-") as folder:
        for name, value in _SMALLEST.items():
            setattr(tiny_llama, name, value)
        _, model = tiny_llama.build_tiny_llama(Path(folder))
        with running(model, n_ctx=N_CTX, n_threads=1) as engine:
            bare = BareLoop(engine, temperature=0, threads=1)
            for _ in range(ROUNDS):
                ours, peer = _arrivals(engine), _bare_arrivals(bare)
                early.append(_per_token_us(ours, EARLY) - _per_token_us(peer, EARLY))
                late.append(_per_token_us(ours, LATE) - _per_token_us(peer, LATE))
    one, other = statistics.median(late), statistics.median(early)
    # Differences of small times: a bound relative to a few microseconds alone would measure the clock.
    is_flat = one <= max(1.2 * other, other + _MOST_MORE_US)
    goal = f"≤ 1.2 × peer, or + {_MOST_MORE_US:g} µs"
    return [Figure("added to a token, around the 4 000th", one, other, "µs", goal, is_flat, "the 100th on")]


def _arrivals(engine: Engine) -> list[tuple[int, float]]:
    """How many tokens had come by when."""
    body = {
        "messages": [{"role": "user", "content": "Go on."}],
        "temperature": 0,
        "max_tokens": TOKENS,
        "logit_bias": {"0": -100, "1": -100, "2": -100},  # the tokens that would end the answer
        "timings_per_token": True,
    }
    found: list[tuple[int, float]] = []
    for event in stream_chat(engine, body):
        if event.text:
            found.append((int(event.timings["predicted_n"]), time.perf_counter()))
    if not found or found[-1][0] < LATE[1]:
        raise SystemExit("The answer ended early.")
    return found


def _bare_arrivals(bare: BareLoop) -> list[tuple[int, float]]:
    bare.clear()
    bare.prefill(list(range(10, 30)))
    return list(enumerate(bare.decode(TOKENS), 2))


def _per_token_us(arrivals: list[tuple[int, float]], window: tuple[int, int]) -> float:
    inside = [each for each in arrivals if window[0] <= each[0] <= window[1]]
    (first, start), (last, end) = inside[0], inside[-1]
    return (end - start) / (last - first) * 1e6
