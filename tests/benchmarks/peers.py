"""Answers a second beside whole engines: `llama_cpp.server`, where it is installed, and transformers' `generate`.

The same GGUF, prompt and number of tokens, greedy; time from the request to the last token, the prompt included.
`FMSTUDIO_PEER_PYTHON` names a Python that has ``llama-cpp-python[server]``, whose packages need not go with ours.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmstudio.jobs.engine import Engine, stream_chat
from tests.benchmarks import Figure
from tests.benchmarks._engine import running, smollm2, usual_threads

ROUNDS = 5
TOKENS = 96
_PYTHON = os.environ.get("FMSTUDIO_PEER_PYTHON", sys.executable)
_MESSAGES = [{"role": "user", "content": "Tell me a long story about the sea, the wind and the way home."}]
_BODY = {"messages": _MESSAGES, "temperature": 0, "max_tokens": TOKENS}


def run() -> list[Figure]:
    """Medians of `ROUNDS` by turns; a peer that is not installed is left out and named on stderr."""
    model, figures = smollm2(), list[Figure]()
    with running(model, n_ctx=2048) as engine:
        if subprocess.run([_PYTHON, "-c", "import llama_cpp.server.app"], capture_output=True).returncode == 0:
            with _llama_server(model) as port:
                figures.append(_beside(engine, "llama_cpp.server", lambda: _rate_of_server(port)))
        else:
            print("  llama_cpp.server is left out: pip install 'llama-cpp-python[server]'", file=sys.stderr)
        generate = _transformers(model)
        figures.append(_beside(engine, "transformers", generate))
    return figures


def _beside(engine: Engine, name: str, peer: Any) -> Figure:
    ours, others = list[float](), list[float]()
    for number in range(ROUNDS):
        pair = [lambda: ours.append(_rate(engine)), lambda: others.append(peer())]
        for measure in pair if number % 2 else reversed(pair):
            measure()
    one, other = statistics.median(ours), statistics.median(others)
    return Figure(f"an answer of {TOKENS} tokens", one, other, "tokens/s", "≥ peer", one >= other, name)


def _rate(engine: Engine) -> float:
    start = time.perf_counter()
    timings: dict[str, float] = {}
    for event in stream_chat(engine, _BODY):
        timings = event.timings or timings
    return timings["predicted_n"] / (time.perf_counter() - start)


@contextmanager
def _llama_server(model: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {"model": model, "host": "127.0.0.1", "port": port, "n_ctx": 2048, "n_threads": usual_threads()}
    argv = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    env = {**os.environ, "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "500")}
    process = subprocess.Popen(
        [_PYTHON, "-m", "llama_cpp.server", *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=env,
    )
    try:
        for _ in range(300):
            time.sleep(0.2)
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield port
    finally:
        process.kill()
        process.wait()


def _rate_of_server(port: int) -> float:
    """Streamed, as ours; each event but the first, which names the role, is a token."""
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    body = json.dumps({**_BODY, "stream": True})
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    count = 0
    for line in connection.getresponse():
        if line.startswith(b"data: {"):
            delta = json.loads(line[6:])["choices"][0]["delta"]
            count += "content" in delta
    connection.close()
    return count / (time.perf_counter() - start)


def _transformers(model: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(usual_threads())
    tokenizer: Any = AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name)
    loaded: Any = AutoModelForCausalLM.from_pretrained(model.parent, gguf_file=model.name)
    ids = tokenizer.apply_chat_template(_MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=True)

    def rate() -> float:
        start = time.perf_counter()
        with torch.no_grad():
            out = loaded.generate(**ids, max_new_tokens=TOKENS, do_sample=False)
        return (out.shape[1] - ids["input_ids"].shape[1]) / (time.perf_counter() - start)

    return rate
