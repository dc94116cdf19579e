"""OpenAI-compatible HTTP client on Qt's own network stack: JSON requests and server-sent event streams.

Everything happens on the main thread's event loop without blocking it. It knows the wire, not the conversation: it
stores nothing and starts no engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from PySide6.QtCore import QObject, QUrl, Signal, Slot
from PySide6.QtNetwork import QNetworkAccessManager, QNetworkProxy, QNetworkReply, QNetworkRequest

from fmstudio.jobs.outcome import Problem
from fmstudio.ui.pages.chat.dialect import OWN, Dialect
from fmstudio.ui.pages.chat.wire import SseParser, error_problem, http_problem, json_bytes, read_json, status_of

EndReason = Literal["stop", "length", "cancelled", "error"]
JsonDone = Callable[[Any], None]
JsonFailed = Callable[[Problem], None]

GONE = "The connection to the model engine was lost."
MOST_NAMED = 8
CHAT = "/v1/chat/completions"


@dataclass(slots=True)
class StreamEnd:
    """How an answer ended, and what the engine measured.

    Attributes:
        usage: ``prompt_tokens``, ``completion_tokens`` where the server reports them.
        timings: ``prompt_ms``, ``predicted_ms``, ``predicted_per_second`` where the server reports them.
        problem: Set when `reason` is ``error``.
        remedy_action: Changes of the engine's parameters that mend the problem, where the engine knows some.
        template_hash: Names the chat template the messages went through, where the server reports it.
        speculation: How guessing ahead went, where it was on: see `fmstudio.api.Speculation`.
    """

    reason: EndReason
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    problem: Problem | None = None
    remedy_action: dict[str, Any] = field(default_factory=dict)
    template_hash: str = ""
    speculation: dict[str, Any] = field(default_factory=dict)


class ChatStream(QObject):
    """One answer on its way.

    Signals:
        text_received(str): New text.
        reasoned(str): New text of what the model thinks before it answers.
        prompt_progressed(int, int): Prompt tokens read, of how many.
        tokens_received(list): Ids of the tokens of new text, from engines that say them.
        timed(dict): The engine's timings so far, from servers that send them on the way.
        ended(StreamEnd): Exactly once; nothing follows it.
    """

    text_received = Signal(str)
    reasoned = Signal(str)
    prompt_progressed = Signal(int, int)
    tokens_received = Signal(object)
    timed = Signal(object)
    ended = Signal(object)

    def __init__(self, reply: QNetworkReply, parent: EngineClient) -> None:
        super().__init__(parent)
        self._reply, self._client = reply, parent
        self.received = 0
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
        self.received += len(piece)
        if status_of(self._reply) >= 400:
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
        self._end.template_hash = event.get("template_hash") or self._end.template_hash
        self._end.speculation = event.get("speculation") or self._end.speculation
        if timings := event.get("timings"):
            self._end.timings = timings
            self.timed.emit(timings)
        if progress := event.get("prompt_progress"):
            self.prompt_progressed.emit(int(progress.get("processed", 0)), int(progress.get("total", 0)))
        for choice in event.get("choices", [])[:1]:
            if tokens := choice.get("tokens") or event.get("tokens"):
                self.tokens_received.emit(tokens)
            delta = choice.get("delta") or {}
            # vLLM and others call it `reasoning`; DeepSeek, llama-server and this program `reasoning_content`.
            if thought := delta.get("reasoning_content") or delta.get("reasoning"):
                self.reasoned.emit(str(thought))
            if text := delta.get("content"):
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
        if status_of(self._reply) >= 400:
            self._refuse(self._body)
        elif self._saw_end:
            self._finish(self._end.reason)
        else:
            self._fail(self._client.gone(self._reply))

    def _refuse(self, body: bytes | dict[str, Any]) -> None:
        """The engine said why it does not answer, and perhaps which settings would mend it."""
        value = read_json(body) if isinstance(body, bytes) else body
        error = value.get("error") if isinstance(value, dict) else None
        action = error.get("remedy_action") if isinstance(error, dict) else None
        self._end.remedy_action = action if isinstance(action, dict) else {}
        self._fail(self._client.refusal(self._reply, body) if isinstance(body, bytes) else error_problem(body))

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
        base_url: With or without ``/v1``, e.g. ``http://127.0.0.1:43211``.
        key: Bearer key; sent in the header only, and not at all when empty.
        model: Name of the model in each request; empty = what the request says.
        is_far: It is another machine: each connection is written into the ledger first.

    Attributes:
        dialect: What the server understands.
        offered: Names of its models, where it said so.
    """

    def __init__(
        self, base_url: str, key: str, parent: QObject | None = None, *, model: str = "", is_far: bool = False
    ) -> None:
        super().__init__(parent)
        base = base_url.rstrip("/")
        # OpenAI's routes lie below the address as it was given, llama-server's beside a final /v1.
        self._root = base.removesuffix("/v1")
        self._api = base if QUrl(base).path() else f"{base}/v1"
        self._key, self._model, self._is_far = key, model, is_far
        self.dialect: Dialect = OWN
        self.offered: list[str] = []
        self._network = QNetworkAccessManager(self)
        if not is_far:
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
        request = self._request(CHAT)
        request.setRawHeader(b"Accept", b"text/event-stream")
        number = self._note("an answer")
        stream = ChatStream(self._network.post(request, json_bytes(self._fitted(body))), self)
        stream.ended.connect(lambda _: self._note_end(number, stream.received))
        return stream

    def _fitted(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.dialect is OWN:
            return body
        return self.dialect.fitted({**body, "model": self._model or body.get("model", "")})

    def _note(self, purpose: str) -> str:
        if not self._is_far:
            return ""
        from fmstudio.core.connections import note_opening

        return note_opening(self._api, f"chat: {purpose}")

    def _note_end(self, number: str, received: int) -> None:
        if number:
            from fmstudio.core.connections import note_end

            note_end(number, received)

    def gone(self, reply: QNetworkReply) -> Problem:
        """A connection that ended before its answer did."""
        if self.dialect is OWN:
            return Problem(GONE, "Restart the engine, then try again.", reply.errorString())
        place = QUrl(self._api).authority()
        return Problem(
            f"The server at {place} does not answer.", "See that it runs, then try again.", reply.errorString()
        )

    def refusal(self, reply: QNetworkReply, body: bytes) -> Problem:
        """Why a server refused, and what would help."""
        problem = http_problem(reply, body)
        status, place = status_of(reply), QUrl(self._api).authority()
        if self.dialect is OWN:
            return problem
        if status in (401, 403):
            return Problem(f"The server at {place} refuses the key.", "Check it on the Models page.", problem.message)
        if status == 404 and self.offered:
            more = "…" if len(self.offered) > MOST_NAMED else ""
            return Problem(problem.message, f"The server has: {', '.join(self.offered[:MOST_NAMED])}{more}.")
        if status == 429:
            return Problem(f"The server at {place} asks to wait.", "Try again in a moment.", problem.message)
        return problem

    def get(self, path: str, on_done: JsonDone, on_failed: JsonFailed) -> None:
        """GET a JSON document."""
        self._collect(self._network.get(self._request(path)), on_done, on_failed)

    def post(self, path: str, body: Any, on_done: JsonDone, on_failed: JsonFailed) -> None:
        """POST a JSON document and read the JSON answer."""
        sent = self._fitted(body) if path == CHAT else body
        self._collect(self._network.post(self._request(path), json_bytes(sent)), on_done, on_failed)

    def _request(self, path: str) -> QNetworkRequest:
        is_openai = path.startswith("/v1/")
        request = QNetworkRequest(QUrl(self._api + path.removeprefix("/v1") if is_openai else self._root + path))
        request.setHeader(QNetworkRequest.KnownHeaders.ContentTypeHeader, "application/json")
        if self._key:
            request.setRawHeader(b"Authorization", b"Bearer " + self._key.encode())
        # One request, one answer, to the address we were given: a redirect from an engine is never right.
        request.setAttribute(
            QNetworkRequest.Attribute.RedirectPolicyAttribute, QNetworkRequest.RedirectPolicy.ManualRedirectPolicy
        )
        request.setAttribute(QNetworkRequest.Attribute.Http2AllowedAttribute, False)
        return request

    def _collect(self, reply: QNetworkReply, on_done: JsonDone, on_failed: JsonFailed) -> None:
        number = self._note("a question to the server")

        def finish() -> None:
            body = bytes(reply.readAll().data())
            reply.deleteLater()
            self._note_end(number, len(body))
            if status_of(reply) >= 400:
                on_failed(self.refusal(reply, body))
            elif reply.error() != QNetworkReply.NetworkError.NoError:
                on_failed(self.gone(reply))
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
