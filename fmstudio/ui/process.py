"""`QProcessLauncher`: workers as Qt processes; everything they say arrives on the main thread, without threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QIODevice, QObject, QProcess, QProcessEnvironment, QTimer, Slot

from fmstudio.jobs.launcher import Launcher, OnExit, OnMessage, Process, log_size, log_tail, worker_environment
from fmstudio.jobs.outcome import ProcessOutcome
from fmstudio.jobs.protocol import Wire, decode, encode

NOT_FOUND = 127
"""Exit code that shells give when a program cannot be started."""


class QProcessLauncher(Launcher):
    """Starts workers as children in a session of their own, so that they live on when the window is closed."""

    def __init__(self) -> None:
        self._running: set[_Worker] = set()

    def start(
        self,
        argv: Sequence[str],
        *,
        on_message: OnMessage,
        on_exit: OnExit,
        log_path: Path,
        env: dict[str, str] | None = None,
    ) -> Process:
        """See `Launcher.start`; call it on the main thread."""
        log_path.parent.mkdir(parents=True, exist_ok=True)
        worker = _Worker(on_message, on_exit, log_path, self._running.discard)
        self._running.add(worker)
        worker.start(list(argv), worker_environment(env))
        return worker.handle

    @property
    def running(self) -> int:
        """Number of workers that have not ended."""
        return len(self._running)

    def abandon(self) -> None:
        """Stop listening to the workers that still run; they go on. Only before the process ends (`os._exit`)."""
        for worker in self._running:
            worker.let_go()


class _Worker(QObject):
    """One child and what has been read of its stdout."""

    def __init__(
        self, on_message: OnMessage, on_exit: OnExit, log_path: Path, forget: Callable[[_Worker], None]
    ) -> None:
        super().__init__()
        self._on_message = on_message
        self._on_exit = on_exit
        self._log_path, self._log_since = log_path, log_size(log_path)
        self._forget = forget
        self._rest = b""
        self._ended = False
        self.process = QProcess(self)
        self.handle = _Handle(self.process)

    def start(self, argv: list[str], environment: dict[str, str]) -> None:
        process = self.process
        variables = QProcessEnvironment()
        for name, value in environment.items():
            variables.insert(name, value)
        process.setProcessEnvironment(variables)
        process.setStandardErrorFile(str(self._log_path), QIODevice.OpenModeFlag.Append)
        if hasattr(process, "setUnixProcessParameters"):
            process.setUnixProcessParameters(QProcess.UnixProcessFlag.CreateNewSession)
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        process.start(argv[0], argv[1:])
        self.handle.pid = process.processId()

    def let_go(self) -> None:
        self._on_message = lambda message: None
        self._on_exit = lambda outcome: None

    @Slot()
    def _read(self) -> None:
        data = self._rest + self.process.readAllStandardOutput().data()
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            message = decode(line.decode("utf-8", "replace"))
            if message is not None:
                self._on_message(message)

    @Slot(int, QProcess.ExitStatus)
    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read()
        tail = log_tail(self._log_path, self._log_since)
        if status == QProcess.ExitStatus.CrashExit:  # Qt hands out the signal's number as the exit code
            self._end(ProcessOutcome(None, code, tail))
        else:
            self._end(ProcessOutcome(code, None, tail))

    @Slot(QProcess.ProcessError)
    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            reason = f"{self.process.program()} cannot be started: {self.process.errorString()}"
            # Later: the caller of `start` must have its handle before it hears of the end.
            QTimer.singleShot(0, self, lambda: self._end(ProcessOutcome(NOT_FOUND, None, reason)))

    def _end(self, outcome: ProcessOutcome) -> None:
        if self._ended:
            return
        self._ended = True
        self._on_exit(outcome)
        self._forget(self)
        self.deleteLater()


class _Handle(Process):
    """The worker as the queue sees it; harmless after the worker has ended."""

    def __init__(self, process: QProcess) -> None:
        self._process = process
        self.pid = 0

    def send(self, message: Wire) -> None:
        if self._is_there():
            self._process.write(encode(message).encode("utf-8"))

    def terminate(self) -> None:
        if self._is_there():
            self._process.terminate()

    def kill(self) -> None:
        if self._is_there():
            self._process.kill()

    def _is_there(self) -> bool:
        from shiboken6 import isValid

        return isValid(self._process) and self._process.state() != QProcess.ProcessState.NotRunning
