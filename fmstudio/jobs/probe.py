"""Finding native settings that work on this machine, in child processes that may die of the wrong ones.

The first candidate that survives is remembered, per processor, library, interpreter and kind of model; so a native
crash is found by the app and never by the user. Works over any `Launcher`: nothing here blocks but `working_settings`.
"""

from __future__ import annotations

import hashlib
import platform
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.api.gguf_header import peek_gguf_kind
from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.core.paths import home
from fmstudio.jobs.engine_remedy import with_build
from fmstudio.jobs.launcher import Launcher, Process, worker_argv
from fmstudio.jobs.outcome import Problem, ProcessOutcome
from fmstudio.jobs.protocol import Artifact, Done, Error, Wire

CANDIDATE = "probe_candidate"
PROBE_TIMEOUT_S = 180
"""The child ends itself after this; loading a large model from a slow disk must fit."""


@dataclass(frozen=True, slots=True)
class Working:
    """Settings that were seen to work, and the library they were seen with."""

    settings: dict[str, Any]
    library: str


def settings_key(backend: str, model: Path, python: str) -> str:
    """Where the settings for this machine, backend and kind of model are remembered."""
    return f"{backend} | {peek_gguf_kind(model) or model.suffix} | {python} | {machine_fingerprint()}"


def machine_fingerprint() -> str:
    """Processor model and a hash of its features: settings travel with neither a copied home nor a changed host."""
    model, features = platform.processor() or platform.machine(), ""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() in ("flags", "Features"):
                features = value.strip()
                break
    return f"{model} {hashlib.sha256(features.encode()).hexdigest()[:12]}"


def recall(key: str) -> Working | None:
    """What is remembered under a key."""
    entry = (read_json(_store(), {}) or {}).get(key)
    if not isinstance(entry, dict) or not isinstance(entry.get("settings"), dict):
        return None
    return Working(entry["settings"], str(entry.get("library", "")))


def forget(key: str) -> None:
    """Drop what is remembered: it did not work after all."""
    entries = read_json(_store(), {}) or {}
    if entries.pop(key, None) is not None:
        write_json(_store(), entries)


def _remember(key: str, working: Working, attempts: list[Attempt]) -> None:
    entries = read_json(_store(), {}) or {}
    entries[key] = {
        "settings": working.settings,
        "library": working.library,
        "found": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "tried": [{"settings": a.settings, "ended": a.ended} for a in attempts],
    }
    write_json(_store(), entries)


def _store() -> Path:
    return home() / "engine_settings.json"


@dataclass(slots=True)
class Attempt:
    """One candidate and how its process ended: ``"works"``, a signal's name, or a sentence."""

    settings: dict[str, Any]
    ended: str
    log_tail: str = ""
    library: str = ""
    is_illegal_instruction: bool = False


Outcome = Working | Problem


@dataclass(slots=True)
class Probe:
    """Tries a backend's candidates one after another; `on_done` is called once, on the launcher's thread.

    Attributes:
        attempts: What was tried so far.
    """

    launcher: Launcher
    backend: str
    model: Path
    python: str
    log_path: Path
    on_done: Callable[[Outcome], None]
    attempts: list[Attempt] = field(default_factory=list)
    _process: Process | None = None
    _is_stopped: bool = False

    def start(self) -> None:
        """Begin with the fastest candidate."""
        self._try(0)

    def stop(self) -> None:
        """End the child; `on_done` will not be called."""
        self._is_stopped = True
        if self._process is not None:
            self._process.kill()

    def _try(self, index: int) -> None:
        heard: dict[str, Wire] = {}

        def on_message(message: Wire) -> None:
            if (isinstance(message, Artifact) and message.kind == CANDIDATE) or isinstance(message, Done | Error):
                heard[message.type] = message

        self._process = self.launcher.start(
            worker_argv(
                self.python, "probe", "--backend", self.backend, "--model", str(self.model), "--index", str(index)
            ),
            on_message=on_message,
            on_exit=lambda outcome: self._on_exit(index, heard, outcome),
            log_path=self.log_path,
        )

    def _on_exit(self, index: int, heard: dict[str, Wire], outcome: ProcessOutcome) -> None:
        if self._is_stopped:
            return
        candidate = heard.get(Artifact.type)
        meta = candidate.meta if isinstance(candidate, Artifact) else {}
        error = heard.get(Error.type)
        ended = _ended(outcome, error if isinstance(error, Error) else None, is_done=Done.type in heard)
        library = str(meta.get("library", ""))
        self.attempts.append(
            Attempt(meta.get("settings", {}), ended, outcome.log_tail, library, outcome.is_illegal_instruction)
        )
        if ended == "works":
            working = Working(meta["settings"], str(meta["library"]))
            _remember(settings_key(self.backend, self.model, self.python), working, self.attempts)
            self.on_done(working)
        elif index + 1 < int(meta.get("count", 0)) and not self._is_hopeless():
            self._try(index + 1)
        else:
            self.on_done(self._failure(error if isinstance(error, Error) else None, outcome))

    def _is_hopeless(self) -> bool:
        """The same explained refusal twice is about the file, not about the setting."""
        last = [attempt.ended for attempt in self.attempts[-2:]]
        return len(last) == 2 and last[0] == last[1] and not last[0].startswith("SIG")

    def _failure(self, error: Error | None, outcome: ProcessOutcome) -> Problem:
        if error is not None:
            return Problem(error.message, error.remedy, error.details, error.is_user_error)
        tried = "\n".join(f"{attempt.settings}: {attempt.ended}" for attempt in self.attempts)
        if not any(attempt.settings or attempt.ended.startswith("SIG") for attempt in self.attempts):
            problem = outcome.problem("The engine's test process")
            return Problem(problem.message, problem.remedy, f"{tried}\n\n{outcome.log_tail}")
        problem = Problem(
            f"The model engine crashes on this computer with each of the {len(self.attempts)} settings tried.",
            "Install a build of its library made for this processor, or choose another model.",
            f"{tried}\n\n{outcome.log_tail}",
        )
        illegal = [attempt for attempt in self.attempts if attempt.is_illegal_instruction]
        return with_build(problem, self.python, illegal[0].library) if illegal else problem


def _ended(outcome: ProcessOutcome, error: Error | None, *, is_done: bool) -> str:
    if is_done and outcome.is_clean:
        return "works"
    if error is not None:
        return error.message
    return outcome.signal_name or f"exit code {outcome.exit_code}"


def working_settings(
    launcher: Launcher,
    backend: str,
    model: Path,
    *,
    python: str,
    log_path: Path | None = None,
    fresh: bool = False,
) -> dict[str, Any]:
    """Give settings that work here, remembered or found now; blocks, so only for launchers that use threads.

    Args:
        fresh: Probe again even if something is remembered.

    Raises:
        UserError: None of the candidates works, or the model cannot be loaded.
    """
    key = settings_key(backend, model, python)
    remembered = None if fresh else recall(key)
    if remembered is not None:
        return remembered.settings
    answered = threading.Event()
    answer: list[Outcome] = []

    def on_done(outcome: Outcome) -> None:
        answer.append(outcome)
        answered.set()

    Probe(launcher, backend, model, python, log_path or home() / "logs" / "probe.log", on_done).start()
    answered.wait()
    found = answer[0]
    if isinstance(found, Problem):
        raise UserError(found.message, remedy=found.remedy_told, details=found.details)
    return found.settings
