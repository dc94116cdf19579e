"""What travels between the chat and a server: events, error objects, JSON. Knows neither requests nor conversations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from PySide6.QtCore import QByteArray
from PySide6.QtNetwork import QNetworkReply, QNetworkRequest

from fmstudio.jobs.outcome import Problem

MAX_EVENT_BYTES = 8 * 1024 * 1024


class SseParser:
    """Splits a byte stream of server-sent events into the data of each event.

    Pieces may be cut anywhere, inside a character too. Comments and other fields are passed over
    (HTML Living Standard, "Server-sent events").
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[str]:
        """Take in bytes and give the data of every event they complete.

        Raises:
            ValueError: A line without end is longer than any sensible event.
        """
        self._buffer += piece
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise ValueError("a server-sent event without an end")
        for raw in lines:
            line = raw.removesuffix(b"\r").decode("utf-8", "replace")
            if not line and self._data:
                data, self._data = "\n".join(self._data), []
                yield data
            elif line.startswith("data:"):
                self._data.append(line[5:].removeprefix(" "))


def error_problem(value: Any, fallback: str = "The engine refused the request.") -> Problem:
    """Read an error object: OpenAI's ``{"error": {"message": …}}``, with our ``remedy`` and ``details`` beside it."""
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, dict):
        return Problem(str(error) if error else fallback)
    remedy = str(error.get("remedy") or "")
    # Servers put the remedy into the message too, for clients that show nothing else.
    message = str(error.get("message") or fallback).removesuffix(remedy).strip() or fallback
    return Problem(message, remedy, str(error.get("details") or ""))


def http_problem(reply: QNetworkReply, body: bytes) -> Problem:
    """Read the body of a refusal."""
    try:
        return error_problem(json.loads(body))
    except ValueError:
        text = body[:2000].decode("utf-8", "replace")
        return Problem(f"The engine refused the request (HTTP {status_of(reply)}).", "Try again.", text)


def read_json(body: bytes) -> Any:
    """A JSON document, or None."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def status_of(reply: QNetworkReply) -> int:
    """The HTTP status; 0 before it is known."""
    return int(reply.attribute(QNetworkRequest.Attribute.HttpStatusCodeAttribute) or 0)


def json_bytes(body: Any) -> QByteArray:
    """JSON as a request's body."""
    return QByteArray(json.dumps(body, ensure_ascii=False).encode())
