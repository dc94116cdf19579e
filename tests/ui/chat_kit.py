"""Named fakes for the chat page: an OpenAI server on loopback, and an engine that only pretends to be a process."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fmstudio.api.chat_template import template_hash
from fmstudio.jobs.outcome import Problem

_DRAFTS = (("", "drafted"), ("_accepted", "accepted"))


@dataclass
class Script:
    """What the server does with the next chat requests.

    Attributes:
        pieces: Text pieces of the answer.
        delay: Seconds before each piece.
        prompt: (done, total) events sent first.
        tokens: Ids of the pieces, one each; empty = none are said.
        thoughts: Pieces of reasoning sent before the answer.
        die_after: Close the connection without an end after that many pieces.
        error: Refuse with this error object.
        speculation: What the last event says of guessing ahead.
    """

    pieces: list[str] = field(default_factory=lambda: ["Hello", ", ", "world", "."])
    delay: float = 0.0
    prompt: list[tuple[int, int]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    die_after: int | None = None
    error: dict[str, Any] | None = None
    speculation: dict[str, Any] = field(default_factory=dict)


class FakeOpenAI:
    """Serves /v1/chat/completions (streaming) and /tokenize; remembers every body.

    Attributes:
        bodies: Chat requests for an answer in order.
        titles: Requests for a title (whole answers, not streamed) in order.
        title: What it answers to them; empty = nothing.
        token_view: What it answers to ``/token-view``.
        hung_up: Set when a client left before the end of its answer.
        owner, names: Who it says it is at ``/v1/models``, and the models it has.
    """

    key = "secret"

    def __init__(self) -> None:
        self.script = Script()
        self.bodies: list[dict[str, Any]] = []
        self.titles: list[dict[str, Any]] = []
        self.title = ""
        self.token_view: list[dict[str, Any]] = []
        self.hung_up = threading.Event()
        self.owner, self.names = "someone", ["their-model"]
        fake = self

        class Handler(_Handler):
            server_state = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    server_state: FakeOpenAI

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {FakeOpenAI.key}":
            self._json({"error": {"message": "wrong key"}}, 401)
            return
        state = self.server_state
        self._json({"data": [{"id": name, "owned_by": state.owner} for name in state.names]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {FakeOpenAI.key}":
            self._json({"error": {"message": "wrong key"}}, 401)
        elif self.path == "/tokenize":
            if "content" in body:
                self._json({"tokens": list(range(len(body["content"].split())))})
                return
            count = sum(len(m["content"].split()) for m in body["messages"])
            self._json({"count": count, "n_ctx": 4096})
        elif self.path == "/token-view":
            self._json({"content": self.server_state.token_view})
        elif not body.get("stream"):
            self.server_state.titles.append(body)
            message = {"role": "assistant", "content": self.server_state.title}
            self._json({"choices": [{"message": message, "finish_reason": "stop"}]})
        else:
            self.server_state.bodies.append(body)
            self._chat()

    def _chat(self) -> None:
        script = self.server_state.script
        if script.error is not None:
            self._json({"error": script.error}, 400)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            self._events(script)
        except OSError:
            self.server_state.hung_up.set()

    def _events(self, script: Script) -> None:
        for done, total in script.prompt:
            time.sleep(script.delay)
            self._event({"choices": [{"delta": {}}], "prompt_progress": {"processed": done, "total": total}})
        for thought in script.thoughts:
            time.sleep(script.delay)
            self._event({"choices": [{"delta": {"reasoning_content": thought}}]})
        for index, piece in enumerate(script.pieces):
            if script.die_after == index:
                return
            time.sleep(script.delay)
            said = {"tokens": [script.tokens[index]]} if script.tokens else {}
            self._event({"choices": [{"delta": {"content": piece}, "finish_reason": None, **said}]})
        count = len(script.pieces)
        usage = {"prompt_tokens": 7, "completion_tokens": count}
        timings: dict[str, Any] = {"predicted_per_second": 31.5, "prompt_ms": 12.0}
        guessed: dict[str, Any] = {}
        if script.speculation:
            guessed = {"speculation": script.speculation}
            timings |= {f"draft_n{end}": script.speculation[key] for end, key in _DRAFTS}
        self._event({"choices": [{"delta": {}, "finish_reason": "stop"}], "timings": timings, **guessed})
        self._event({"choices": [], "usage": usage, "timings": timings})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, value: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()

    def _json(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class FakeEngine:
    """Has what `EngineLink` reads of `fmstudio.jobs.engine.Engine`, in front of a `FakeOpenAI`."""

    key = FakeOpenAI.key

    def __init__(self, server: FakeOpenAI) -> None:
        self._server = server
        self.state = "off"
        self.problem: Problem | None = None
        self.info: dict[str, Any] = {}
        self.starts: list[Path] = []
        self.next_problem: Problem | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}/v1"

    def start(self, model: Path, params: dict[str, Any] | None = None, states_mb: int = 0) -> None:
        self.starts.append(model)
        self.params = params
        self.problem, self.next_problem = self.next_problem, None
        self.state = "failed" if self.problem else "ready"
        given = params or {}
        facts = {"n_ctx": given.get("n_ctx", 4096), "description": "fake"}
        self.info = {} if self.problem else {**facts, "template_hash": template_hash(given.get("chat_template", ""))}

    def die(self, problem: Problem) -> None:
        """What a killed engine looks like."""
        self.problem, self.state, self.info = problem, "failed", {}

    def stop(self) -> None:
        self.state, self.info = "off", {}


def make_context(folder: Path, qtbot: Any, launcher: Any = None) -> Any:
    """A real context with a real, open project in `folder`; close it at the end of the test."""
    from PySide6.QtWidgets import QApplication

    from fmstudio.core.settings import Settings
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.process import QProcessLauncher
    from fmstudio.ui.theme import Theme

    app = QApplication.instance()
    assert isinstance(app, QApplication)
    Theme.current()
    context = AppContext(Settings(), launcher or QProcessLauncher())
    context.open_project(folder, create=True, name="test")
    qtbot.waitUntil(lambda: context.project is not None, timeout=10_000)
    return context


def write_tiny_gguf(path: Path, width: int = 32) -> Path:
    """A GGUF base model with one layer's tensors: whole by its header, too small to load."""
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("Tiny")
    writer.add_context_length(512)
    writer.add_block_count(2)
    writer.add_embedding_length(width)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_license("apache-2.0")
    writer.add_chat_template("{{ messages }}")
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((width, width), np.float32))
    return _write(writer, path)


def write_tiny_lora(path: Path, width: int = 32) -> Path:
    """A GGUF LoRA for `write_tiny_gguf` of the same width."""
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((4, width), np.float32))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", np.zeros((width, 4), np.float32))
    return _write(writer, path)


def _write(writer: Any, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
