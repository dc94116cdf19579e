"""Seconds until another adapter acts, the base staying loaded, beside loading the model anew as `llama_cpp.Llama` must."""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import time
from pathlib import Path

from fmstudio.api.gguf_header import read_gguf_header
from fmstudio.jobs.engine import Engine, stream_chat
from tests.benchmarks import Figure
from tests.benchmarks._engine import running, smollm2

ROUNDS = 7
RANK = 8
BOUND_S = 1.0
_ASK = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 1, "temperature": 0}


def run() -> list[Figure]:
    """Two adapters over all linear layers by turns, never opened before; from the wish to the first token."""
    model = smollm2()
    with tempfile.TemporaryDirectory(prefix="fmstudio-swap-") as folder:
        files = [write_adapter(Path(folder) / f"{n}.gguf", model, seed=n) for n in range(ROUNDS)]
        with running(model, n_ctx=2048) as engine:
            list(stream_chat(engine, _ASK))
            ours = [_swapped_s(engine, file) for file in files]
        peer = [_loaded_s(model, file) for file in files[:3]]
    one, other = statistics.median(ours), statistics.median(peer)
    is_met = max(ours) <= BOUND_S
    return [
        Figure("another adapter, to its first token", one, other, "s", f"≤ {BOUND_S:g} s", is_met, "llama_cpp.Llama")
    ]


def write_adapter(path: Path, model: Path, *, seed: int = 0) -> Path:
    """Write a random LoRA adapter of rank `RANK` for every linear layer of a GGUF model."""
    import gguf
    import numpy as np

    header = read_gguf_header(model)
    values = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), header.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0 * RANK)
    for tensor in header.tensors:
        if tensor.name.startswith("blk.") and len(tensor.shape) == 2:
            width, height = tensor.shape
            writer.add_tensor(f"{tensor.name}.lora_a", values.normal(0, 0.01, (RANK, width)).astype(np.float32))
            writer.add_tensor(f"{tensor.name}.lora_b", values.normal(0, 0.01, (height, RANK)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _swapped_s(engine: Engine, file: Path) -> float:
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", engine.port)
    headers = {"Authorization": f"Bearer {engine.key}", "Content-Type": "application/json"}
    connection.request("POST", "/lora-adapters", json.dumps([{"path": str(file), "scale": 1.0}]), headers)
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(response.read().decode())
    connection.close()
    if not any(event.finish_reason for event in stream_chat(engine, _ASK)):
        raise SystemExit("The engine gave no answer.")
    return time.perf_counter() - start


def _loaded_s(model: Path, file: Path) -> float:
    from llama_cpp import Llama

    start = time.perf_counter()
    loaded = Llama(str(model), n_ctx=2048, lora_path=str(file), verbose=False)
    loaded.create_chat_completion(_ASK["messages"], max_tokens=1, temperature=0)
    seconds = time.perf_counter() - start
    loaded.close()
    return seconds
