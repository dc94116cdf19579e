"""The HTTP routes: OpenAI's, and those of llama-server that the app and its peers use."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fmstudio.api import ChatBackend, Chunk, ModelInfo, UserError
from fmstudio.worker.serve.adapters import AdapterList
from fmstudio.worker.serve.direct import DirectWriter, open_direct
from fmstudio.worker.serve.embeddings import embeddings_body, read_embeddings
from fmstudio.worker.serve.fields import BadRequestError
from fmstudio.worker.serve.metrics import Counters
from fmstudio.worker.serve.replies import DONE, Reply, error_body, view_of
from fmstudio.worker.serve.request_messages import read_messages
from fmstudio.worker.serve.requests import Asked, read_chat, read_completion, read_view
from fmstudio.worker.serve.turns import ModelQueue, TooBusyError, Turn, user_error

MAX_BODY = 8 * 1024 * 1024
BODY_TIMEOUT_S = 20.0


@dataclass(slots=True)
class Engine:
    """What the routes share."""

    backend: ChatBackend
    info: ModelInfo
    model_id: str
    created: int
    queue: ModelQueue
    adapters: AdapterList
    counters: Counters


def make_app(engine: Engine) -> Starlette:
    """Build the application; the guard goes around it."""
    routes = [
        Route("/health", _bind(engine, _health)),
        Route("/v1/models", _bind(engine, _models)),
        Route("/v1/models/{model_id:path}", _bind(engine, _model)),
        Route("/v1/chat/completions", _bind(engine, _chat), methods=["POST"]),
        Route("/v1/completions", _bind(engine, _completion), methods=["POST"]),
        Route("/v1/embeddings", _bind(engine, _embeddings), methods=["POST"]),
        Route("/lora-adapters", _bind(engine, _list_adapters), methods=["GET"]),
        Route("/lora-adapters", _bind(engine, _set_adapters), methods=["POST"]),
        Route("/tokenize", _bind(engine, _tokenize), methods=["POST"]),
        Route("/detokenize", _bind(engine, _detokenize), methods=["POST"]),
        Route("/token-view", _bind(engine, _token_view), methods=["POST"]),
        Route("/slots", _bind(engine, _slots)),
        Route("/conversations/{conversation_id:path}", _bind(engine, _forget), methods=["DELETE"]),
        Route("/props", _bind(engine, _props)),
        Route("/metrics", _bind(engine, _metrics)),
    ]
    handlers: dict[Any, Callable[..., Any]] = {
        BadRequestError: _on_bad_request,
        UserError: _on_user_error,
        TooBusyError: _on_busy,
        HTTPException: _on_http,
        ClientDisconnect: _on_disconnect,
        Exception: _on_bug,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


def _bind(engine: Engine, handler: Callable[[Engine, Request], Any]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        response: Response = await handler(engine, request)
        return response

    return endpoint


async def _body(request: Request) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        HTTPException, BadRequestError: See `_json`; or it is no object.
    """
    value = await _json(request)
    if not isinstance(value, dict):
        raise BadRequestError("The body must be a JSON object.")
    return value


async def _json(request: Request) -> Any:
    """Read JSON, bounded in size and time.

    Raises:
        HTTPException: 408 too slow, 413 too large.
        BadRequestError: It is no JSON.
    """
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                data += part
                if len(data) > MAX_BODY:
                    raise HTTPException(413, f"The body is larger than {MAX_BODY // 1024 // 1024} MiB.")
    except TimeoutError as error:
        raise HTTPException(408, f"The body did not arrive within {BODY_TIMEOUT_S:g} seconds.") from error
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The body is not valid JSON: {error}.") from error


async def _health(_engine: Engine, _request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _models(engine: Engine, _request: Request) -> Response:
    return JSONResponse({"object": "list", "data": [_describe(engine)]})


async def _model(engine: Engine, request: Request) -> Response:
    if request.path_params["model_id"] != engine.model_id:
        raise HTTPException(404, f"There is no model {request.path_params['model_id']!r}; this is {engine.model_id!r}.")
    return JSONResponse(_describe(engine))


def _describe(engine: Engine) -> dict[str, Any]:
    info = engine.info
    meta = {
        "n_ctx": info.n_ctx,
        "n_ctx_train": info.n_ctx_train,
        "n_params": info.n_params,
        "desc": info.description,
        "can_chat": info.can_chat,
        "can_see": info.can_see,
        "n_embd": info.embedding_size,
        "pooling": info.pooling,
    }
    return {"id": engine.model_id, "object": "model", "created": engine.created, "owned_by": "fmstudio", "meta": meta}


async def _props(engine: Engine, _request: Request) -> Response:
    info = engine.info
    more = {
        "has_chat_template": info.has_chat_template,
        "chat_template": info.chat_template,
        "template_hash": info.template_hash,
        "template_problems": list(info.template_problems),
        "notes": list(info.notes),
    }
    return JSONResponse({**_describe(engine), **more})


async def _chat(engine: Engine, request: Request) -> Response:
    asked = read_chat(await _body(request), engine.adapters.resolve)
    return await _answer(engine, request, asked, is_chat=True)


async def _completion(engine: Engine, request: Request) -> Response:
    asked = read_completion(await _body(request), engine.adapters.resolve)
    return await _answer(engine, request, asked, is_chat=False)


async def _answer(engine: Engine, request: Request, asked: Asked, *, is_chat: bool) -> Response:
    turn = engine.queue.submit(asked.request, asked.stream)
    reply = Reply(engine.model_id, asked, is_chat, engine.info.template_hash)
    async with _cancel_on_disconnect(request, turn):
        # Nothing is sent before the first news, so that a refusal still has its own status code.
        first = await turn.take()
        if not asked.stream:
            return JSONResponse(reply.whole(await _all_of(turn, first)))
    return _Stream(turn, reply, first)


async def _all_of(turn: Turn, first: list[Chunk]) -> list[Chunk]:
    chunks = list(first)
    while more := await turn.take():
        chunks.extend(more)
    if not chunks or chunks[-1].finish_reason is None:
        raise UserError("The model gave no answer.", remedy="Try again.")
    return chunks


@asynccontextmanager
async def _cancel_on_disconnect(request: Request, turn: Turn) -> AsyncIterator[None]:
    """While entered, a client that goes away cancels its turn; so does any way out by exception."""
    watcher = asyncio.create_task(_watch(request.receive, turn.cancelled))
    try:
        yield
    except BaseException:
        turn.cancelled.set()
        raise
    finally:
        watcher.cancel()


async def _watch(receive: Callable[[], Any], gone: threading.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


class _Stream(Response):
    """Server-sent events: the first from here, those on the way by the model's thread, the last from here again."""

    def __init__(self, turn: Turn, reply: Reply, first: list[Chunk]) -> None:
        super().__init__(media_type="text/event-stream", headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._turn, self._reply, self._first = turn, reply, first

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        watcher = asyncio.create_task(_watch(receive, self._turn.cancelled))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for data in self._events(scope):
                if data:
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": DONE})
        finally:
            self._turn.cancelled.set()
            watcher.cancel()

    async def _events(self, scope: Any) -> AsyncIterator[bytes]:
        yield self._reply.events(self._first)
        if (writer := open_direct(scope)) is not None:
            write, events = writer.write, self._reply.events
            self._turn.write_with(lambda chunks: write(events(chunks)))
        try:
            while chunks := await self._take(writer):
                yield self._reply.events(chunks)
        except Exception as error:  # noqa: BLE001 - the headers are sent: the error can only travel in the stream
            yield b"data: " + json.dumps(_error_of(user_error(error))).encode() + b"\n\n"

    async def _take(self, writer: DirectWriter | None) -> list[Chunk]:
        try:
            return await self._turn.take()
        finally:
            if writer is not None:
                writer.close()


async def _embeddings(engine: Engine, request: Request) -> Response:
    asked = read_embeddings(await _body(request), engine.info)
    turn = engine.queue.submit(asked.request, is_streamed=False)
    async with _cancel_on_disconnect(request, turn):
        chunks = await _all_of(turn, await turn.take())
    vectors = [vector for chunk in chunks for vector in chunk.vectors]
    n_tokens = chunks[-1].usage.get("prompt_tokens", 0)
    return JSONResponse(embeddings_body(asked, vectors, n_tokens, engine.model_id, engine.info))


async def _list_adapters(engine: Engine, _request: Request) -> Response:
    return JSONResponse(engine.adapters.as_json())


async def _set_adapters(engine: Engine, request: Request) -> Response:
    scales = engine.adapters.read(await _json(request))
    # Tried on the model first: a refused adapter must not be in force for the turns to come.
    wanted = engine.adapters.scaled(scales)
    await engine.queue.call(lambda: engine.backend.set_adapters(wanted))
    engine.adapters.put_in_force(scales)
    return JSONResponse(engine.adapters.as_json())


async def _tokenize(engine: Engine, request: Request) -> Response:
    """llama-server's ``content`` → ``tokens``; or how many tokens ``messages`` make with the template."""
    body = await _body(request)
    content = body.get("content")
    if isinstance(content, str):
        return JSONResponse({"tokens": await engine.queue.call(lambda: engine.backend.tokenize(content))})
    messages = read_messages(body.get("messages"))
    count = await engine.queue.call(lambda: engine.backend.count_tokens(messages))
    return JSONResponse({"count": count, "n_ctx": engine.info.n_ctx})


async def _detokenize(engine: Engine, request: Request) -> Response:
    tokens = (await _body(request)).get("tokens")
    if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
        raise BadRequestError("tokens must be a list of token ids.", "tokens")
    return JSONResponse({"content": await engine.queue.call(lambda: engine.backend.detokenize(tokens))})


async def _token_view(engine: Engine, request: Request) -> Response:
    asked = read_view(await _body(request), engine.adapters.resolve)
    gone = threading.Event()
    watcher = asyncio.create_task(_watch(request.receive, gone))
    try:
        items = await engine.queue.call(lambda: engine.backend.token_view(asked, gone.is_set))
    finally:
        gone.set()
        watcher.cancel()
    return JSONResponse({"content": view_of(items)})


async def _slots(engine: Engine, _request: Request) -> Response:
    held = await engine.queue.call(engine.backend.held)
    return JSONResponse(
        [
            {
                "id": number,
                "conversation_id": each.conversation,
                "n_ctx": engine.info.n_ctx,
                "n_tokens": each.n_tokens,
                "bytes": each.bytes,
                "is_processing": each.is_active and engine.queue.processing > 0,
            }
            for number, each in enumerate(held)
        ]
    )


async def _forget(engine: Engine, request: Request) -> Response:
    conversation = request.path_params["conversation_id"]
    await engine.queue.call(lambda: engine.backend.forget(conversation))
    return JSONResponse({"id": conversation, "deleted": True})


async def _metrics(engine: Engine, _request: Request) -> Response:
    text = engine.counters.text(processing=engine.queue.processing, waiting=engine.queue.waiting)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


def _error_of(error: UserError) -> dict[str, Any]:
    return error_body(
        str(error),
        "invalid_request_error",
        remedy=error.remedy,
        remedy_action=error.remedy_action,
        details=error.details,
    )


async def _on_bad_request(_request: Request, error: BadRequestError) -> Response:
    return JSONResponse(error_body(str(error), "invalid_request_error", param=error.param), 400)


async def _on_user_error(_request: Request, error: UserError) -> Response:
    return JSONResponse(_error_of(error), 400)


async def _on_busy(_request: Request, _error: TooBusyError) -> Response:
    body = error_body("Too many requests are waiting; try again in a moment.", "rate_limit_error", code="queue_full")
    return JSONResponse(body, 429, headers={"retry-after": "2"})


async def _on_http(_request: Request, error: HTTPException) -> Response:
    body = error_body(str(error.detail), "invalid_request_error")
    return JSONResponse(body, error.status_code, headers=error.headers)


async def _on_disconnect(_request: Request, _error: ClientDisconnect) -> Response:
    return Response(status_code=499)


async def _on_bug(_request: Request, error: Exception) -> Response:
    return JSONResponse(error_body(str(user_error(error)), "server_error"), 500)
