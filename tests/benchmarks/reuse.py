"""Time until the second turn of a 4 000-token chat answers, beside a bare loop that evaluates only the new tokens."""

from __future__ import annotations

import ctypes
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fmstudio.jobs.engine import Engine, stream_chat
from fmstudio.jobs.launcher import SubprocessLauncher
from tests.benchmarks import Figure, decode

ROUNDS = 5
N_CTX = 8192
NEW_WORDS = 90
_LINE = "The ferry leaves at nine, the wind comes from the west, and the harbour is quiet. "


def run() -> list[Figure]:
    """Medians of `ROUNDS`: second turn through HTTP, and the same after another conversation had the context."""
    model = decode._model()
    with tempfile.TemporaryDirectory(prefix="fmstudio-reuse-") as folder:
        os.environ.setdefault("FMSTUDIO_HOME", folder)
        engine = Engine(SubprocessLauncher(), log_path=Path(folder) / "engine.log", python=sys.executable)
        engine.start(model, params={"n_ctx": N_CTX})
        try:
            engine.wait_ready(120)
            decode.N_CTX = N_CTX
            bare = decode.BareLoop(model, engine.info["settings"], decode._threads())
            ours, back, peer, news = [], [], [], []
            for number in range(ROUNDS):
                messages = _first_turn(engine, number)
                seconds, used = _second_turn(engine, messages)
                ours.append(seconds)
                news.append(used["prompt_n"])
                peer.append(_evaluate_only(bare, used["cache_n"], used["prompt_n"]))
                back.append(_after_another(engine, number))
        finally:
            engine.stop()
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


def _evaluate_only(bare: decode.BareLoop, held: int, new: int) -> float:
    """Seconds for `new` tokens and one choice, after `held` tokens that are in the context already."""
    lib, context = bare._lib, bare._context
    lib.llama_memory_clear(lib.llama_get_memory(context), True)
    tokens = bare._tokenize(_LINE * 300)

    def evaluate(start: int, count: int) -> None:
        for at in range(start, start + count, 512):
            part = ctypes.cast(ctypes.byref(tokens, at * 4), ctypes.POINTER(lib.llama_token))
            size = min(512, start + count - at)
            assert lib.llama_decode(context, lib.llama_batch_get_one(part, size)) == 0

    evaluate(0, held)
    start = time.perf_counter()
    evaluate(held, new)
    lib.llama_sampler_sample(bare._chain, context, -1)
    return time.perf_counter() - start
