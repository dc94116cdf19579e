"""Entry of worker mode ``serve``: load a model, evaluate once, then answer HTTP until the app says stop or is gone."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmstudio.api import AdapterScale, ChatBackend, ModelInfo
from fmstudio.core.checking import make_params
from fmstudio.jobs.engine import KEY_VARIABLE, STALE_EXIT
from fmstudio.jobs.protocol import Cancel, Hello, Ready, Shutdown, Wire
from fmstudio.worker.serve.probe import evaluate_once, library_of
from fmstudio.worker.stdio import Channel

STOP_GRACE_S = 5.0


def main(argv: list[str]) -> int:
    """Serve a model; returns 0 after a shutdown, 1 after an explained failure."""
    from fmstudio.worker.main import explain

    args = _parse(argv)
    channel = Channel()
    faulthandler.enable(sys.stderr)  # a native crash then leaves its place in the log
    channel.send(Hello(os.getpid()))
    stop = threading.Event()
    _listen(channel, stop)
    try:
        return _serve(args, channel, stop)
    except Exception as error:  # noqa: BLE001 - the last frame of a worker: everything becomes an explained failure
        channel.send(explain(error))
        return 1


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker serve")
    parser.add_argument("--backend", required=True)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--params", type=_read_params, default={}, help="JSON file: the backend's parameters")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON object: what the probe found to work")
    parser.add_argument("--library", default="", help="what the settings were found with")
    parser.add_argument("--states", default="", help="folder where conversations are kept; empty = nowhere")
    parser.add_argument("--states-mb", type=int, default=0, help="MiB they may take there")
    parser.add_argument("--adapters", type=json.loads, default=[], help="JSON list of [path, scale]")
    return parser.parse_args(argv)


def _read_params(name: str) -> dict[str, Any]:
    params: dict[str, Any] = json.loads(Path(name).read_text("utf-8"))
    return params


def _serve(args: argparse.Namespace, channel: Channel, stop: threading.Event) -> int:
    from fmstudio.worker.run import worker_plugins
    from fmstudio.worker.serve import run_server

    key = os.environ.pop(KEY_VARIABLE, "")  # not passed on to any child
    contribution = worker_plugins().contribution("chat_backend", args.backend)
    if args.library and args.library != library_of(contribution):
        return STALE_EXIT
    kind: type[ChatBackend] = contribution.load()
    backend = kind()
    try:
        info = backend.load(args.model, make_params(kind, args.params, contribution.title), args.settings)
        adapters = [AdapterScale(Path(path), float(scale)) for path, scale in args.adapters]
        # A native crash shows here, before anyone was told that all is well; it also brings the weights into memory.
        evaluate_once(backend, info, "Hello")
        backend.set_adapters(adapters)
        if args.states and args.states_mb > 0:
            _keep_conversations(backend, Path(args.states), args.states_mb << 20)
        if stop.is_set():
            return 0
        # What is loaded by now stays: the collector need not look through it between two tokens.
        gc.collect()
        gc.freeze()
        run_server(
            backend,
            info,
            port=args.port,
            key=key,
            on_ready=_announce(channel, info, args),
            model_id=args.model.stem,
            adapters=adapters,
            stop=stop,
        )
    finally:
        backend.close()
    return 0


def _keep_conversations(backend: ChatBackend, folder: Path, most_bytes: int) -> None:
    try:
        backend.keep_conversations(folder, most_bytes)
    except OSError as error:  # a convenience: without it the engine serves all the same
        print(f"Conversations cannot be kept in {folder}: {error}", file=sys.stderr, flush=True)


def _announce(channel: Channel, info: ModelInfo, args: argparse.Namespace) -> Callable[[int], None]:
    described = asdict(info)
    del described["chat_template"]  # long, and kept with every answer: its hash says enough
    facts: dict[str, Any] = {
        **described,
        "model_id": args.model.stem,
        "backend": args.backend,
        "settings": args.settings,
        "library": args.library,
    }
    return lambda port: channel.send(Ready(port, facts))


def _listen(channel: Channel, stop: threading.Event) -> None:
    """Stop when told so, and when the app is gone: its end of stdin is closed then."""

    def end() -> None:
        stop.set()
        timer = threading.Timer(STOP_GRACE_S, os._exit, (0,))
        timer.daemon = True
        timer.start()

    def on_message(message: Wire) -> None:
        if isinstance(message, Shutdown | Cancel):
            end()

    channel.listen_in_background(on_message, on_eof=end)
    signal.signal(signal.SIGTERM, lambda *_: end())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
