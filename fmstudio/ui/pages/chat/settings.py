"""What a conversation is set to: sampler, seed, system prompt and adapters; read from and written to JSON."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

MAX_SEED = 2**31 - 1
_VARIABLE = re.compile(r"\{\{\s*([^\W\d]\w*)\s*\}\}")
PRESET_FIELDS = (
    "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "max_tokens", "system_prompt", "adapters",
    "is_seed_fixed", "seed",
)  # fmt: skip

CHOSEN_FOR_LOADING = ("n_ctx", "speculation", "draft_tokens", "draft_p_min")
LOADED_WITH = frozenset({*CHOSEN_FOR_LOADING, "draft_model"})
"""The engine's parameters that a conversation decides; see `ChatSettings.engine_params`."""
MOST_DRAFT_TOKENS = 31


def variables_in(text: str) -> list[str]:
    """Names of the ``{{name}}`` places in a text, in order, each once."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its ``{{name}}`` places filled; a name without a value stays as it is."""
    return _VARIABLE.sub(lambda match: values.get(match[1], "") or match[0], text)


@dataclass(frozen=True, slots=True)
class AdapterChoice:
    """An adapter of the library: whether it is on, and how strongly it acts."""

    model_id: str
    is_on: bool = True
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """Settings of one conversation. Every value is sent and stored explicitly, so that a turn can be said again.

    Attributes:
        temperature: 0 always takes the likeliest token.
        top_p: Nucleus sampling: smallest set of tokens with this share of the probability.
        top_k: Only the k likeliest tokens; 0 = off.
        min_p: Only tokens at least this likely, relative to the likeliest; 0 = off.
        repeat_penalty: 1 = off.
        max_tokens: Longest answer in tokens.
        n_ctx: Context length to load the model with, in tokens; 0 = the engine's default.
        speculation: How the engine guesses ahead: ``off``, ``lookup`` (from the text) or ``draft`` (a second model).
        draft_model_id: The model of the library that guesses, with ``draft``.
        draft_tokens: Most tokens of one guess.
        draft_p_min: The draft model goes on guessing while it is at least this certain, from 0 to 1.
        seed: Used when `is_seed_fixed`; otherwise each answer draws its own, and stores it.
        system_prompt: May hold ``{{name}}`` places, filled from `variables` when an answer is asked for.
        asks_title: The model is asked for a title after the first answer.
        preset: Name and version of the preset these settings came from, in words; empty = none.
    """

    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    max_tokens: int = 512
    n_ctx: int = 0
    speculation: str = "off"
    draft_model_id: str = ""
    draft_tokens: int = 8
    draft_p_min: float = 0.75
    seed: int = 0
    is_seed_fixed: bool = False
    system_prompt: str = ""
    adapters: tuple[AdapterChoice, ...] = field(default_factory=tuple)
    variables: dict[str, str] = field(default_factory=dict)
    asks_title: bool = True
    preset: str = ""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ChatSettings:
        """Read stored settings; unknown keys are passed over, missing ones take defaults."""
        known = {f.name for f in fields(cls)} - {"adapters"}
        adapters = tuple(
            AdapterChoice(str(a["model_id"]), bool(a.get("is_on", True)), float(a.get("scale", 1.0)))
            for a in value.get("adapters", [])
            if isinstance(a, dict) and "model_id" in a
        )
        return cls(**{k: v for k, v in value.items() if k in known}, adapters=adapters)

    def with_preset(self, stored: dict[str, Any], name: str) -> ChatSettings:
        """The same with what a preset holds: sampler, system prompt and adapters."""
        chosen = ChatSettings.from_json(stored)
        values = {key: getattr(chosen, key) for key in PRESET_FIELDS if key in stored}
        return replace(self, **values, preset=name)

    def for_preset(self) -> dict[str, Any]:
        """What a preset keeps of these settings."""
        return {key: value for key, value in self.to_json().items() if key in PRESET_FIELDS}

    @property
    def filled_prompt(self) -> str:
        """The system prompt as it is sent."""
        return filled(self.system_prompt, self.variables)

    def to_json(self) -> dict[str, Any]:
        """Write for the catalogue."""
        return asdict(self)

    def with_adapter(self, choice: AdapterChoice) -> ChatSettings:
        """The same with this adapter's choice set."""
        others = tuple(a for a in self.adapters if a.model_id != choice.model_id)
        return replace(self, adapters=(*others, choice))

    def active_adapters(self) -> list[AdapterChoice]:
        """The adapters that act: switched on and with a scale other than 0."""
        return [a for a in self.adapters if a.is_on and a.scale != 0]

    def sampler(self) -> dict[str, float | int]:
        """The sampler's fields, as the engine takes them."""
        names = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "max_tokens")
        return {name: getattr(self, name) for name in names}

    def engine_params(self, draft: Path | None) -> dict[str, Any]:
        """What the model is loaded with, where it is not the engine's own choice.

        Args:
            draft: File of the model `draft_model_id`; None when it is not there: the engine then says so.
        """
        params: dict[str, Any] = {"n_ctx": self.n_ctx} if self.n_ctx else {}
        if self.speculation != "off":
            params |= {"speculation": self.speculation, "draft_tokens": self.draft_tokens}
        if self.speculation == "draft":
            params |= {"draft_model": str(draft or ""), "draft_p_min": self.draft_p_min}
        return params

    def mended(self, action: Mapping[str, Any]) -> tuple[ChatSettings, dict[str, Any]]:
        """The same with a change of the engine's parameters, and what of the change a conversation is not set to."""
        mended = replace(self, **{key: action[key] for key in CHOSEN_FOR_LOADING if key in action})
        return mended, {key: value for key, value in action.items() if key not in LOADED_WITH}

    def draw_seed(self) -> int:
        """The seed of the next answer."""
        return self.seed if self.is_seed_fixed else secrets.randbelow(MAX_SEED)
