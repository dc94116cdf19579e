"""Choosing the next token: llama.cpp's sampler chain, and log-probabilities on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fmstudio.api import GenerateRequest, TokenLogprob
from fmstudio_llama_cpp.vocabulary import Vocabulary

PENALTY_WINDOW = 64  # tokens looked back on for repetition; llama.cpp's own default


class Sampler:
    """One answer's sampler; free it with `close`."""

    def __init__(self, lib: Any, vocabulary: Vocabulary, request: GenerateRequest, prompt: Sequence[int]) -> None:
        self._lib = lib
        params = lib.llama_sampler_chain_default_params()
        params.no_perf = True
        self.chain = lib.llama_sampler_chain_init(params)
        for part in _parts(lib, vocabulary.n_tokens, request):
            lib.llama_sampler_chain_add(self.chain, part)
        if request.repeat_penalty != 1.0:
            for token in prompt[-PENALTY_WINDOW:]:
                lib.llama_sampler_accept(self.chain, token)

    def close(self) -> None:
        """Free the native chain."""
        if self.chain is not None:
            self._lib.llama_sampler_free(self.chain)
            self.chain = None


def _parts(lib: Any, n_vocab: int, request: GenerateRequest) -> list[Any]:
    """Order as in llama.cpp: penalties, top-k, top-p, min-p, temperature, draw."""
    parts = []
    if request.repeat_penalty != 1.0:
        parts.append(lib.llama_sampler_init_penalties(n_vocab, PENALTY_WINDOW, request.repeat_penalty, 0.0, 0.0))
    if request.temperature <= 0:
        return [*parts, lib.llama_sampler_init_greedy()]
    if request.top_k > 0:
        parts.append(lib.llama_sampler_init_top_k(request.top_k))
    if request.top_p < 1:
        parts.append(lib.llama_sampler_init_top_p(request.top_p, 1))
    if request.min_p > 0:
        parts.append(lib.llama_sampler_init_min_p(request.min_p, 1))
    parts.append(lib.llama_sampler_init_temp(request.temperature))
    parts.append(lib.llama_sampler_init_dist(request.seed & 0xFFFFFFFF))
    return parts


def token_logprob(logits: Any, token: int, alternatives: int, vocabulary: Vocabulary) -> TokenLogprob:
    """Log-probabilities (nats) by the model itself, before temperature and cuts.

    Args:
        logits: float32 array of shape ``(n_vocab,)``; only read, before the next evaluation.
        alternatives: How many of the most likely tokens to list.
    """
    import numpy as np

    values = logits.astype(np.float64)
    values -= values.max()
    values -= np.log(np.exp(values).sum())
    count = min(alternatives, len(values))
    best = np.argpartition(values, -count)[-count:] if count else np.empty(0, np.int64)
    best = best[np.argsort(-values[best], kind="stable")]
    top = tuple((_shown(vocabulary, int(i)), float(values[i])) for i in best)
    return TokenLogprob(_shown(vocabulary, token), float(values[token]), top)


def _shown(vocabulary: Vocabulary, token: int) -> str:
    return vocabulary.piece(token, special=True).decode("utf-8", "replace")
