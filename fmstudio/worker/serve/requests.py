"""OpenAI request bodies → `GenerateRequest`. What cannot be done is refused by name, never passed over in silence."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fmstudio.api import AdapterScale, GenerateRequest, Message

MAX_STOPS = 16
MAX_TOP_LOGPROBS = 20
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}

# Asked for by many clients without changing an answer: accepted, and without effect.
_HARMLESS = frozenset(
    {"model", "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
     "prompt_cache_retention", "parallel_tool_calls", "cache_prompt", "id_slot"}
)  # fmt: skip
# Known, with the values that ask for nothing.
_IDLE_VALUES: dict[str, tuple[Any, ...]] = {
    "n": (1,), "best_of": (1,), "tools": ([],), "functions": ([],), "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"), "logit_bias": ({},), "presence_penalty": (0,), "frequency_penalty": (0,),
    "modalities": (["text"],), "echo": (False,), "suffix": ("",),
}  # fmt: skip


class BadRequestError(Exception):
    """The body asks for something wrong or impossible; `param` names the field."""

    def __init__(self, message: str, param: str = "") -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the routes need it.

    Attributes:
        logprobs: Whether the client wants them, and how many alternatives.
    """

    request: GenerateRequest
    stream: bool
    include_usage: bool
    return_progress: bool
    timings_per_token: bool
    logprobs: int | None


Resolve = Callable[[list[dict[str, Any]]], tuple[AdapterScale, ...]]


def read_chat(body: Mapping[str, Any], resolve: Resolve) -> Asked:
    """Read a body of ``/v1/chat/completions``.

    Args:
        resolve: Turns the extension ``"lora": [{"id" | "path", "scale"}]`` into adapters.

    Raises:
        BadRequestError: Names the field.
    """
    fields = _Fields(body)
    messages = _messages(fields.take("messages"))
    wants = fields.flag("logprobs")
    top = fields.whole("top_logprobs", 0, 0, MAX_TOP_LOGPROBS)
    if top and not wants:
        raise BadRequestError("top_logprobs needs logprobs to be true.", "top_logprobs")
    return _read(fields, resolve, top if wants else None, None, messages=messages)


def read_completion(body: Mapping[str, Any], resolve: Resolve) -> Asked:
    """Read a body of ``/v1/completions``; one prompt, as text or as token ids.

    Raises:
        BadRequestError: Names the field.
    """
    fields = _Fields(body)
    prompt = fields.take("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and not isinstance(prompt[0], int):
        prompt = prompt[0]
    top = fields.whole("logprobs", -1, 0, MAX_TOP_LOGPROBS)
    logprobs = None if top < 0 else top
    if isinstance(prompt, str):
        return _read(fields, resolve, logprobs, 16, prompt=prompt)
    if isinstance(prompt, list) and prompt and all(type(token) is int for token in prompt):
        return _read(fields, resolve, logprobs, 16, tokens=prompt)
    raise BadRequestError("prompt must be one text or one list of token ids.", "prompt")


def _read(fields: _Fields, resolve: Resolve, logprobs: int | None, max_tokens: int | None, **prompt: Any) -> Asked:
    options = fields.take("stream_options") or {}
    if not isinstance(options, dict) or set(options) - {"include_usage", "include_obfuscation"}:
        raise BadRequestError("stream_options may only hold include_usage.", "stream_options")
    stream = fields.flag("stream")
    request = GenerateRequest(
        **prompt,
        temperature=fields.number("temperature", 0.7, 0, 100),
        top_p=fields.number("top_p", 0.95, 0, 1),
        top_k=fields.whole("top_k", 40, 0, 1 << 30),
        min_p=fields.number("min_p", 0.05, 0, 1),
        repeat_penalty=fields.number("repeat_penalty", 1.0, 0.01, 100),
        seed=_seed(fields),
        max_tokens=_max_tokens(fields, max_tokens),
        stop=_stop(fields.take("stop")),
        logprobs=0 if logprobs is None else max(1, logprobs),
        adapters=_adapters(fields, resolve),
    )
    asked = Asked(
        request=request,
        stream=stream,
        include_usage=bool(options.get("include_usage")),
        return_progress=fields.flag("return_progress"),
        timings_per_token=fields.flag("timings_per_token"),
        logprobs=logprobs,
    )
    fields.refuse_rest()
    return asked


class _Fields:
    """A body that remembers what has been read, so that the rest can be refused."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._left = {key: value for key, value in body.items() if value is not None}

    def take(self, name: str) -> Any:
        return self._left.pop(name, None)

    def flag(self, name: str) -> bool:
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise BadRequestError(f"{name} must be true or false.", name)
        return bool(value)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadRequestError(f"{name} must be a number.", name)
        if not least <= value <= most:
            raise BadRequestError(f"{name} must be between {least:g} and {most:g}; it is {value:g}.", name)
        return float(value)

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        value = self.take(name)
        if value is None:
            return default
        if type(value) is not int or not least <= value <= most:
            raise BadRequestError(f"{name} must be a whole number between {least} and {most}.", name)
        return value

    def refuse_rest(self) -> None:
        for name, value in self._left.items():
            if name in _HARMLESS or value in _IDLE_VALUES.get(name, ()):
                continue
            if name == "response_format" and value == {"type": "text"}:
                continue
            known = name in _IDLE_VALUES or name in ("response_format", "reasoning_effort", "audio", "prediction")
            said = "is not supported by this engine yet" if known else "is not known to this engine"
            raise BadRequestError(f"{name} {said}; leave it out.", name)


def _seed(fields: _Fields) -> int:
    """A seed of its own for every request that names none, as OpenAI's clients expect; -1 asks for the same."""
    seed = fields.whole("seed", -1, -(1 << 63), (1 << 64) - 1)
    return random.SystemRandom().randrange(1 << 32) if seed == -1 else seed & 0xFFFFFFFF


def _max_tokens(fields: _Fields, default: int | None) -> int | None:
    old = fields.whole("max_tokens", -1, -1, 1 << 30)
    new = fields.whole("max_completion_tokens", old, -1, 1 << 30)
    return default if new < 0 else new


def _stop(value: Any) -> tuple[str, ...]:
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(text, str) for text in stops):
        raise BadRequestError("stop must be a text or a list of texts.", "stop")
    if len(stops) > MAX_STOPS or any(len(text) > 1000 for text in stops):
        raise BadRequestError(f"stop may hold at most {MAX_STOPS} texts of up to 1000 characters.", "stop")
    return tuple(text for text in stops if text)


def _adapters(fields: _Fields, resolve: Resolve) -> tuple[AdapterScale, ...]:
    value = fields.take("lora")
    if value is None:
        return resolve([])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadRequestError('lora must be a list of {"id" or "path", "scale"}.', "lora")
    # An empty list asks for the bare base, so that it must differ from none given.
    return resolve(value) if value else ()


def _messages(value: Any) -> list[Message]:
    if not isinstance(value, list) or not value:
        raise BadRequestError("messages must be a list with at least one message.", "messages")
    return [_message(item, f"messages[{index}]") for index, item in enumerate(value)]


def _message(item: Any, where: str) -> Message:
    if not isinstance(item, dict) or item.get("role") not in _ROLES:
        raise BadRequestError(f"{where} must have a role of {', '.join(_ROLES)}.", where)
    if item.get("tool_calls") or item.get("function_call"):
        raise BadRequestError(f"{where} holds tool calls, which are not supported by this engine yet.", where)
    return Message(role=_ROLES[item["role"]], content=_content(item.get("content"), where))


def _content(value: Any, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else [value]
    for part in parts:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise BadRequestError(f"{where} has content of the kind {kind!r}; this engine reads text only.", where)
    return "".join(part["text"] for part in parts)
