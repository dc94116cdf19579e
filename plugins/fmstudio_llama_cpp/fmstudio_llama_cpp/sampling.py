"""Choosing the next token: llama.cpp's sampler chain, a grammar beside it, and log-probabilities on demand."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from fmstudio.api import Sampling, TokenLogprob, UserError
from fmstudio_llama_cpp.grammar import Grammar
from fmstudio_llama_cpp.sampler_parts import ChainParts
from fmstudio_llama_cpp.vocabulary import Vocabulary


class Sampler:
    """One answer's sampler; free it with `close`.

    Args:
        history: Tokens before the answer, for what looks back.

    Attributes:
        sample: Chooses the token after the last that was evaluated, and takes note of it.

    Raises:
        UserError: See `ChainParts.make`.
    """

    def __init__(
        self,
        lib: Any,
        vocabulary: Vocabulary,
        settings: Sampling,
        history: Sequence[int],
        *,
        context: Any,
        n_ctx: int,
        grammar: Grammar | None = None,
    ) -> None:
        self._lib, self._context, self._vocabulary = lib, context, vocabulary
        self.grammar = grammar
        params = lib.llama_sampler_chain_default_params()
        params.no_perf = True
        self.chain = lib.llama_sampler_chain_init(params)
        try:
            for part in ChainParts(lib, vocabulary, settings, n_ctx).make():
                lib.llama_sampler_chain_add(self.chain, part)
        except UserError:
            self.close()
            raise
        if settings.looks_back:
            for token in history[-n_ctx:]:
                lib.llama_sampler_accept(self.chain, token)
        self.sample: Callable[[int], int] = self._plain if grammar is None else self._guided
        self._candidates: Any = None

    def close(self) -> None:
        """Free the native chain and grammar."""
        if self.chain is not None:
            self._lib.llama_sampler_free(self.chain)
            self.chain = None
        if self.grammar is not None:
            self.grammar.close()
            self.grammar = None

    def _plain(self, index: int) -> int:
        token: int = self._lib.llama_sampler_sample(self.chain, self._context, index)
        return token

    def _guided(self, index: int) -> int:
        """As llama.cpp does it: choose freely, and only if the grammar forbids the choice, choose among what it allows.

        Raises:
            UserError: No token of the vocabulary can follow.
        """
        assert self.grammar is not None
        lib, array = self._lib, self._fill(index)
        lib.llama_sampler_apply(self.chain, ctypes.byref(array))
        token = int(array.data[array.selected].id)
        if not self.grammar.allows(token):
            array = self._fill(index)
            self.grammar.apply(array)
            # Accepting a token that the grammar forbids would end the process.
            if not _is_any_possible(self._candidates):
                raise UserError(
                    "The model's vocabulary cannot go on as the schema or grammar demands.",
                    remedy="Loosen the schema, or choose another model.",
                )
            lib.llama_sampler_apply(self.chain, ctypes.byref(array))
            token = int(array.data[array.selected].id)
        lib.llama_sampler_accept(self.chain, token)
        self.grammar.accept(token)
        return token

    def _fill(self, index: int) -> Any:
        import numpy as np

        count = self._vocabulary.n_tokens
        if self._candidates is None:
            self._candidates = np.empty(count, [("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        candidates = self._candidates
        pointer = self._lib.llama_get_logits_ith(self._context, index)
        candidates["id"] = np.arange(count, dtype=np.int32)
        candidates["logit"] = np.ctypeslib.as_array(pointer, (count,))
        candidates["p"] = 0
        data = candidates.ctypes.data_as(self._lib.llama_token_data_p)
        return self._lib.llama_token_data_array(data, count, -1, False)


def _is_any_possible(candidates: Any) -> bool:
    import numpy as np

    return bool((candidates["logit"] > -np.inf).any())


def token_logprob(logits: Any, token: int, alternatives: int, vocabulary: Vocabulary) -> TokenLogprob:
    """Log-probabilities (nats) by the model itself, before temperature and cuts. No sort of the vocabulary.

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
    top = tuple(_one(vocabulary, int(i), float(values[i])) for i in best)
    return _one(vocabulary, token, float(values[token]), top)


def _one(vocabulary: Vocabulary, token: int, logprob: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    data = vocabulary.piece(token, special=True)
    return TokenLogprob(data.decode("utf-8", "replace"), logprob, token, data, top)
