"""OpenAI request bodies → `GenerateRequest`. What cannot be done is refused by name, never passed over in silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.api import AdapterScale, ControlVector, GenerateRequest, SpeculationMethod
from fmstudio.worker.serve.fields import BadRequestError, Fields
from fmstudio.worker.serve.request_messages import read_messages, read_tools
from fmstudio.worker.serve.request_sampling import read_sampling

MAX_STOPS = 16
MAX_TOP_LOGPROBS = 20
MAX_GRAMMAR = 256 * 1024
MAX_DRAFT = 31


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
    return_tokens: bool
    logprobs: int | None


Resolve = Callable[[list[dict[str, Any]]], tuple[AdapterScale, ...]]


def read_chat(body: Mapping[str, Any], resolve: Resolve) -> Asked:
    """Read a body of ``/v1/chat/completions``.

    Args:
        resolve: Turns the extension ``"lora": [{"id" | "path", "scale"}]`` into adapters.

    Raises:
        BadRequestError: Names the field.
    """
    fields = Fields(body)
    messages = read_messages(fields.take("messages"))
    wants = fields.flag("logprobs")
    top = fields.whole("top_logprobs", 0, 0, MAX_TOP_LOGPROBS)
    if top and not wants:
        raise BadRequestError("top_logprobs needs logprobs to be true.", "top_logprobs")
    tools, choice = read_tools(fields.take("tools"), fields.take("tool_choice"))
    return _read(
        fields,
        resolve,
        top if wants else None,
        None,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=fields.flag("parallel_tool_calls", True),
        continue_final=fields.flag("continue_final_message"),
        context_policy=fields.choice("context_policy", "refuse", ("refuse", "drop_oldest")),
        split_reasoning=fields.choice("reasoning_format", "auto", ("auto", "deepseek", "none")) != "none",
        template_options=_object(fields, "chat_template_kwargs"),
    )


def read_completion(body: Mapping[str, Any], resolve: Resolve) -> Asked:
    """Read a body of ``/v1/completions``; one prompt, as text or as token ids.

    Raises:
        BadRequestError: Names the field.
    """
    fields = Fields(body)
    prompt = fields.take("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and not isinstance(prompt[0], int):
        prompt = prompt[0]
    top = fields.whole("logprobs", -1, 0, MAX_TOP_LOGPROBS)
    logprobs = None if top < 0 else top
    if isinstance(prompt, str):
        return _read(fields, resolve, logprobs, 16, prompt=prompt)
    if _is_tokens(prompt) and prompt:
        return _read(fields, resolve, logprobs, 16, tokens=prompt)
    raise BadRequestError("prompt must be one text or one list of token ids.", "prompt")


def read_view(body: Mapping[str, Any], resolve: Resolve) -> GenerateRequest:
    """Read a body of ``/token-view``: messages that end with an answer, or its exact ``tokens`` beside.

    Raises:
        BadRequestError: Names the field.
    """
    fields = Fields(body)
    messages = read_messages(fields.take("messages"))
    tokens = fields.take("tokens")
    if tokens is not None and not _is_tokens(tokens):
        raise BadRequestError("tokens must be a list of token ids.", "tokens")
    if tokens is not None and messages[-1]["role"] == "assistant":
        messages = messages[:-1]
    elif tokens is None and (messages[-1]["role"] != "assistant" or len(messages) < 2):
        raise BadRequestError("The last message must be the assistant's, or give its tokens.", "messages")
    request = GenerateRequest(
        messages=messages,
        forced_prefix=tokens or (),
        continue_final=tokens is None,
        logprobs=fields.whole("top_logprobs", 5, 0, MAX_TOP_LOGPROBS),
        adapters=_adapters(fields, resolve),
        control_vectors=_vectors(fields.take("control_vectors")),
    )
    fields.refuse_rest()
    return request


def _read(fields: Fields, resolve: Resolve, logprobs: int | None, max_tokens: int | None, **prompt: Any) -> Asked:
    options = fields.take("stream_options") or {}
    if not isinstance(options, dict) or set(options) - {"include_usage", "include_obfuscation"}:
        raise BadRequestError("stream_options may only hold include_usage.", "stream_options")
    stream = fields.flag("stream")
    schema = _response_format(fields.take("response_format"))
    request = GenerateRequest(
        **prompt,
        **read_sampling(fields),
        max_tokens=_max_tokens(fields, max_tokens),
        stop=fields.texts("stop", (), MAX_STOPS, 1000),
        logprobs=0 if logprobs is None else max(1, logprobs),
        adapters=_adapters(fields, resolve),
        control_vectors=_vectors(fields.take("control_vectors")),
        forced_prefix=_forced(fields.take("forced_prefix")),
        conversation=fields.text("conversation_id", "", 200),
        json_schema=schema,
        grammar=fields.text("grammar", "", MAX_GRAMMAR),
        speculation=_speculation(fields),
        draft_tokens=fields.whole("speculative.n_max", 0, 0, MAX_DRAFT),
    )
    asked = Asked(
        request=request,
        stream=stream,
        include_usage=bool(options.get("include_usage")),
        return_progress=fields.flag("return_progress"),
        timings_per_token=fields.flag("timings_per_token"),
        return_tokens=fields.flag("return_tokens"),
        logprobs=logprobs,
    )
    fields.refuse_rest()
    return asked


def _response_format(value: Any) -> Any:
    """The schema an answer must fit: None = free text, ``{}`` = any JSON object."""
    if value is None or value == {"type": "text"}:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "json_object":
        return value.get("schema") or {}
    if kind == "json_schema":
        inner = value.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, dict) else None
        if isinstance(schema, dict | bool):
            # An empty schema accepts anything; an empty one here would mean “any object”.
            return True if schema == {} else schema
        raise BadRequestError("response_format of the type json_schema needs json_schema.schema.", "response_format")
    raise BadRequestError("response_format must have the type text, json_object or json_schema.", "response_format")


def _object(fields: Fields, name: str) -> dict[str, Any]:
    value = fields.take(name)
    if value is not None and not isinstance(value, dict):
        raise BadRequestError(f"{name} must be an object.", name)
    return value or {}


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(type(token) is int for token in value)


def _forced(value: Any) -> Any:
    if value is None or isinstance(value, str) or _is_tokens(value):
        return value or ()
    raise BadRequestError("forced_prefix must be a text or a list of token ids.", "forced_prefix")


def _speculation(fields: Fields) -> SpeculationMethod | None:
    found: Any = fields.choice("speculation", "", ("off", "lookup", "draft"))
    return found or None


def _max_tokens(fields: Fields, default: int | None) -> int | None:
    old = fields.whole("max_tokens", -1, -1, 1 << 30)
    new = fields.whole("max_completion_tokens", old, -1, 1 << 30)
    return default if new < 0 else new


def _vectors(value: Any) -> tuple[ControlVector, ...]:
    items = [] if value is None else value
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadRequestError('control_vectors must be a list of {"path", "scale"}.', "control_vectors")
    return tuple(_vector(item) for item in items)


def _vector(item: dict[str, Any]) -> ControlVector:
    fields = Fields(item)
    path = Path(fields.text("path", "", 4096))
    if not path.is_absolute() or not path.is_file():
        raise BadRequestError(f"There is no control vector file “{path}”.", "control_vectors")
    vector = ControlVector(
        path,
        fields.number("scale", 1, -100, 100),
        fields.whole("layer_start", 0, 0, 100_000),
        fields.whole("layer_end", 0, 0, 100_000),
    )
    fields.refuse_rest()
    return vector


def _adapters(fields: Fields, resolve: Resolve) -> tuple[AdapterScale, ...]:
    value = fields.take("lora")
    if value is None:
        return resolve([])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadRequestError('lora must be a list of {"id" or "path", "scale"}.', "lora")
    # An empty list asks for the bare base, so that it must differ from none given.
    return resolve(value) if value else ()
