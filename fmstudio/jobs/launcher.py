"""Starting worker processes. `SubprocessLauncher` serves the command line and tests; the window has its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from fmstudio.jobs.outcome import ProcessOutcome
from fmstudio.jobs.protocol import Wire, decode, encode

OnMessage = Callable[[Wire], None]
OnExit = Callable[[ProcessOutcome], None]

LOG_TAIL_BYTES = 4_000


class Process(ABC):
    """A running worker."""

    pid: int

    @abstractmethod
    def send(self, message: Wire) -> None:
        """Write a message to its stdin; silently nothing when it is gone (its exit will be reported)."""

    @abstractmethod
    def terminate(self) -> None:
        """Ask the system to end it."""

    @abstractmethod
    def kill(self) -> None:
        """End it now."""


class Launcher(ABC):
    """Starts workers and delivers what they say."""

    @abstractmethod
    def start(
        self,
        argv: Sequence[str],
        *,
        on_message: OnMessage,
        on_exit: OnExit,
        log_path: Path,
        env: dict[str, str] | None = None,
    ) -> Process:
        """Start a process; its stderr goes to `log_path` (appended), its stdout is read as messages.

        `on_exit` is called exactly once, after the last `on_message`; also when the process cannot be started.

        Args:
            env: Variables to add to the app's own environment (keys go here, never on the command line).
        """


def worker_argv(python: str, *arguments: str) -> list[str]:
    """The command line of a worker."""
    return [python, "-m", "fmstudio", "worker", *arguments]


def log_size(path: Path) -> int:
    """Bytes a log holds already, before a process begins to write to it; 0 when there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def log_tail(path: Path, since: int = 0) -> str:
    """The end of a log file, for explanations.

    Args:
        since: Byte where the log of the process in question begins: what others wrote before explains nothing of it.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(since, path.stat().st_size - LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def worker_environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a worker: the app's own, offline switches on, and the package importable from anywhere."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUTF8": "1",
        "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1"),
        "TOKENIZERS_PARALLELISM": "false",
        **(extra or {}),
    }


class SubprocessLauncher(Launcher):
    """Reads each worker on a thread of its own; callbacks come on that thread."""

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
        log_path.parent.mkdir(parents=True, exist_ok=True)
        since = log_size(log_path)
        with log_path.open("ab") as log:
            popen = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=worker_environment(env),
                text=True,
                encoding="utf-8",
                errors="replace",
                # A worker outlives a Ctrl+C meant for the command line: that is told to it as a cancel.
                start_new_session=os.name != "nt",
            )
        process = _PopenProcess(popen)
        threading.Thread(
            target=_pump, args=(popen, on_message, on_exit, log_path, since), name=f"worker-{popen.pid}", daemon=True
        ).start()
        return process


class _PopenProcess(Process):
    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self._popen = popen
        self._lock = threading.Lock()
        self.pid = popen.pid

    def send(self, message: Wire) -> None:
        stdin = self._popen.stdin
        assert stdin is not None
        try:
            with self._lock:
                stdin.write(encode(message))
                stdin.flush()
        except (OSError, ValueError):
            return

    def terminate(self) -> None:
        self._popen.terminate()

    def kill(self) -> None:
        self._popen.kill()


def _pump(popen: subprocess.Popen[str], on_message: OnMessage, on_exit: OnExit, log_path: Path, since: int) -> None:
    assert popen.stdout is not None
    assert popen.stdin is not None
    for line in popen.stdout:
        message = decode(line)
        if message is not None:
            on_message(message)
    code = popen.wait()
    popen.stdout.close()
    with contextlib.suppress(OSError):  # what could not be written to a dead worker is lost, and its exit is reported
        popen.stdin.close()
    on_exit(ProcessOutcome.from_returncode(code, log_tail(log_path, since)))
