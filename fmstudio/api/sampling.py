"""`Sampling`: how the next token is chosen, in llama.cpp's words and order."""

from __future__ import annotations

from dataclasses import dataclass

SAMPLERS = ("penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature")
"""llama.cpp's samplers in its own order (``common_params_sampling`` in ``common/common.h``)."""
DRY_BREAKERS = ("\n", ":", '"', "*")
"""Texts that end a repeated sequence for DRY; llama.cpp's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Settings of one answer's sampler. The names are llama-server's; so are the defaults that mean *off*.

    Attributes:
        temperature: 0 = always the most likely token, after penalties and biases.
        dynatemp_range, dynatemp_exponent: Entropy-based temperature of ``temperature ± range``; range 0 = off.
        top_k: Keep the k most likely; 0 = off.
        top_p, min_p, typical_p: 1, 0 and 1 = off.
        top_n_sigma: Keep logits within n standard deviations of the best; -1 = off.
        xtc_probability, xtc_threshold: Chance to drop all but the least likely of the tokens above the threshold.
        repeat_penalty, presence_penalty, frequency_penalty: 1, 0 and 0 = off.
        repeat_last_n: Tokens looked back on by these three; 0 = none, -1 = the whole context.
        dry_multiplier: Strength of DRY, which punishes long repetitions; 0 = off.
        dry_base, dry_allowed_length, dry_penalty_last_n, dry_sequence_breakers: See llama.cpp; -1 = whole context.
        mirostat: 0 = off, 1 or 2 = its version; then only temperature, penalties and biases act beside it.
        mirostat_tau, mirostat_eta: Target surprise in bits, and learning rate.
        logit_bias: (token id or text, what is added to its logit); -inf forbids it.
        samplers: Those that act, in this order.
        seed: The same seed, settings and context give the same tokens.
    """

    temperature: float = 0.7
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    top_n_sigma: float = -1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repeat_last_n: int = 64
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = DRY_BREAKERS
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    logit_bias: tuple[tuple[int | str, float], ...] = ()
    samplers: tuple[str, ...] = SAMPLERS
    seed: int = 0

    @property
    def looks_back(self) -> bool:
        """Whether earlier tokens matter to the choice."""
        has_penalties = self.repeat_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0
        return (has_penalties and self.repeat_last_n != 0) or self.dry_multiplier > 0
