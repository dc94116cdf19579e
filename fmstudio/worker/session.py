"""Worker mode ``session``: answers requests one after another until the app is gone."""

from __future__ import annotations

import importlib
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.jobs.protocol import Hello, Request, Response, Shutdown
from fmstudio.worker.context import QuietContext
from fmstudio.worker.main import explain
from fmstudio.worker.run import worker_plugins
from fmstudio.worker.stdio import Channel


def run_session() -> int:
    """Serve requests; each method's module is imported at its first use, its `state` lives on."""
    channel = Channel()
    channel.send(Hello(os.getpid()))
    state: dict[str, Any] = {}
    plugins = worker_plugins()
    with tempfile.TemporaryDirectory(prefix="fmstudio-session-") as folder:
        context = QuietContext(Path(folder))
        for message in channel.listen():
            if isinstance(message, Shutdown):
                break
            if isinstance(message, Request):
                channel.send(_answer(message, state, plugins, context))
    return 0


def _answer(request: Request, state: dict[str, Any], plugins: Any, context: QuietContext) -> Response:
    try:
        if not request.method.isidentifier():
            raise UserError(f"There is no request “{request.method}”.")
        module = importlib.import_module(f"fmstudio.worker.requests.{request.method}")
        return Response(request.id, result=module.handle(request.params, state, plugins, context))
    except Exception as error:  # noqa: BLE001 - a failed request is an answer; the session goes on
        return Response(request.id, error=asdict(explain(error)))
