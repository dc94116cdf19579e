"""Time until the second turn of a 4 000-token chat answers, beside a bare loop that evaluates only the new tokens."""

from __future__ import annotations

import statistics
import time
from typing import Any

from fmstudio.jobs.engine import Engine, stream_chat
from tests.benchmarks import Figure
from tests.benchmarks._engine import BareLoop, running, smollm2

ROUNDS = 5
N_CTX = 8192
NEW_WORDS = 90
_LINE = "The ferry leaves at nine, the wind comes from the west, and the harbour is quiet. "


def run() -> list[Figure]:
    """Medians of `ROUNDS`: second turn through HTTP, and the same after another conversation had the context."""
    ours, back, peer, news = list[float](), list[float](), list[float](), list[int]()
    with running(smollm2(), n_ctx=N_CTX) as engine:
        bare = BareLoop(engine)
        words = bare.tokenize(_LINE * 300)
        for number in range(ROUNDS):
            messages = _first_turn(engine, number)
            seconds, used = _second_turn(engine, messages)
            ours.append(seconds)
            news.append(used["prompt_n"])
            bare.clear()
            bare.prefill(words[: used["cache_n"]])
            peer.append(bare.prefill(words[: used["prompt_n"]]))
            back.append(_after_another(engine, number))
    one, two, other = (statistics.median(values) * 1000 for values in (ours, back, peer))
    count = statistics.median(news)
    return [
        Figure(f"turn 2 of a 4k chat ({count:.0f} new tokens)", one, other, "ms", "≤ 1.1 × peer", one <= 1.1 * other, "llama.cpp"),
        Figure("the same, back from another chat", two, other, "ms", "≤ 1.1 × peer", two <= 1.1 * other, "llama.cpp"),
    ]  # fmt: skip


def _first_turn(engine: Engine, number: int) -> list[dict[str, str]]:
    messages = [{"role": "user", "content": f"{number * 7919} {_LINE * 190} What is this about?"}]
    answer = "".join(e.text for e in stream_chat(engine, {"messages": messages, "max_tokens": 16, "temperature": 0}))
    return [*messages, {"role": "assistant", "content": answer}]


def _second_turn(engine: Engine, messages: list[dict[str, str]]) -> tuple[float, dict[str, Any]]:
    question = {"role": "user", "content": f"Say more: {_LINE * (NEW_WORDS // 15)}"}
    body = {"messages": [*messages, question], "max_tokens": 2, "temperature": 0}
    start = time.perf_counter()
    first, timings = 0.0, dict[str, Any]()
    for event in stream_chat(engine, body):
        first = first or (time.perf_counter() if event.text else 0.0)
        timings = event.timings or timings
    if timings["cache_n"] < 3500:
        raise SystemExit(f"The first turn was evaluated again: only {timings['cache_n']} tokens were reused.")
    return first - start, timings


def _after_another(engine: Engine, number: int) -> float:
    """Two conversations by turns: the time until the first one's second turn answers."""
    messages = _first_turn(engine, 1000 + number)
    list(stream_chat(engine, {"messages": [{"role": "user", "content": f"{number} {_LINE * 8}"}], "max_tokens": 4}))
    return _second_turn(engine, messages)[0]
