"""The engine as real child processes: probing past a native crash, being killed, restarting, refusing bad files."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import UserError
from fmstudio.jobs.engine import Engine, stream_chat
from fmstudio.jobs.launcher import SubprocessLauncher
from fmstudio.jobs.probe import recall, settings_key, working_settings
from tests.helpers import wait_until, write_plugin
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_llama import build_tiny_llama

ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "What is your name?"}], "temperature": 0, "max_tokens": 12
}  # fmt: skip

# Dies of a real SIGSEGV, at the first evaluation, unless its settings say otherwise: as llama.cpp does with AMX.
CRASHY = """
import os, signal, time
from pathlib import Path
from fmstudio.api import ChatBackend, Chunk, ModelInfo, UserError

class Crashy(ChatBackend):
    @classmethod
    def probe_settings(cls):
        return [{"fast": True}, {"fast": False}]

    def load(self, model, params, settings):
        orders = model.read_text()
        if "refuse" in orders:
            raise UserError(f"{model.name} is of no use.", remedy="Choose another.")
        self.dies = settings["fast"] and "sound" not in orders or "dies always" in orders
        self.signal = signal.SIGILL if "instruction" in orders else signal.SIGSEGV
        self.log = model.with_suffix(".log")
        return ModelInfo(100, 100, True, 1, "crashy")

    def set_adapters(self, adapters): pass
    def count_tokens(self, messages): return 1

    def generate(self, request, cancelled):
        with self.log.open("a") as log:
            log.write("evaluated\\n")
        if self.dies:
            os.kill(os.getpid(), self.signal)
        for number in range(request.max_tokens or 100000):
            if cancelled():
                break
            time.sleep(0.001)
            yield Chunk(text=f"{number} ", token_ids=(number,))
        yield Chunk(finish_reason="stop", usage={"prompt_tokens": 1, "completion_tokens": 1})
"""
TABLE = 'requires = ["llama-cpp-python"]\n[[chat_backend]]\nid = "crashy"\ntitle = "Crashy"\nclass = "crashy_code:Crashy"\nformats = ["txt"]\n'


@pytest.fixture
def crashy(own_home: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Makes a model file for the backend that crashes; its text says how it behaves."""
    write_plugin(own_home, "crashy", TABLE, CRASHY)

    def make(orders: str) -> Path:
        path = tmp_path / "model.txt"
        path.write_text(orders)
        return path

    return make


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    states: list[str] = []
    made = Engine(
        SubprocessLauncher(),
        log_path=tmp_path / "engine.log",
        python=sys.executable,
        on_change=lambda e: states.append(e.state),
    )
    made.states = states  # type: ignore[attr-defined]
    yield made
    made.stop()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("engine"))[1]


def remembered(model: Path) -> Any:
    return recall(settings_key("crashy", model, sys.executable))


def answer(engine: Engine, **fields: Any) -> str:
    return "".join(event.text for event in stream_chat(engine, {**ASK, **fields}))


class TestProbing:
    def test_a_setting_that_segfaults_is_never_seen_by_the_user(
        self, engine: Engine, crashy: Callable[[str], Path]
    ) -> None:
        model = crashy("")
        engine.start(model, backend="crashy")
        engine.wait_ready(60)
        assert answer(engine, max_tokens=3) == "0 1 2 "
        assert engine.info["settings"] == {"fast": False}
        assert engine.problem is None and "failed" not in engine.states  # type: ignore[attr-defined]
        tried = json.loads((Path(os.environ["FMSTUDIO_HOME"]) / "engine_settings.json").read_text())
        ended = [attempt["ended"] for entry in tried.values() for attempt in entry["tried"]]
        assert ended == ["SIGSEGV", "works"]

    def test_the_second_start_does_not_probe_again(self, engine: Engine, crashy: Callable[[str], Path]) -> None:
        model = crashy("")
        engine.start(model, backend="crashy")
        engine.wait_ready(60)
        engine.stop()
        engine.states.clear()  # type: ignore[attr-defined]
        engine.start(model, backend="crashy")
        engine.wait_ready(60)
        assert engine.states == ["loading", "ready"]  # type: ignore[attr-defined]

    def test_settings_that_stopped_working_are_forgotten_and_found_anew_once(
        self, engine: Engine, crashy: Callable[[str], Path]
    ) -> None:
        model = crashy("sound")  # as before a change of the machine: the fast setting works
        engine.start(model, backend="crashy")
        engine.wait_ready(60)
        engine.stop()
        assert remembered(model).settings == {"fast": True}
        crashy("")
        engine.states.clear()  # type: ignore[attr-defined]
        engine.start(model, backend="crashy")
        engine.wait_ready(60)
        assert engine.states == ["loading", "probing", "loading", "ready"]  # type: ignore[attr-defined]
        assert remembered(model).settings == {"fast": False}

    def test_when_nothing_works_the_user_gets_a_sentence_and_the_attempts(
        self, engine: Engine, crashy: Callable[[str], Path]
    ) -> None:
        model = crashy("dies always")
        engine.start(model, backend="crashy")
        with pytest.raises(UserError, match="crashes on this computer with each of the 2 settings"):
            engine.wait_ready(60)
        assert engine.problem is not None and engine.problem.details.count("SIGSEGV") >= 2
        assert remembered(model) is None

    @pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
    def test_a_library_built_for_another_processor_is_built_anew_by_a_command_for_the_terminal(
        self, engine: Engine, crashy: Callable[[str], Path]
    ) -> None:
        engine.start(crashy("dies always of an instruction"), backend="crashy")
        with pytest.raises(UserError, match="each of the 2 settings") as caught:
            engine.wait_ready(60)
        problem = engine.problem
        assert problem is not None and problem.details.count("SIGILL") >= 2
        version = importlib.metadata.version("llama-cpp-python")
        words = shlex.split(problem.remedy_command)
        assert words[:5] == [sys.executable, "-m", "pip", "install", f"llama-cpp-python=={version}"]
        assert words[5:7] == ["--no-binary", "llama-cpp-python"]
        assert set(words[7:]) == {"--force-reinstall", "--no-deps", "--no-cache-dir"}
        assert problem.remedy_command in caught.value.remedy, "the command line has no button"

    def test_a_refusal_of_the_file_is_passed_on(self, engine: Engine, crashy: Callable[[str], Path]) -> None:
        engine.start(crashy("refuse"), backend="crashy")
        with pytest.raises(UserError, match=r"model\.txt is of no use") as caught:
            engine.wait_ready(60)
        assert caught.value.remedy == "Choose another."

    def test_settings_of_another_library_version_are_probed_again(
        self, engine: Engine, crashy: Callable[[str], Path], own_home: Path
    ) -> None:
        model = crashy("sound")
        working_settings(SubprocessLauncher(), "crashy", model, python=sys.executable)
        store = own_home / "engine_settings.json"
        library = f"llama-cpp-python {importlib.metadata.version('llama-cpp-python')}"
        store.write_text(store.read_text().replace(library, "old 1.0"))
        assert remembered(model).library == "old 1.0"
        engine.start(model, backend="crashy")
        engine.wait_ready(60)
        assert remembered(model).library == library
        assert "probing" in engine.states  # type: ignore[attr-defined]

    def test_working_settings_probes_once_and_then_remembers(self, crashy: Callable[[str], Path]) -> None:
        model = crashy("")
        launcher = SubprocessLauncher()
        assert working_settings(launcher, "crashy", model, python=sys.executable) == {"fast": False}
        evaluated = model.with_suffix(".log").read_text()
        assert working_settings(launcher, "crashy", model, python=sys.executable) == {"fast": False}
        assert model.with_suffix(".log").read_text() == evaluated

    def test_a_damaged_memory_is_no_obstacle(
        self, engine: Engine, crashy: Callable[[str], Path], own_home: Path
    ) -> None:
        own_home.mkdir(exist_ok=True)
        (own_home / "engine_settings.json").write_text('{"half":')
        engine.start(crashy("sound"), backend="crashy")
        engine.wait_ready(60)

    def test_stopping_while_probing_ends_the_child(self, engine: Engine, crashy: Callable[[str], Path]) -> None:
        engine.start(crashy("sound"), backend="crashy")
        engine.stop()
        time.sleep(0.5)
        assert engine.state == "off" and engine.states[-1] == "off"  # type: ignore[attr-defined]


class TestDying:
    def test_kill_in_the_middle_of_an_answer_is_explained_and_a_restart_works(
        self, engine: Engine, crashy: Callable[[str], Path]
    ) -> None:
        engine.start(crashy("sound"), backend="crashy")
        engine.wait_ready(60)
        stream = stream_chat(engine, {**ASK, "max_tokens": 100_000})
        assert next(event.text for event in stream if event.text)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(UserError, match="ended from outside") as caught:
            list(stream)
        assert caught.value.remedy
        assert engine.state == "failed" and engine.problem is not None
        engine.restart()
        engine.wait_ready(60)
        assert answer(engine, max_tokens=2) == "0 1 "

    def test_a_restart_takes_the_remedy_as_a_change_of_parameters(
        self, engine: Engine, crashy: Callable[[str], Path]
    ) -> None:
        engine.start(crashy("sound"), backend="crashy")
        engine.wait_ready(60)
        engine.restart({"n_ctx": 5})
        with pytest.raises(UserError, match="n_ctx"):
            engine.wait_ready(60)

    def test_the_engine_ends_when_the_app_is_gone(self, tmp_path: Path, crashy: Callable[[str], Path]) -> None:
        import subprocess

        code = (
            "import sys, time; from pathlib import Path; from fmstudio.jobs.engine import Engine;"
            "from fmstudio.jobs.launcher import SubprocessLauncher;"
            f"e = Engine(SubprocessLauncher(), log_path=Path({str(tmp_path / 'e.log')!r}), python=sys.executable);"
            f"e.start(Path({str(crashy('sound'))!r}), backend='crashy'); e.wait_ready(60);"
            "print(e.pid, flush=True); time.sleep(600)"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as app:
            assert app.stdout is not None
            pid = int(app.stdout.readline())
            app.kill()
        wait_until(lambda: not _is_running(pid), 15)

    def test_stop_ends_the_process(self, engine: Engine, crashy: Callable[[str], Path]) -> None:
        engine.start(crashy("sound"), backend="crashy")
        engine.wait_ready(60)
        pid = engine.pid
        assert pid is not None
        engine.stop()
        assert engine.base_url == "" and engine.state == "off"
        wait_until(lambda: not _is_running(pid), 15)
        with pytest.raises(UserError):
            answer(engine)


class TestLlamaCpp:
    def test_a_gguf_model_answers_with_adapters_on_and_off(self, engine: Engine, tiny: Path, tmp_path: Path) -> None:
        adapter = build_tiny_adapter(tmp_path / "one.gguf", seed=1)
        engine.start(tiny, adapters=[adapter], params={"n_ctx": 256})
        engine.wait_ready(120)
        assert engine.info["n_ctx"] == 256 and engine.base_url.endswith("/v1")
        tuned, base = answer(engine), answer(engine, lora=[{"id": 0, "scale": 0.0}])
        assert tuned != base
        assert answer(engine, lora=[{"id": 0, "scale": 1.0}]) == tuned

    def test_the_key_is_on_no_command_line(self, engine: Engine, tiny: Path) -> None:
        engine.start(tiny, key="very-secret")
        engine.wait_ready(120)
        assert "very-secret" not in Path(f"/proc/{engine.pid}/cmdline").read_text()

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda data: data[: len(data) // 2], "cut short"),
            (lambda data: b"", "empty"),
            (lambda data: b"hello" * 100, "not a GGUF"),
        ],
    )
    def test_a_damaged_file_is_refused_in_words(
        self, engine: Engine, tiny: Path, tmp_path: Path, damage: Callable[[bytes], bytes], words: str
    ) -> None:
        path = tmp_path / "bad.gguf"
        path.write_bytes(damage(tiny.read_bytes()))
        engine.start(path)
        with pytest.raises(UserError, match=words) as caught:
            engine.wait_ready(120)
        assert "bad.gguf" in caught.value.message and caught.value.remedy

    def test_an_adapter_of_another_base_is_refused_in_words(self, engine: Engine, tiny: Path, tmp_path: Path) -> None:
        engine.start(tiny, adapters=[build_tiny_adapter(tmp_path / "wide.gguf", hidden=96)])
        with pytest.raises(UserError, match="does not belong"):
            engine.wait_ready(120)

    def test_a_misspelt_parameter_is_refused_by_name(self, engine: Engine, tiny: Path) -> None:
        engine.start(tiny, params={"n_contxt": 5})
        with pytest.raises(UserError, match="n_contxt"):
            engine.wait_ready(120)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
