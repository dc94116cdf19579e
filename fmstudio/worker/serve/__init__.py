"""Worker mode ``serve``: one loaded model as an OpenAI-compatible HTTP server on loopback.

The thread that calls `run_server` owns the model; HTTP runs on another. Anything that implements `ChatBackend` gets
the API for free.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from fmstudio.api import AdapterScale, ChatBackend, Chunk, EmbedRequest, GenerateRequest, ModelInfo, UserError


def run_server(
    backend: ChatBackend,
    info: ModelInfo,
    *,
    port: int,
    key: str,
    on_ready: Callable[[int], None],
    model_id: str = "model",
    adapters: Sequence[AdapterScale] = (),
    stop: threading.Event | None = None,
) -> None:
    """Serve a loaded backend on 127.0.0.1 until `stop` is set; blocks the calling thread, which runs the model.

    Args:
        port: 0 = any free one.
        key: Every request but ``/health`` must carry it.
        on_ready: Called with the port, on another thread, once requests are accepted.
        model_id: The name in ``/v1/models``.
        adapters: In force from the start; the backend has them set already.
        stop: Set by the caller, e.g. when stdin ends.

    Raises:
        UserError: The port is taken.
    """
    if not key:
        raise UserError("The engine needs a key.", remedy="Set FMSTUDIO_API_KEY.")
    # uvicorn and starlette load here: other worker modes never need them.
    from fmstudio.worker.serve.adapters import AdapterList
    from fmstudio.worker.serve.guard import Guard
    from fmstudio.worker.serve.listener import Listener
    from fmstudio.worker.serve.metrics import Counters
    from fmstudio.worker.serve.routes import Engine, make_app
    from fmstudio.worker.serve.turns import ModelQueue

    try:
        listener = Listener(port)
    except OSError as error:
        raise UserError(
            f"Port {port} cannot be used: {error.strerror}.", remedy="Choose another port, or 0 for any free one."
        ) from error
    counters = Counters()
    queue = ModelQueue(partial(_answer, backend), counters.observe, backend.takes_turns, backend.idle)
    engine = Engine(backend, info, model_id, int(time.time()), queue, AdapterList(adapters), counters)
    listener.start(Guard(make_app(engine), key=key, port=lambda: listener.port), on_ready)
    try:
        queue.run(stop or threading.Event())
    finally:
        listener.close()


def _answer(
    backend: ChatBackend, request: GenerateRequest | EmbedRequest, cancelled: Callable[[], bool]
) -> Iterator[Chunk]:
    return (
        backend.embed(request, cancelled) if isinstance(request, EmbedRequest) else backend.generate(request, cancelled)
    )
