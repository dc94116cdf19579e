"""The JSON that goes out: OpenAI's shapes, with llama-server's ``timings`` and ``prompt_progress`` beside them.

Stream events are put together from text that is the same for the whole answer and the one part that differs: a
general JSON encoder would cost more than sending.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fmstudio.api import Chunk, TokenLogprob, ToolCall
from fmstudio.worker.serve.requests import Asked

DONE = b"data: [DONE]\n\n"
_text = json.encoder.encode_basestring_ascii  # the C function behind json.dumps(str)


@dataclass(slots=True)
class Reply:
    """Writes the answer to one request.

    Args:
        is_chat: Chat completion, or plain text completion.
        template_hash: Names the template the messages went through.
    """

    model: str
    asked: Asked
    is_chat: bool
    template_hash: str = ""
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time()))
    _head: bytes = b""
    _tail: bytes = b""
    _has_role: bool = False
    _cached: int | None = None
    _started: float = field(default_factory=time.perf_counter)
    _first_token: float = 0.0
    _predicted: int = 0
    _calls: int = 0

    def __post_init__(self) -> None:
        self.id = f"{'chatcmpl' if self.is_chat else 'cmpl'}-{uuid.uuid4().hex}"
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        start = json.dumps({"id": self.id, "object": kind, "created": self.created, "model": self.model})[:-1]
        part = '"delta":{"content":' if self.is_chat else '"text":'
        close = "}" if self.is_chat else ""
        usage = ',"usage":null' if self.asked.include_usage else ""
        self._head = f'data: {start}, "choices":[{{"index":0,{part}'.encode()
        self._tail = f'{close},"logprobs":null,"finish_reason":null}}]{usage}}}\n\n'.encode()

    def events(self, chunks: Sequence[Chunk]) -> bytes:
        """Server-sent events for chunks that arrived together: their text travels in one event."""
        out: list[bytes] = []
        if self.is_chat and not self._has_role and any(c.text or c.finish_reason for c in chunks):
            self._has_role = True
            out.append(self._event({"role": "assistant", "content": ""}))
        together: list[Chunk] = []
        for chunk in chunks:
            if chunk.prompt_total and not chunk.finish_reason:
                out.extend(self._progress(chunk))
                continue
            self._predicted += len(chunk.token_ids)
            self._first_token = self._first_token or time.perf_counter()
            if chunk.reasoning or chunk.tool_calls:
                out.append(self._text_event(together))
                out.extend(self._own_events(chunk))
                together = []
            together.append(chunk)
        out.append(self._text_event(together))
        if chunks and chunks[-1].finish_reason:
            out.append(self._last(chunks[-1]))
        return b"".join(out)

    def _own_events(self, chunk: Chunk) -> Iterable[bytes]:
        if chunk.reasoning:
            yield self._event({"reasoning_content": chunk.reasoning})
        for call in chunk.tool_calls:
            yield self._event({"tool_calls": [{"index": self._calls, **call_of(call)}]})
            self._calls += 1

    def _text_event(self, chunks: Sequence[Chunk]) -> bytes:
        """One event for the text of several chunks, with their tokens and log-probabilities where asked for."""
        asked = self.asked
        text = "".join([chunk.text for chunk in chunks])
        more: dict[str, Any] = {}
        if asked.return_tokens and (tokens := [token for chunk in chunks for token in chunk.token_ids]):
            more["tokens"] = tokens
        if asked.logprobs is not None and (logprobs := [item for chunk in chunks for item in chunk.logprobs]):
            more["logprobs"] = logprobs
        if asked.timings_per_token and (text or more):
            more["timings"] = self._timings_so_far()
        if more:
            return self._event(self._delta(text), **more)
        return self._head + _text(text).encode() + self._tail if text else b""

    def _timings_so_far(self) -> dict[str, float]:
        """Measured on this side: tokens after the first, over the time since the first."""
        seconds = time.perf_counter() - self._first_token
        rate = (self._predicted - 1) / seconds if self._predicted > 1 and seconds > 0 else 0.0
        return {
            "predicted_n": self._predicted,
            "predicted_ms": round(seconds * 1000, 1),
            "predicted_per_second": round(rate, 2),
        }

    def _delta(self, text: str) -> Any:
        return {"content": text} if self.is_chat else text

    def _event(
        self, delta: Any, finish: str | None = None, logprobs: Sequence[TokenLogprob] = (), **more: Any
    ) -> bytes:
        choice: dict[str, Any] = {"index": 0, "delta" if self.is_chat else "text": delta}
        choice["logprobs"] = self._logprobs(logprobs) if logprobs else None
        choice["finish_reason"] = finish
        return self._data({"choices": [choice], **({"usage": None} if self.asked.include_usage else {}), **more})

    def _data(self, more: dict[str, Any]) -> bytes:
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        value = {"id": self.id, "object": kind, "created": self.created, "model": self.model, **more}
        return b"data: " + json.dumps(value).encode() + b"\n\n"

    def _progress(self, chunk: Chunk) -> Iterable[bytes]:
        self._cached = chunk.prompt_done if self._cached is None else self._cached
        if not self.asked.return_progress:
            return
        progress = {
            "total": chunk.prompt_total,
            "cache": self._cached,
            "processed": chunk.prompt_done,
            "time_ms": round((time.perf_counter() - self._started) * 1000),
        }
        yield self._event({} if self.is_chat else "", prompt_progress=progress)

    def _last(self, chunk: Chunk) -> bytes:
        timings = timings_of(chunk)
        empty = {} if self.is_chat else ""
        last = self._event(empty, finish=finish_reason(chunk), timings=timings, **self._facts(chunk))
        if not self.asked.include_usage:
            return last
        return last + self._data({"choices": [], "usage": usage_of(chunk), "timings": timings})

    def _facts(self, last: Chunk) -> dict[str, Any]:
        """What makes the turn repeatable, what was left out of it, and how guessing ahead went."""
        facts: dict[str, Any] = {"seed": self.asked.request.seed}
        if self.is_chat and self.template_hash:
            facts["template_hash"] = self.template_hash
        if last.dropped_messages:
            facts["context"] = {"policy": "drop_oldest", "dropped_messages": list(last.dropped_messages)}
        if last.speculation is not None:
            facts["speculation"] = asdict(last.speculation)
        return facts

    def whole(self, chunks: Sequence[Chunk]) -> dict[str, Any]:
        """The answer in one piece, for requests that do not stream."""
        text = "".join(chunk.text for chunk in chunks)
        last = chunks[-1]
        logprobs = [item for chunk in chunks for item in chunk.logprobs]
        choice: dict[str, Any] = {"index": 0}
        if self.is_chat:
            choice["message"] = self._message(text, chunks)
        else:
            choice["text"] = text
        choice["logprobs"] = self._logprobs(logprobs) if self.asked.logprobs is not None else None
        choice["finish_reason"] = finish_reason(last)
        if self.asked.return_tokens:
            choice["tokens"] = [token for chunk in chunks for token in chunk.token_ids]
        return {
            "id": self.id,
            "object": "chat.completion" if self.is_chat else "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": [choice],
            "usage": usage_of(last),
            "timings": timings_of(last),
            **self._facts(last),
        }

    def _message(self, text: str, chunks: Sequence[Chunk]) -> dict[str, Any]:
        calls = [call_of(call) for chunk in chunks for call in chunk.tool_calls]
        reasoning = "".join(chunk.reasoning for chunk in chunks)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if calls and not text else text,
            "refusal": None,
        }
        if reasoning:
            message["reasoning_content"] = reasoning
        if calls:
            message["tool_calls"] = calls
        return message

    def _logprobs(self, items: Sequence[TokenLogprob]) -> dict[str, Any]:
        count = self.asked.logprobs or 0
        if self.is_chat:
            return {"content": [_chat_logprob(item, count) for item in items], "refusal": None}
        return {
            "tokens": [item.token for item in items],
            "token_logprobs": [item.logprob for item in items],
            "top_logprobs": [{other.token: other.logprob for other in item.top[:count]} for item in items],
            "text_offset": [],
        }


def _chat_logprob(item: TokenLogprob, count: int) -> dict[str, Any]:
    return {**_one_logprob(item), "top_logprobs": [_one_logprob(other) for other in item.top[:count]]}


def _one_logprob(item: TokenLogprob) -> dict[str, Any]:
    data = item.data or item.token.encode()
    return {"id": item.id, "token": item.token, "logprob": item.logprob, "bytes": list(data)}


def view_of(items: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """Tokens with all their alternatives, as under ``logprobs.content``."""
    return [_chat_logprob(item, len(item.top)) for item in items]


def call_of(call: ToolCall) -> dict[str, Any]:
    """OpenAI's shape of a tool call."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def finish_reason(chunk: Chunk) -> str:
    """OpenAI's word for the end; a cancelled answer is one that was cut."""
    return "length" if chunk.finish_reason == "cancelled" else str(chunk.finish_reason)


def usage_of(chunk: Chunk) -> dict[str, Any]:
    """OpenAI's usage block, from the last chunk."""
    prompt, completion = chunk.usage.get("prompt_tokens", 0), chunk.usage.get("completion_tokens", 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": chunk.usage.get("cached_tokens", 0)},
    }


def timings_of(chunk: Chunk) -> dict[str, float]:
    """llama-server's timings block, from the last chunk; times in milliseconds."""
    cached = chunk.usage.get("cached_tokens", 0)
    prompt_n = chunk.usage.get("prompt_tokens", 0) - cached
    prompt_ms = chunk.timings.get("prompt_ms", 0.0)
    guessed: dict[str, float] = {}
    if chunk.speculation is not None:
        guessed = {"draft_n": chunk.speculation.drafted, "draft_n_accepted": chunk.speculation.accepted}
    return {
        "cache_n": cached,
        "prompt_n": prompt_n,
        "prompt_ms": prompt_ms,
        "prompt_per_second": prompt_n / prompt_ms * 1000 if prompt_ms else 0.0,
        "predicted_n": chunk.usage.get("completion_tokens", 0),
        "predicted_ms": chunk.timings.get("predicted_ms", 0.0),
        "predicted_per_second": chunk.timings.get("predicted_per_second", 0.0),
        **guessed,
    }


def error_body(message: str, kind: str, *, code: str | None = None, param: str = "", **more: Any) -> dict[str, Any]:
    """OpenAI's error shape; `more` holds ``remedy``, ``remedy_action`` and ``details`` where there are any."""
    extra = {key: value for key, value in more.items() if value}
    return {"error": {"message": message, "type": kind, "param": param or None, "code": code, **extra}}
