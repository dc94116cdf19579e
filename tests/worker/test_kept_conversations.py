"""Conversations on disk: an engine that was killed goes on at once; damaged, foreign and old files are passed over."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from fmstudio.api.conversation_files import files_of, name_of
from fmstudio.core.conversation_states import conversations_folder
from fmstudio.jobs.engine import Engine, stream_chat
from fmstudio.jobs.launcher import SubprocessLauncher
from fmstudio.project import Project
from tests.helpers import wait_until
from tests.plugins.llama_kit import LlamaCppBackend, ask, loaded, tokens_of
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_llama import build_tiny_llama
from tests.unit.edit_kit import leave_out_packaged_models

LONG = "How do I restart the printer, and where is the light? " * 20
TURN: list[dict[str, str]] = [{"role": "user", "content": LONG}]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    build_tiny_llama(folder)
    build_tiny_llama(folder / "other", seed=1)
    build_tiny_adapter(folder / "one.gguf", seed=1)
    return folder


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(SubprocessLauncher(), log_path=tmp_path / "engine.log", python=sys.executable)
    yield made
    made.stop()


def start(engine: Engine, files: Path, **options: Any) -> None:
    engine.start(files / "tiny-llama-f32.gguf", **{"states_mb": 64, **options})
    engine.wait_ready(120)


def turn(engine: Engine, messages: list[dict[str, str]], **fields: Any) -> tuple[str, int]:
    """The answer, and how many tokens of the prompt were known."""
    body = {"messages": messages, "temperature": 0, "max_tokens": 12, "conversation_id": "c-1", **fields}
    events = list(stream_chat(engine, body))
    return "".join(event.text for event in events), int(next(e.timings for e in events if e.timings)["cache_n"])


def kill(engine: Engine) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    wait_until(lambda: engine.state == "failed")


def kept() -> list[Path]:
    return files_of(conversations_folder(), "c-1")


class TestRestart:
    def test_a_killed_engine_goes_on_with_the_next_turn(self, engine: Engine, files: Path) -> None:
        start(engine, files)
        first, _ = turn(engine, TURN)
        wait_until(kept)
        kill(engine)
        engine.restart()
        engine.wait_ready(120)
        more = [*TURN, {"role": "assistant", "content": first}, {"role": "user", "content": "Why?"}]
        second, known = turn(engine, more)
        assert known > 250
        start(engine, files, states_mb=0)
        assert turn(engine, more) == (second, 0)

    def test_one_that_was_stopped_wrote_what_it_held(self, engine: Engine, files: Path) -> None:
        start(engine, files)
        first = turn(engine, TURN)
        assert not kept()
        engine.stop()
        wait_until(kept)
        start(engine, files)
        again, known = turn(engine, TURN)
        assert again == first[0] and known > 250

    @pytest.mark.parametrize("options", [{"params": {"n_ctx": 448}}, {"params": {"flash_attention": "off"}}])
    def test_what_was_made_otherwise_is_not_used(self, engine: Engine, files: Path, options: dict[str, Any]) -> None:
        start(engine, files)
        turn(engine, TURN)
        wait_until(kept)
        start(engine, files, **options)
        assert turn(engine, TURN)[1] == 0

    def test_a_conversation_that_is_forgotten_leaves_nothing(self, engine: Engine, files: Path) -> None:
        start(engine, files)
        turn(engine, TURN)
        wait_until(kept)
        headers = {"Authorization": f"Bearer {engine.key}"}
        gone = httpx.delete(f"http://127.0.0.1:{engine.port}/conversations/c-1", headers=headers)
        assert gone.status_code == 200 and not kept()
        assert turn(engine, TURN)[1] == 0


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + b"x",
    "foreign": lambda data: random.Random(1).randbytes(5000),
    "other version": lambda data: b"FMSTATE9" + data[8:],
    "huge head": lambda data: data[:8] + b"\xff\xff\xff\x7f" + data[12:],
    "head": lambda data: data[:30] + b"!" + data[31:],
    "tokens": lambda data: data.replace(b'"n_tokens": ', b'"n_tokens":-', 1),
    "values": lambda data: data[:-5000] + bytes([data[-5000] ^ 1]) + data[-4999:],
    "hash": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
}


class TestFiles:
    """In this process: the same backend, without HTTP."""

    @contextmanager
    def opened(
        self, files: Path, folder: Path, most: int = 64 << 20, model: str = "tiny-llama-f32.gguf"
    ) -> Iterator[LlamaCppBackend]:
        with loaded(files / model) as backend:
            backend.keep_conversations(folder, most)
            yield backend

    def write(self, files: Path, folder: Path, **fields: Any) -> list[int]:
        with self.opened(files, folder) as backend:
            return tokens_of(ask(backend, messages=TURN, conversation="c-1", **fields))

    def known(self, backend: LlamaCppBackend, **fields: Any) -> int:
        return ask(backend, messages=TURN, **fields)[-1].usage["cached_tokens"]

    @pytest.mark.parametrize("damage", DAMAGE)
    def test_whatever_is_wrong_with_a_file_is_a_line_in_the_log(
        self, files: Path, tmp_path: Path, damage: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        tokens = self.write(files, tmp_path)
        (path,) = files_of(tmp_path, "c-1")
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
        with self.opened(files, tmp_path) as backend:
            chunks = ask(backend, messages=TURN)
            assert chunks[-1].usage["cached_tokens"] == 0 and tokens_of(chunks) == tokens
            assert not path.exists() and "passed over" in capfd.readouterr().err

    def test_values_that_native_code_refuses_are_passed_over(
        self, files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """The hash is right, the content is not: as after a change of the library that kept its version."""
        from fmstudio_llama_cpp.state_files import _write_file
        from fmstudio_llama_cpp.states import SavedState

        tokens = self.write(files, tmp_path)
        (path,) = files_of(tmp_path, "c-1")
        with self.opened(files, tmp_path) as backend:
            (one,) = backend.context.files._known  # type: ignore[union-attr]
            nonsense = np.frombuffer(random.Random(2).randbytes(100_000), np.uint8)
            _write_file(path, SavedState((), one.tokens, one.slices, nonsense, "c-1"), one.acting)
            chunks = ask(backend, messages=TURN)
            assert tokens_of(chunks) == tokens and chunks[-1].usage["cached_tokens"] == 0
            assert "passed over" in capfd.readouterr().err and not path.exists()

    def test_each_adapter_and_each_model_has_its_own(self, files: Path, tmp_path: Path) -> None:
        from fmstudio.api import AdapterScale

        one = files / "one.gguf"
        self.write(files, tmp_path, adapters=[AdapterScale(one)])
        with self.opened(files, tmp_path) as backend:
            assert self.known(backend) == 0
            backend.context.saved.clear()
            assert self.known(backend, adapters=[AdapterScale(one, 0.5)]) == 0
            backend.context.saved.clear()
            copy = tmp_path / "copy.gguf"  # the same adapter in another place, with another time
            copy.write_bytes(one.read_bytes())
            assert self.known(backend, adapters=[AdapterScale(copy)]) > 250
        with self.opened(files, tmp_path, model="other/tiny-llama-f32.gguf") as backend:
            assert self.known(backend) == 0

    def test_the_room_is_bounded_and_the_oldest_goes_first(self, files: Path, tmp_path: Path) -> None:
        self.write(files, tmp_path)
        (first,) = files_of(tmp_path, "c-1")
        os.utime(first, (1, 1))
        room = int(first.stat().st_size * 2.5)
        with self.opened(files, tmp_path, room) as backend:
            for number in range(3):
                messages = [{"role": "user", "content": f"{number} {LONG}"}]
                ask(backend, messages=messages, conversation=f"n-{number}")
                backend.idle()
        there = {path.name.partition(".")[0] for path in tmp_path.glob("*/*.state")}
        assert there == {"n-1", "n-2"}
        assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= room

    def test_a_longer_conversation_takes_the_place_of_its_beginning(self, files: Path, tmp_path: Path) -> None:
        with self.opened(files, tmp_path) as backend:
            ask(backend, messages=TURN, conversation="c-1")
            backend.idle()
            (first,) = wait_until(lambda: files_of(tmp_path, "c-1"))
            ask(backend, tokens=[*backend.context.tokens, 5, 6, 7], conversation="c-1")
            backend.idle()
            wait_until(lambda: not first.exists())
            assert len(files_of(tmp_path, "c-1")) == 1

    def test_a_cleared_cache_and_a_full_disk_do_no_harm(
        self, files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import shutil

        folder = tmp_path / "cache"
        self.write(files, folder)
        with self.opened(files, folder) as backend:
            shutil.rmtree(folder)
            folder.mkdir()
            assert self.known(backend) == 0
            full = shutil.disk_usage(tmp_path)._replace(free=1000)
            asked = threading.Event()

            def say_full(_path: Path) -> Any:
                asked.set()
                return full

            monkeypatch.setattr("fmstudio_llama_cpp.state_files.shutil.disk_usage", say_full)
            backend.idle()
            assert asked.wait(30) and ask(backend)
        # Read once, when the writer has ended: reading takes away what is written while it reads.
        assert "the disk is nearly full" in capfd.readouterr().err
        assert not files_of(folder, "c-1")


def test_deleting_a_conversation_deletes_what_is_kept_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out_packaged_models(monkeypatch)
    with closing(Project.create(tmp_path / "project")) as project:
        made = project.chats.new_conversation()
        other = conversations_folder() / "model" / f"{name_of('other')}.bare-1.state"
        mine = conversations_folder() / "model" / f"{name_of(made.id)}.bare-1.state"
        mine.parent.mkdir(parents=True)
        for path in (mine, other):
            path.write_bytes(b"x")
        project.chats.set_deleted(made.id, True)
        assert not mine.exists() and other.exists()


@pytest.mark.parametrize("conversation", ["", "../../etc/passwd", "a b", "*", "x" * 500, "é", "\ud800"])
def test_names_of_files_are_harmless_whatever_a_client_says(conversation: str) -> None:
    assert name_of(conversation).isalnum() and len(name_of(conversation)) < 90
