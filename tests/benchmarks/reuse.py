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
    """Medians of `ROUNDS`: second turn through HTTP, and the same after another conversation had the context.

    The 4 000 tokens before are evaluated once on each side; every round asks something else after them.
    """
    ours, back, peer, news = list[float](), list[float](), list[float](), list[int]()
    with running(smollm2(), n_ctx=N_CTX) as engine:
        bare = BareLoop(engine)
        words = bare.tokenize(_LINE * 300)
        messages, held = _first_turn(engine), 0
        for number in range(ROUNDS):
            seconds, used = _second_turn(engine, messages, 2 * number)
            ours.append(seconds)
            news.append(used["prompt_n"])
            if not held:
                held = used["cache_n"]
                bare.prefill(words[:held])
            bare.keep(held)
            peer.append(bare.prefill(words[: used["prompt_n"]]))
            _ask_another(engine, number)
            back.append(_second_turn(engine, messages, 2 * number + 1)[0])
    one, two, other = (statistics.median(values) * 1000 for values in (ours, back, peer))
    count = statistics.median(news)
    return [
        Figure(f"turn 2 of a 4k chat ({count:.0f} new tokens)", one, other, "ms", "≤ 1.1 × peer", one <= 1.1 * other, "llama.cpp"),
        Figure("the same, back from another chat", two, other, "ms", "≤ 1.1 × peer", two <= 1.1 * other, "llama.cpp"),
    ]  # fmt: skip


def _first_turn(engine: Engine) -> list[dict[str, str]]:
    messages = [{"role": "user", "content": f"{_LINE * 190} What is this about?"}]
    answer = "".join(e.text for e in stream_chat(engine, {"messages": messages, "max_tokens": 16, "temperature": 0}))
    return [*messages, {"role": "assistant", "content": answer}]


def _second_turn(engine: Engine, messages: list[dict[str, str]], number: int) -> tuple[float, dict[str, Any]]:
    question = {"role": "user", "content": f"{number + 10} more: {_LINE * (NEW_WORDS // 15)}"}
    body = {"messages": [*messages, question], "max_tokens": 2, "temperature": 0}
    start = time.perf_counter()
    first, timings = 0.0, dict[str, Any]()
    for event in stream_chat(engine, body):
        first = first or (time.perf_counter() if event.text else 0.0)
        timings = event.timings or timings
    if timings["cache_n"] < 3500:
        raise SystemExit(f"The first turn was evaluated again: only {timings['cache_n']} tokens were reused.")
    return first - start, timings


def _ask_another(engine: Engine, number: int) -> None:
    """Another conversation takes the context; the first one is saved meanwhile."""
    list(stream_chat(engine, {"messages": [{"role": "user", "content": f"{number} {_LINE * 8}"}], "max_tokens": 4}))
