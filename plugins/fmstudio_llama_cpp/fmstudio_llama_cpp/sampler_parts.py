"""`Sampling` → the native samplers of one chain, in the order that was asked for."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

from fmstudio.api import Sampling, UserError
from fmstudio_llama_cpp.vocabulary import Vocabulary

_MIROSTAT_M = 100  # tokens that mirostat 1 estimates from; llama.cpp's own choice
_MIN_KEEP = 1


class ChainParts:
    """Makes the samplers of one answer.

    Args:
        n_ctx: What a window of -1 means.
    """

    def __init__(self, lib: Any, vocabulary: Vocabulary, settings: Sampling, n_ctx: int) -> None:
        self._lib, self._vocabulary, self._settings, self._n_ctx = lib, vocabulary, settings, n_ctx
        self._seed = settings.seed & 0xFFFFFFFF

    def make(self) -> Iterator[Any]:
        """Give the samplers, the one that chooses last.

        Raises:
            UserError: A biased text or token is not in the vocabulary.
        """
        if self._settings.logit_bias:
            yield self._logit_bias()
        if self._settings.temperature <= 0:
            yield from self._in_order(("penalties", "dry"))
            yield self._lib.llama_sampler_init_greedy()
        elif self._settings.mirostat:
            yield from self._in_order(("penalties", "dry", "temperature"))
            yield self._mirostat()
        else:
            yield from self._in_order(self._settings.samplers)
            yield self._lib.llama_sampler_init_dist(self._seed)

    def _in_order(self, allowed: tuple[str, ...]) -> Iterator[Any]:
        makers: dict[str, Callable[[], Any]] = {
            "penalties": self._penalties,
            "dry": self._dry,
            "top_n_sigma": self._top_n_sigma,
            "top_k": self._top_k,
            "typ_p": lambda: self._share("typical", self._settings.typical_p),
            "top_p": lambda: self._share("top_p", self._settings.top_p),
            "min_p": self._min_p,
            "xtc": self._xtc,
            "temperature": self._temperature,
        }
        for name in self._settings.samplers:
            part = makers[name]() if name in allowed else None
            if part is not None:
                yield part

    def _share(self, name: str, share: float) -> Any:
        return getattr(self._lib, f"llama_sampler_init_{name}")(share, _MIN_KEEP) if share < 1 else None

    def _top_k(self) -> Any:
        return self._lib.llama_sampler_init_top_k(self._settings.top_k) if self._settings.top_k > 0 else None

    def _min_p(self) -> Any:
        return self._lib.llama_sampler_init_min_p(self._settings.min_p, _MIN_KEEP) if self._settings.min_p > 0 else None

    def _top_n_sigma(self) -> Any:
        sigma = self._settings.top_n_sigma
        return self._lib.llama_sampler_init_top_n_sigma(sigma) if sigma > 0 else None

    def _xtc(self) -> Any:
        s = self._settings
        if s.xtc_probability <= 0:
            return None
        return self._lib.llama_sampler_init_xtc(s.xtc_probability, s.xtc_threshold, _MIN_KEEP, self._seed)

    def _temperature(self) -> Any:
        s = self._settings
        if s.dynatemp_range > 0:
            return self._lib.llama_sampler_init_temp_ext(s.temperature, s.dynatemp_range, s.dynatemp_exponent)
        return self._lib.llama_sampler_init_temp(s.temperature)

    def _penalties(self) -> Any:
        s = self._settings
        window = self._n_ctx if s.repeat_last_n < 0 else s.repeat_last_n
        if window == 0 or (s.repeat_penalty == 1 and s.frequency_penalty == 0 and s.presence_penalty == 0):
            return None
        return self._lib.llama_sampler_init_penalties(
            self._vocabulary.n_tokens, window, s.repeat_penalty, s.frequency_penalty, s.presence_penalty
        )

    def _dry(self) -> Any:
        s = self._settings
        window = self._n_ctx if s.dry_penalty_last_n < 0 else s.dry_penalty_last_n
        if s.dry_multiplier <= 0 or window == 0:
            return None
        breakers = [text.encode() for text in s.dry_sequence_breakers]
        texts = (ctypes.c_char_p * max(1, len(breakers)))(*breakers)
        return self._lib.llama_sampler_init_dry(
            self._vocabulary.handle, s.dry_multiplier, s.dry_base, s.dry_allowed_length, window, texts, len(breakers)
        )

    def _mirostat(self) -> Any:
        s = self._settings
        if s.mirostat == 2:
            return self._lib.llama_sampler_init_mirostat_v2(self._seed, s.mirostat_tau, s.mirostat_eta)
        n_vocab = self._vocabulary.n_tokens
        return self._lib.llama_sampler_init_mirostat(n_vocab, self._seed, s.mirostat_tau, s.mirostat_eta, _MIROSTAT_M)

    def _logit_bias(self) -> Any:
        pairs = [(token, bias) for key, bias in self._settings.logit_bias for token in self._tokens(key)]
        array = (self._lib.llama_logit_bias * max(1, len(pairs)))(*pairs)
        return self._lib.llama_sampler_init_logit_bias(self._vocabulary.n_tokens, len(pairs), array)

    def _tokens(self, key: int | str) -> list[int]:
        if isinstance(key, str):
            tokens = self._vocabulary.tokenize(key, add_special=False, parse_special=True)
        else:
            tokens = [key] if self._vocabulary.contains(key) else []
        if not tokens:
            raise UserError(f"logit_bias: the token {key!r} is not in this model's vocabulary.", remedy="Leave it out.")
        return tokens
