"""Whether a Python interpreter can run FM Studio's workers: tried in a child process, and said in words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal, Slot

from fmstudio.jobs.launcher import worker_environment
from fmstudio.jobs.outcome import Problem

LIMIT_MS = 60_000
OLDEST = (3, 11)
PACKAGES = {"yaml": "pyyaml"}
"""Modules whose package has another name."""
PROBE = """
import importlib, importlib.metadata, json, sys
found = {"version": list(sys.version_info[:3]), "missing": {}, "torch": ""}
if sys.version_info >= (3, 11):
    for name in ("pydantic", "psutil", "yaml", "numpy", "pyarrow", "duckdb", "fmstudio.worker.run"):
        try:
            importlib.import_module(name)
        except Exception as error:
            found["missing"][name] = f"{type(error).__name__}: {error}"
    try:
        found["torch"] = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        pass
print("\\n" + json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of an interpreter: a problem, or what it is in words."""

    python: str
    problem: Problem | None
    words: str = ""


class InterpreterCheck(QObject):
    """One check of one interpreter.

    Signals:
        ended: (Verdict) exactly once.
    """

    ended = Signal(object)

    def __init__(self, python: str, parent: QObject) -> None:
        super().__init__(parent)
        self.python = python
        self._is_over = False
        self._process = QProcess(self)
        environment = QProcessEnvironment()
        for name, value in worker_environment().items():
            environment.insert(name, value)
        self._process.setProcessEnvironment(environment)
        self._process.finished.connect(self._on_finished)
        self._process.errorOccurred.connect(self._on_error)
        QTimer.singleShot(LIMIT_MS, self, self._give_up)

    def start(self) -> None:
        """Begin."""
        self._process.start(self.python, ["-c", PROBE])

    def stop(self) -> None:
        """End it without a verdict."""
        self._is_over = True
        if self._process.state() != QProcess.ProcessState.NotRunning:
            self._process.kill()
            self._process.waitForFinished(2_000)

    @Slot(QProcess.ProcessError)
    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._refuse(f"“{self.python}” cannot be started.", "Choose a Python program.", self._process.errorString())

    @Slot(int, QProcess.ExitStatus)
    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        said = bytes(self._process.readAllStandardOutput().data()).decode("utf-8", "replace")
        complaint = bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace")
        found = _last_json(said)
        if found is None:
            self._refuse(
                f"“{self.python}” is not a Python interpreter that works.", "Choose another.", complaint or said
            )
        elif tuple(found["version"]) < OLDEST:
            version = ".".join(map(str, found["version"]))
            self._refuse(f"This is Python {version}; the workers need 3.11 or newer.", "Choose another.", self.python)
        elif found["missing"]:
            names = ", ".join(sorted(found["missing"]))
            packages = " ".join(PACKAGES.get(name, name) for name in sorted(found["missing"]) if "." not in name)
            details = "\n".join(f"{name}: {error}" for name, error in found["missing"].items())
            remedy = f"Install them there ({self.python} -m pip install {packages}), or choose another."
            self._refuse(f"This Python lacks what the workers need: {names}.", remedy, details)
        else:
            version = ".".join(map(str, found["version"]))
            torch = f"PyTorch {found['torch']}" if found["torch"] else "no PyTorch, so it cannot train"
            self._end(Verdict(self.python, None, f"Python {version}, {torch}"))

    def _give_up(self) -> None:
        if not self._is_over:
            self._refuse(f"“{self.python}” gave no answer within a minute.", "Choose another.", "")
            self.stop()

    def _refuse(self, message: str, remedy: str, details: str) -> None:
        self._end(Verdict(self.python, Problem(message, f"{remedy} The setting stays as it was.", details, True)))

    def _end(self, verdict: Verdict) -> None:
        if not self._is_over:
            self._is_over = True
            self.ended.emit(verdict)


def _last_json(text: str) -> dict[str, Any] | None:
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        value = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return value if isinstance(value, dict) and "missing" in value else None
