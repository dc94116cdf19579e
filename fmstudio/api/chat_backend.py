"""Chat backends: one loaded model that generates text. The app wraps any of them in the OpenAI HTTP API."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from fmstudio.api.errors import UserError
from fmstudio.api.params import Params
from fmstudio.api.rows import Message
from fmstudio.api.sampling import Sampling

FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]
ContextPolicy = Literal["refuse", "drop_oldest"]
SpeculationMethod = Literal["off", "lookup", "draft"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts about a loaded model.

    Attributes:
        n_ctx: Context length in tokens that was allocated.
        n_ctx_train: Context length in tokens the model was trained for.
        has_chat_template: Whether the model brings its own template; without one a plain template is used and said.
        n_params: Number of weights.
        description: Architecture and quantisation, e.g. ``"llama 135M Q4_1"``.
        template_hash: Names the chat template in use (`fmstudio.api.chat_template.template_hash`); empty = unknown.
        template_problems: What the tokenizer says against an edited template, as sentences.
        chat_template: The template's text.
        can_see: Whether it reads pictures in messages (see `fmstudio.api.pictures`).
        can_chat: Whether it generates text; an embedding model does not.
        embedding_size: Numbers in a vector of `ChatBackend.embed`; 0 = it embeds nothing.
        pooling: How the vectors of a text's tokens become one, e.g. ``"mean"``.
        embedding_note: What a user should know of its vectors, as a sentence.
        vram: Memory of GPUs that was free before loading, bytes; 0 without one.
        notes: What the engine chose by itself, and why, a sentence each.
    """

    n_ctx: int
    n_ctx_train: int
    has_chat_template: bool
    n_params: int
    description: str
    template_hash: str = ""
    template_problems: tuple[str, ...] = ()
    chat_template: str = ""
    can_see: bool = False
    can_chat: bool = True
    embedding_size: int = 0
    pooling: str = ""
    embedding_note: str = ""
    vram: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AdapterScale:
    """A LoRA adapter file and how strongly it acts (1.0 = as trained, 0 = off)."""

    path: Path
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class ControlVector:
    """A direction added to the hidden state of some layers: a slider for tone or topic.

    Attributes:
        path: A GGUF file of the kind ``controlvector``.
        layer_start, layer_end: First and last layer it acts on, counted from 1; 0 = all that the file has.
    """

    path: Path
    scale: float = 1.0
    layer_start: int = 0
    layer_end: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest(Sampling):
    """One turn. Exactly one of `messages`, `prompt` and `tokens` is given.

    Attributes:
        messages: A message may also hold ``tool_calls`` and ``tool_call_id``, in OpenAI's shape.
        forced_prefix: The answer begins with this, as text or as exact tokens; it is not reported back.
        continue_final: The last message is an unfinished answer: go on from its end.
        max_tokens: Most tokens to generate; None = until the context is full.
        logprobs: Number of alternatives to report per token; 0 = none.
        adapters: The adapters of this turn; None = keep those in force.
        control_vectors: Those of this turn.
        conversation: The caller's name for it, for its list of what is held.
        context_policy: What to do when the messages do not fit: refuse, or drop the oldest whole turns.
        json_schema: The answer is JSON that this schema accepts; ``{}`` = any JSON object.
        grammar: The answer follows this GBNF grammar.
        tools: OpenAI's tool definitions.
        tool_choice: ``none``, ``auto``, ``required`` or the name of one tool.
        parallel_tool_calls: Whether one answer may hold several calls.
        split_reasoning: Report text between ``<think>`` and ``</think>`` as `Chunk.reasoning`.
        template_options: More names for the chat template, such as ``enable_thinking``.
        speculation: How to guess ahead: not, from the conversation, with the draft model; None = as loaded.
        draft_tokens: Most tokens of one guess; 0 = as loaded.
    """

    messages: Sequence[Message] | None = None
    prompt: str | None = None
    tokens: Sequence[int] | None = None
    forced_prefix: str | Sequence[int] = ()
    continue_final: bool = False
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    logprobs: int = 0
    adapters: Sequence[AdapterScale] | None = None
    control_vectors: Sequence[ControlVector] = ()
    conversation: str = ""
    context_policy: ContextPolicy = "refuse"
    json_schema: Mapping[str, Any] | bool | None = None
    grammar: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    split_reasoning: bool = True
    template_options: Mapping[str, Any] = field(default_factory=dict)
    speculation: SpeculationMethod | None = None
    draft_tokens: int = 0


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts, or token ids in their place, to turn into vectors."""

    inputs: Sequence[str | Sequence[int]]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token, its natural-log probability by the model itself, and the best alternatives, likeliest first.

    Attributes:
        token: Its text; half a character reads as U+FFFD.
        id: Its number, for `GenerateRequest.forced_prefix`.
        data: Its bytes.
    """

    token: str
    logprob: float
    id: int = -1
    data: bytes = b""
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool. `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Speculation:
    """How guessing ahead went in one answer.

    Attributes:
        method: ``lookup`` (from the conversation) or ``draft`` (a second model).
        drafted, accepted: Tokens that were guessed, and how many of them came true.
        plain_ms, ahead_ms: Milliseconds a token without and with guessing, lately; 0 = not measured.
        reason: Why guessing was given up for the conversation; empty while it is on.
    """

    method: str
    drafted: int
    accepted: int
    plain_ms: float
    ahead_ms: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer, or news of it.

    Attributes:
        text: New text, whole characters only (may be empty).
        reasoning: New text of the model's reasoning.
        tool_calls: Calls that are now complete.
        token_ids: The tokens this chunk stands for.
        prompt_done, prompt_total: Prompt tokens evaluated so far, during prefill.
        finish_reason: Set on the last chunk only.
        usage: On the last chunk: prompt_tokens, completion_tokens, cached_tokens.
        timings: On the last chunk: prompt_ms, predicted_ms, predicted_per_second.
        dropped_messages: On the last chunk: which messages (by index) were left out to make room.
        vectors: Of a request for embeddings: those that are now done, in order; each float32, of unit length.
        speculation: On the last chunk, where guesses were asked for.
    """

    text: str = ""
    token_ids: tuple[int, ...] = ()
    prompt_done: int = 0
    prompt_total: int = 0
    finish_reason: FinishReason | None = None
    usage: dict[str, int] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    logprobs: tuple[TokenLogprob, ...] = ()
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    dropped_messages: tuple[int, ...] = ()
    vectors: tuple[Any, ...] = ()
    speculation: Speculation | None = None


@dataclass(frozen=True, slots=True)
class HeldConversation:
    """A conversation whose evaluated tokens are still in memory, so that its next turn starts at once."""

    conversation: str
    n_tokens: int
    bytes: int
    is_active: bool


class ChatBackend(ABC):
    """One model in one process. All methods are called on one thread, one at a time.

    Manifest facts: ``formats = ["gguf"]``. A backend that renders chat templates itself has ``chat_template: str`` among
    its `Params`: a copy that the user edited goes there.

    Attributes:
        takes_turns: Whether several iterators of `generate` may be under way, advanced in any order, and other
            methods called between their chunks. Each must give what it would give alone.
    """

    Params: ClassVar[type[Params]] = Params
    takes_turns: ClassVar[bool] = False

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

    def embed(self, request: EmbedRequest, cancelled: Callable[[], bool]) -> Iterator[Chunk]:
        """Turn texts into vectors; as with `generate`, other requests may be served between two chunks.

        Nothing is cut off. Chunks report progress in tokens; what was generated before stays in memory.

        Raises:
            UserError: This engine does not embed, or a text is empty or longer than the context.
        """
        raise UserError("This model generates text; it does not embed.", remedy="Choose an embedding model.")

    def tokenize(self, text: str) -> list[int]:
        """Turn plain text into token ids, without a template.

        Raises:
            UserError: This engine cannot.
        """
        raise UserError("This engine does not show tokens.", remedy="Choose another engine.")

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Give the text of tokens.

        Raises:
            UserError: This engine cannot, or a token is unknown.
        """
        raise UserError("This engine does not show tokens.", remedy="Choose another engine.")

    def token_view(self, request: GenerateRequest, cancelled: Callable[[], bool]) -> list[TokenLogprob]:
        """Say of each token of an answer that exists already how likely it was, and what else could have stood there.

        Args:
            request: Its last message, or its `forced_prefix`, is the answer; `logprobs` is the number of alternatives.

        Raises:
            UserError: This engine cannot, or it does not fit into the context.
        """
        raise UserError("This engine does not show probabilities.", remedy="Choose another engine.")

    def keep_conversations(self, folder: Path, most_bytes: int) -> None:  # noqa: B027 - optional
        """Keep evaluated conversations on disk, so that they go on at once when the model is loaded again.

        Called once, after `load`. Files are named by `fmstudio.api.conversation_files`; whatever is wrong with one is
        written to the log and never more.

        Args:
            folder: Shared by all models of this engine; it may be cleared at any time.
            most_bytes: Bound for all its files.
        """

    def idle(self) -> None:  # noqa: B027 - optional
        """Called again and again while nothing is asked for; must return within a fraction of a second."""

    def forget(self, conversation: str) -> None:  # noqa: B027 - optional
        """Drop all that is kept of a conversation, in memory and on disk."""

    def held(self) -> list[HeldConversation]:
        """List the conversations that are held in memory."""
        return []

    def close(self) -> None:  # noqa: B027 - optional hook
        """Free the model."""
