"""A blocking client for a streamed chat completion, on the standard library alone."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fmstudio.api.errors import UserError

READ_TIMEOUT_S = 600.0
MOST_REFUSAL = 1 << 20


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """One event of a stream.

    Attributes:
        text: New text of the answer, may be empty.
        finish_reason: ``stop`` or ``length`` on the last event with a choice.
        usage, timings: On the last events.
        reasoning: New text of the model's reasoning.
        tool_calls: Calls that are now complete, in OpenAI's shape.
        logprobs: Entries of ``logprobs.content``, with ``id``.
        seed: On the last event with a choice: what makes the answer repeatable.
        dropped_messages: On the same event: indexes of messages that were left out to make room.
        template_hash: On the same event: names the chat template the messages went through.
        speculation: On the same event, where guesses were asked for: ``method``, ``drafted``, ``accepted``,
            ``plain_ms`` and ``ahead_ms`` a token, and ``reason`` when guessing was given up.
        progress: llama-server's ``prompt_progress`` while the prompt is evaluated.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    progress: dict[str, int] = field(default_factory=dict)
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    seed: int | None = None
    dropped_messages: list[int] = field(default_factory=list)
    template_hash: str = ""
    speculation: dict[str, Any] = field(default_factory=dict)


def post_chat(port: int, key: str, body: dict[str, Any]) -> Iterator[ChatEvent]:
    """Post a chat completion to loopback and yield its events. Closing the iterator cancels the answer.

    Raises:
        UserError: The engine refused, or reported a failure in the stream.
        OSError: The connection was lost.
    """
    yield from post_chat_to(f"http://127.0.0.1:{port}/v1", key, body)


def post_chat_to(url: str, key: str, body: dict[str, Any], *, connect_timeout_s: float = 30.0) -> Iterator[ChatEvent]:
    """Like `post_chat`, for any OpenAI-compatible server.

    Args:
        url: With ``/v1``.
        key: Empty = none is sent.
        connect_timeout_s: How long to wait for the server to take the connection.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=connect_timeout_s)
    try:
        connection.connect()
        connection.sock.settimeout(READ_TIMEOUT_S)
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        data = json.dumps({**body, "stream": True})
        connection.request("POST", f"{parts.path.rstrip('/')}/chat/completions", data, headers)
        response = connection.getresponse()
        if response.status != 200:
            raise _refusal(response.read(MOST_REFUSAL))
        yield from _events(response)
    except http.client.HTTPException as error:
        raise ConnectionError(str(error) or type(error).__name__) from error
    finally:
        connection.close()


def _events(response: http.client.HTTPResponse) -> Iterator[ChatEvent]:
    for line in response:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        value = json.loads(data)
        if "error" in value:
            raise _refusal(data)
        choice = (value.get("choices") or [{}])[0]
        delta = choice.get("delta") or {}
        yield ChatEvent(
            text=delta.get("content") or "",
            finish_reason=choice.get("finish_reason"),
            usage=value.get("usage") or {},
            timings=value.get("timings") or {},
            progress=value.get("prompt_progress") or {},
            reasoning=delta.get("reasoning_content") or "",
            tool_calls=delta.get("tool_calls") or [],
            logprobs=(choice.get("logprobs") or {}).get("content") or [],
            seed=value.get("seed"),
            dropped_messages=(value.get("context") or {}).get("dropped_messages") or [],
            template_hash=value.get("template_hash") or "",
            speculation=value.get("speculation") or {},
        )
    raise ConnectionError("the stream ended before the answer was finished")


def _refusal(data: bytes) -> UserError:
    try:
        error = json.loads(data)["error"]
        remedy = str(error.get("remedy") or "")
        message = str(error["message"]).removesuffix(remedy).strip()
        action = error.get("remedy_action")
        return UserError(
            message,
            remedy=remedy,
            details=str(error.get("details") or ""),
            remedy_action=action if isinstance(action, dict) else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return UserError("The engine refused the request.", details=data.decode("utf-8", "replace"))
