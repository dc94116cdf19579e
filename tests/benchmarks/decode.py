"""Tokens a second through the engine's HTTP stream, beside a bare llama.cpp loop on the same file and settings."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from fmstudio.jobs.engine import Engine, stream_chat
from tests.benchmarks import Figure
from tests.benchmarks._engine import BareLoop, running, smollm2

ROUNDS = 15
PREFILLS = 9
TOKENS = 128
N_CTX = 2048
GOAL = 0.98
_QUESTION = "Tell me a long story about the sea, the wind and the way home."
_PAGE = {"return_tokens": True, "timings_per_token": True, "return_progress": True}
_PROMPT = "Tell me about the sea, the sky, the wind, the mountains and the long road home. " * 24


def run() -> list[Figure]:
    """Engine and bare loop by turns, each idle while the other works, in changing order; medians."""
    plain, page, bare = list[float](), list[float](), list[float]()
    filled, bare_filled = list[float](), list[float]()
    with running(smollm2(), n_ctx=N_CTX) as engine:
        loop = BareLoop(engine)
        words = loop.tokenize(_PROMPT)
        loop.prefill(words)
        for number in range(ROUNDS):
            _by_turns(
                number,
                lambda n=number: plain.append(_decode(engine, n, {})),
                lambda: bare.append(_bare_decode(loop, words)),
                lambda n=number: page.append(_decode(engine, n + ROUNDS, _PAGE)),
            )
        for number in range(PREFILLS):
            rate, count = _prefill(engine, number)
            filled.append(rate)
            loop.clear()
            bare_filled.append(count / loop.prefill((words * 3)[:count]))
    return [
        _figure("decode through HTTP", plain, bare),
        _figure("decode, with what the chat page asks for", page, bare),
        _figure("prefill through HTTP", filled, bare_filled),
    ]


def _by_turns(number: int, *measures: Callable[[], None]) -> None:
    for measure in measures if number % 2 else reversed(measures):
        measure()


def _figure(name: str, ours: list[float], peer: list[float]) -> Figure:
    one, other = statistics.median(ours), statistics.median(peer)
    return Figure(name, one, other, "tokens/s", f"≥ {GOAL:g} × peer", one >= GOAL * other, "llama.cpp")


def _decode(engine: Engine, number: int, more: dict[str, Any]) -> float:
    """Tokens a second of an answer; all but the prompt's evaluation is counted, HTTP and the client's side too.

    A sampled answer may end early; then another seed is tried, so that both sides always decode `TOKENS`.
    """
    for seed in range(100):
        content = f"{number * 7919 + seed} {_QUESTION}"
        messages = [{"role": "user", "content": content}]
        body = {"messages": messages, "temperature": 0.7, "seed": seed, "max_tokens": TOKENS, **more}
        start = time.perf_counter()
        timings = _last_timings(engine, body)
        seconds = time.perf_counter() - start - timings["prompt_ms"] / 1000
        if timings["predicted_n"] == TOKENS:
            return TOKENS / seconds
    raise SystemExit("The model ends every answer early; the benchmark needs another prompt.")


def _last_timings(engine: Engine, body: dict[str, Any]) -> dict[str, float]:
    timings: dict[str, float] = {}
    for event in stream_chat(engine, body):
        timings = event.timings or timings
    return timings


def _bare_decode(loop: BareLoop, words: list[int]) -> float:
    loop.clear()
    loop.prefill(words[:48])
    start = time.perf_counter()
    return TOKENS / (loop.decode(TOKENS)[-1] - start)


def _prefill(engine: Engine, number: int) -> tuple[float, int]:
    """Prompt tokens a second until the first text is here, and how many they were.

    The number comes first, so that no part of the prompt is still known from the round before.
    """
    messages = [{"role": "user", "content": f"{number * 7919} {_PROMPT}"}]
    start = time.perf_counter()
    first, timings = 0.0, dict[str, float]()
    for event in stream_chat(engine, {"messages": messages, "temperature": 0.7, "seed": 1, "max_tokens": 4}):
        first = first or (time.perf_counter() if event.text else 0.0)
        timings = event.timings or timings
    if timings["cache_n"] > 64:
        raise SystemExit(f"{timings['cache_n']:.0f} tokens of a new prompt were known already.")
    count = int(timings["prompt_n"])
    return count / (first - start), count
