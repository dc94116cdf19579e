"""Real worker processes under Qt: what they say, how they end, and that they may outlive the window."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from fmstudio.jobs.launcher import worker_argv
from fmstudio.jobs.outcome import ProcessOutcome
from fmstudio.jobs.protocol import Hello, Request, Response, Shutdown, Wire
from fmstudio.ui.process import QProcessLauncher

SESSION = worker_argv(sys.executable, "session")


class _Ears:
    def __init__(self) -> None:
        self.heard: list[Wire] = []
        self.outcomes: list[ProcessOutcome] = []


@pytest.fixture
def ears() -> _Ears:
    return _Ears()


def test_a_session_answers_and_ends(qtbot: Any, ears: _Ears, tmp_path: Path) -> None:
    launcher = QProcessLauncher()
    process = launcher.start(
        SESSION, on_message=ears.heard.append, on_exit=ears.outcomes.append, log_path=tmp_path / "l"
    )
    assert process.pid > 0
    process.send(Request(7, "describe", {"kinds": ["importer"]}))
    qtbot.waitUntil(lambda: any(isinstance(m, Response) for m in ears.heard), timeout=20_000)
    assert isinstance(ears.heard[0], Hello) and ears.heard[0].pid == process.pid
    answer = next(m for m in ears.heard if isinstance(m, Response))
    assert answer.id == 7 and answer.result is not None and "importer/jsonl" in answer.result["schemas"]
    process.send(Shutdown())
    qtbot.waitUntil(lambda: bool(ears.outcomes), timeout=20_000)
    assert ears.outcomes == [ProcessOutcome(0, None, ears.outcomes[0].log_tail)]
    assert launcher.running == 0
    process.send(Shutdown())


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_worker_is_told_with_its_signal(qtbot: Any, ears: _Ears, tmp_path: Path) -> None:
    launcher = QProcessLauncher()
    process = launcher.start(
        SESSION, on_message=ears.heard.append, on_exit=ears.outcomes.append, log_path=tmp_path / "l"
    )
    qtbot.waitUntil(lambda: bool(ears.heard), timeout=20_000)
    os.kill(process.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: bool(ears.outcomes), timeout=20_000)
    assert ears.outcomes[0].signal_name == "SIGKILL"
    assert "SIGKILL" in ears.outcomes[0].problem("The worker").message


def test_a_program_that_is_not_there_is_told_once_and_later(qtbot: Any, ears: _Ears, tmp_path: Path) -> None:
    launcher = QProcessLauncher()
    launcher.start(
        ["/no/such/python"], on_message=ears.heard.append, on_exit=ears.outcomes.append, log_path=tmp_path / "l"
    )
    qtbot.waitUntil(lambda: bool(ears.outcomes), timeout=20_000)
    assert [outcome.exit_code for outcome in ears.outcomes] == [127]
    assert "/no/such/python" in ears.outcomes[0].log_tail


def test_stray_output_and_stderr_do_not_disturb(qtbot: Any, ears: _Ears, tmp_path: Path) -> None:
    code = "import sys; print('noise'); print('{\"type\": \"hello\", \"pid\": 1}'); sys.stderr.write('to the log'); sys.exit(5)"
    QProcessLauncher().start(
        [sys.executable, "-c", code],
        on_message=ears.heard.append,
        on_exit=ears.outcomes.append,
        log_path=tmp_path / "l",
    )
    qtbot.waitUntil(lambda: bool(ears.outcomes), timeout=20_000)
    assert ears.heard == [Hello(1)]
    assert (ears.outcomes[0].exit_code, ears.outcomes[0].log_tail) == (5, "to the log")
