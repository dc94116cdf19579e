"""Chat backends: one loaded model that generates text. The app wraps any of them in the OpenAI HTTP API."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from fmstudio.api.errors import UserError
from fmstudio.api.params import Params
from fmstudio.api.rows import Message

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts about a loaded model.

    Attributes:
        n_ctx: Context length in tokens that was allocated.
        n_ctx_train: Context length in tokens the model was trained for.
        has_chat_template: Whether the model brings its own template; without one a plain template is used and said.
        n_params: Number of weights.
        description: Architecture and quantisation, e.g. ``"llama 135M Q4_1"``.
    """

    n_ctx: int
    n_ctx_train: int
    has_chat_template: bool
    n_params: int
    description: str


@dataclass(frozen=True, slots=True)
class AdapterScale:
    """A LoRA adapter file and how strongly it acts (1.0 = as trained, 0 = off)."""

    path: Path
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One turn. Exactly one of `messages`, `prompt` and `tokens` is given.

    Attributes:
        seed: Sampler seed; the same seed, settings and context give the same tokens.
        max_tokens: Most tokens to generate; None = until the context is full.
        top_k: 0 = off. min_p: 0 = off. repeat_penalty: 1 = off.
        logprobs: Number of alternatives to report per token; 0 = none.
        adapters: The adapters of this turn; None = keep those in force.
    """

    messages: Sequence[Message] | None = None
    prompt: str | None = None
    tokens: Sequence[int] | None = None
    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int = 0
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    logprobs: int = 0
    adapters: Sequence[AdapterScale] | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One generated token: its text, natural-log probability and the best alternatives (text, logprob)."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer, or news of it.

    Attributes:
        text: New text, whole characters only (may be empty).
        token_ids: The tokens this chunk stands for.
        prompt_done, prompt_total: Prompt tokens evaluated so far, during prefill.
        finish_reason: Set on the last chunk only.
        usage: On the last chunk: prompt_tokens, completion_tokens, cached_tokens.
        timings: On the last chunk: prompt_ms, predicted_ms, predicted_per_second.
    """

    text: str = ""
    token_ids: tuple[int, ...] = ()
    prompt_done: int = 0
    prompt_total: int = 0
    finish_reason: FinishReason | None = None
    usage: dict[str, int] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    logprobs: tuple[TokenLogprob, ...] = ()


class ChatBackend(ABC):
    """One model in one process. All methods are called on one thread, one at a time.

    Manifest facts: ``formats = ["gguf"]``.
    """

    Params: ClassVar[type[Params]] = Params

    @classmethod
    def probe_settings(cls) -> list[dict[str, Any]]:
        """List native settings to try on a new machine, from fastest to safest.

        The app loads a model and evaluates one token with each in a child process, in order, and remembers the
        first that survives (see ``fmstudio.jobs.probe``); `load` receives it. A native crash is thereby found by
        the app and never by the user.
        """
        return [{}]

    @classmethod
    def count_texts(cls, model: Path, texts: Sequence[str]) -> list[int]:
        """Count the tokens of plain texts with the model's vocabulary alone; no weights are read, no template is used.

        Raises:
            UserError: The file cannot be opened, or this engine cannot count without the whole model.
        """
        raise UserError("This engine cannot count tokens without loading the model.", remedy="Choose another model.")

    @abstractmethod
    def load(self, model: Path, params: Any, settings: dict[str, Any]) -> ModelInfo:
        """Open the model; called once.

        Raises:
            UserError: With the cause out of the native log, and a remedy.
        """

    @abstractmethod
    def set_adapters(self, adapters: Sequence[AdapterScale]) -> None:
        """Make exactly these adapters act from now on, without reloading the base; drops what was cached.

        Raises:
            UserError: The file is no adapter, or belongs to another base model.
        """

    @abstractmethod
    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Number of prompt tokens these messages make, chat template included."""

    @abstractmethod
    def generate(self, request: GenerateRequest, cancelled: Callable[[], bool]) -> Iterator[Chunk]:
        """Answer. `cancelled` is asked often, also during prefill; when it says yes the last chunk comes at once.

        Raises:
            UserError: The prompt does not fit into the context, or has no turn to answer.
        """

    def close(self) -> None:  # noqa: B027 - optional hook
        """Free the model."""
