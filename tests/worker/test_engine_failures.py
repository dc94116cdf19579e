"""Each way an engine can fail, with real processes: a plain cause, a remedy to click, and the answer goes on after it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import UserError
from fmstudio.jobs.engine import Engine, stream_chat
from fmstudio.jobs.launcher import OnExit, OnMessage, Process, SubprocessLauncher, log_tail
from tests.gguf_surgery import STRING, take_apart
from tests.helpers import wait_until
from tests.tiny_llama import CONTEXT, build_tiny_llama

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and signals of Linux")

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "What is your name?"}], "temperature": 0}


class PoorLauncher(SubprocessLauncher):
    """Gives each process so much address space and no more."""

    def __init__(self, kilobytes: int) -> None:
        self._kilobytes = kilobytes

    def start(
        self,
        argv: Sequence[str],
        *,
        on_message: OnMessage,
        on_exit: OnExit,
        log_path: Path,
        env: dict[str, str] | None = None,
    ) -> Process:
        """See `Launcher.start`."""
        poor = ["bash", "-c", f'ulimit -v {self._kilobytes}; exec "$@"', "poor", *argv]
        return super().start(poor, on_message=on_message, on_exit=on_exit, log_path=log_path, env=env)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("failing"))[1]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(SubprocessLauncher(), log_path=tmp_path / "engine.log", python=sys.executable)
    yield made
    made.stop()


def ask(engine: Engine, most: int, forced: list[int] | None = None) -> tuple[str, list[int]]:
    """Text and tokens of an answer, as far as it came."""
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=30)
    body = {**ASK, "max_tokens": most, "return_tokens": True, "stream": True, "forced_prefix": forced or []}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {engine.key}"})
    text, tokens = "", []
    for line in connection.getresponse():
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            for choice in event.get("choices", []):
                text += choice.get("delta", {}).get("content") or ""
            tokens += event.get("tokens") or [t for c in event.get("choices", []) for t in c.get("tokens") or []]
    connection.close()
    return text, tokens


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGILL", "SIGABRT", "SIGBUS"])
def test_an_engine_that_dies_is_explained_and_its_answer_goes_on(engine: Engine, model: Path, name: str) -> None:
    engine.start(model, params={"n_ctx": 256})
    engine.wait_ready(120)
    whole, tokens = ask(engine, 12)
    stream = stream_chat(engine, {**ASK, "temperature": 1.5, "max_tokens": 240})
    next(event for event in stream if event.text)
    assert engine.pid is not None
    os.kill(engine.pid, getattr(signal, name))
    with pytest.raises(UserError, match=name) as caught:
        list(stream)
    assert caught.value.remedy and engine.state == "failed" and engine.problem is not None
    engine.restart(engine.problem.remedy_action)
    engine.wait_ready(120)
    assert ask(engine, 12 - 5, tokens[:5]) == (whole[len(_start_of(engine, tokens[:5])) :], tokens[5:])


def _start_of(engine: Engine, tokens: list[int]) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=30)
    headers = {"Authorization": f"Bearer {engine.key}"}
    connection.request("POST", "/detokenize", json.dumps({"tokens": tokens}), headers)
    text: str = json.loads(connection.getresponse().read())["content"]
    connection.close()
    return text


def test_too_little_memory_is_mended_by_clicking_the_remedy(model: Path, tmp_path: Path) -> None:
    """A context of a gigabyte in a process that may have two: each click halves it until it fits."""
    large = tmp_path / "large.gguf"
    key = b"llama.context_length" + struct.pack("<I", 4)
    data = model.read_bytes()
    large.write_bytes(data.replace(key + struct.pack("<I", CONTEXT), key + struct.pack("<I", 1 << 22)))
    engine = Engine(PoorLauncher(1_700_000), log_path=tmp_path / "engine.log", python=sys.executable)
    try:
        engine.start(large, params={"n_ctx": 1 << 22})
        clicks = 0
        while clicks < 15:
            try:
                engine.wait_ready(120)
                break
            except UserError as error:
                assert "make room for a context" in error.message, (error, error.details)
                assert error.remedy_action and set(error.remedy_action) <= {"n_ctx", "kv_type"}
                engine.restart(error.remedy_action)
                clicks += 1
        assert 1 <= clicks < 15 and engine.state == "ready"
        assert engine.info["n_ctx"] < 1 << 22
        assert ask(engine, 5)[0]
    finally:
        engine.stop()


def test_a_missing_file_is_said(engine: Engine, tmp_path: Path) -> None:
    engine.start(tmp_path / "gone.gguf")
    with pytest.raises(UserError, match=r"no file .*gone\.gguf") as caught:
        engine.wait_ready(120)
    assert caught.value.remedy == "Choose the model again."


def test_an_unknown_architecture_is_said(engine: Engine, model: Path, tmp_path: Path) -> None:
    parts = take_apart(model)
    for name in list(parts.keys):
        if name.startswith("llama."):
            parts.keys[name.replace("llama.", "future9.")] = parts.keys.pop(name)
    parts.set("general.architecture", STRING, "future9")
    engine.start(parts.write(tmp_path / "future.gguf"))
    with pytest.raises(UserError, match="future9") as caught:
        engine.wait_ready(120)
    assert "update it" in caught.value.remedy and "future.gguf" in caught.value.message


def test_a_file_cut_short_while_it_is_served_is_explained(engine: Engine, model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    shutil.copy(model, copy)
    engine.start(copy)
    engine.wait_ready(120)
    assert ask(engine, 3)[0]
    os.truncate(copy, 0)
    with pytest.raises(UserError, match="cut short"):
        list(stream_chat(engine, {**ASK, "max_tokens": 5}))
    engine.restart()
    with pytest.raises(UserError, match="empty"):
        engine.wait_ready(120)


def test_what_another_process_wrote_before_explains_nothing(engine: Engine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "engine.log").write_text("CUDA error: out of memory\nTimeout (0:00:30)!\n")
    engine.start(model, params={"n_ctx": 1024})
    engine.wait_ready(120)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSEGV)
    wait_until(lambda: engine.state == "failed")
    assert engine.problem is not None
    assert engine.problem.remedy_action == {} and "out of memory" not in engine.problem.details
    assert "out of memory" in (tmp_path / "engine.log").read_text()


def test_the_tail_of_a_log_begins_where_it_is_asked_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before after")
    assert (log_tail(log), log_tail(log, 7), log_tail(tmp_path / "none", 3)) == ("before after", "after", "")


def test_a_missing_draft_model_is_refused_with_a_way_on(model: Path, tmp_path: Path) -> None:
    """What the worker's error proposes to a machine reaches the card, and mends it."""
    engine = Engine(SubprocessLauncher(), log_path=tmp_path / "engine.log", python=sys.executable)
    try:
        engine.start(model, params={"speculation": "draft"})
        with pytest.raises(UserError, match="no draft model") as caught:
            engine.wait_ready(120)
        assert caught.value.remedy_action == {"speculation": "lookup"}
        engine.restart(caught.value.remedy_action)
        engine.wait_ready(120)
        assert ask(engine, 5)[0]
    finally:
        engine.stop()
