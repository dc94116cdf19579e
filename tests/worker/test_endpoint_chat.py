"""A server of the library, asked from the command line: against a second ``fmstudio serve``, and one that is not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fmstudio.core.connections import connections
from fmstudio.project import Project
from tests.helpers import ROOT, fmstudio, fmstudio_json
from tests.tiny_llama import build_tiny_llama

KEY = "a-key-for-this-test"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("tiny"))[1]


@pytest.fixture
def project(tmp_path: Path) -> str:
    Project.create(tmp_path / "project").close()
    return str(tmp_path / "project")


@pytest.fixture
def server(tiny: Path, tmp_path: Path, own_home: Path) -> Iterator[str]:
    """``fmstudio serve`` of another project; gives its address."""
    Project.create(tmp_path / "other").close()
    argv = [sys.executable, "-m", "fmstudio", "serve", "--model", str(tiny), "--port", "0"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "FMSTUDIO_API_KEY": KEY}
    process = subprocess.Popen(
        [*argv, "--project", str(tmp_path / "other")], stderr=subprocess.PIPE, text=True, env=env
    )
    assert process.stderr is not None
    line = next(line for line in process.stderr if line.startswith("Serving on "))
    yield line.split()[2]
    process.send_signal(signal.SIGINT)
    process.wait(60)
    process.stderr.close()


def test_a_second_fmstudio_is_a_model_like_any_other(
    server: str, tiny: Path, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = fmstudio("models", "add-server", server, "--project", project)
    assert done.returncode == 2 and "key" in done.stderr
    monkeypatch.setenv("FMSTUDIO_ENDPOINT_KEY", KEY)
    made = fmstudio_json("models", "add-server", server, "--name", "neighbour", "--project", project)["model"]
    assert (made["format"], made["facts"]["has_key"]) == ("endpoint", True)
    assert KEY not in Path(project, "catalog.duckdb").read_bytes().decode("latin-1"), "no key in a file"
    assert fmstudio_json("models", "test", "neighbour", "--project", project)["has_model"] is True
    asked = ("chat", "--max-tokens", "12", "--project", project, "Hello")
    there = fmstudio_json(*asked, "--model", "neighbour")
    here = fmstudio_json(*asked, "--model", str(tiny))
    assert there["answer"] == here["answer"] != ""
    assert connections() == [], "this computer is no network"
    entry = next(m for m in fmstudio_json("models", "--project", project)["models"] if m["format"] == "gguf")
    assert entry["metrics"].get("memory", {}).get("resident", 0) > 0, "what the engine took is kept"
    monkeypatch.delenv("FMSTUDIO_ENDPOINT_KEY")
    refused = fmstudio(*asked, "--model", "neighbour")
    assert refused.returncode == 2 and "FMSTUDIO_ENDPOINT_KEY" in refused.stderr


class _Plain(BaseHTTPRequestHandler):
    """Streams as other servers do: no blank after ``data:``, comments between, an error in the middle on demand."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b': wait\n\ndata:{"choices":[{"delta":{"content":"Hel"}}]}\r\n\r\n')
        end = b'data: {"error":{"message":"out of memory"}}\n\n' if b"break" in body else b""
        end = end or b'data:{"choices":[{"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        self.wfile.write(end)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_other_servers_dialects_and_faults(project: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Plain)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        fmstudio_json("models", "add-server", url, "--model", "any", "--name", "plain", "--project", project)
        assert fmstudio_json("chat", "--model", "plain", "--project", project, "Hi")["answer"] == "Hello"
        broken = fmstudio("chat", "--model", "plain", "--project", project, "break")
        assert broken.returncode == 2 and "out of memory" in broken.stderr
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    gone = fmstudio("chat", "--model", "plain", "--project", project, "Hi")
    assert gone.returncode == 2 and "does not answer" in gone.stderr and "Traceback" not in gone.stderr


def test_a_server_elsewhere_needs_the_network(project: str) -> None:
    url = "https://models.example.org/v1"
    fmstudio_json("models", "add-server", url, "--model", "m", "--name", "far", "--project", project)
    done = fmstudio("chat", "--model", "far", "--project", project, "Hi")
    assert done.returncode == 2 and "network is off" in done.stderr
    assert fmstudio("models", "test", "far", "--project", project).returncode == 2
    assert connections() == []
