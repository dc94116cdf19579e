"""For tests of the LoRA plugin: a bare llama.cpp loop, to hold its logits against those of transformers."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@functools.cache
def _quiet_callback() -> Any:
    """Kept for the life of the process: the library holds only a pointer to it."""
    from llama_cpp import llama_cpp as native

    return native.llama_log_callback(lambda level, text, data: None)


class BareModel:
    """A GGUF model with at most one adapter, through llama-cpp-python's low-level bindings.

    Args:
        exact: Keep keys and values in fp32 and leave flash attention off, for comparisons to the fifth digit.
    """

    def __init__(self, path: Path, *, n_ctx: int = 512, exact: bool = False) -> None:
        from llama_cpp import llama_cpp as native

        self.native: Any = native
        native.llama_log_set(_quiet_callback(), ctypes.c_void_p(0))
        params = native.llama_model_default_params()
        params.use_extra_bufts = False  # repacked buffers crash on processors with AMX
        self.model = native.llama_model_load_from_file(str(path).encode(), params)
        assert self.model, f"llama.cpp cannot open {path}"
        options = native.llama_context_default_params()
        options.n_ctx = options.n_batch = options.n_ubatch = n_ctx
        options.n_threads = options.n_threads_batch = 2
        if exact:
            options.type_k = options.type_v = 0
            options.flash_attn_type = 0
        self.context = native.llama_init_from_model(self.model, options)
        self.n_vocab = native.llama_vocab_n_tokens(native.llama_model_get_vocab(self.model))
        self._batch = native.llama_batch_init(n_ctx, 0, 1)
        self._adapter: Any = None

    def set_adapter(self, path: Path | None) -> None:
        if path is None:
            self.native.llama_set_adapters_lora(self.context, None, 0, None)
            return
        self._adapter = self.native.llama_adapter_lora_init(self.model, str(path).encode())
        assert self._adapter, f"llama.cpp refuses the adapter {path}"
        adapters = (self.native.llama_adapter_lora_p_ctypes * 1)(self._adapter)
        scales = (ctypes.c_float * 1)(1.0)
        assert self.native.llama_set_adapters_lora(self.context, adapters, 1, scales) == 0

    def clear(self) -> None:
        self.native.llama_memory_clear(self.native.llama_get_memory(self.context), True)

    def logits(self, tokens: list[int]) -> npt.NDArray[np.float32]:
        """Logits after each token, shape ``(len(tokens), n_vocab)``."""
        self.clear()
        self._decode(tokens, 0, all_logits=True)
        return np.stack([self._row(i) for i in range(len(tokens))])

    def greedy(self, prompt: list[int], ends: set[int], max_new: int) -> list[int]:
        """The likeliest continuation, end token included."""
        self.clear()
        self._decode(prompt, 0, all_logits=False)
        answer = [int(self._row(-1).argmax())]
        while answer[-1] not in ends and len(answer) < max_new:
            self._decode(answer[-1:], len(prompt) + len(answer) - 1, all_logits=False)
            answer.append(int(self._row(-1).argmax()))
        return answer

    def _decode(self, tokens: list[int], start: int, *, all_logits: bool) -> None:
        batch = self._batch
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i] = token, start + i
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
            batch.logits[i] = all_logits or i == len(tokens) - 1
        assert self.native.llama_decode(self.context, batch) == 0

    def _row(self, i: int) -> npt.NDArray[np.float32]:
        return np.ctypeslib.as_array(self.native.llama_get_logits_ith(self.context, i), (self.n_vocab,)).copy()

    def close(self) -> None:
        self.native.llama_batch_free(self._batch)
        self.native.llama_free(self.context)
        self.native.llama_model_free(self.model)
