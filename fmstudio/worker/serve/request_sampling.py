"""Sampler settings of a request, in llama-server's names."""

from __future__ import annotations

import random
from typing import Any

from fmstudio.api import DRY_BREAKERS, SAMPLERS
from fmstudio.worker.serve.fields import BadRequestError, Fields

MAX_BIASES = 1024
_WINDOW = 1 << 22


def read_sampling(fields: Fields) -> dict[str, Any]:
    """Give the arguments of `Sampling`.

    Raises:
        BadRequestError: Names the field.
    """
    return {
        "temperature": fields.number("temperature", 0.7, 0, 100),
        "dynatemp_range": fields.number("dynatemp_range", 0, 0, 100),
        "dynatemp_exponent": fields.number("dynatemp_exponent", 1, 0, 100),
        "top_k": fields.whole("top_k", 40, 0, 1 << 30),
        "top_p": fields.number("top_p", 0.95, 0, 1),
        "min_p": fields.number("min_p", 0.05, 0, 1),
        "typical_p": fields.number("typical_p", 1, 0, 1),
        "top_n_sigma": fields.number("top_n_sigma", -1, -1, 100),
        "xtc_probability": fields.number("xtc_probability", 0, 0, 1),
        "xtc_threshold": fields.number("xtc_threshold", 0.1, 0, 1),
        "repeat_penalty": fields.number("repeat_penalty", 1, 0.01, 100),
        "presence_penalty": fields.number("presence_penalty", 0, -2, 2),
        "frequency_penalty": fields.number("frequency_penalty", 0, -2, 2),
        "repeat_last_n": fields.whole("repeat_last_n", 64, -1, _WINDOW),
        "dry_multiplier": fields.number("dry_multiplier", 0, 0, 100),
        "dry_base": fields.number("dry_base", 1.75, 1, 100),
        "dry_allowed_length": fields.whole("dry_allowed_length", 2, 0, _WINDOW),
        "dry_penalty_last_n": fields.whole("dry_penalty_last_n", -1, -1, _WINDOW),
        "dry_sequence_breakers": fields.texts("dry_sequence_breakers", DRY_BREAKERS, 64, 40),
        "mirostat": fields.whole("mirostat", 0, 0, 2),
        "mirostat_tau": fields.number("mirostat_tau", 5, 0, 100),
        "mirostat_eta": fields.number("mirostat_eta", 0.1, 0, 1),
        "logit_bias": _biases(fields.take("logit_bias")),
        "samplers": _samplers(fields),
        "seed": _seed(fields),
    }


def _samplers(fields: Fields) -> tuple[str, ...]:
    names = fields.texts("samplers", SAMPLERS, len(SAMPLERS), 40)
    unknown = next((name for name in names if name not in SAMPLERS), None)
    if unknown is not None or len(set(names)) < len(names):
        said = f"{unknown!r} is not one of {', '.join(SAMPLERS)}" if unknown else "each may be named once"
        raise BadRequestError(f"samplers: {said}.", "samplers")
    return names


def _biases(value: Any) -> tuple[tuple[int | str, float], ...]:
    """OpenAI's object of id → bias, or llama-server's list of [id or text, bias or false]."""
    if value is None:
        return ()
    wrong = BadRequestError(
        'logit_bias must be {"token id": bias} or [[token id or text, bias or false], …], each from -100 to 100.',
        "logit_bias",
    )
    pairs = list(value.items()) if isinstance(value, dict) else value
    if not isinstance(pairs, list) or len(pairs) > MAX_BIASES:
        raise wrong
    found: list[tuple[int | str, float]] = []
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise wrong
        key, bias = pair
        if isinstance(value, dict):
            if not key.lstrip("-").isdecimal():
                raise wrong
            key = int(key)
        if bias is False:
            bias = float("-inf")
        elif isinstance(bias, bool) or not isinstance(bias, int | float) or not -100 <= bias <= 100:
            raise wrong
        if type(key) not in (int, str):
            raise wrong
        found.append((key, float(bias)))
    return tuple(found)


def _seed(fields: Fields) -> int:
    """A seed of its own for every request that names none, as OpenAI's clients expect; -1 asks for the same."""
    seed = fields.whole("seed", -1, -(1 << 63), (1 << 64) - 1)
    # One less than the range: llama.cpp reads the largest number as “choose one yourself”.
    return random.SystemRandom().randrange((1 << 32) - 1) if seed == -1 else seed & 0xFFFFFFFF
