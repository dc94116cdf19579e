"""OpenAI-compatible HTTP client on Qt's own network stack: JSON requests and server-sent event streams.

Everything happens on the main thread's event loop without blocking it. It knows the wire, not the conversation: it
stores nothing and starts no engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from PySide6.QtCore import QByteArray, QObject, QUrl, Signal, Slot
from PySide6.QtNetwork import QNetworkAccessManager, QNetworkProxy, QNetworkReply, QNetworkRequest

from fmstudio.jobs.outcome import Problem

EndReason = Literal["stop", "length", "cancelled", "error"]
JsonDone = Callable[[Any], None]
JsonFailed = Callable[[Problem], None]

MAX_EVENT_BYTES = 8 * 1024 * 1024
GONE = "The connection to the model engine was lost."


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


@dataclass(slots=True)
class StreamEnd:
    """How an answer ended, and what the engine measured.

    Attributes:
        usage: ``prompt_tokens``, ``completion_tokens`` where the server reports them.
        timings: ``prompt_ms``, ``predicted_ms``, ``predicted_per_second`` where the server reports them.
        problem: Set when `reason` is ``error``.
        remedy_action: Changes of the engine's parameters that mend the problem, where the engine knows some.
    """

    reason: EndReason
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    problem: Problem | None = None
    remedy_action: dict[str, Any] = field(default_factory=dict)


class ChatStream(QObject):
    """One answer on its way.

    Signals:
        text_received(str): New text.
        prompt_progressed(int, int): Prompt tokens read, of how many.
        tokens_received(list): Ids of the tokens of new text, from engines that say them.
        timed(dict): The engine's timings so far, from servers that send them on the way.
        ended(StreamEnd): Exactly once; nothing follows it.
    """

    text_received = Signal(str)
    prompt_progressed = Signal(int, int)
    tokens_received = Signal(object)
    timed = Signal(object)
    ended = Signal(object)

    def __init__(self, reply: QNetworkReply, parent: QObject) -> None:
        super().__init__(parent)
        self._reply = reply
        self._parser = SseParser()
        self._body = b""
        self._end = StreamEnd("stop")
        self._is_over = False
        self._saw_end = False
        reply.readyRead.connect(self._read)
        reply.finished.connect(self._on_finished)

    def stop(self) -> None:
        """End the answer now; `ended` comes at once with the reason ``cancelled``, and the engine sees us go."""
        if self._is_over:
            return
        self._finish("cancelled")

    @Slot()
    def _read(self) -> None:
        if self._is_over:
            return
        piece = bytes(self._reply.readAll().data())
        if _status(self._reply) >= 400:
            self._body += piece
            return
        try:
            for data in self._parser.feed(piece):
                self._take(data)
        except ValueError as error:
            self._fail(Problem("The engine sent something that is no answer.", "Restart the engine.", str(error)))

    def _take(self, data: str) -> None:
        if self._is_over:
            return
        if data == "[DONE]":
            self._saw_end = True
            return
        event = json.loads(data)
        if "error" in event:
            self._refuse(event)
            return
        self._end.usage = event.get("usage") or self._end.usage
        if timings := event.get("timings"):
            self._end.timings = timings
            self.timed.emit(timings)
        if progress := event.get("prompt_progress"):
            self.prompt_progressed.emit(int(progress.get("processed", 0)), int(progress.get("total", 0)))
        for choice in event.get("choices", [])[:1]:
            if tokens := choice.get("tokens") or event.get("tokens"):
                self.tokens_received.emit(tokens)
            if text := (choice.get("delta") or {}).get("content"):
                self.text_received.emit(text)
            if reason := choice.get("finish_reason"):
                self._saw_end = True
                self._end.reason = "length" if reason == "length" else "stop"

    @Slot()
    def _on_finished(self) -> None:
        self._read()
        self._reply.deleteLater()
        if self._is_over:
            return
        if _status(self._reply) >= 400:
            self._refuse(self._body)
        elif self._saw_end:
            self._finish(self._end.reason)
        else:
            self._fail(Problem(GONE, "Restart the engine, then try again.", self._reply.errorString()))

    def _refuse(self, body: bytes | dict[str, Any]) -> None:
        """The engine said why it does not answer, and perhaps which settings would mend it."""
        value = _read(body) if isinstance(body, bytes) else body
        error = value.get("error") if isinstance(value, dict) else None
        action = error.get("remedy_action") if isinstance(error, dict) else None
        self._end.remedy_action = action if isinstance(action, dict) else {}
        self._fail(_http_problem(self._reply, body) if isinstance(body, bytes) else error_problem(body))

    def _fail(self, problem: Problem) -> None:
        self._end.problem = problem
        self._finish("error")

    def _finish(self, reason: EndReason) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._end.reason = reason
        if self._reply.isRunning():
            self._reply.abort()
        self.ended.emit(self._end)
        self.deleteLater()


class EngineClient(QObject):
    """Talks to one OpenAI-compatible server.

    Args:
        base_url: Without the ``/v1``, e.g. ``http://127.0.0.1:43211``.
        key: Bearer key; sent in the header only.
    """

    def __init__(self, base_url: str, key: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._base = base_url.rstrip("/").removesuffix("/v1")
        self._key = key
        self._network = QNetworkAccessManager(self)
        self._network.setProxy(QNetworkProxy(QNetworkProxy.ProxyType.NoProxy))

    def stream_chat(self, body: dict[str, Any]) -> ChatStream:
        """Ask for an answer; connect to the stream's signals before control returns to the event loop."""
        body = {
            **body,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
            "timings_per_token": True,
        }
        request = self._request("/v1/chat/completions")
        request.setRawHeader(b"Accept", b"text/event-stream")
        return ChatStream(self._network.post(request, _json_bytes(body)), self)

    def get(self, path: str, on_done: JsonDone, on_failed: JsonFailed) -> None:
        """GET a JSON document."""
        self._collect(self._network.get(self._request(path)), on_done, on_failed)

    def post(self, path: str, body: Any, on_done: JsonDone, on_failed: JsonFailed) -> None:
        """POST a JSON document and read the JSON answer."""
        self._collect(self._network.post(self._request(path), _json_bytes(body)), on_done, on_failed)

    def _request(self, path: str) -> QNetworkRequest:
        request = QNetworkRequest(QUrl(self._base + path))
        request.setHeader(QNetworkRequest.KnownHeaders.ContentTypeHeader, "application/json")
        request.setRawHeader(b"Authorization", b"Bearer " + self._key.encode())
        # One request, one answer, to the address we were given: a redirect from an engine is never right.
        request.setAttribute(
            QNetworkRequest.Attribute.RedirectPolicyAttribute, QNetworkRequest.RedirectPolicy.ManualRedirectPolicy
        )
        request.setAttribute(QNetworkRequest.Attribute.Http2AllowedAttribute, False)
        return request

    def _collect(self, reply: QNetworkReply, on_done: JsonDone, on_failed: JsonFailed) -> None:
        def finish() -> None:
            body = bytes(reply.readAll().data())
            reply.deleteLater()
            if _status(reply) >= 400:
                on_failed(_http_problem(reply, body))
            elif reply.error() != QNetworkReply.NetworkError.NoError:
                on_failed(Problem(GONE, "Restart the engine, then try again.", reply.errorString()))
            else:
                _hand_over(body, on_done, on_failed)

        reply.finished.connect(finish)


def _hand_over(body: bytes, on_done: JsonDone, on_failed: JsonFailed) -> None:
    try:
        value = json.loads(body or b"null")
    except ValueError:
        text = body[:2000].decode("utf-8", "replace")
        on_failed(Problem("The engine sent something that is no JSON.", "Restart the engine.", text))
        return
    on_done(value)


def error_problem(value: Any, fallback: str = "The engine refused the request.") -> Problem:
    """Read an error object: OpenAI's ``{"error": {"message": …}}``, with our ``remedy`` and ``details`` beside it."""
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, dict):
        return Problem(str(error) if error else fallback)
    remedy = str(error.get("remedy") or "")
    # Servers put the remedy into the message too, for clients that show nothing else.
    message = str(error.get("message") or fallback).removesuffix(remedy).strip() or fallback
    return Problem(message, remedy, str(error.get("details") or ""))


def _http_problem(reply: QNetworkReply, body: bytes) -> Problem:
    try:
        return error_problem(json.loads(body))
    except ValueError:
        text = body[:2000].decode("utf-8", "replace")
        return Problem(f"The engine refused the request (HTTP {_status(reply)}).", "Try again.", text)


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _status(reply: QNetworkReply) -> int:
    return int(reply.attribute(QNetworkRequest.Attribute.HttpStatusCodeAttribute) or 0)


def _json_bytes(body: Any) -> QByteArray:
    return QByteArray(json.dumps(body, ensure_ascii=False).encode())
